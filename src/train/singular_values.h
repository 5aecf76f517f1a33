// train/singular_values.h - singular value fine-tuning: of W = U diag(s) V^T only what s is
// multiplied with learns (Sun et al. 2025, arXiv 2501.06252, section 3.2), W' = U diag(s z) V^T.
//
// Computed as W x + U (s (z - 1) V^T x), so that z = 1 is the base. Costs two products as large as
// W's own, and U and V beside it.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "model/svf_files.h"
#include "recipe/train_config.h"
#include "train/ops.h"
#include "train/torch.h"

namespace metier::train {

struct SingularValues {
  Weight u;      // act [out, values]
  Weight v;      // act [values, in], V^T
  at::Tensor s;  // real [values], largest first
  at::Tensor z;  // real [values], learns
};

class SvfSet {
 public:
  SvfSet() = default;

  // z = 1 for every linear that target_modules choose, of the base's weights, decomposed in double.
  // kInvalidArgument: a target that matches nothing. kUnsupported: experts and their router, the
  // head.
  static Result<SvfSet> Create(const model::ModelSpec& spec, const recipe::SvfConfig& config,
                               const Precision& precision, at::Device device,
                               const model::ParameterReader& base);
  // z of a directory. kInvalidArgument: of other linears than the configuration's.
  static Result<SvfSet> Continue(const model::ModelSpec& spec, const recipe::SvfConfig& config,
                                 const std::string& folder, const Precision& precision,
                                 at::Device device, const model::ParameterReader& base);
  // As the directory has them.
  static Result<SvfSet> Load(const model::ModelSpec& spec, const std::string& folder,
                             const Precision& precision, at::Device device,
                             const model::ParameterReader& base);

  Status Save(const std::string& folder, const std::string& base_model) const;

  bool empty() const { return linears_.empty(); }
  const std::map<std::string, SingularValues>& linears() const { return linears_; }
  // nullptr: the linear has none.
  const SingularValues* Find(const std::string& linear) const;

 private:
  Status Add(const model::ModelSpec& spec, const std::string& linear, const Precision& precision,
             at::Device device, const model::ParameterReader& base);
  Status SetZ(const model::SvfFiles& files, const std::string& folder);

  std::map<std::string, SingularValues> linears_;  // by name
};

}  // namespace metier::train
