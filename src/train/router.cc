#include "train/router.h"

#include <tuple>

namespace metier::train {

using model::RouterScore;

RouterChoice ChooseExperts(const model::MoeSpec& moe, const at::Tensor& scores) {
  const at::Tensor given =
      moe.score == RouterScore::kSoftmaxThenTopK ? at::softmax(scores, -1) : scores;
  // Sorted, because topk promises nothing about equal scores.
  const auto sorted = at::sort(given, /*stable=*/true, /*dim=*/-1, /*descending=*/true);
  const at::Tensor best = std::get<0>(sorted).narrow(-1, 0, moe.top_k);
  RouterChoice choice;
  choice.chosen = std::get<1>(sorted).narrow(-1, 0, moe.top_k);
  switch (moe.score) {
    case RouterScore::kSoftmaxThenTopK: choice.weights = best; break;
    case RouterScore::kTopKThenSoftmax: choice.weights = at::softmax(best, -1); return choice;
    case RouterScore::kSigmoid: choice.weights = at::sigmoid(best); break;
  }
  if (moe.normalise_top_k) choice.weights = choice.weights / choice.weights.sum(-1, true);
  return choice;
}

}  // namespace metier::train
