#include "model/adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>

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

std::vector<std::string> Paths(const std::vector<LinearModule>& modules) {
  std::vector<std::string> paths;
  for (const LinearModule& module : modules) paths.push_back(module.path);
  return paths;
}

// The module that PEFT's path names. Paths are those of the class that was adapted: LlamaModel
// alone lacks "model.", which LlamaForCausalLM puts in front.
const LinearModule* FindModule(const std::vector<LinearModule>& modules, const Family& family,
                               const std::string& path) {
  for (const LinearModule& module : modules) {
    if (module.path == path) return &module;
  }
  if (family.hf_prefixes.empty()) return nullptr;
  const std::string_view written = family.hf_prefixes.front();
  for (const std::string_view prefix : family.hf_prefixes) {
    if (!path.starts_with(prefix)) continue;
    const std::string other = std::string(written) + path.substr(prefix.size());
    for (const LinearModule& module : modules) {
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

// Names of target_modules (a list) that choose nothing.
Status CheckEveryTargetChose(const std::vector<LinearModule>& all,
                             const format::PeftConfig& config) {
  for (const std::string& target : config.target_modules) {
    const bool chose = std::any_of(all.begin(), all.end(), [&](const LinearModule& module) {
      return format::HasModuleSuffix(module.path, target);
    });
    if (chose) continue;
    std::vector<std::string> ends;  // the names that could have been meant
    for (const LinearModule& module : all) {
      ends.push_back(module.path.substr(module.path.rfind('.') + 1));
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    const std::string nearest = NearestName(target, ends);
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("target module '{}' matches no layer{}; layers: {}", target,
                             nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
                             fmt::join(ends, " ")));
  }
  return Ok();
}

}  // namespace

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

Result<Adapter> ToAdapter(const ModelSpec& spec, const format::PeftAdapter& peft) {
  if (!peft.saved.empty())
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("adapter: '{}' of modules_to_save replaces a whole weight of the base; "
                    "merge the adapter into its base model with PEFT first",
                    peft.saved.front().name));
  const std::vector<LinearModule> modules = LinearModules(spec);
  const Family& family = FamilyOf(spec);
  Adapter adapter;
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
    for (const LinearModule::Part& part : module->parts)
      adapter.deltas.push_back({part.linear, a, RowsOf(b, part), lora.scale});
  }
  std::sort(adapter.deltas.begin(), adapter.deltas.end(),
            [](const LoraDelta& x, const LoraDelta& y) { return x.linear < y.linear; });
  return adapter;
}

Result<std::vector<LinearModule>> SelectModules(const ModelSpec& spec,
                                                const format::PeftConfig& config) {
  const std::vector<LinearModule> all = LinearModules(spec);
  METIER_TRY(CheckEveryTargetChose(all, config));
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
