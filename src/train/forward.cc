// The forward pass of Network (network.h), in the order of model/model_spec.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "train/network.h"

namespace metier::train {
namespace {

using model::NormPlace;
using model::RouterInput;

// How far each token's embedding may move: [tokens, 1].
at::Tensor NoiseBounds(const Layout& layout, double alpha, std::int64_t width,
                       const at::TensorOptions& options) {
  const at::Tensor bounds = at::empty({layout.tokens(), 1}, at::kDouble);
  auto* out = bounds.data_ptr<double>();
  for (std::size_t s = 1; s < layout.starts.size(); ++s) {
    const std::int64_t tokens = layout.starts[s] - layout.starts[s - 1];
    const double bound = alpha / std::sqrt(static_cast<double>(tokens * width));
    std::fill(out + layout.starts[s - 1], out + layout.starts[s], bound);
  }
  return bounds.to(options);
}

at::Tensor PositionsOf(const Layout& layout, const at::Device& device) {
  const at::Tensor positions = at::empty({layout.tokens()}, at::kLong);
  auto* out = positions.data_ptr<std::int64_t>();
  for (std::size_t s = 1; s < layout.starts.size(); ++s)
    for (std::int64_t t = layout.starts[s - 1]; t < layout.starts[s]; ++t)
      out[t] = t - layout.starts[s - 1];
  return positions.to(device);
}

// [sequences, tokens]: 1 / its sequence's length for each token of it, 0 for the others.
at::Tensor MeanWeights(const Layout& layout) {
  const at::Tensor weights = at::zeros({layout.sequences(), layout.tokens()}, at::kDouble);
  for (std::int64_t s = 0; s < layout.sequences(); ++s) {
    const std::int64_t start = layout.starts[static_cast<std::size_t>(s)];
    const std::int64_t tokens = layout.starts[static_cast<std::size_t>(s) + 1] - start;
    if (tokens > 0) weights[s].narrow(0, start, tokens).fill_(1.0 / static_cast<double>(tokens));
  }
  return weights;
}

// Undefined `rows`: all.
at::Tensor RowsOf(const at::Tensor& x, const at::Tensor& rows) {
  return rows.defined() ? PickRows(x, rows) : x;
}

}  // namespace

at::Tensor Network::Embed(const Batch& batch, std::uint64_t key) const {
  const at::Tensor& table = tokens_.master.defined() ? tokens_.master : tokens_.act;
  at::Tensor x = at::embedding(table, batch.tokens).to(options_.precision.real);
  if (token_rows_.values.defined()) {
    const at::Tensor row = row_of_token_.index_select(0, batch.tokens);
    x = at::where((row >= 0).unsqueeze(1), at::embedding(token_rows_.values, row.clamp_min(0)), x);
  }
  if (options_.noise > 0 && key != 0) {
    const auto options = x.options().requires_grad(false);
    x = x + Noise(x.sizes(), options, DrawKey(key, kNoiseDraw)) *
                NoiseBounds(batch.layout, options_.noise, spec_.width, options);
  }
  if (spec_.embed_scale != 1) x = x * spec_.embed_scale;
  if (positions_.defined()) {
    const at::Tensor rows =
        PositionsOf(batch.layout, options_.device) + spec_.position_offset + prefix_.tokens();
    x = x + at::embedding(positions_, rows);
  }
  if (types_.defined()) {
    const at::Tensor types = batch.types.defined() ? batch.types : at::zeros_like(batch.tokens);
    x = x + at::embedding(types_, types);
  }
  if (!spec_.embed_norm) return x;
  return AddNorm(x, {}, embed_norm_.weight, embed_norm_.bias, spec_.norm, options_.precision.real)
      .y;
}

at::Tensor Network::ScalesOf(const std::vector<LinearPart>& parts) const {
  std::vector<at::Tensor> scales;
  for (const LinearPart& part : parts) {
    at::Tensor of_part;
    if (lora_.Find(part.linear) != nullptr) {
      of_part =
          DoraScales(lora_, part.linear, RowsOfLinear(part.linear), row_squares_.at(part.linear));
    } else {
      of_part = at::ones(
          {part.rows}, at::TensorOptions().dtype(options_.precision.real).device(options_.device));
    }
    scales.push_back(of_part);
  }
  return scales.size() == 1 ? scales.front() : at::cat(scales);
}

at::Tensor Network::Project(const Linears& linears, const at::Tensor& x, State& state) const {
  const Precision& precision = options_.precision;
  const std::uint64_t key = state.pass.key;
  if (!mixture_.empty()) return ProjectMixture(linears, x, state);
  if (!svf_.empty()) return ProjectSingularValues(linears, x);
  if (lora_.empty()) return Linear(x, linears.weight, linears.bias, {}, precision);
  const FusedLora lora = FuseLora(lora_, linears.parts);
  const bool drops = lora_.dropout() > 0 && key != 0 && lora.a.defined();
  if (lora_.dora() && lora.a.defined()) {
    at::Tensor y;
    if (drops) {
      const at::Tensor update = DroppedUpdate(lora, x, key);
      y = Linear(x, linears.weight, {}, {}, precision) + update;
    } else {
      y = Linear(x, linears.weight, {}, lora, precision);
    }
    const at::Tensor scaled = y.to(precision.real) * ScalesOf(linears.parts);
    return (linears.bias.defined() ? scaled + linears.bias : scaled).to(precision.act);
  }
  if (!drops) return Linear(x, linears.weight, linears.bias, lora, precision);
  const at::Tensor update = DroppedUpdate(lora, x, key);
  return Linear(x, linears.weight, linears.bias, {}, precision) + update;
}

at::Tensor Network::ProjectSingularValues(const Linears& linears, const at::Tensor& x) const {
  const Precision& precision = options_.precision;
  const at::Tensor y = Linear(x, linears.weight, linears.bias, {}, precision);
  std::vector<at::Tensor> changes;
  bool changed = false;
  for (const LinearPart& part : linears.parts) {
    const SingularValues* values = svf_.Find(part.linear);
    if (values == nullptr) {
      changes.push_back(at::zeros({x.size(0), part.rows}, y.options().requires_grad(false)));
      continue;
    }
    changed = true;
    const at::Tensor inner = Linear(x, values->v, {}, {}, precision).to(precision.real);
    const at::Tensor scaled = inner * (values->s * (values->z - 1));
    changes.push_back(Linear(scaled.to(precision.act), values->u, {}, {}, precision));
  }
  if (!changed) return y;
  return y + (changes.size() == 1 ? changes.front() : at::cat(changes, 1));
}

at::Tensor Network::DroppedUpdate(const FusedLora& lora, const at::Tensor& x,
                                  std::uint64_t key) const {
  const Precision& precision = options_.precision;
  // Each module draws its own mask of the shared input, as PEFT does.
  std::vector<at::Tensor> inner;
  for (const std::size_t module : lora.modules) {
    const at::Tensor& a = lora_.modules()[module].a;
    const at::Tensor kept =
        Dropout(x.to(precision.act).contiguous(), lora_.dropout(), DrawKey(key, module));
    inner.push_back(Linear(kept, {a, a.to(precision.act)}, {}, {}, precision));
  }
  return Linear(at::cat(inner, 1), {lora.b, lora.b.to(precision.act)}, {}, {}, precision);
}

at::Tensor Network::NormHeads(const Layer& layer, const at::Tensor& qkv) const {
  const std::int64_t tokens = qkv.size(0);
  const at::ScalarType act = qkv.scalar_type();
  model::NormSpec norm = spec_.norm;
  norm.kind = model::NormKind::kRms;
  const auto normed = [&](std::int64_t first, std::int64_t width, const at::Tensor& weight) {
    const at::Tensor heads =
        qkv.narrow(1, first, width).reshape({-1, spec_.head_dim}).to(options_.precision.real);
    return AddNorm(heads, {}, weight, {}, norm, act).y.view({tokens, width});
  };
  const std::int64_t q = spec_.q_width();
  const std::int64_t kv = spec_.kv_width();
  return at::cat(
      {normed(0, q, layer.q_norm), normed(q, kv, layer.k_norm), qkv.narrow(1, q + kv, kv)}, 1);
}

at::Tensor Network::SelfAttention(const Layer& layer, std::int64_t index, const at::Tensor& h,
                                  const Layout& layout, const at::Tensor& rows,
                                  State& state) const {
  const model::LayerSpec& pattern = spec_.layer[static_cast<std::size_t>(index)];
  at::Tensor qkv = Project(layer.qkv, h, state);
  if (spec_.qk_norm) qkv = NormHeads(layer, qkv);
  AttentionShape shape;
  shape.heads = spec_.heads;
  shape.kv_heads = spec_.kv_heads;
  shape.head_dim = spec_.head_dim;
  shape.scale = spec_.score_scale();
  shape.causal = spec_.causal;
  shape.window = pattern.sliding_window;
  if (pattern.rope) {
    shape.cosine = cosine_;
    shape.sine = sine_;
  }
  shape.slopes = slopes_;
  const at::Tensor heads =
      prefix_.empty() ? Attention(qkv, shape, layout) : AttendWithPrefix(index, qkv, shape, layout);
  state.restricted = rows.defined();
  return Project(layer.o, RowsOf(heads, rows), state);
}

at::Tensor Network::Hidden(const Batch& batch, const Pass& pass) const {
  METIER_CHECK(mixture_.empty() || mixture_.by() == model::RouteBy::kToken || !pass.gates.empty(),
               "a mixture by sequence needs its gates");
  State state{.pass = pass, .batch = batch, .gates = {}};
  for (const at::Tensor& gates : pass.gates) state.gates.push_back({gates, false});
  state.gates.resize(mixture_.routers().size());
  return Compute(batch, state);
}

std::vector<at::Tensor> Network::RouterInputs(const Batch& batch) const {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> inputs(mixture_.routers().size());
  const Pass pass;
  State state{.pass = pass, .batch = batch, .gates = {}};
  state.mean = MeanWeights(batch.layout).to(options_.precision.real).to(options_.device);
  state.inputs = &inputs;
  Compute(batch, state);
  return inputs;
}

Streams Network::RunLayer(std::int64_t index, const Streams& in, const at::Tensor& wanted,
                          State& state) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  const Layout& layout = state.batch.layout;
  const Precision& precision = options_.precision;
  state.layer = index;
  if (spec_.norm_place == NormPlace::kAfter) {
    const at::Tensor attention = SelfAttention(layer, index, in.x, layout, wanted, state);
    const at::Tensor x = AddNorm(RowsOf(in.x, wanted), attention, layer.attn_norm.weight,
                                 layer.attn_norm.bias, spec_.norm, precision.real)
                             .y;
    state.residual = x;
    const at::Tensor forward = FeedForward(layer, x, x, wanted, state);
    return {
        AddNorm(x, forward, layer.ffn_norm.weight, layer.ffn_norm.bias, spec_.norm, precision.real)
            .y,
        {}};
  }
  const Normed before = AddNorm(in.x, in.delta, layer.attn_norm.weight, layer.attn_norm.bias,
                                spec_.norm, precision.act);
  const at::Tensor attention = SelfAttention(layer, index, before.y, layout, wanted, state);
  const at::Tensor sum = RowsOf(before.sum, wanted);
  const Normed middle = AddNorm(sum, attention, layer.ffn_norm.weight, layer.ffn_norm.bias,
                                spec_.norm, precision.act);
  state.residual = middle.sum;
  const bool block = spec_.moe.router_input == RouterInput::kBlockInput;
  return {middle.sum, FeedForward(layer, middle.y, block ? sum : middle.y, wanted, state)};
}

