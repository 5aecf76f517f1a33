// format/tensor_stream.h - how tensors reach a writer: as views of what is in memory, or produced
// one by one, so that writing a model needs room for one tensor and not for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::format {

struct NamedTensor {
  std::string name;
  tensor::TensorView tensor;  // borrowed while writing
};

// What a file's header says of a tensor before its bytes follow.
struct TensorInfo {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  tensor::Shape shape;
};

using ByteSink = std::function<Status(std::span<const std::byte>)>;

// Hands all bytes of tensor `index` to the sink, in as many pieces as it likes. Called once a
// tensor, in the order of the header. An error ends the writing; nothing is left behind.
using TensorProducer = std::function<Status(std::size_t index, const ByteSink& sink)>;

// The bytes that a tensor takes. kInvalidArgument: a negative dimension, broken blocks, a size
// beyond 64 bits.
Result<std::uint64_t> BytesOf(const TensorInfo& info);

// Writes what the producer gives. kInvalidArgument: more or fewer than `expected` bytes.
Status WriteTensorBytes(AtomicFile& file, const TensorInfo& info, std::uint64_t expected,
                        std::size_t index, const TensorProducer& produce);

// Views as infos and producer. The views must outlive the producer.
std::vector<TensorInfo> InfosOf(const std::vector<NamedTensor>& tensors);
TensorProducer ProducerOf(const std::vector<NamedTensor>& tensors);

}  // namespace metier::format
