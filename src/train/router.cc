#include "train/router.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "train/ops.h"
#include "train/reference_ops.h"

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

std::int64_t ExpertCapacity(const CapacityOptions& options, std::int64_t choices,
                            std::int64_t experts) {
  const double share = options.factor * static_cast<double>(choices) / static_cast<double>(experts);
  // What is above all choices limits nothing.
  const double limit = std::min(std::ceil(share), static_cast<double>(choices));
  return std::max(static_cast<std::int64_t>(limit), options.least);
}

at::Tensor WithinCapacity(const CapacityOptions& options, const at::Tensor& chosen,
                          std::int64_t experts, std::int64_t read, std::uint64_t key) {
  const std::int64_t top_k = chosen.size(1);
  const std::int64_t choices = read * top_k;
  const auto options_of = chosen.options();
  at::Tensor within = at::zeros(chosen.sizes(), options_of.dtype(at::kBool));
  if (choices == 0) return within;
  // Choices in the order in which experts take them: first ones, then second ones, ...
  const at::Tensor all = chosen.narrow(0, 0, read).t().reshape({-1});
  at::Tensor order = at::arange(choices, options_of);
  if (options.random) {
    const at::Tensor draws = reference::Draws(choices, chosen.device(), key).view({top_k, read});
    const at::Tensor drawn = at::argsort(draws, /*stable=*/true, /*dim=*/1, /*descending=*/false);
    order = (drawn + at::arange(top_k, options_of).unsqueeze(1) * read).reshape({-1});
  }
  const at::Tensor expert = all.index_select(0, order);
  const at::Tensor by_expert =
      at::argsort(expert, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const at::Tensor counts = at::bincount(expert, {}, experts);
  const at::Tensor starts = counts.cumsum(0) - counts;
  const at::Tensor place =
      at::arange(choices, options_of) - starts.index_select(0, expert.index_select(0, by_expert));
  const at::Tensor stands = place.lt(ExpertCapacity(options, choices, experts));
  at::Tensor found = at::empty({choices}, stands.options());
  found.index_copy_(0, order.index_select(0, by_expert), stands);
  within.narrow(0, 0, read).copy_(found.view({top_k, read}).t());
  return within;
}

TokenChoice ChooseTokens(const model::MoeSpec& moe, const at::Tensor& scores,
                         const std::vector<std::int64_t>& starts) {
  const std::int64_t experts = scores.size(1);
  const auto sequences = static_cast<std::int64_t>(starts.size()) - 1;
  std::vector<std::int64_t> lengths;
  std::vector<std::int64_t> counts;
  TokenChoice choice;
  std::int64_t longest = 0;
  for (std::size_t s = 1; s < starts.size(); ++s) {
    lengths.push_back(starts[s] - starts[s - 1]);
    counts.push_back(model::TokensOfExpert(moe, experts, lengths.back()));
    choice.each += counts.back();
    longest = std::max(longest, lengths.back());
  }
  const auto place = at::TensorOptions().dtype(at::kLong).device(scores.device());
  const auto column = [&](const std::vector<std::int64_t>& values) {
    return torch::tensor(values, at::kLong).to(scores.device()).unsqueeze(1);
  };
  const at::Tensor first = column({starts.begin(), starts.end() - 1});
  const at::Tensor position = at::arange(longest, place).unsqueeze(0);
  const at::Tensor beyond = position.ge(column(lengths));  // [sequences, longest]
  const at::Tensor token = (first + position).masked_fill(beyond, 0);
  const at::Tensor weights = at::softmax(scores, -1);
  const at::Tensor padded = weights.detach()
                                .index_select(0, token.reshape({-1}))
                                .view({sequences, longest, experts})
                                .masked_fill(beyond.unsqueeze(-1), -1);
  const at::Tensor best =
      std::get<1>(at::sort(padded, /*stable=*/true, /*dim=*/1, /*descending=*/true));
  const at::Tensor takes = position.lt(column(counts)).unsqueeze(-1).expand(padded.sizes());
  const at::Tensor taken =
      at::zeros(padded.sizes(), takes.options()).scatter(1, best, takes.contiguous());
  const at::Tensor found = taken.permute({2, 0, 1}).contiguous().nonzero();  // expert, sequence, ..
  choice.tokens = first.squeeze(1).index_select(0, found.select(1, 1)) + found.select(1, 2);
  choice.weights =
      PickRows(weights.reshape({-1, 1}), choice.tokens * experts + found.select(1, 0)).squeeze(1);
  return choice;
}

}  // namespace metier::train
