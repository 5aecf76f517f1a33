#include "train/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/rng.h"
#include "format/decode.h"

namespace metier::train {

using model::NormKind;
using model::PositionKind;

namespace {

Status CopyInto(const at::Tensor& view, const std::string& name, const tensor::Tensor& values) {
  if (values.dtype() != tensor::DType::kF32 || values.shape() != view.sizes().vec()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("parameter '{}': found {} {}, expected F32 {}", name,
                    tensor::InfoOf(values.dtype()).name, tensor::FormatShape(values.shape()),
                    tensor::FormatShape(view.sizes().vec())));
  }
  // LibTorch wants what it only reads as something it could write.
  auto* data = const_cast<float*>(values.f32().data());
  view.copy_(at::from_blob(data, view.sizes(), at::kFloat));
  return Ok();
}

}  // namespace

std::uint64_t DrawKey(std::uint64_t key, std::size_t index) { return Rng(key, index).Next(); }

at::Tensor Network::AddStored(const std::string& name, at::IntArrayRef shape, bool decays) {
  const at::Tensor value =
      at::zeros(shape, at::TensorOptions().dtype(options_.precision.real).device(options_.device));
  stored_[name] = {value, at::Tensor(), decays};
  order_.push_back(name);
  return value;
}

// A frozen weight of products exists in act only: half the memory in bf16.
Weight Network::AddWeight(const std::string& name, at::IntArrayRef shape) {
  Weight weight;
  const auto act = options_.precision.act;
  if (options_.training == Training::kFrozen && act != options_.precision.real) {
    weight.act = at::zeros(shape, at::TensorOptions().dtype(act).device(options_.device));
    stored_[name] = {at::Tensor(), weight.act, true};
    order_.push_back(name);
    return weight;
  }
  weight.master = AddStored(name, shape, true);
  weight.act = act == options_.precision.real
                   ? weight.master
                   : at::zeros(shape, weight.master.options().dtype(act));
  stored_[name].act = weight.act;
  return weight;
}

Weight Network::AddBlocks(const std::string& name, const std::vector<LinearPart>& parameters,
                          std::int64_t in) {
  Weight weight;
  weight.packed = c10::make_intrusive<PackedWeight>(in, options_.precision.act);
  for (const LinearPart& part : parameters) {
    const std::int64_t first = weight.packed->AddRows(part.rows);
    slices_[part.linear + ".weight"] = {
        name, at::Tensor(), {at::Tensor(), weight.packed, first, part.rows}};
  }
  packed_.push_back(weight.packed);
  return weight;
}

WeightRows Network::RowsOfLinear(const std::string& linear) const {
  const Slice& slice = slices_.at(linear + ".weight");
  return slice.rows.packed ? slice.rows : WeightRows{slice.view.detach()};
}

Network::Linears Network::AddLinears(const std::string& name, const std::vector<LinearPart>& parts,
                                     std::int64_t in, bool bias) {
  Linears linears;
  linears.name = name;
  linears.parts = parts;
  std::int64_t rows = 0;
  for (const LinearPart& part : parts) rows += part.rows;
  const bool blocks = InBlocks(parts.front().linear + ".weight");
  linears.weight =
      blocks ? AddBlocks(name + ".weight", parts, in) : AddWeight(name + ".weight", {rows, in});
  if (bias) linears.bias = AddStored(name + ".bias", {rows}, false);
  const at::Tensor& whole =
      linears.weight.master.defined() ? linears.weight.master : linears.weight.act;
  std::int64_t first = 0;
  for (const LinearPart& part : parts) {
    if (!blocks)
      slices_[part.linear + ".weight"] = {name + ".weight", whole.narrow(0, first, part.rows)};
    if (bias)
      slices_[part.linear + ".bias"] = {name + ".bias", linears.bias.narrow(0, first, part.rows)};
    first += part.rows;
  }
  return linears;
}

