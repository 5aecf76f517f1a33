// The mixture's part of Network's forward pass (network.h).
#include <algorithm>

#include "train/network.h"

namespace metier::train {

// The router's scores of x, and the gates that follow from them.
void Network::Route(std::size_t router, const at::Tensor& x, State& state) const {
  if (state.inputs != nullptr) {
    (*state.inputs)[router] = at::mm(state.mean, x.to(state.mean.scalar_type()));
    return;
  }
  if (state.gates[router].weights.defined()) return;  // chosen before the pass, by sequence
  const at::Tensor scores = mixture_.Scores(router, x);
  const RouterChoice choice = ChooseExperts(mixture_.Choice(), scores);
  state.gates[router] = {at::zeros_like(scores).scatter(1, choice.chosen, choice.weights),
                         state.restricted};
  if (state.pass.notes == nullptr) return;
  state.pass.notes->push_back(
      {true, scores, choice.chosen, state.restricted ? state.pass.rows : at::Tensor()});
}

// Of each rank its expert's weight, [rows, ranks], real.
at::Tensor Network::GatesOf(const FusedMixture& fused, const State& state) const {
  const auto experts = static_cast<std::int64_t>(mixture_.experts().size());
  std::vector<std::size_t> routers;
  for (const FusedMixture::Segment& segment : fused.segments) {
    if (std::ranges::find(routers, segment.router) == routers.end())
      routers.push_back(segment.router);
  }
  std::vector<at::Tensor> gates;
  for (const std::size_t router : routers) {
    const State::Gates& chosen = state.gates[router];
    const bool picks = state.restricted && !chosen.of_rows;
    gates.push_back(picks ? PickRows(chosen.weights, state.pass.rows) : chosen.weights);
  }
  // A product with ones spreads experts over their ranks: its gradient adds in a fixed order.
  const auto width = static_cast<std::int64_t>(routers.size()) * experts;
  const at::Tensor spread = at::zeros({width, fused.a.size(0)}, at::kDouble);
  std::int64_t first = 0;
  for (const FusedMixture::Segment& segment : fused.segments) {
    const auto at = std::ranges::find(routers, segment.router) - routers.begin();
    spread[at * experts + segment.expert].narrow(0, first, segment.ranks).fill_(1);
    first += segment.ranks;
  }
  const at::Tensor joined = gates.size() == 1 ? gates.front() : at::cat(gates, 1);
  return at::mm(joined, spread.to(joined.options()));
}

at::Tensor Network::ProjectMixture(const Linears& linears, const at::Tensor& x,
                                   State& state) const {
  const Precision& precision = options_.precision;
  for (std::size_t r = 0; r < mixture_.routers().size(); ++r) {
    if (std::ranges::find(linears.parts, mixture_.routers()[r].reads, &LinearPart::linear) !=
        linears.parts.end())
      Route(r, x, state);
  }
  const at::Tensor y = Linear(x, linears.weight, linears.bias, {}, precision);
  if (state.inputs != nullptr) return y;
  const FusedMixture fused = FuseMixture(mixture_, linears.parts);
  if (!fused.a.defined()) return y;
  const at::Tensor inner = Linear(x, {fused.a, fused.a.to(precision.act)}, {}, {}, precision);
  const at::Tensor gated = inner * GatesOf(fused, state).to(inner.scalar_type());
  return y + Linear(gated, {fused.b, fused.b.to(precision.act)}, {}, {}, precision);
}

}  // namespace metier::train