at::Tensor Network::Compute(const Batch& batch, State& state) const {
  const at::Tensor& rows = state.pass.rows;
  METIER_CHECK(batch.layout.longest() <= longest(),
               "a sequence is longer than the position tables");
  const Precision& precision = options_.precision;
  Streams streams = {Embed(batch, state.pass.key), {}};
  // What is told of a layer on the way would be told twice.
  const bool again = options_.checkpointing && torch::GradMode::is_enabled() &&
                     state.pass.notes == nullptr && !state.pass.down && state.inputs == nullptr;
  std::shared_ptr<const Kept> kept;
  if (again) kept = std::make_shared<const Kept>(Kept{state.pass, batch, state.gates});
  for (std::int64_t i = 0; i < spec_.layers; ++i) {
    const bool last = i + 1 == spec_.layers;
    const at::Tensor wanted = last && !NeedsAllRows(i, state.pass) ? rows : at::Tensor();
    if (!again) {
      streams = RunLayer(i, streams, wanted, state);
      continue;
    }
    streams = Recomputed(
        [this, kept, i, wanted](const Streams& in) {
          State own{.pass = kept->pass, .batch = kept->batch, .gates = kept->gates};
          return RunLayer(i, in, wanted, own);
        },
        streams);
  }
  auto [x, delta] = streams;
  if (NeedsAllRows(spec_.layers - 1, state.pass)) {
    x = RowsOf(x, rows);
    if (delta.defined()) delta = RowsOf(delta, rows);
  }
  if (spec_.final_norm) {
    return AddNorm(x, delta, final_norm_.weight, final_norm_.bias, spec_.norm,
                   spec_.head ? precision.act : precision.real)
        .y;
  }
  return delta.defined() ? x + delta.to(precision.real) : x;
}

