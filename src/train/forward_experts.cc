// The feed-forward of Network (network.h): dense, or the model's experts, whoever chooses them.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "train/network.h"

namespace metier::train {

using model::ExpertChooser;

namespace {

// int64 [tokens]: the task of each token's sequence; what fills a batch has the first one.
at::Tensor TasksOf(const Batch& batch, const model::MoeSpec& moe) {
  if (moe.tasks.size() == 1) return at::zeros_like(batch.tokens);
  METIER_CHECK(batch.domains.defined(), "a batch without tasks for a model of several");
  std::vector<std::int64_t> lengths;
  for (std::size_t s = 1; s < batch.layout.starts.size(); ++s)
    lengths.push_back(batch.layout.starts[s] - batch.layout.starts[s - 1]);
  return batch.domains.clamp_min(0).repeat_interleave(
      torch::tensor(lengths, at::kLong).to(batch.domains.device()), 0);
}

}  // namespace

at::Tensor Network::ProjectExperts(const Weight& weight, const std::vector<Linears>& names,
                                   const at::Tensor& x, const std::vector<std::int64_t>& starts,
                                   std::uint64_t key) const {
  const Precision& precision = options_.precision;
  const at::Tensor y = GroupedLinear(x, weight, starts, precision);
  if (lora_.empty()) return y;
  std::vector<FusedLora> loras;
  std::int64_t ranks = 0;
  for (const Linears& expert : names) {
    loras.push_back(FuseLora(lora_, expert.parts));
    if (loras.back().a.defined()) ranks = std::max(ranks, loras.back().a.size(0));
  }
  if (ranks == 0) return y;
  // Experts without an adapter, or with a smaller one, get rows of zeros.
  std::vector<at::Tensor> as;
  std::vector<at::Tensor> bs;
  const auto options = at::TensorOptions().dtype(precision.real).device(x.device());
  for (const FusedLora& lora : loras) {
    const std::int64_t rank = lora.a.defined() ? lora.a.size(0) : 0;
    as.push_back(rank == 0 ? at::zeros({ranks, x.size(1)}, options)
                           : at::constant_pad_nd(lora.a, {0, 0, 0, ranks - rank}));
    bs.push_back(rank == 0 ? at::zeros({y.size(1), ranks}, options)
                           : at::constant_pad_nd(lora.b, {0, ranks - rank}));
  }
  const at::Tensor a = at::stack(as);
  const at::Tensor b = at::stack(bs);
  at::Tensor in = x;
  if (lora_.dropout() > 0 && key != 0) {
    in = Dropout(x.to(precision.act).contiguous(), lora_.dropout(),
                 DrawKey(key, loras.front().modules.front()));
  }
  const at::Tensor inner = GroupedLinear(in, {a, a.to(precision.act)}, starts, precision);
  const at::Tensor sum = y + GroupedLinear(inner, {b, b.to(precision.act)}, starts, precision);
  if (!lora_.dora()) return sum;
  // Expert by expert: to gather their scales by row would add up gradients in any order on a GPU.
  std::vector<at::Tensor> scaled;
  for (std::size_t e = 0; e < names.size(); ++e) {
    const at::Tensor rows = sum.narrow(0, starts[e], starts[e + 1] - starts[e]);
    scaled.push_back((rows.to(precision.real) * ScalesOf(names[e].parts)).to(precision.act));
  }
  return at::cat(scaled);
}

at::Tensor Network::RunExperts(const Layer& layer, const at::Tensor& x,
                               const std::vector<std::int64_t>& starts, std::uint64_t key) const {
  const at::Tensor up = ProjectExperts(layer.experts_up, layer.expert_up, x, starts, key);
  return ProjectExperts(layer.experts_down, layer.expert_down,
                        Gate(up, spec_.activation, spec_.gated), starts, key);
}

// In the real type: which expert is chosen must not hang on bf16.
at::Tensor Network::RouterScores(const Layer& layer, const at::Tensor& router_input,
                                 const at::Tensor& rows, State& state) const {
  const at::ScalarType real = options_.precision.real;
  const bool by_task = spec_.moe.chooser == ExpertChooser::kTask;
  const at::Tensor seen = by_task ? tasks_ : router_input.to(real);
  // A task's scores are sums by themselves, so that their bits do not hang on how many experts and
  // tasks there are: a model of one task taken out of this one has the same.
  at::Tensor scores = by_task ? (seen.unsqueeze(1) * layer.router.unsqueeze(0)).sum(-1)
                              : at::matmul(seen, layer.router.t());
  const FusedLora lora = FuseLora(lora_, layer.router_part);
  if (lora.a.defined()) {
    const bool drops = lora_.dropout() > 0 && state.pass.key != 0;
    const at::Tensor kept = drops ? Dropout(seen.contiguous(), lora_.dropout(),
                                            DrawKey(state.pass.key, lora.modules.front()))
                                  : seen;
    scores = scores + at::matmul(at::matmul(kept, lora.a.t()), lora.b.t());
    if (lora_.dora()) scores = scores * ScalesOf(layer.router_part);
  }
  if (!by_task) return scores;
  const at::Tensor tasks = TasksOf(state.batch, spec_.moe);
  // Picked by a product with ones and zeros, whose gradient is one too.
  const at::Tensor own = at::one_hot(rows.defined() ? tasks.index_select(0, rows) : tasks,
                                     static_cast<std::int64_t>(spec_.moe.tasks.size()));
  return at::matmul(own.to(real), scores);
}

at::Tensor Network::ChosenByExperts(const Layer& layer, const at::Tensor& h,
                                    const at::Tensor& scores, State& state) const {
  const TokenChoice choice = ChooseTokens(spec_.moe, scores, state.batch.layout.starts);
  if (state.pass.notes != nullptr) {
    const at::Tensor of_data = choice.tokens.lt(state.batch.read).view({-1, choice.each});
    state.pass.notes->push_back({.of_mixture = false, .scores = scores, .taken = of_data.sum(1)});
  }
  std::vector<std::int64_t> starts;
  for (std::int64_t e = 0; e <= scores.size(1); ++e) starts.push_back(e * choice.each);
  const at::Tensor y = RunExperts(layer, GatherRows(h, choice.tokens), starts, state.pass.key);
  const at::Tensor weighted = y.to(options_.precision.real) * choice.weights.unsqueeze(1);
  return SumAtRows(weighted, choice.tokens, h.size(0)).to(h.scalar_type());
}

at::Tensor Network::Experts(const Layer& layer, const at::Tensor& h, const at::Tensor& router_input,
                            const at::Tensor& asked, State& state) const {
  const model::MoeSpec& moe = spec_.moe;
  const std::int64_t rows = h.size(0);
  const at::Tensor scores = RouterScores(layer, router_input, asked, state);
  const std::int64_t experts = scores.size(1);
  if (moe.chooser == ExpertChooser::kExpert) return ChosenByExperts(layer, h, scores, state);
  const auto [chosen, gates] = ChooseExperts(moe, scores);
  at::Tensor expert = chosen;
  at::Tensor within;
  if (options_.capacity.factor > 0 && state.pass.key != 0) {
    const Batch& batch = state.batch;
    const auto index = static_cast<std::size_t>(&layer - layers_.data());
    within = WithinCapacity(options_.capacity, chosen, experts,
                            asked.defined() ? batch.counted : batch.read,
                            DrawKey(state.pass.key, kDropDraw + index));
    expert = at::where(within, chosen, at::full_like(chosen, experts));  // behind all others
  }
  if (state.pass.notes != nullptr)
    state.pass.notes->push_back({false, scores, chosen, asked, within});
  expert = expert.reshape({-1});
  const at::Tensor order = at::argsort(expert, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const at::Tensor inverse = at::empty_like(order);
  inverse.scatter_(0, order, at::arange(order.size(0), order.options()));
  const at::Tensor counts = at::bincount(expert, {}, experts).to(at::kCPU);
  std::vector<std::int64_t> starts = {0};
  for (std::int64_t e = 0; e < experts; ++e)
    starts.push_back(starts.back() + counts.data_ptr<std::int64_t>()[e]);

  const at::Tensor sorted = SpreadRows(h, order, inverse, moe.top_k).narrow(0, 0, starts.back());
  at::Tensor y = RunExperts(layer, sorted, starts, state.pass.key);
  if (starts.back() < order.size(0))
    y = at::constant_pad_nd(y, {0, 0, 0, order.size(0) - starts.back()});
  const at::Tensor back = SpreadRows(y, inverse, order, 1)
                              .view({rows, moe.top_k, spec_.width})
                              .to(options_.precision.real);
  return (back * gates.unsqueeze(-1)).sum(1).to(h.scalar_type());
}

at::Tensor Network::Dense(const Layer& layer, const at::Tensor& h, State& state) const {
  const at::Tensor up = Project(layer.up, h, state);
  const at::Tensor inner = Gate(up, spec_.activation, spec_.gated);
  const at::Tensor out = Project(layer.down, inner, state);
  if (!state.pass.down) return out;
  return state.pass.down({state.layer, inner, out, state.residual});
}

at::Tensor Network::FeedForward(const Layer& layer, const at::Tensor& h,
                                const at::Tensor& router_input, const at::Tensor& rows,
                                State& state) const {
  if (!layer.router.defined()) return Dense(layer, h, state);
  const at::Tensor experts = Experts(layer, h, router_input, rows, state);
  if (!spec_.moe.residual) return experts;
  const at::ScalarType real = options_.precision.real;
  const at::Tensor shares = at::softmax(Project(layer.mix, h, state).to(real), -1);
  const at::Tensor mixed = shares.narrow(1, 0, 1) * experts.to(real) +
                           shares.narrow(1, 1, 1) * Dense(layer, h, state).to(real);
  return mixed.to(h.scalar_type());
}

}  // namespace metier::train
