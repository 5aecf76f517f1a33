#include "model/adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "base/check.h"
#include "base/nearest.h"
#include "format/decode.h"
#include "format/module_pattern.h"
#include "model/stored_tensors.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kEmbedding = "embed.tokens";
constexpr std::string_view kHead = "head.weight";

bool IsLinear(const Parameter& parameter) {
  return parameter.shape.size() == 2 && parameter.name.ends_with(kWeight) &&
         !parameter.name.starts_with("embed.");
}

std::string WithoutWeight(const std::string& name) {
  return name.substr(0, name.size() - kWeight.size());
}

const Family& FamilyOf(const ModelSpec& spec) {
  const auto family = FindFamily(spec.family);
  METIER_CHECK(family.ok(), "a spec whose family is not in the registry");
  return **family;
}

template <class Module>
std::vector<std::string> Paths(const std::vector<Module>& modules) {
  std::vector<std::string> paths;
  for (const Module& module : modules) paths.push_back(module.path);
  return paths;
}

// The module that PEFT's path names. Paths are those of the class that was adapted: LlamaModel
// alone lacks "model.", which LlamaForCausalLM puts in front.
template <class Module>
const Module* FindModule(const std::vector<Module>& modules, const Family& family,
                         const std::string& path) {
  for (const Module& module : modules) {
    if (module.path == path) return &module;
  }
  if (family.hf_prefixes.empty()) return nullptr;
  const std::string_view written = family.hf_prefixes.front();
  for (const std::string_view prefix : family.hf_prefixes) {
    if (!path.starts_with(prefix)) continue;
    const std::string other = std::string(written) + path.substr(prefix.size());
    for (const Module& module : modules) {
      if (module.path == other) return &module;
    }
  }
  return nullptr;
}

// The rows of b that are the part's, in its order.
Tensor RowsOf(const Tensor& b, const LinearModule::Part& part) {
  const std::int64_t rank = b.shape()[1];
  const std::size_t row_bytes = static_cast<std::size_t>(rank) * sizeof(float);
  TensorRule rule;
  rule.rows = part.rows;
  Tensor out(DType::kF32, {part.out, rank});
  for (std::int64_t row = 0; row < part.out; ++row) {
    const auto from = static_cast<std::size_t>(StoredRow(rule, 0, row));
    std::memcpy(out.bytes().data() + static_cast<std::size_t>(row) * row_bytes,
                b.bytes().data() + from * row_bytes, row_bytes);
  }
  return out;
}

// The same of a vector of the module's outputs.
Tensor ElementsOf(const Tensor& vector, const LinearModule::Part& part) {
  Tensor column(DType::kF32, {vector.shape()[0], 1});
  std::ranges::copy(vector.f32(), column.f32().begin());
  const Tensor rows = RowsOf(column, part);
  Tensor out(DType::kF32, {part.out});
  std::ranges::copy(rows.f32(), out.f32().begin());
  return out;
}

Status CheckShapes(const LinearModule& module, const format::PeftModule& peft) {
  const bool fits = peft.a.shape.size() == 2 && peft.b.shape.size() == 2 &&
                    peft.a.shape[0] == peft.b.shape[1] && peft.a.shape[1] == module.in &&
                    peft.b.shape[0] == module.out;
  if (fits) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("adapter module '{}': A {} and B {} do not fit a layer of {} inputs and "
                           "{} outputs: is this the adapter's base model?",
                           peft.path, tensor::FormatShape(peft.a.shape),
                           tensor::FormatShape(peft.b.shape), module.in, module.out));
}

Status CheckRowsFit(const ModelSpec& spec, const format::PeftRows& rows) {
  const std::int64_t last = *std::ranges::max_element(rows.tokens);
  if (last < spec.vocab && rows.values.shape[1] == spec.width) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("adapter: '{}' has rows of {} values for tokens up to {}, but the model "
                  "(family {}) has {} tokens of {}: is this the adapter's base model, with "
                  "as many tokens?",
                  rows.path, rows.values.shape[1], last, spec.family, spec.vocab, spec.width));
}

// values: [tokens, width], F32.
TokenRows Ascending(const std::string& parameter, const std::vector<std::int64_t>& tokens,
                    const Tensor& values) {
  std::vector<std::size_t> order(tokens.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return tokens[i]; });
  TokenRows rows{.parameter = parameter, .values = Tensor(DType::kF32, values.shape())};
  const std::size_t row_bytes = values.bytes().size() / tokens.size();
  for (std::size_t i = 0; i < order.size(); ++i) {
    rows.tokens.push_back(tokens[order[i]]);
    std::memcpy(rows.values.bytes().data() + i * row_bytes,
                values.bytes().data() + order[i] * row_bytes, row_bytes);
  }
  return rows;
}