at::Tensor Network::Logits(const Batch& batch, const Pass& pass) const {
  const at::Tensor hidden = Hidden(batch, pass);
  const at::Tensor logits = Linear(hidden, head_, {}, {}, options_.precision);
  return PutOwnLogits(logits, hidden, head_rows_).to(options_.precision.real);
}

at::Tensor Network::LogProbs(const Batch& batch, Pass pass) const {
  pass.rows = batch.predicting;
  return HeadLogProbs(Hidden(batch, pass), head_, batch.targets, head_rows_);
}

at::Tensor Network::RowWeights(const Batch& batch, double weight) const {
  const at::Tensor weights =
      at::zeros({batch.targets.size(0)},
                at::TensorOptions().dtype(options_.precision.real).device(options_.device));
  weights.narrow(0, 0, batch.counted).fill_(weight);
  return weights;
}

at::Tensor Network::Loss(const Batch& batch, double weight, Pass pass) const {
  pass.rows = batch.predicting;
  return HeadLoss(Hidden(batch, pass), head_, batch.targets, RowWeights(batch, weight),
                  options_.precision, pass.key != 0 ? options_.smoothing : 0, head_rows_);
}

at::Tensor Network::DistilledLoss(const Batch& batch, double weight, const Network& teacher,
                                  const DistillTerms& terms, Pass pass) const {
  TeacherRows taught;
  {
    const torch::NoGradGuard no_grad;
    taught = {teacher.Hidden(batch, {.rows = batch.predicting}), teacher.head_};
  }
  pass.rows = batch.predicting;
  return DistilledHeadLoss(Hidden(batch, pass), head_, taught, batch.targets,
                           RowWeights(batch, weight), terms);
}

}  // namespace metier::train
