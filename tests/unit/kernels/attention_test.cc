#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "every_isa.h"

namespace metier::kernels::test {
namespace {

class Attentions : public EveryIsa {};

// Keys and values in exact-size pages, the last one as short as it may be read.
class Pages {
 public:
  Pages(std::size_t keys, std::size_t head_dim, std::uint64_t seed) : head_dim_(head_dim) {
    for (std::size_t start = 0; start < keys; start += kPageTokens) {
      const std::size_t count = std::min(kPageTokens, keys - start);
      pages_.push_back(Uniform(count * head_dim, seed + start));
    }
    for (const std::vector<float>& page : pages_) pointers_.push_back(page.data());
  }
  const float* const* data() const { return pointers_.data(); }
  const float* Row(std::size_t j) const {
    return pages_[j / kPageTokens].data() + j % kPageTokens * head_dim_;
  }

 private:
  std::size_t head_dim_;
  std::vector<std::vector<float>> pages_;
  std::vector<const float*> pointers_;
};

struct Case {
  std::size_t first_position;
  std::size_t rows;
  std::size_t head_dim;
  std::size_t window;
  bool causal;
  float slope;
};

constexpr Case kCases[] = {
    {0, 1, 8, 0, true, 0},      {0, 7, 16, 0, true, 0},   {0, 70, 20, 0, true, 0},
    {63, 3, 40, 0, true, 0},    {130, 2, 80, 0, true, 0}, {0, 66, 8, 5, true, 0},
    {100, 9, 12, 64, true, 0},  {200, 3, 33, 1, true, 0}, {0, 70, 24, 0, true, 0.25F},
    {90, 4, 16, 0, true, 0.7F}, {0, 70, 16, 0, false, 0}, {0, 5, 8, 0, false, 0},
};

// softmax over the visible keys, in double. `magnitude`: largest |v| seen, for the bound.
std::vector<double> Expected(const Case& c, const std::vector<float>& q, const Pages& k,
                             const Pages& v, double scale, std::size_t row) {
  const std::size_t position = c.first_position + row;
  const std::size_t last = c.causal ? position + 1 : c.first_position + c.rows;
  const std::size_t first = c.window != 0 && last > c.window ? last - c.window : 0;
  std::vector<double> scores;
  for (std::size_t j = first; j < last; ++j) {
    double score = 0;
    for (std::size_t d = 0; d < c.head_dim; ++d)
      score += static_cast<double>(q[row * c.head_dim + d]) * k.Row(j)[d];
    scores.push_back(score * scale +
                     c.slope * (static_cast<double>(j) - static_cast<double>(position)));
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - max);
  std::vector<double> out(c.head_dim);
  for (std::size_t j = first; j < last; ++j) {
    for (std::size_t d = 0; d < c.head_dim; ++d) out[d] += scores[j - first] / sum * v.Row(j)[d];
  }
  return out;
}

Attention Call(const Case& c, const std::vector<float>& q, const Pages& k, const Pages& v,
               float scale) {
  return {.q = q.data(),
          .q_stride = c.head_dim,
          .out_stride = c.head_dim,
          .k = k.data(),
          .v = v.data(),
          .rows = c.rows,
          .head_dim = c.head_dim,
          .first_position = c.first_position,
          .length = c.first_position + c.rows,
          .window = c.window,
          .causal = c.causal,
          .slope = c.slope,
          .scale = scale};
}

TEST_P(Attentions, AttentionMatchesSoftmaxInDouble) {
  constexpr float kScale = 0.8F;
  for (const Case& c : kCases) {
    const std::size_t keys = c.first_position + c.rows;
    const std::vector<float> q = Uniform(c.rows * c.head_dim, 1);
    const Pages k(keys, c.head_dim, 2);
    const Pages v(keys, c.head_dim, 1000);
    std::vector<float> out(c.rows * c.head_dim);
    Attention call = Call(c, q, k, v, kScale);
    call.out = out.data();
    table().attention(call);
    // A score is off by head_dim + 2 ulp of its terms (|q|, |k| <= 1) and of slope * distance; that
    // shifts each weight by the same factor, and |v| <= 1. Then sums over the keys.
    const double score_error =
        FLT_EPSILON * (static_cast<double>(c.head_dim) * static_cast<double>(c.head_dim + 2) +
                       2.0 * c.slope * static_cast<double>(keys) + 80);
    const double bound = 2 * score_error + 2 * static_cast<double>(keys) * FLT_EPSILON;
    for (std::size_t row = 0; row < c.rows; ++row) {
      const std::vector<double> exact = Expected(c, q, k, v, static_cast<double>(kScale), row);
      for (std::size_t d = 0; d < c.head_dim; ++d) {
        ASSERT_NEAR(out[row * c.head_dim + d], exact[d], bound)
            << "rows=" << c.rows << " head_dim=" << c.head_dim << " row=" << row << " d=" << d;
      }
    }
  }
}

TEST_P(Attentions, AQueryGivesTheSameBitsAloneAndInAPrefill) {
  for (const Case& c : kCases) {
    const std::size_t keys = c.first_position + c.rows;
    const std::vector<float> q = Uniform(c.rows * c.head_dim, 1);
    const Pages k(keys, c.head_dim, 2);
    const Pages v(keys, c.head_dim, 1000);
    std::vector<float> all(c.rows * c.head_dim);
    Attention call = Call(c, q, k, v, 0.8F);
    call.out = all.data();
    table().attention(call);
    for (std::size_t row = 0; row < c.rows; ++row) {
      std::vector<float> alone(c.head_dim);
      Attention single = call;
      single.q += row * c.head_dim;
      single.out = alone.data();
      single.rows = 1;
      single.first_position += row;
      table().attention(single);
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * c.head_dim);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), begin)) << "row " << row;
    }
  }
}

METIER_EVERY_ISA(Attentions);

}  // namespace
}  // namespace metier::kernels::test