Network::Norms Network::AddNorms(const std::string& name, std::int64_t width) {
  Norms norms;
  norms.weight = AddStored(name + ".weight", {width}, false);
  slices_[name + ".weight"] = {name + ".weight", norms.weight};
  if (spec_.norm.bias) {
    norms.bias = AddStored(name + ".bias", {width}, false);
    slices_[name + ".bias"] = {name + ".bias", norms.bias};
  }
  return norms;
}

void Network::BuildExperts(std::int64_t index, Layer& layer) {
  const std::string prefix = fmt::format("layers.{}.", index);
  const std::int64_t experts = spec_.experts_of(index);
  const std::int64_t hidden = spec_.hidden;
  const std::int64_t up_rows = spec_.gated ? 2 * hidden : hidden;
  layer.router_part = {{prefix + "router", experts}};
  layer.router = AddStored(prefix + "router.weight", {experts, spec_.width}, true);
  slices_[prefix + "router.weight"] = {prefix + "router.weight", layer.router};
  if (spec_.moe.residual)
    layer.mix = AddLinears(prefix + "mix", {{prefix + "mix", 2}}, spec_.width, true);
  std::vector<LinearPart> ups;
  std::vector<LinearPart> downs;
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::string expert = fmt::format("{}experts.{}.", prefix, e);
    Linears up_names;
    if (spec_.gated) up_names.parts.push_back({expert + "gate", hidden});
    up_names.parts.push_back({expert + "up", hidden});
    Linears down_names;
    down_names.parts.push_back({expert + "down", spec_.width});
    ups.insert(ups.end(), up_names.parts.begin(), up_names.parts.end());
    downs.insert(downs.end(), down_names.parts.begin(), down_names.parts.end());
    layer.expert_up.push_back(std::move(up_names));
    layer.expert_down.push_back(std::move(down_names));
  }
  layer.experts_up =
      AddExpertWeight(prefix + "experts.up.weight", ups, {experts, up_rows, spec_.width});
  layer.experts_down =
      AddExpertWeight(prefix + "experts.down.weight", downs, {experts, spec_.width, hidden});
}

// `parts`: all experts' linears, in order.
Weight Network::AddExpertWeight(const std::string& name, const std::vector<LinearPart>& parts,
                                at::IntArrayRef shape) {
  if (InBlocks(parts.front().linear + ".weight")) return AddBlocks(name, parts, shape[2]);
  const Weight weight = AddWeight(name, shape);
  const at::Tensor whole = weight.master.defined() ? weight.master : weight.act;
  const at::Tensor rows = whole.view({shape[0] * shape[1], shape[2]});
  std::int64_t first = 0;
  for (const LinearPart& part : parts) {
    slices_[part.linear + ".weight"] = {name, rows.narrow(0, first, part.rows)};
    first += part.rows;
  }
  return weight;
}

void Network::BuildLayer(std::int64_t index) {
  const std::string prefix = fmt::format("layers.{}.", index);
  Layer layer;
  layer.attn_norm = AddNorms(prefix + "attn_norm", spec_.width);
  layer.qkv = AddLinears(prefix + "attn.qkv",
                         {{prefix + "attn.q", spec_.q_width()},
                          {prefix + "attn.k", spec_.kv_width()},
                          {prefix + "attn.v", spec_.kv_width()}},
                         spec_.width, spec_.qkv_bias);
  if (spec_.qk_norm) {
    for (at::Tensor* norm : {&layer.q_norm, &layer.k_norm}) {
      const std::string name =
          prefix + (norm == &layer.q_norm ? "attn.q_norm.weight" : "attn.k_norm.weight");
      *norm = AddStored(name, {spec_.head_dim}, false);
      slices_[name] = {name, *norm};
    }
  }
  layer.o = AddLinears(prefix + "attn.o", {{prefix + "attn.o", spec_.width}}, spec_.q_width(),
                       spec_.o_bias);
  layer.ffn_norm = AddNorms(prefix + "ffn_norm", spec_.width);
  const bool experts = spec_.experts_of(index) > 0;
  if (experts) BuildExperts(index, layer);
  if (!experts || spec_.moe.residual) {
    std::vector<LinearPart> up;
    if (spec_.gated) up.push_back({prefix + "ffn.gate", spec_.hidden});
    up.push_back({prefix + "ffn.up", spec_.hidden});
    layer.up = AddLinears(prefix + "ffn.in", up, spec_.width, spec_.ffn_bias);
    layer.down = AddLinears(prefix + "ffn.down", {{prefix + "ffn.down", spec_.width}}, spec_.hidden,
                            spec_.ffn_bias);
  }
  layers_.push_back(std::move(layer));
}

