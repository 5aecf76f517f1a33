// train/tensor_file.h - named tensors of a run's state, in a safetensors file.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "train/torch.h"

namespace metier::train {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

// In F32. `format` stands in the file's metadata.
Status SaveTensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                   const std::string& format);

// Into the tensors that are there. kDataCorrupt, with `what` the file is: one is not in it, or has
// another type or shape.
Status LoadTensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                   const std::string& what);

}  // namespace metier::train
