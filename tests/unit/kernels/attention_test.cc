#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "every_isa.h"
#include "tensor/half.h"

namespace metier::kernels::test {
namespace {

class Attentions : public EveryIsa {};

constexpr KvType kTypes[] = {KvType::kF32, KvType::kBF16, KvType::kInt8};

const KvKernels& KernelsOf(const KernelTable& table, KvType type) {
  return table.kv[static_cast<std::size_t>(type)];
}

// x as a page of the type gives it back.
std::vector<float> Rounded(KvType type, std::vector<float> x) {
  if (type == KvType::kBF16) {
    for (float& value : x) value = tensor::FromBF16(tensor::ToBF16(value));
  }
  if (type == KvType::kInt8) {
    float most = 0;
    for (const float value : x) most = std::max(most, std::abs(value));
    const float scale = most / 127;
    for (float& value : x) value = std::nearbyint(value * (127 / most)) * scale;
  }
  return x;
}

// Keys and values of one head in whole pages, as the cache has them; NaN where nothing was written.
class Pages {
 public:
  Pages(const KernelTable& table, KvType type, std::size_t keys, std::size_t head_dim,
        std::uint64_t seed)
      : head_dim_(head_dim) {
    const std::vector<float> nothing(head_dim, std::nanf(""));
    const KvKernels& kernels = KernelsOf(table, type);
    for (std::size_t j = 0; j < keys; ++j) {
      const std::size_t token = j % kPageTokens;
      if (token == 0) {
        key_pages_.emplace_back(KeyBytes(type, head_dim), std::byte{0xff});
        value_pages_.emplace_back(ValueBytes(type, head_dim), std::byte{0xff});
      }
      const std::vector<float> key = Uniform(head_dim, seed + 2 * j);
      const std::vector<float> value = Uniform(head_dim, seed + 2 * j + 1);
      kernels.store_key(key.data(), head_dim, token, key_pages_.back().data());
      kernels.store_value(value.data(), head_dim, token, value_pages_.back().data());
      for (const float x : Rounded(type, key)) keys_.push_back(x);
      for (const float x : Rounded(type, value)) values_.push_back(x);
    }
    for (const auto& page : key_pages_) key_pointers_.push_back(page.data());
    for (const auto& page : value_pages_) value_pointers_.push_back(page.data());
  }
  const std::byte* const* keys() const { return key_pointers_.data(); }
  const std::byte* const* values() const { return value_pointers_.data(); }
  // What was stored, rounded.
  const float* Key(std::size_t j) const { return keys_.data() + j * head_dim_; }
  const float* Value(std::size_t j) const { return values_.data() + j * head_dim_; }

 private:
  std::size_t head_dim_;
  std::vector<float> keys_;
  std::vector<float> values_;
  std::vector<std::vector<std::byte>> key_pages_;
  std::vector<std::vector<std::byte>> value_pages_;
  std::vector<const std::byte*> key_pointers_;
  std::vector<const std::byte*> value_pointers_;
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

// How far attention over rounded keys and values may be from its formula.
double Bound(const Case& c) {
  // A score is off by head_dim + 3 ulp of its terms (|q|, |k| <= 1; the third one is a scale of 8
  // bits) and of slope * distance; that shifts each weight by the same factor, and |v| <= 1. Then
  // sums over the keys, and an ulp of each weight for the scale of its value.
  const double steepest = static_cast<double>(c.slope) * static_cast<double>(c.heads);
  const auto keys = static_cast<double>(c.first_position + c.rows);
  const auto head_dim = static_cast<double>(c.head_dim);
  const double score_error = FLT_EPSILON * (head_dim * (head_dim + 3) + 2.0 * steepest * keys + 80);
  return 2 * score_error + (2 * keys + 1) * FLT_EPSILON;
}

void ExpectMatch(const KernelTable& table, KvType type, const Case& c) {
  constexpr float kScale = 0.8F;
  const std::size_t width = c.heads * c.head_dim;
  const std::vector<float> q = Uniform(c.rows * width, 1);
  const Pages pages(table, type, c.first_position + c.rows, c.head_dim, 2);
  const std::vector<float> slopes = Slopes(c);
  std::vector<float> out(c.rows * width);
  Attention call = Call(c, q, pages, slopes, kScale);
  call.out = out.data();
  KernelsOf(table, type).attention(call);
  for (std::size_t row = 0; row < c.rows; ++row) {
    for (std::size_t head = 0; head < c.heads; ++head) {
      const auto exact = Expected(c, q, pages, static_cast<double>(kScale), row, head);
      for (std::size_t d = 0; d < c.head_dim; ++d) {
        ASSERT_NEAR(out[row * width + head * c.head_dim + d], exact[d], Bound(c))
            << "type=" << static_cast<int>(type) << " rows=" << c.rows << " head_dim=" << c.head_dim
            << " row=" << row << " head=" << head << " d=" << d;
      }
    }
  }
}

TEST_P(Attentions, AttentionMatchesSoftmaxInDouble) {
  for (const KvType type : kTypes) {
    for (const Case& c : kCases) ExpectMatch(table(), type, c);
  }
}

void ExpectSameAlone(const KernelTable& table, KvType type, const Case& c) {
  const std::size_t width = c.heads * c.head_dim;
  const std::vector<float> q = Uniform(c.rows * width, 1);
  const Pages pages(table, type, c.first_position + c.rows, c.head_dim, 2);
  const std::vector<float> slopes = Slopes(c);
  std::vector<float> all(c.rows * width);
  Attention call = Call(c, q, pages, slopes, 0.8F);
  call.out = all.data();
  KernelsOf(table, type).attention(call);
  for (std::size_t row = 0; row < c.rows; ++row) {
    std::vector<float> alone(width);
    Attention single = call;
    single.q += row * width;
    single.out = alone.data();
    single.rows = 1;
    single.first_position += row;
    KernelsOf(table, type).attention(single);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * width);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), begin))
        << "type=" << static_cast<int>(type) << " row " << row;
  }
}

TEST_P(Attentions, AQueryGivesTheSameBitsAloneAndInAPrefill) {
  for (const KvType type : kTypes) {
    for (const Case& c : kCases) ExpectSameAlone(table(), type, c);
  }
}

METIER_EVERY_ISA(Attentions);

}  // namespace
}  // namespace metier::kernels::test
