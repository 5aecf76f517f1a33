#include "merge/extract.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "merge/compatible.h"
#include "merge/truncated_svd.h"
#include "model/adapter.h"
#include "model/family.h"

namespace metier::merge {
namespace {

using tensor::DType;
using tensor::Tensor;

std::string LastPart(const std::string& path) { return path.substr(path.rfind('.') + 1); }

// Row of the module's output that is row `row` of the part (model/family.h, RowMap).
std::int64_t RowOfModule(const model::RowMap& rows, std::int64_t row) {
  return rows.run == 0 ? row : rows.first + row / rows.run * rows.stride + row % rows.run;
}

Tensor Owned(const std::vector<float>& values, tensor::Shape shape) {
  Tensor tensor = Tensor::Uninitialised(DType::kF32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.f32().begin());
  return tensor;
}

class Extractor {
 public:
  Extractor(const model::ModelSpec& base_spec, const model::ParameterReader& base,
            const model::ModelSpec& tuned_spec, const model::ParameterReader& tuned,
            const ExtractOptions& options)
      : spec_(base_spec),
        base_spec_(base_spec),
        tuned_spec_(tuned_spec),
        base_(base),
        tuned_(tuned),
        options_(options) {
    spec_.tied_head = base_spec.tied_head && tuned_spec.tied_head;
  }

  Result<Extraction> Run(const OnProgress& progress) {
    METIER_TRY(CheckSameNetwork("the base", base_spec_, "the tuned model", tuned_spec_));
    METIER_ASSIGN(const std::vector<model::LinearModule> chosen, ChooseModules());
    METIER_ASSIGN(const std::vector<model::WholeModule> whole, ChooseWholeModules());
    std::uint64_t done = 0;
    for (const model::LinearModule& module : chosen) {
      METIER_TRY(Report(progress, done++, chosen.size(), module.path));
      METIER_TRY(Factor(module));
    }
    METIER_TRY(Report(progress, chosen.size(), chosen.size()));
    if (out_.report.empty()) {
      return Error(ErrorCode::kInvalidArgument,
                   "the models do not differ in any of the target modules: there is nothing to "
                   "extract");
    }
    for (const model::WholeModule& module : whole) METIER_TRY(Save(module));
    METIER_TRY(ListLeftOut());
    Describe();
    return std::move(out_);
  }

 private:
  Result<Tensor> ReadOf(const model::ModelSpec& spec, const model::ParameterReader& read,
                        const std::string& name) const {
    return read(spec.tied_head && name == "head.weight" ? "embed.tokens" : name);
  }

  Result<std::vector<model::LinearModule>> ChooseModules() const {
    format::PeftConfig targets;
    targets.target_modules = options_.target_modules;
    if (targets.target_modules == std::vector<std::string>{"all-linear"}) {
      targets.target_modules.clear();
      targets.target_pattern = "all-linear";
    }
    return model::SelectModules(spec_, targets);
  }

  // A tied matrix is embedding and head: the adapter holds it under both names, so that readers
  // that know nothing of tying compute the same.
  Result<std::vector<model::WholeModule>> ChooseWholeModules() const {
    METIER_ASSIGN(std::vector<model::WholeModule> whole,
                  model::SelectWholeModules(spec_, options_.modules_to_save));
    if (!whole.empty() && spec_.tied_head) return model::WholeModules(spec_);
    return whole;
  }

  // tuned - base of a whole module, [out, in] row by row; the norm of the base beside it.
  struct Change {
    std::vector<double> values;
    double base_norm = 0;
  };
  Result<Change> ChangeOf(const model::LinearModule& module) {
    Change change;
    const auto in = static_cast<std::size_t>(module.in);
    change.values.resize(static_cast<std::size_t>(module.out) * in);
    double squares = 0;
    for (const model::LinearModule::Part& part : module.parts) {
      const std::string name = part.linear + ".weight";
      METIER_ASSIGN(const Tensor before, ReadOf(base_spec_, base_, name));
      METIER_ASSIGN(const Tensor after, ReadOf(tuned_spec_, tuned_, name));
      held_.insert(name);
      for (std::int64_t row = 0; row < part.out; ++row) {
        const auto to = static_cast<std::size_t>(RowOfModule(part.rows, row)) * in;
        const auto from = static_cast<std::size_t>(row) * in;
        for (std::size_t i = 0; i < in; ++i) {
          const auto x = static_cast<double>(before.f32()[from + i]);
          squares += x * x;
          change.values[to + i] = static_cast<double>(after.f32()[from + i]) - x;
        }
      }
    }
    change.base_norm = std::sqrt(squares);
    return change;
  }

