#include "engine/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

void DivideBySum(std::span<float> x) {
  float sum = 0;
  for (const float value : x) sum += value;
  for (float& value : x) value /= sum;
}

}  // namespace

void ChooseExperts(const model::MoeSpec& moe, std::span<float> scores,
                   std::span<std::int32_t> experts, std::span<float> weights) {
  for (float& score : scores) {
    if (std::isnan(score)) score = -std::numeric_limits<float>::infinity();
  }
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

}  // namespace metier::engine