void Network::Build() {
  const auto whole = [](const Weight& weight) {
    return weight.master.defined() ? weight.master : weight.act;
  };
  own_tokens_ = AddWeight("embed.tokens", {spec_.vocab, spec_.width});
  slices_["embed.tokens"] = {"embed.tokens", whole(own_tokens_)};
  if (spec_.position == PositionKind::kLearned) {
    positions_ = AddStored("embed.positions",
                           {spec_.max_positions + spec_.position_offset, spec_.width}, true);
    slices_["embed.positions"] = {"embed.positions", positions_};
  }
  if (spec_.types > 0) {
    types_ = AddStored("embed.types", {spec_.types, spec_.width}, true);
    slices_["embed.types"] = {"embed.types", types_};
  }
  if (!spec_.moe.tasks.empty()) {
    tasks_ = AddStored("embed.tasks",
                       {static_cast<std::int64_t>(spec_.moe.tasks.size()), spec_.width}, true);
    slices_["embed.tasks"] = {"embed.tasks", tasks_};
  }
  if (spec_.embed_norm) embed_norm_ = AddNorms("embed.norm", spec_.width);
  for (std::int64_t i = 0; i < spec_.layers; ++i) BuildLayer(i);
  if (spec_.final_norm) final_norm_ = AddNorms("final_norm", spec_.width);
  if (!spec_.head) return;
  own_head_ = own_tokens_;
  if (spec_.tied_head) return;
  if (InBlocks("head.weight")) {
    own_head_ = AddBlocks("head.weight", {{"head", spec_.vocab}}, spec_.width);
    return;
  }
  own_head_ = AddWeight("head.weight", {spec_.vocab, spec_.width});
  slices_["head.weight"] = {"head.weight", whole(own_head_)};
}

void Network::SetLora(LoraSet lora) {
  lora_ = std::move(lora);
  tokens_ = own_tokens_;
  head_ = own_head_;
  saved_.clear();
  const at::ScalarType act = options_.precision.act;
  for (const SavedModule& saved : lora_.saved()) {
    Weight weight{saved.value, saved.value};
    if (act != options_.precision.real) weight.act = saved.value.detach().to(act);
    saved_.push_back(weight);
    for (const model::WholeModule& module : saved.modules)
      (module.parameter == "embed.tokens" ? tokens_ : head_) = weight;
  }
  row_squares_.clear();
  for (const LoraModule& module : lora_.modules()) {
    if (!lora_.dora()) break;
    for (const auto& part : module.module.parts)
      row_squares_[part.linear] = RowSquares(RowsOfLinear(part.linear));
  }
  token_rows_ = OwnRows();
  head_rows_ = OwnRows();
  for (const SavedRows& saved : lora_.rows()) {
    for (const model::WholeModule& module : saved.modules)
      (module.parameter == "embed.tokens" ? token_rows_ : head_rows_) = saved.own;
  }
  if (!token_rows_.values.defined()) return;
  row_of_token_ = at::full({spec_.vocab}, -1, token_rows_.index.options());
  row_of_token_.index_copy_(0, token_rows_.index,
                            at::arange(token_rows_.index.size(0), token_rows_.index.options()));
}

