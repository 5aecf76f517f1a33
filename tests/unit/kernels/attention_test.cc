#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "every_isa.h"

namespace metier::kernels::test {
namespace {

class Attentions : public EveryIsa {};

// Keys and values of one head in whole pages, as the cache has them; NaN where nothing was written.
class Pages {
 public:
  Pages(std::size_t keys, std::size_t head_dim, std::uint64_t seed)
      : head_dim_(head_dim),
        keys_(Uniform(keys * head_dim, seed)),
        values_(Uniform(keys * head_dim, seed + 1)) {
    const std::size_t padded = PaddedHead(head_dim);
    for (std::size_t start = 0; start < keys; start += kPageTokens) {
      std::vector<float> k(head_dim * kPageTokens, std::nanf(""));
      std::vector<float> v(padded * kPageTokens, std::nanf(""));
      for (std::size_t j = start; j < std::min(keys, start + kPageTokens); ++j) {
        for (std::size_t d = 0; d < head_dim; ++d) {
          k[d * kPageTokens + j - start] = Key(j)[d];
          v[(j - start) * padded + d] = Value(j)[d];
        }
      }
      key_pages_.push_back(std::move(k));
      value_pages_.push_back(std::move(v));
    }
    for (const std::vector<float>& page : key_pages_) key_pointers_.push_back(page.data());
    for (const std::vector<float>& page : value_pages_) value_pointers_.push_back(page.data());
  }
  const float* const* keys() const { return key_pointers_.data(); }
  const float* const* values() const { return value_pointers_.data(); }
  const float* Key(std::size_t j) const { return keys_.data() + j * head_dim_; }
  const float* Value(std::size_t j) const { return values_.data() + j * head_dim_; }