// Names of target_modules (a list) or modules_to_save that choose nothing.
template <class Module>
Status CheckEveryNameChose(std::string_view what, const std::vector<std::string>& names,
                           const std::vector<Module>& all) {
  for (const std::string& name : names) {
    const bool chose = std::any_of(all.begin(), all.end(), [&](const Module& module) {
      return format::HasModuleSuffix(module.path, name);
    });
    if (chose) continue;
    std::vector<std::string> ends;  // the names that could have been meant
    for (const Module& module : all) {
      ends.push_back(module.path.substr(module.path.rfind('.') + 1));
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    const std::string nearest = NearestName(name, ends);
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} '{}' matches no layer{}; layers: {}", what, name,
                             nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
                             fmt::join(ends, " ")));
  }
  return Ok();
}

}  // namespace

double RowScale(std::span<const double> row, float magnitude) {
  double squares = 0;
  for (const double value : row) squares += value * value;
  return squares == 0 ? 0 : static_cast<double>(magnitude) / std::sqrt(squares);
}

Result<Prefix> ToPrefix(const ModelSpec& spec, const format::PrefixTuning& stored,
                        const std::string& folder) {
  const format::PrefixTuningConfig& config = stored.config;
  if (config.layers != spec.layers || config.heads != spec.kv_heads ||
      config.token_dim != spec.kv_width()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("prefix '{}': keys of {} layers, {} heads and {} numbers a token, the "
                             "model has {}, {} and {}; is this the model that it was trained on?",
                             folder, config.layers, config.heads, config.token_dim, spec.layers,
                             spec.kv_heads, spec.kv_width()));
  }
  if (config.tokens >= spec.max_positions) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("prefix '{}': {} tokens leave no room for a text, the model has {} "
                             "positions",
                             folder, config.tokens, spec.max_positions));
  }
  METIER_ASSIGN(tensor::Tensor values, format::DecodeTensor(stored.values));
  return Prefix{.tokens = config.tokens, .values = std::move(values)};
}

std::vector<LinearModule> LinearModules(const ModelSpec& spec) {
  const std::vector<Parameter> parameters = Parameters(spec);
  const std::vector<TensorRule> rules = FamilyOf(spec).hf_rules(spec);
  std::vector<LinearModule> modules;
  for (const StoredTensor& tensor : StoredTensors(spec, rules)) {
    if (!IsLinear(parameters[tensor.parts.front()])) continue;
    LinearModule module;
    module.path = WithoutWeight(tensor.name);
    module.transposed = rules[tensor.parts.front()].transpose;
    module.in = parameters[tensor.parts.front()].shape[1];
    for (const std::size_t part : tensor.parts) {
      const std::int64_t out = parameters[part].shape[0];
      module.parts.push_back({WithoutWeight(parameters[part].name), rules[part].rows, out});
      module.out += out;
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

std::vector<WholeModule> WholeModules(const ModelSpec& spec) {
  ModelSpec untied = spec;
  untied.tied_head = false;
  const std::vector<Parameter> parameters = Parameters(untied);
  std::vector<WholeModule> modules;
  for (const StoredTensor& tensor : StoredTensors(untied, FamilyOf(spec).hf_rules(untied))) {
    const std::string& ours = parameters[tensor.parts.front()].name;
    if (ours == kEmbedding || ours == kHead) modules.push_back({WithoutWeight(tensor.name), ours});
  }
  return modules;
}

Result<std::vector<WholeModule>> SelectWholeModules(const ModelSpec& spec,
                                                    const std::vector<std::string>& names) {
  const std::vector<WholeModule> all = WholeModules(spec);
  METIER_TRY(CheckEveryNameChose("module to save", names, all));
  std::vector<WholeModule> chosen;
  for (const WholeModule& module : all) {
    const bool named = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return format::HasModuleSuffix(module.path, name);
    });
    if (named) chosen.push_back(module);
  }
  return chosen;
}

Result<std::vector<ReplacedWeight>> ReplacedWeights(const ModelSpec& spec,
                                                    const format::PeftAdapter& peft) {
  const std::vector<WholeModule> modules = WholeModules(spec);
  const tensor::Shape expected = {spec.vocab, spec.width};
  std::vector<ReplacedWeight> replaced;
  for (const format::NamedTensor& saved : peft.saved) {
    const WholeModule* module = saved.name.ends_with(kWeight)
                                    ? FindModule(modules, FamilyOf(spec), WithoutWeight(saved.name))
                                    : nullptr;
    if (module == nullptr) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("adapter: '{}' of modules_to_save cannot be replaced, only {} can; "
                               "merge the adapter into its base model with PEFT first",
                               saved.name, fmt::join(Paths(modules), " and ")));
    }
    if (saved.tensor.shape != expected) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("adapter: '{}' is {}, but the model (family {}) has {}: is this the "
                               "adapter's base model, with as many tokens?",
                               saved.name, tensor::FormatShape(saved.tensor.shape), spec.family,
                               tensor::FormatShape(expected)));
    }
    METIER_ASSIGN(Tensor value, format::DecodeTensor(saved.tensor));
    replaced.push_back({module->parameter, std::move(value)});
  }
  if (peft.config.ensure_weight_tying && spec.tied_head && replaced.size() == 1) {
    replaced.push_back(replaced.front());
    replaced.back().parameter = replaced.front().parameter == kHead ? kEmbedding : kHead;
  }
  std::sort(replaced.begin(), replaced.end(), [](const ReplacedWeight& x, const ReplacedWeight& y) {
    return x.parameter < y.parameter;
  });
  for (std::size_t i = 1; i < replaced.size(); ++i) {
    if (replaced[i].parameter == replaced[i - 1].parameter)
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("adapter: two weights of modules_to_save replace '{}'",
                               replaced[i].parameter));
  }
  return replaced;
}

