#include "train/lora.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/rng.h"
#include "format/decode.h"

namespace metier::train {
namespace {

// A's rows are drawn in double and rounded, so that float and double runs start alike.
at::Tensor UniformMatrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed,
                         std::uint64_t stream) {
  const at::Tensor matrix = at::empty({rows, columns}, at::kFloat);
  float* data = matrix.data_ptr<float>();
  Rng rng(seed, stream);
  const double bound = 1 / std::sqrt(static_cast<double>(columns));
  for (std::int64_t i = 0; i < rows * columns; ++i)
    data[i] = static_cast<float>((2 * rng.Uniform() - 1) * bound);
  return matrix;
}

// Rows of the module's output that are the linear's, as an index; undefined when they are all of
// them, in order.
at::Tensor RowIndex(const LoraPart& part, std::int64_t module_out) {
  const model::RowMap& map = part.rows;
  std::vector<std::int64_t> rows;
  rows.reserve(static_cast<std::size_t>(part.out));
  const std::int64_t run = map.run == 0 ? part.out : map.run;
  for (std::int64_t i = 0; i < part.out; ++i)
    rows.push_back(map.first + i / run * map.stride + i % run);
  bool identity = part.out == module_out;
  for (std::int64_t i = 0; identity && i < part.out; ++i)
    identity = rows[static_cast<std::size_t>(i)] == i;
  return identity ? at::Tensor() : torch::tensor(rows, at::kLong);
}

// F32 on the CPU, its own memory.
at::Tensor TensorOf(const tensor::Tensor& values) {
  const at::Tensor copy = at::empty(values.shape(), at::kFloat);
  std::memcpy(copy.data_ptr(), values.bytes().data(), values.bytes().size());
  return copy;
}

tensor::TensorView ViewOf(const at::Tensor& tensor) {
  tensor::TensorView view;
  view.dtype = tensor::DType::kF32;
  view.shape = tensor.sizes().vec();
  view.bytes = {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
  return view;
}

// Module path -> what it has, in words.
using Summary = std::map<std::string, std::string>;

Summary SummaryOf(const std::vector<LoraModule>& modules,
                  const std::vector<model::WholeModule>& whole) {
  Summary summary;
  for (const LoraModule& lora : modules)
    summary[lora.module.path] = fmt::format("rank {}, scale {:.6g}{}", lora.a.size(0), lora.scale,
                                            lora.magnitude.defined() ? ", DoRA" : "");
  for (const model::WholeModule& module : whole) summary[module.path] = "a weight of its own";
  return summary;
}

void Summarise(const std::vector<model::WholeModule>& modules,
               const std::vector<std::int64_t>& tokens, Summary& summary) {
  for (const model::WholeModule& module : modules)
    summary[module.path] = fmt::format("rows of its own for tokens {}", fmt::join(tokens, " "));
}

// The embedding, and the head that is tied to it.
std::vector<model::WholeModule> TokenModules(const model::ModelSpec& spec) {
  std::vector<model::WholeModule> modules = model::WholeModules(spec);
  if (!spec.tied_head) {
    std::erase_if(modules, [](const auto& module) { return module.parameter != "embed.tokens"; });
  }
  return modules;
}

std::string LeafOf(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

Status LoraSet::AddModules(const model::ModelSpec& spec, at::ScalarType real, at::Device device) {
  if (config_.TargetsNothing()) return Ok();
  METIER_ASSIGN(std::vector<model::LinearModule> selected, model::SelectModules(spec, config_));
  const auto options = at::TensorOptions().dtype(real).device(device);
  for (model::LinearModule& module : selected) {
    LoraModule lora;
    const std::int64_t rank = config_.RankOf(module.path);
    lora.scale = config_.ScaleOf(module.path);
    lora.a = at::zeros({rank, module.in}, options);
    lora.b = at::zeros({module.out, rank}, options);
    if (config_.dora) lora.magnitude = at::zeros({module.out}, options);
    for (const auto& part : module.parts) {
      if (part.linear == "head" || part.linear.rfind("embed.", 0) == 0) {
        return Error(ErrorCode::kUnsupported,
                     fmt::format("LoRA target '{}': adapters on the embedding or the head are not "
                                 "trained here; name it in modules_to_save instead",
                                 module.path));
      }
      parts_[part.linear] = {modules_.size(), part.rows, part.out};
    }
    lora.module = std::move(module);
    modules_.push_back(std::move(lora));
  }
  if (modules_.empty())
    return Error(ErrorCode::kInvalidArgument, "LoRA: target_modules select no linear of the model");
  return Ok();
}

void LoraSet::AddSaved(std::vector<model::WholeModule> modules, const tensor::Tensor& value,
                       at::ScalarType real, at::Device device) {
  const at::Tensor copy = TensorOf(value).to(real).to(device);
  saved_.push_back({std::move(modules), copy.requires_grad_(true)});
}

Status LoraSet::LoadSaved(const model::ModelSpec& spec, const format::PeftAdapter& peft,
                          at::ScalarType real, at::Device device) {
  METIER_ASSIGN(const std::vector<model::ReplacedWeight> replaced,
                model::ReplacedWeights(spec, peft));
  for (const model::WholeModule& module : model::WholeModules(spec)) {
    const auto weight =
        std::ranges::find(replaced, module.parameter, &model::ReplacedWeight::parameter);
    if (weight == replaced.end()) continue;
    // Embedding and head of a tied model go on as one where they are still the same.
    const bool joins = spec.tied_head && !saved_.empty() &&
                       std::ranges::equal(replaced.front().value.bytes(), weight->value.bytes());
    if (joins) {
      saved_.front().modules.push_back(module);
    } else {
      AddSaved({module}, weight->value, real, device);
    }
  }
  return Ok();
}

void LoraSet::AddRows(std::vector<model::WholeModule> modules, std::vector<std::int64_t> tokens,
                      const at::Tensor& values, at::ScalarType real, at::Device device) {
  SavedRows rows;
  rows.modules = std::move(modules);
  rows.own.index = torch::tensor(tokens, at::kLong).to(device);
  rows.own.values = values.to(real).to(device).requires_grad_(true);
  rows.tokens = std::move(tokens);
  rows_.push_back(std::move(rows));
}

Status LoraSet::CreateRows(const model::ModelSpec& spec, const std::vector<std::int64_t>& tokens,
                           at::ScalarType real, at::Device device,
                           const model::ParameterReader& base) {
  METIER_CHECK(base != nullptr, "trainable_token_indices begin as the base's rows");
  if (tokens.back() >= spec.vocab) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("trainable_token_indices: found token {}, the model has {}",
                             tokens.back(), spec.vocab));
  }
  std::vector<model::WholeModule> modules = TokenModules(spec);
  for (const SavedModule& saved : saved_) {
    for (const model::WholeModule& module : saved.modules) {
      if (std::ranges::find(modules, module.path, &model::WholeModule::path) == modules.end())
        continue;
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("trainable_token_indices: '{}' learns as a whole already, by "
                               "modules_to_save; leave one of them out",
                               module.path));
    }
  }
  METIER_ASSIGN(const tensor::Tensor table, base("embed.tokens"));
  const at::Tensor values = TensorOf(table).index_select(0, torch::tensor(tokens, at::kLong));
  AddRows(std::move(modules), tokens, values, real, device);
  return Ok();
}

