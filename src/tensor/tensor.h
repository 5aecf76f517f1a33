// tensor/tensor.h - named bytes with a type and a shape: what formats hand to models. No maths
// here.
//
// Shapes are row-major, slowest dimension first, as in safetensors and PyTorch (GGUF's order is
// reversed on reading).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace metier::tensor {

using Shape = std::vector<std::int64_t>;

// Product of the dimensions; 1 for a scalar. Requires dimensions >= 0 whose product fits (formats
// check on reading).
std::int64_t ElementCount(const Shape& shape);

// "[32, 128]"
std::string FormatShape(const Shape& shape);

// Borrowed, read-only. The bytes belong to a mapped file or a Tensor.
struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  std::span<const std::byte> bytes;
};

// Owns its bytes, 64-byte aligned, shared between copies.
class Tensor {
 public:
  Tensor() = default;
  // Zero-filled. Requires whole blocks in a row.
  Tensor(DType dtype, Shape shape);
  // For what is written in full at once: large tensors are not swept twice.
  static Tensor Uninitialised(DType dtype, Shape shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::span<std::byte> bytes() { return {data_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  TensorView view() const { return {dtype_, shape_, bytes()}; }

  // Requires dtype kF32.
  std::span<float> f32();
  std::span<const float> f32() const;

 private:
  DType dtype_ = DType::kF32;
  Shape shape_;
  std::shared_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

// Where tensors come from: a safetensors file or its shards, a GGUF file, a model in memory.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // nullptr when there is no such tensor. The view lives as long as the source.
  virtual const TensorView* Find(const std::string& name) const = 0;
  // Sorted.
  virtual std::vector<std::string> Names() const = 0;
};

}  // namespace metier::tensor