Status Network::ReadBlocks(const std::string& name, const WeightRows& rows) const {
  METIER_ASSIGN(const tensor::Tensor blocks, blocks_.read(name));
  const Status filled = rows.packed->Fill(rows.first, blocks);
  if (filled.ok()) return Ok();
  return Error(filled.error()).With(fmt::format("parameter '{}'", name));
}

Status Network::ReadAll(const model::ParameterReader& read) {
  const torch::NoGradGuard no_grad;
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    const auto slice = slices_.find(parameter.name);
    if (slice == slices_.end()) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("training: parameter '{}' of the model has no place in the network",
                               parameter.name));
    }
    if (slice->second.rows.packed) {
      METIER_TRY(ReadBlocks(parameter.name, slice->second.rows));
      continue;
    }
    METIER_ASSIGN(const tensor::Tensor values, read(parameter.name));
    METIER_TRY(CopyInto(slice->second.view, parameter.name, values));
  }
  return Ok();
}

Status Network::WriteParameter(const std::string& name, const tensor::Tensor& values) {
  const torch::NoGradGuard no_grad;
  const auto slice = slices_.find(name);
  if (slice == slices_.end())
    return Error(ErrorCode::kNotFound, fmt::format("the network has no parameter '{}'", name));
  METIER_TRY(CopyInto(slice->second.view, name, values));
  const Stored& stored = stored_.at(slice->second.stored);
  const bool copied = stored.value.defined() && stored.act.defined();
  if (copied && !stored.act.is_same(stored.value)) stored.act.copy_(stored.value);
  return Ok();
}

// Angles of every position that can come; computed in double. A prefix's keys stay as they are.
void Network::BuildTables() {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  if (spec_.position == PositionKind::kRope) {
    const std::vector<float> speeds = model::RopeFrequencies(spec_);
    const at::Tensor speed = torch::tensor(speeds, at::kFloat).to(at::kDouble);
    const at::Tensor angle = at::outer(at::arange(prefix_.tokens() + longest(), options), speed);
    angle.narrow(0, 0, prefix_.tokens()).zero_();
    cosine_ = angle.cos().to(options_.precision.real).to(options_.device).contiguous();
    sine_ = angle.sin().to(options_.precision.real).to(options_.device).contiguous();
  }
  if (spec_.position == PositionKind::kAlibi) {
    slopes_ = torch::tensor(model::AlibiSlopes(spec_.heads), at::kFloat)
                  .to(options_.precision.real)
                  .to(options_.device);
  }
}

void Network::Finish() {
  const torch::NoGradGuard no_grad;
  for (auto& named : stored_) {
    Stored& stored = named.second;
    if (!stored.value.defined()) continue;
    if (stored.act.defined() && !stored.act.is_same(stored.value)) stored.act.copy_(stored.value);
    if (options_.training == Training::kAll) stored.value.requires_grad_(true);
  }
  // Slices were taken before the leaves asked for gradients, so writing through them is not
  // recorded.
}

Result<Network> Network::Create(const model::ModelSpec& spec, const NetworkOptions& options,
                                const model::ParameterReader& read, const BlockSource& blocks) {
  METIER_TRY(model::Validate(spec));
  Network network(spec, options);
  network.blocks_ = blocks;
  METIER_CHECK(blocks.holds == nullptr || options.training == Training::kFrozen,
               "what is trained is no block");
  if (blocks.holds != nullptr && !options.device.is_cpu()) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("weights in blocks are decoded on the CPU, found device {}; say "
                             "`device: cpu`, or `quantization_bit: 0`",
                             options.device.str()));
  }
  network.Build();
  METIER_TRY(network.ReadAll(read));
  network.BuildTables();
  network.Finish();
  network.blocks_ = {};
  network.SetLora({});
  return network;
}

void Network::SetPrefix(PrefixSet prefix) {
  prefix_ = std::move(prefix);
  BuildTables();
}