Status LoraSet::LoadRows(const model::ModelSpec& spec, const format::PeftAdapter& peft,
                         at::ScalarType real, at::Device device) {
  METIER_ASSIGN(const std::vector<model::TokenRows> all, model::TokenRowsOf(spec, peft));
  for (const model::WholeModule& module : model::WholeModules(spec)) {
    const auto rows = std::ranges::find(all, module.parameter, &model::TokenRows::parameter);
    if (rows == all.end()) continue;
    const bool joins = spec.tied_head && rows != all.begin() &&
                       rows->tokens == all.front().tokens &&
                       std::ranges::equal(rows->values.bytes(), all.front().values.bytes());
    if (joins) {
      rows_.front().modules.push_back(module);
    } else {
      AddRows({module}, rows->tokens, TensorOf(rows->values), real, device);
    }
  }
  return Ok();
}

std::vector<at::Tensor> LoraSet::Tensors() const {
  std::vector<at::Tensor> all;
  for (const LoraModule& lora : modules_) {
    all.insert(all.end(), {lora.a, lora.b});
    if (lora.magnitude.defined()) all.push_back(lora.magnitude);
  }
  for (const SavedModule& saved : saved_) all.push_back(saved.value);
  for (const SavedRows& rows : rows_) all.push_back(rows.own.values);
  return all;
}

