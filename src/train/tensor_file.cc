#include "train/tensor_file.h"

#include <fmt/format.h>

#include <cstring>

#include "format/safetensors.h"

namespace metier::train {

Status SaveTensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                   const std::string& format) {
  std::vector<at::Tensor> kept;  // the views below borrow these
  std::vector<format::NamedTensor> named;
  for (const NamedTensor& tensor : tensors) {
    kept.push_back(tensor.tensor.detach().to(at::kCPU, at::kFloat).contiguous());
    const at::Tensor& values = kept.back();
    named.push_back({tensor.name,
                     {tensor::DType::kF32,
                      values.sizes().vec(),
                      {static_cast<const std::byte*>(values.data_ptr()), values.nbytes()}}});
  }
  return format::WriteSafetensors(path, named, {{"format", format}});
}

Status LoadTensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                   const std::string& what) {
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(path));
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& tensor : tensors) {
    const tensor::TensorView* view = file.Find(tensor.name);
    if (view == nullptr || view->dtype != tensor::DType::kF32 ||
        view->shape != tensor.tensor.sizes().vec()) {
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("{} '{}': expected '{}' F32 {}, found {}", what, path, tensor.name,
                      tensor::FormatShape(tensor.tensor.sizes().vec()),
                      view == nullptr ? std::string("none") : tensor::FormatShape(view->shape)));
    }
    const at::Tensor copy = at::empty(tensor.tensor.sizes(), at::kFloat);
    std::memcpy(copy.data_ptr(), view->bytes.data(), view->bytes.size());
    tensor.tensor.copy_(copy);
  }
  return Ok();
}

}  // namespace metier::train