Network::Footprint Network::WeightBytes() const {
  Footprint sum;
  for (const PackedPointer& packed : packed_) sum.blocks += packed->bytes();
  for (const auto& named : stored_) {
    const Stored& stored = named.second;
    if (stored.value.defined()) sum.plain += static_cast<std::int64_t>(stored.value.nbytes());
    if (stored.act.defined() && !stored.act.is_same(stored.value))
      sum.plain += static_cast<std::int64_t>(stored.act.nbytes());
  }
  return sum;
}

std::vector<Trainable> Network::Trainables() const {
  std::vector<Trainable> trainables;
  for (const LoraModule& lora : lora_.modules()) {
    trainables.push_back({lora.module.path + ".lora_A.weight", lora.a, at::Tensor(), true});
    trainables.push_back({lora.module.path + ".lora_B.weight", lora.b, at::Tensor(), true});
    trainables.back().rate = Rate::kLoraB;
    if (!lora.magnitude.defined()) continue;
    trainables.push_back(
        {lora.module.path + ".lora_magnitude_vector", lora.magnitude, at::Tensor(), false});
  }
  for (std::size_t i = 0; i < saved_.size(); ++i) {
    const Weight& weight = saved_[i];
    const bool copied = !weight.act.is_same(weight.master);
    trainables.push_back({lora_.saved()[i].modules.front().path + ".weight", weight.master,
                          copied ? weight.act : at::Tensor(), true, Rate::kEmbedding});
  }
  for (const SavedRows& rows : lora_.rows()) {
    trainables.push_back({rows.modules.front().path + ".token_adapter.trainable_tokens_delta",
                          rows.own.values, at::Tensor(), true, Rate::kEmbedding});
  }
  for (const auto& [linear, values] : svf_.linears())
    trainables.push_back({linear + ".z", values.z, at::Tensor(), false});
  if (!prefix_.empty()) trainables.push_back({"prompt_embeddings", prefix_.values()});
  for (std::size_t e = 0; e < mixture_.experts().size(); ++e) {
    if (mixture_.learns() != MixtureSet::Learns::kAll) break;
    for (const LoraModule& lora : mixture_.experts()[e].modules()) {
      const std::string name = mixture_.names()[e] + "." + lora.module.path;
      trainables.push_back({name + ".lora_A.weight", lora.a, at::Tensor(), true});
      trainables.push_back({name + ".lora_B.weight", lora.b, at::Tensor(), true});
    }
  }
  for (std::size_t r = 0; r < mixture_.routers().size(); ++r) {
    if (mixture_.learns() == MixtureSet::Learns::kNothing) break;
    const MixtureRouter& router = mixture_.routers()[r];
    trainables.push_back({fmt::format("router.{}.weight", r), router.weight, at::Tensor(), true});
    trainables.push_back({fmt::format("router.{}.bias", r), router.bias, at::Tensor(), false});
  }
  if (!trainables.empty() || options_.training == Training::kFrozen) return trainables;
  for (const std::string& name : order_) {
    const Stored& stored = stored_.at(name);
    const bool copied = stored.act.defined() && !stored.act.is_same(stored.value);
    const bool embeds = name == "embed.tokens" || name == "head.weight";
    trainables.push_back({name, stored.value, copied ? stored.act : at::Tensor(), stored.decays,
                          embeds ? Rate::kEmbedding : Rate::kBase});
  }
  return trainables;
}

Result<tensor::Tensor> Network::ReadParameter(const std::string& name) const {
  const auto slice = slices_.find(name);
  if (slice == slices_.end())
    return Error(ErrorCode::kNotFound, fmt::format("the network has no parameter '{}'", name));
  const WeightRows& rows = slice->second.rows;
  if (rows.packed) return format::DecodeTensor(rows.packed->Blocks(rows.first).view());
  const at::Tensor values = slice->second.view.detach().to(at::kCPU, at::kFloat).contiguous();
  tensor::Tensor out(tensor::DType::kF32, values.sizes().vec());
  std::memcpy(out.bytes().data(), values.data_ptr(), out.bytes().size());
  return out;
}

}  // namespace metier::train
