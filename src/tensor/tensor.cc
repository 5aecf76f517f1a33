#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "base/check.h"

namespace metier::tensor {

namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;

// Bytes for one tensor. Large ones begin on a large page and ask the system for such: 512 times
// fewer faults when they are written first, and fewer misses of the address cache ever after. What
// does not fill a large page stays on small ones, so that no more memory is used.
std::shared_ptr<std::byte[]> Allocate(std::size_t size) {
  const std::align_val_t alignment{size >= kLargePage ? kLargePage : std::size_t{64}};
  auto* data = static_cast<std::byte*>(::operator new(size + 1, alignment));
  const std::size_t whole = size / kLargePage * kLargePage;
  // A system that cannot is no error.
  if (whole > 0) ::madvise(data, whole, MADV_HUGEPAGE);
  return {data, [alignment](std::byte* p) { ::operator delete(p, alignment); }};
}

}  // namespace

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
  tensor.data_ = Allocate(tensor.size_);
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