Result<LoraSet> LoraSet::Empty(const model::ModelSpec& spec, const recipe::LoraConfig& config,
                               at::ScalarType real, at::Device device) {
  LoraSet set;
  set.config_.rank = config.rank;
  set.config_.alpha = config.alpha;
  set.config_.dropout = config.dropout;
  set.config_.rslora = config.rslora;
  set.config_.dora = config.use_dora;
  if (config.target_modules == std::vector<std::string>{"all-linear"}) {
    set.config_.target_pattern = "all-linear";
  } else {
    set.config_.target_modules = config.target_modules;
  }
  set.config_.rank_pattern.assign(config.rank_pattern.begin(), config.rank_pattern.end());
  set.config_.alpha_pattern.assign(config.alpha_pattern.begin(), config.alpha_pattern.end());
  if (!config.trainable_token_indices.empty())
    set.config_.token_rows = {{"", config.trainable_token_indices}};
  set.SortRows();
  METIER_TRY(set.AddModules(spec, real, device));
  return set;
}

Status LoraSet::CreateMagnitudes(const model::ParameterReader& base) {
  METIER_CHECK(base != nullptr, "magnitudes begin as the lengths of the base's rows");
  const torch::NoGradGuard no_grad;
  for (const LoraModule& lora : modules_) {
    for (const auto& linear : lora.module.parts) {
      METIER_ASSIGN(const tensor::Tensor weight, base(linear.linear + ".weight"));
      const at::Tensor lengths = RowSquares({TensorOf(weight)}).sqrt().to(lora.magnitude.options());
      const at::Tensor rows = RowIndex(*Find(linear.linear), lora.module.out);
      if (rows.defined()) {
        lora.magnitude.index_copy_(0, rows.to(lengths.device()), lengths);
      } else {
        lora.magnitude.copy_(lengths);
      }
    }
    lora.magnitude.requires_grad_(true);
  }
  return Ok();
}

// A checkpoint's moments, and rows that were loaded, are in this order too.
void LoraSet::SortRows() {
  for (format::PeftTokens& rows : config_.token_rows) std::ranges::sort(rows.tokens);
}

Result<LoraSet> LoraSet::Create(const model::ModelSpec& spec, const recipe::LoraConfig& config,
                                std::uint64_t seed, at::ScalarType real, at::Device device,
                                const model::ParameterReader& base) {
  METIER_ASSIGN(LoraSet set, Empty(spec, config, real, device));
  for (std::size_t i = 0; i < set.modules_.size(); ++i) {
    LoraModule& lora = set.modules_[i];
    set.config_.fan_in_fan_out = lora.module.transposed;
    lora.a.copy_(UniformMatrix(lora.a.size(0), lora.a.size(1), seed, i));
    lora.a.requires_grad_(true);
    lora.b.requires_grad_(true);
  }
  if (config.use_dora) METIER_TRY(set.CreateMagnitudes(base));
  METIER_ASSIGN(std::vector<model::WholeModule> whole,
                model::SelectWholeModules(spec, config.modules_to_save));
  METIER_CHECK(whole.empty() || base != nullptr, "modules_to_save begin as the base's weights");
  if (spec.tied_head && !whole.empty()) {
    METIER_ASSIGN(const tensor::Tensor value, base("embed.tokens"));
    set.AddSaved(model::WholeModules(spec), value, real, device);
    whole.clear();
  }
  for (model::WholeModule& module : whole) {
    METIER_ASSIGN(const tensor::Tensor value, base(module.parameter));
    set.AddSaved({std::move(module)}, value, real, device);
  }
  if (!set.config_.token_rows.empty()) {
    METIER_TRY(set.CreateRows(spec, set.config_.token_rows.front().tokens, real, device, base));
  }
  return set;
}

