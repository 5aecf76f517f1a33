#include "train/edited_weights.h"

#include <fmt/format.h>

#include <cstring>

namespace metier::train {
namespace {

at::Tensor DoublesOf(const tensor::Tensor& values) {
  const at::Tensor copy = at::empty(values.shape(), at::kFloat);
  std::memcpy(copy.data_ptr(), values.bytes().data(), values.bytes().size());
  return copy.to(at::kDouble);
}

tensor::Tensor FloatsOf(const at::Tensor& values) {
  const at::Tensor copy = values.to(at::kFloat).contiguous();
  tensor::Tensor out = tensor::Tensor::Uninitialised(tensor::DType::kF32, copy.sizes().vec());
  std::memcpy(out.bytes().data(), copy.data_ptr(), out.bytes().size());
  return out;
}

Result<at::ScalarType> StoredScalar(tensor::DType dtype, const std::string& name) {
  if (dtype == tensor::DType::kF32) return at::kFloat;
  if (dtype == tensor::DType::kF16) return at::kHalf;
  if (dtype == tensor::DType::kBF16) return at::kBFloat16;
  return Error(
      ErrorCode::kUnsupported,
      fmt::format("parameter '{}' is of type {}, in which a small change is lost; expected "
                  "F32, F16 or BF16 (`metier convert --dtype` makes one)",
                  name, tensor::InfoOf(dtype).name));
}

}  // namespace

Status EditedWeights::Add(std::int64_t layer, const at::Tensor& change) {
  const std::string name = fmt::format("layers.{}.ffn.down.weight", layer);
  METIER_ASSIGN(const at::ScalarType stored, StoredScalar(files_.StoredType(name), name));
  if (edited_.count(name) == 0) {
    METIER_ASSIGN(const tensor::Tensor values, files_.LoadF32(name));
    const at::Tensor original = DoublesOf(values);
    edited_[name] = {original, original};
  }
  Edited& edited = edited_.at(name);
  // By float, as the file's writer rounds: doubles would round once where it rounds twice.
  const at::Tensor sum = (edited.current + change.to(at::kCPU)).to(at::kFloat).to(stored);
  if (!sum.isfinite().all().item<bool>()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("parameter '{}': the change leaves the range of {}; lower clamp", name,
                             tensor::InfoOf(files_.StoredType(name)).name));
  }
  edited.current = sum.to(at::kDouble);
  return network_.WriteParameter(name, FloatsOf(edited.current));
}

std::vector<NamedTensor> EditedWeights::Tensors() const {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, edited] : edited_) tensors.push_back({name, edited.current});
  return tensors;
}

std::vector<double> EditedWeights::Changes() const {
  std::vector<double> changes;
  for (const auto& named : edited_) {
    const Edited& edited = named.second;
    const at::Tensor moved = edited.current - edited.original;
    changes.push_back(at::linalg_vector_norm(moved).item<double>() /
                      at::linalg_vector_norm(edited.original).item<double>());
  }
  return changes;
}

}  // namespace metier::train