 private:
  std::size_t head_dim_;
  std::vector<float> keys_;
  std::vector<float> values_;
  std::vector<std::vector<float>> key_pages_;
  std::vector<std::vector<float>> value_pages_;
  std::vector<const float*> key_pointers_;
  std::vector<const float*> value_pointers_;
};

struct Case {
  std::size_t first_position;
  std::size_t rows;
  std::size_t heads;
  std::size_t head_dim;
  std::size_t window;
  bool causal;
  float slope;  // of head h: h + 1 times this
};

constexpr Case kCases[] = {
    {0, 1, 1, 8, 0, true, 0},      {0, 7, 2, 16, 0, true, 0},   {0, 70, 1, 20, 0, true, 0},
    {63, 3, 4, 40, 0, true, 0},    {130, 2, 7, 80, 0, true, 0}, {0, 66, 3, 8, 5, true, 0},
    {100, 9, 2, 12, 64, true, 0},  {200, 3, 1, 33, 1, true, 0}, {0, 70, 2, 24, 0, true, 0.25F},
    {90, 4, 3, 16, 0, true, 0.7F}, {0, 70, 2, 16, 0, false, 0}, {0, 5, 1, 8, 0, false, 0},
    {200, 1, 5, 128, 0, true, 0},
};

std::vector<float> Slopes(const Case& c) {
  std::vector<float> slopes(c.heads);
  for (std::size_t h = 0; h < c.heads; ++h) slopes[h] = static_cast<float>(h + 1) * c.slope;
  return slopes;
}

// softmax over the visible keys, in double.
std::vector<double> Expected(const Case& c, const std::vector<float>& q, const Pages& pages,
                             double scale, std::size_t row, std::size_t head) {
  const std::size_t position = c.first_position + row;
  const std::size_t last = c.causal ? position + 1 : c.first_position + c.rows;
  const std::size_t first = c.window != 0 && last > c.window ? last - c.window : 0;
  const double slope = Slopes(c)[head];
  std::vector<double> scores;
  for (std::size_t j = first; j < last; ++j) {
    double score = 0;
    for (std::size_t d = 0; d < c.head_dim; ++d) {
      score += static_cast<double>(q[(row * c.heads + head) * c.head_dim + d]) * pages.Key(j)[d];
    }
    scores.push_back(score * scale +
                     slope * (static_cast<double>(j) - static_cast<double>(position)));
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - max);
  std::vector<double> out(c.head_dim);
  for (std::size_t j = first; j < last; ++j) {
    for (std::size_t d = 0; d < c.head_dim; ++d)
      out[d] += scores[j - first] / sum * pages.Value(j)[d];
  }
  return out;
}

Attention Call(const Case& c, const std::vector<float>& q, const Pages& pages,
               const std::vector<float>& slopes, float scale) {
  return {.q = q.data(),
          .q_stride = c.heads * c.head_dim,
          .out_stride = c.heads * c.head_dim,
          .k = pages.keys(),
          .v = pages.values(),
          .rows = c.rows,
          .heads = c.heads,
          .head_dim = c.head_dim,
          .first_position = c.first_position,
          .length = c.first_position + c.rows,
          .window = c.window,
          .causal = c.causal,
          .slopes = c.slope == 0 ? nullptr : slopes.data(),
          .scale = scale};
}

TEST_P(Attentions, AttentionMatchesSoftmaxInDouble) {
  constexpr float kScale = 0.8F;
  for (const Case& c : kCases) {
    const std::size_t keys = c.first_position + c.rows;
    const std::size_t width = c.heads * c.head_dim;
    const std::vector<float> q = Uniform(c.rows * width, 1);
    const Pages pages(keys, c.head_dim, 2);
    const std::vector<float> slopes = Slopes(c);
    std::vector<float> out(c.rows * width);
    Attention call = Call(c, q, pages, slopes, kScale);
    call.out = out.data();
    table().attention(call);
    // A score is off by head_dim + 2 ulp of its terms (|q|, |k| <= 1) and of slope * distance; that
    // shifts each weight by the same factor, and |v| <= 1. Then sums over the keys.
    const double steepest = static_cast<double>(c.slope) * static_cast<double>(c.heads);
    const double score_error =
        FLT_EPSILON * (static_cast<double>(c.head_dim) * static_cast<double>(c.head_dim + 2) +
                       2.0 * steepest * static_cast<double>(keys) + 80);
    const double bound = 2 * score_error + 2 * static_cast<double>(keys) * FLT_EPSILON;
    for (std::size_t row = 0; row < c.rows; ++row) {
      for (std::size_t head = 0; head < c.heads; ++head) {
        const auto exact = Expected(c, q, pages, static_cast<double>(kScale), row, head);
        for (std::size_t d = 0; d < c.head_dim; ++d) {
          ASSERT_NEAR(out[row * width + head * c.head_dim + d], exact[d], bound)
              << "rows=" << c.rows << " head_dim=" << c.head_dim << " row=" << row
              << " head=" << head << " d=" << d;
        }
      }
    }
  }
}

TEST_P(Attentions, AQueryGivesTheSameBitsAloneAndInAPrefill) {
  for (const Case& c : kCases) {
    const std::size_t keys = c.first_position + c.rows;
    const std::size_t width = c.heads * c.head_dim;
    const std::vector<float> q = Uniform(c.rows * width, 1);
    const Pages pages(keys, c.head_dim, 2);
    const std::vector<float> slopes = Slopes(c);
    std::vector<float> all(c.rows * width);
    Attention call = Call(c, q, pages, slopes, 0.8F);
    call.out = all.data();
    table().attention(call);
    for (std::size_t row = 0; row < c.rows; ++row) {
      std::vector<float> alone(width);
      Attention single = call;
      single.q += row * width;
      single.out = alone.data();
      single.rows = 1;
      single.first_position += row;
      table().attention(single);
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * width);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), begin)) << "row " << row;
    }
  }
}

METIER_EVERY_ISA(Attentions);

}  // namespace
}  // namespace metier::kernels::test