Result<std::vector<TokenRows>> TokenRowsOf(const ModelSpec& spec, const format::PeftAdapter& peft) {
  const std::vector<WholeModule> modules = WholeModules(spec);
  std::vector<TokenRows> all;
  for (const format::PeftRows& rows : peft.rows) {
    const WholeModule* module = FindModule(modules, FamilyOf(spec), rows.path);
    if (module == nullptr) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("adapter: '{}' has rows of its own, only {} can", rows.path,
                               fmt::join(Paths(modules), " and ")));
    }
    METIER_TRY(CheckRowsFit(spec, rows));
    METIER_ASSIGN(const Tensor values, format::DecodeTensor(rows.values));
    all.push_back(Ascending(module->parameter, rows.tokens, values));
  }
  if (spec.tied_head && all.size() == 1 && all.front().parameter == kEmbedding) {
    all.push_back(all.front());
    all.back().parameter = kHead;
  }
  std::sort(all.begin(), all.end(),
            [](const TokenRows& x, const TokenRows& y) { return x.parameter < y.parameter; });
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].parameter == all[i - 1].parameter)
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("adapter: '{}' has rows twice", all[i].parameter));
  }
  return all;
}

Result<Adapter> ToAdapter(const ModelSpec& spec, const format::PeftAdapter& peft) {
  const std::vector<LinearModule> modules = LinearModules(spec);
  const Family& family = FamilyOf(spec);
  Adapter adapter;
  METIER_ASSIGN(adapter.replaced, ReplacedWeights(spec, peft));
  METIER_ASSIGN(adapter.rows, TokenRowsOf(spec, peft));
  for (const TokenRows& rows : adapter.rows) {
    if (std::ranges::find(adapter.replaced, rows.parameter, &ReplacedWeight::parameter) !=
        adapter.replaced.end()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("adapter: '{}' has rows in trainable_token_indices and is replaced "
                               "by modules_to_save; expected one of them",
                               rows.parameter));
    }
  }
  for (const format::PeftModule& lora : peft.modules) {
    const LinearModule* module = FindModule(modules, family, lora.path);
    if (module == nullptr) {
      const std::string nearest = NearestName(lora.path, Paths(modules));
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("adapter module '{}': the model (family {}) has no such layer{}", lora.path,
                      spec.family, nearest.empty() ? "" : fmt::format("; nearest: '{}'", nearest)));
    }
    METIER_TRY(CheckShapes(*module, lora));
    METIER_ASSIGN(const Tensor a, format::DecodeTensor(lora.a));
    METIER_ASSIGN(const Tensor b, format::DecodeTensor(lora.b));
    std::optional<Tensor> magnitude;
    if (lora.magnitude) {
      METIER_ASSIGN(magnitude, format::DecodeTensor(*lora.magnitude));
    }
    for (const LinearModule::Part& part : module->parts) {
      adapter.deltas.push_back({part.linear, a, RowsOf(b, part), lora.scale});
      if (magnitude) adapter.deltas.back().magnitude = ElementsOf(*magnitude, part);
    }
  }
  std::sort(adapter.deltas.begin(), adapter.deltas.end(),
            [](const LoraDelta& x, const LoraDelta& y) { return x.linear < y.linear; });
  return adapter;
}

Result<std::vector<LinearModule>> SelectModules(const ModelSpec& spec,
                                                const format::PeftConfig& config) {
  const std::vector<LinearModule> all = LinearModules(spec);
  METIER_TRY(CheckEveryNameChose("target module", config.target_modules, all));
  const bool every = config.target_pattern == "all-linear";
  std::vector<LinearModule> chosen;
  for (const LinearModule& module : all) {
    const bool head = module.parts.front().linear == "head";
    if ((every && head) || !config.Targets(module.path)) continue;
    chosen.push_back(module);
  }
  if (!chosen.empty()) return chosen;
  return Error(ErrorCode::kInvalidArgument,
               "no layer is chosen by target_modules, exclude_modules and layers_to_transform "
               "together; \"all-linear\" chooses every linear layer but the head");
}

}  // namespace metier::model
