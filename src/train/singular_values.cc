#include "train/singular_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "model/adapter.h"

namespace metier::train {
namespace {

at::Tensor DoubleOf(const tensor::Tensor& values) {
  const at::Tensor copy = at::empty(values.shape(), at::kFloat);
  std::memcpy(copy.data_ptr(), values.bytes().data(), values.bytes().size());
  return copy.to(at::kDouble);
}

bool IsDense(const std::string& linear) {
  return linear.find(".attn.") != std::string::npos || linear.find(".ffn.") != std::string::npos;
}

// Our linears of the modules that the configuration chooses.
Result<std::vector<std::string>> ChosenLinears(const model::ModelSpec& spec,
                                               const recipe::SvfConfig& config) {
  format::PeftConfig targets;
  if (config.target_modules == std::vector<std::string>{"all-linear"}) {
    targets.target_pattern = "all-linear";
  } else {
    targets.target_modules = config.target_modules;
  }
  METIER_ASSIGN(const std::vector<model::LinearModule> modules,
                model::SelectModules(spec, targets));
  std::vector<std::string> linears;
  for (const model::LinearModule& module : modules) {
    for (const auto& part : module.parts) {
      if (!IsDense(part.linear)) {
        return Error(ErrorCode::kUnsupported,
                     fmt::format("svf target '{}': singular values of attention and of dense "
                                 "feed-forwards learn; name these in target_modules",
                                 module.path));
      }
      linears.push_back(part.linear);
    }
  }
  return linears;
}

}  // namespace

Status SvfSet::Add(const model::ModelSpec& spec, const std::string& linear,
                   const Precision& precision, at::Device device,
                   const model::ParameterReader& base) {
  const std::string name = linear + ".weight";
  const std::vector<model::Parameter> parameters = model::Parameters(spec);
  const auto parameter = std::ranges::find(parameters, name, &model::Parameter::name);
  if (parameter == parameters.end() || !IsDense(linear)) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("svf: the model has no linear '{}' of attention or a dense "
                             "feed-forward",
                             linear));
  }
  METIER_ASSIGN(const tensor::Tensor weight, base(name));
  // On the CPU, where a resumed run decomposes to the same bits.
  const auto [u, s, v] = at::linalg_svd(DoubleOf(weight), /*full_matrices=*/false);
  const auto act = [&](const at::Tensor& factor) {
    return Weight{at::Tensor(), factor.to(precision.act).to(device).contiguous()};
  };
  SingularValues values{.u = act(u), .v = act(v), .s = s.to(precision.real).to(device)};
  values.z = at::ones_like(values.s).requires_grad_(true);
  linears_[linear] = std::move(values);
  return Ok();
}

Result<SvfSet> SvfSet::Create(const model::ModelSpec& spec, const recipe::SvfConfig& config,
                              const Precision& precision, at::Device device,
                              const model::ParameterReader& base) {
  const torch::NoGradGuard no_grad;
  SvfSet set;
  METIER_ASSIGN(const std::vector<std::string> linears, ChosenLinears(spec, config));
  for (const std::string& linear : linears)
    METIER_TRY(set.Add(spec, linear, precision, device, base));
  return set;
}

Status SvfSet::SetZ(const model::SvfFiles& files, const std::string& folder) {
  const torch::NoGradGuard no_grad;
  for (auto& [linear, values] : linears_) {
    const auto found = files.z.find(linear);
    if (found == files.z.end() || found->second.shape() != values.z.sizes().vec()) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("svf '{}': '{}' is {}, expected [{}]", folder, linear,
                               found == files.z.end() ? "missing"
                                                      : tensor::FormatShape(found->second.shape()),
                               values.z.size(0)));
    }
    values.z.copy_(DoubleOf(found->second));
  }
  return Ok();
}

Result<SvfSet> SvfSet::Continue(const model::ModelSpec& spec, const recipe::SvfConfig& config,
                                const std::string& folder, const Precision& precision,
                                at::Device device, const model::ParameterReader& base) {
  METIER_ASSIGN(const model::SvfFiles files, model::OpenSvf(folder));
  METIER_ASSIGN(const std::vector<std::string> asked, ChosenLinears(spec, config));
  for (const auto& entry : files.z) {
    if (std::ranges::find(asked, entry.first) != asked.end()) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("svf '{}': has '{}', which the configuration's target_modules do not "
                             "choose; write them as the directory has them",
                             folder, entry.first));
  }
  METIER_ASSIGN(SvfSet set, Create(spec, config, precision, device, base));
  METIER_TRY(set.SetZ(files, folder));
  return set;
}

Result<SvfSet> SvfSet::Load(const model::ModelSpec& spec, const std::string& folder,
                            const Precision& precision, at::Device device,
                            const model::ParameterReader& base) {
  METIER_ASSIGN(const model::SvfFiles files, model::OpenSvf(folder));
  SvfSet set;
  {
    const torch::NoGradGuard no_grad;
    for (const auto& entry : files.z)
      METIER_TRY(set.Add(spec, entry.first, precision, device, base));
  }
  METIER_TRY(set.SetZ(files, folder));
  return set;
}

Status SvfSet::Save(const std::string& folder, const std::string& base_model) const {
  model::SvfFiles files;
  files.base_model = base_model;
  for (const auto& [linear, values] : linears_) {
    const at::Tensor z = values.z.detach().to(at::kCPU, at::kFloat).contiguous();
    tensor::Tensor copy(tensor::DType::kF32, z.sizes().vec());
    std::memcpy(copy.bytes().data(), z.data_ptr(), copy.bytes().size());
    files.z.emplace(linear, std::move(copy));
  }
  return model::WriteSvf(folder, files);
}

const SingularValues* SvfSet::Find(const std::string& linear) const {
  const auto found = linears_.find(linear);
  return found == linears_.end() ? nullptr : &found->second;
}

}  // namespace metier::train