Result<LoraSet> LoraSet::Load(const model::ModelSpec& spec, const std::string& folder,
                              at::ScalarType real, at::Device device) {
  METIER_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(folder));
  LoraSet set;
  set.config_ = peft.config;
  set.SortRows();
  METIER_TRY(set.AddModules(spec, real, device));
  METIER_TRY(set.LoadSaved(spec, peft, real, device));
  METIER_TRY(set.LoadRows(spec, peft, real, device));
  if (set.modules_.size() != peft.modules.size()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("adapter '{}': {} modules in its file, {} selected by its config",
                             folder, peft.modules.size(), set.modules_.size()));
  }
  for (LoraModule& lora : set.modules_) {
    const auto stored = std::find_if(
        peft.modules.begin(), peft.modules.end(),
        [&](const format::PeftModule& module) { return module.path == lora.module.path; });
    if (stored == peft.modules.end()) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("adapter '{}': no tensors for module '{}'",
                                                        folder, lora.module.path));
    }
    std::vector<std::pair<at::Tensor, tensor::TensorView>> pairs = {{lora.a, stored->a},
                                                                    {lora.b, stored->b}};
    if (stored->magnitude) pairs.emplace_back(lora.magnitude, *stored->magnitude);
    for (const auto& pair : pairs) {
      METIER_ASSIGN(const tensor::Tensor wide, format::DecodeTensor(pair.second));
      if (wide.shape() != pair.first.sizes().vec()) {
        return Error(ErrorCode::kDataCorrupt,
                     fmt::format("adapter '{}': module '{}' has shape {}, expected {}", folder,
                                 lora.module.path, tensor::FormatShape(wide.shape()),
                                 tensor::FormatShape(pair.first.sizes().vec())));
      }
      pair.first.copy_(TensorOf(wide));
      pair.first.requires_grad_(true);
    }
  }
  return set;
}

Result<LoraSet> LoraSet::Continue(const model::ModelSpec& spec, const recipe::LoraConfig& config,
                                  const std::string& folder, at::ScalarType real,
                                  at::Device device) {
  METIER_ASSIGN(LoraSet found, Load(spec, folder, real, device));
  METIER_ASSIGN(const LoraSet asked, Empty(spec, config, real, device));
  METIER_ASSIGN(std::vector<model::WholeModule> whole,
                model::SelectWholeModules(spec, config.modules_to_save));
  if (spec.tied_head && !whole.empty()) whole = model::WholeModules(spec);
  std::vector<model::WholeModule> saved;
  for (const SavedModule& module : found.saved_)
    saved.insert(saved.end(), module.modules.begin(), module.modules.end());
  Summary has = SummaryOf(found.modules_, saved);
  for (const SavedRows& rows : found.rows_) Summarise(rows.modules, rows.tokens, has);
  Summary wants = SummaryOf(asked.modules_, whole);
  for (const format::PeftTokens& rows : asked.config_.token_rows)
    Summarise(TokenModules(spec), rows.tokens, wants);
  std::set<std::string> paths;
  for (const auto* summary : {&has, &wants}) {
    for (const auto& entry : *summary) paths.insert(entry.first);
  }
  const auto what = [](const Summary& summary, const std::string& path) {
    const auto entry = summary.find(path);
    return entry == summary.end() ? "nothing" : entry->second;
  };
  for (const std::string& path : paths) {
    if (what(has, path) == what(wants, path)) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter '{}': module '{}' has {}, the configuration asks for {}; "
                             "write rank, alpha, modules and tokens as the adapter has them",
                             folder, path, what(has, path), what(wants, path)));
  }
  found.config_.dropout = config.dropout;
  return found;
}

