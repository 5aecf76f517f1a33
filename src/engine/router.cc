#include "engine/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/top_k.h"

namespace metier::engine {
namespace {

// x[i] = exp(x[i] - max) / sum. Experts are few; the plain loop is exact to the last bits on every
// instruction set, so that routing differs between them as little as possible.
void Softmax(std::span<float> x) {
  const float max = *std::max_element(x.begin(), x.end());
  float sum = 0;
  for (float& value : x) sum += value = std::exp(value - max);
  for (float& value : x) value /= sum;
}

// What is no number loses against everything.
void DropNonNumbers(std::span<float> scores) {
  for (float& score : scores) {
    if (std::isnan(score)) score = -std::numeric_limits<float>::infinity();
  }
}

void DivideBySum(std::span<float> x) {
  float sum = 0;
  for (const float value : x) sum += value;
  for (float& value : x) value /= sum;
}

}  // namespace

void ChooseExperts(const model::MoeSpec& moe, std::span<float> scores,
                   std::span<std::int32_t> experts, std::span<float> weights) {
  DropNonNumbers(scores);
  if (moe.score == model::RouterScore::kSoftmaxThenTopK) Softmax(scores);
  kernels::TopK(scores, experts);
  for (std::size_t k = 0; k < experts.size(); ++k)
    weights[k] = scores[static_cast<std::size_t>(experts[k])];
  switch (moe.score) {
    case model::RouterScore::kTopKThenSoftmax: return Softmax(weights);
    case model::RouterScore::kSigmoid:
      for (float& weight : weights) weight = 1.0F / (1.0F + std::exp(-weight));
      break;
    case model::RouterScore::kSoftmaxThenTopK: break;
  }
  if (moe.normalise_top_k) DivideBySum(weights);
}

void ChooseTokens(std::span<float> scores, std::size_t experts, std::size_t count,
                  std::vector<std::int32_t>& tokens, std::vector<float>& weights) {
  const std::size_t rows = scores.size() / experts;
  for (std::size_t r = 0; r < rows; ++r) Softmax(scores.subspan(r * experts, experts));
  DropNonNumbers(scores);
  tokens.resize(experts * count);
  weights.resize(experts * count);
  std::vector<std::int32_t> order(rows);
  for (std::size_t e = 0; e < experts; ++e) {
    const auto weight = [&](std::int32_t row) {
      return scores[static_cast<std::size_t>(row) * experts + e];
    };
    std::iota(order.begin(), order.end(), 0);
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(count);
    std::nth_element(order.begin(), end, order.end(), [&](std::int32_t a, std::int32_t b) {
      return weight(a) > weight(b) || (weight(a) == weight(b) && a < b);
    });
    std::sort(order.begin(), end);
    for (std::size_t i = 0; i < count; ++i) {
      tokens[e * count + i] = order[i];
      weights[e * count + i] = weight(order[i]);
    }
  }
}

}  // namespace metier::engine
