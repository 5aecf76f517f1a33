// model/svf_files.h - singular value fine-tuning (Sun et al. 2025, arXiv 2501.06252, section 3.2)
// as a directory: what every singular value of a linear is multiplied with, W' = U diag(s z) V^T
// for W = U diag(s) V^T.
//
//   SVF/svf_config.json     {"format": "metier-svf", "version": 1, "base_model_name_or_path": ...}
//   SVF/svf.safetensors     F32: "LINEAR.z" [min(in, out)] of our names ("layers.0.attn.q"), in the
//                           order of the singular values, largest first
//
// Nothing computes with it as it is: z means what it does to the weights it was trained on alone,
// and the change is of full rank. merge/singular_values.h puts it into them.
#pragma once

#include <map>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::model {

struct SvfFiles {
  std::map<std::string, tensor::Tensor> z;  // by linear, F32
  std::string base_model;                   // where it was trained from; may be ""
};

// Whether the directory holds one.
bool IsSvf(const std::string& folder);

// kNotFound. kDataCorrupt: not what the header above says. Whether it fits a model is
// merge::WithSingularValues's to say.
Result<SvfFiles> OpenSvf(const std::string& folder, const Limits& limits = {});

// Writes svf_config.json (last) and svf.safetensors.
Status WriteSvf(const std::string& folder, const SvfFiles& files);

}  // namespace metier::model