Result<LoraSet> LoraSet::Mean(const model::ModelSpec& spec,
                              const std::vector<std::string>& folders) {
  const torch::NoGradGuard no_grad;
  METIER_ASSIGN(LoraSet mean, Load(spec, folders.front(), at::kFloat, at::kCPU));
  std::vector<at::Tensor> sums;
  for (const at::Tensor& tensor : mean.Tensors()) sums.push_back(tensor.to(at::kDouble));
  for (std::size_t f = 1; f < folders.size(); ++f) {
    METIER_ASSIGN(const LoraSet more, Load(spec, folders[f], at::kFloat, at::kCPU));
    const std::vector<at::Tensor> values = more.Tensors();
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i].add_(values[i]);
  }
  const std::vector<at::Tensor> values = mean.Tensors();
  for (std::size_t i = 0; i < sums.size(); ++i)
    values[i].copy_(sums[i].div_(static_cast<double>(folders.size())));
  return mean;
}

LoraSet LoraSet::With(const std::vector<Factors>& factors) const {
  METIER_CHECK(
      factors.size() == modules_.size() && !config_.dora && saved_.empty() && rows_.empty(),
      "factors are those of a set of plain modules");
  LoraSet set = *this;
  for (std::size_t m = 0; m < factors.size(); ++m) {
    METIER_CHECK(factors[m].a.sizes() == modules_[m].a.sizes() &&
                     factors[m].b.sizes() == modules_[m].b.sizes(),
                 "factors have their module's shape");
    set.modules_[m].a = factors[m].a;
    set.modules_[m].b = factors[m].b;
  }
  return set;
}

Status LoraSet::Save(const std::string& folder, const std::string& base_model) const {
  format::PeftConfig config = config_;
  config.base_model = base_model;
  if (modules_.empty()) {
    config.target_modules.clear();
    config.target_pattern = format::kNoModules;
  } else if (config.target_pattern == "all-linear" || config.target_modules.empty()) {
    // Spelled out: what "all" means should not depend on who reads it.
    config.target_pattern.clear();
    config.target_modules.clear();
    for (const LoraModule& lora : modules_) {
      const std::string leaf = LeafOf(lora.module.path);
      if (std::find(config.target_modules.begin(), config.target_modules.end(), leaf) ==
          config.target_modules.end())
        config.target_modules.push_back(leaf);
    }
  }
  std::vector<at::Tensor> kept;  // the views below borrow these
  std::vector<format::PeftModule> modules;
  for (const LoraModule& lora : modules_) {
    kept.push_back(lora.a.detach().to(at::kCPU, at::kFloat).contiguous());
    kept.push_back(lora.b.detach().to(at::kCPU, at::kFloat).contiguous());
    modules.push_back(
        {lora.module.path, ViewOf(kept[kept.size() - 2]), ViewOf(kept.back()), lora.scale});
    if (!lora.magnitude.defined()) continue;
    kept.push_back(lora.magnitude.detach().to(at::kCPU, at::kFloat).contiguous());
    modules.back().magnitude = ViewOf(kept.back());
  }
  // A tied weight is written under both names: readers that know nothing of tying have both.
  config.modules_to_save.clear();
  std::vector<format::NamedTensor> saved;
  for (const SavedModule& whole : saved_) {
    kept.push_back(whole.value.detach().to(at::kCPU, at::kFloat).contiguous());
    config.ensure_weight_tying = whole.modules.size() > 1;
    for (const model::WholeModule& module : whole.modules) {
      config.modules_to_save.push_back(LeafOf(module.path));
      saved.push_back({module.path + ".weight", ViewOf(kept.back())});
    }
  }
  std::vector<format::PeftRows> rows;
  for (const SavedRows& own : rows_) {
    kept.push_back(own.own.values.detach().to(at::kCPU, at::kFloat).contiguous());
    // Of modules that are tied PEFT keeps the first one's alone.
    rows.push_back({own.modules.front().path, own.tokens, ViewOf(kept.back())});
  }
  return format::WritePeftAdapter(folder, config, modules, saved, rows);
}

const LoraPart* LoraSet::Find(const std::string& linear) const {
  const auto found = parts_.find(linear);
  return found == parts_.end() ? nullptr : &found->second;
}