  Status Factor(const model::LinearModule& module) {
    METIER_ASSIGN(const Change change, ChangeOf(module));
    const LowRankFactors factors =
        TruncatedSvd(change.values, module.out, module.in,
                     {.max_rank = options_.rank, .energy = options_.energy, .seed = options_.seed});
    if (factors.rank == 0) return Ok();
    out_.factors.push_back(Owned(factors.a, {factors.rank, module.in}));
    const tensor::TensorView a = out_.factors.back().view();
    out_.factors.push_back(Owned(factors.b, {module.out, factors.rank}));
    const tensor::TensorView b = out_.factors.back().view();
    out_.modules.push_back({.path = module.path, .a = a, .b = b, .scale = 1});
    out_.report.push_back({.path = module.path,
                           .rank = factors.rank,
                           .change = change.base_norm > 0 ? factors.norm / change.base_norm : 1,
                           .error = factors.error / factors.norm});
    out_.config.fan_in_fan_out = module.transposed;
    return Ok();
  }

  Status Save(const model::WholeModule& module) {
    METIER_ASSIGN(Tensor value, ReadOf(tuned_spec_, tuned_, module.parameter));
    held_.insert(module.parameter);
    out_.factors.push_back(std::move(value));
    out_.saved.push_back({module.path + ".weight", out_.factors.back().view()});
    out_.config.modules_to_save.push_back(LastPart(module.path));
    return Ok();
  }

  Status ListLeftOut() {
    const std::vector<model::Parameter> parameters = model::Parameters(spec_);
    const std::vector<std::string> names = model::HuggingFaceNames(spec_);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].name;
      if (held_.contains(name)) continue;
      METIER_ASSIGN(const Tensor before, ReadOf(base_spec_, base_, name));
      METIER_ASSIGN(const Tensor after, ReadOf(tuned_spec_, tuned_, name));
      if (std::ranges::equal(before.f32(), after.f32())) continue;
      if (out_.left_out.empty() || out_.left_out.back() != names[i])
        out_.left_out.push_back(names[i]);
    }
    return Ok();
  }

  // The config that gives each module its rank and scale 1, and no other module anything.
  void Describe() {
    format::PeftConfig& config = out_.config;
    config.rank = 0;
    for (const ExtractedModule& module : out_.report)
      config.rank = std::max(config.rank, module.rank);
    config.alpha = static_cast<double>(config.rank);
    std::map<std::string, std::int64_t> extracted;  // by the last part of the path
    for (const ExtractedModule& module : out_.report) {
      ++extracted[LastPart(module.path)];
      if (module.rank == config.rank) continue;
      config.rank_pattern.emplace_back(module.path, module.rank);
      config.alpha_pattern.emplace_back(module.path, static_cast<double>(module.rank));
    }
    std::map<std::string, std::int64_t> there;
    for (const model::LinearModule& module : model::LinearModules(spec_))
      ++there[LastPart(module.path)];
    for (const auto& [name, count] : extracted) {
      if (there[name] == count) {
        config.target_modules.push_back(name);
        continue;
      }
      for (const ExtractedModule& module : out_.report) {
        if (LastPart(module.path) == name) config.target_modules.push_back(module.path);
      }
    }
    std::sort(
        out_.modules.begin(), out_.modules.end(),
        [](const format::PeftModule& x, const format::PeftModule& y) { return x.path < y.path; });
  }

  model::ModelSpec spec_;  // tied where both are
  const model::ModelSpec& base_spec_;
  const model::ModelSpec& tuned_spec_;
  const model::ParameterReader& base_;
  const model::ParameterReader& tuned_;
  const ExtractOptions& options_;
  std::set<std::string> held_;  // parameters of ours whose change the adapter holds
  Extraction out_;
};

}  // namespace

Result<Extraction> ExtractAdapter(const model::ModelSpec& base_spec,
                                  const model::ParameterReader& base,
                                  const model::ModelSpec& tuned_spec,
                                  const model::ParameterReader& tuned,
                                  const ExtractOptions& options, const OnProgress& progress) {
  return Extractor(base_spec, base, tuned_spec, tuned, options).Run(progress);
}

}  // namespace metier::merge
