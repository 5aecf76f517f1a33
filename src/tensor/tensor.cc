#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <new>

#include "base/check.h"

namespace metier::tensor {

std::int64_t ElementCount(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t dimension : shape) count *= dimension;
  return count;
}

std::string FormatShape(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Tensor::Tensor(DType dtype, Shape shape) {
  *this = Uninitialised(dtype, std::move(shape));
  std::memset(data_.get(), 0, size_);
}

Tensor Tensor::Uninitialised(DType dtype, Shape shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  const auto bytes = BytesFor(dtype, static_cast<std::uint64_t>(ElementCount(tensor.shape_)));
  METIER_CHECK(bytes.has_value(), "a tensor of broken blocks");
  METIER_CHECK(!IsQuantised(dtype) || tensor.shape_.back() % InfoOf(dtype).block_elements == 0,
               "rows that end inside a block");
  tensor.size_ = static_cast<std::size_t>(*bytes);
  constexpr std::align_val_t kAlignment{64};
  tensor.data_ = std::shared_ptr<std::byte[]>(
      static_cast<std::byte*>(::operator new(tensor.size_ + 1, kAlignment)),
      [](std::byte* p) { ::operator delete(p, kAlignment); });
  return tensor;
}

std::span<float> Tensor::f32() {
  METIER_CHECK(dtype_ == DType::kF32, "f32() of another type");
  return {reinterpret_cast<float*>(data_.get()), size_ / sizeof(float)};
}

std::span<const float> Tensor::f32() const {
  METIER_CHECK(dtype_ == DType::kF32, "f32() of another type");
  return {reinterpret_cast<const float*>(data_.get()), size_ / sizeof(float)};
}

}  // namespace metier::tensor