FusedLora FuseLora(const LoraSet& lora, const std::vector<LinearPart>& parts) {
  FusedLora fused;
  std::vector<std::int64_t> offsets;  // of each module's columns
  std::int64_t ranks = 0;
  std::vector<at::Tensor> as;
  for (const LinearPart& part : parts) {
    const LoraPart* found = lora.Find(part.linear);
    if (found == nullptr) continue;
    const auto known = std::find(fused.modules.begin(), fused.modules.end(), found->module);
    if (known != fused.modules.end()) continue;
    fused.modules.push_back(found->module);
    offsets.push_back(ranks);
    as.push_back(lora.modules()[found->module].a);
    ranks += as.back().size(0);
  }
  if (as.empty()) return fused;
  std::vector<at::Tensor> bs;
  std::int64_t row = 0;
  for (const LinearPart& part : parts) {
    const LoraPart* found = lora.Find(part.linear);
    if (found == nullptr) {
      bs.push_back(at::zeros({part.rows, ranks}, as.front().options()));
      row += part.rows;
      continue;
    }
    const LoraModule& module = lora.modules()[found->module];
    const at::Tensor rows = RowIndex(*found, module.module.out);
    at::Tensor b = rows.defined() ? module.b.index_select(0, rows.to(module.b.device())) : module.b;
    b = b * module.scale;
    const auto at = static_cast<std::size_t>(
        std::find(fused.modules.begin(), fused.modules.end(), found->module) -
        fused.modules.begin());
    const std::int64_t rank = module.a.size(0);
    fused.blocks.push_back({row, part.rows, offsets[at], rank});
    row += part.rows;
    if (ranks > rank) b = at::constant_pad_nd(b, {offsets[at], ranks - offsets[at] - rank});
    bs.push_back(b);
  }
  fused.a = as.size() == 1 ? as.front() : at::cat(as, 0);
  fused.b = bs.size() == 1 ? bs.front() : at::cat(bs, 0);
  return fused;
}

namespace {

// Some rows of a weight in act at a time become real.
constexpr std::int64_t kRowsAtOnce = 1024;

// f of some rows at a time, one behind the other.
template <class F>
at::Tensor ByRows(const WeightRows& w, F&& f) {
  std::vector<at::Tensor> parts;
  for (std::int64_t row = 0; row < w.size(); row += kRowsAtOnce)
    parts.push_back(f(w.Some(row, std::min(kRowsAtOnce, w.size() - row))));
  return at::cat(parts);
}

}  // namespace

at::Tensor RowSquares(const WeightRows& w) {
  return ByRows(w, [](const at::Tensor& rows) { return rows.to(at::kDouble).square().sum(1); });
}

// |w + s b a|^2 = |w|^2 + 2 s b (a w) + s^2 b (a a^T) b^T, the last two of rank many terms a row.
at::Tensor DoraScales(const LoraSet& lora, const std::string& linear, const WeightRows& w,
                      const at::Tensor& squares) {
  const LoraPart* part = lora.Find(linear);
  if (part == nullptr) return at::Tensor();
  const LoraModule& module = lora.modules()[part->module];
  const at::Tensor index = RowIndex(*part, module.module.out);
  const auto rows_of = [&](const at::Tensor& all) {
    return index.defined() ? all.index_select(0, index.to(all.device())) : all;
  };
  at::Tensor lengths;
  {
    const torch::NoGradGuard no_grad;
    const at::Tensor a = module.a.detach();
    const at::Tensor b = rows_of(module.b.detach()).to(at::kDouble);
    const at::Tensor wa = ByRows(w, [&](const at::Tensor& rows) {
      return at::mm(rows.to(a.scalar_type()), a.t()).to(at::kDouble);
    });
    const at::Tensor aa = at::mm(a.to(at::kDouble), a.to(at::kDouble).t());
    const double s = module.scale;
    lengths = (squares + (2 * s) * (b * wa).sum(1) + (s * s) * (at::mm(b, aa) * b).sum(1))
                  .clamp_min(std::numeric_limits<float>::min())  // of a row of zeros
                  .sqrt()
                  .to(a.scalar_type());
  }
  return rows_of(module.magnitude) / lengths;
}

}  // namespace metier::train
