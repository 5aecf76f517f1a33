#include "format/tensor_stream.h"

#include <fmt/format.h>

#include <optional>

#include "base/limits.h"

namespace metier::format {

Result<std::uint64_t> BytesOf(const TensorInfo& info) {
  std::uint64_t elements = 1;
  std::optional<std::uint64_t> bytes = std::uint64_t{0};
  for (const std::int64_t dimension : info.shape) {
    const auto product =
        dimension < 0 ? std::nullopt : CheckedMul(elements, static_cast<std::uint64_t>(dimension));
    if (!product) {
      bytes.reset();
      break;
    }
    elements = *product;
  }
  const std::uint32_t block = tensor::InfoOf(info.dtype).block_elements;
  const std::int64_t row = info.shape.empty() ? 1 : info.shape.back();
  if (bytes && row % block == 0) bytes = tensor::BytesFor(info.dtype, elements);
  if (!bytes || row % block != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("tensor '{}': shape {} cannot be stored as {}, whose rows are whole "
                             "blocks of {}",
                             info.name, tensor::FormatShape(info.shape),
                             tensor::InfoOf(info.dtype).name, block));
  }
  return *bytes;
}

Status WriteTensorBytes(AtomicFile& file, const TensorInfo& info, std::uint64_t expected,
                        std::size_t index, const TensorProducer& produce) {
  std::uint64_t written = 0;
  METIER_TRY(produce(index, [&](std::span<const std::byte> bytes) -> Status {
    written += bytes.size();
    if (written > expected) return Ok();  // reported below, with the whole count
    return file.Write(bytes);
  }));
  if (written != expected) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("tensor '{}': {} bytes were given, {} of shape {} need {}", info.name, written,
                    tensor::InfoOf(info.dtype).name, tensor::FormatShape(info.shape), expected));
  }
  return Ok();
}

std::vector<TensorInfo> InfosOf(const std::vector<NamedTensor>& tensors) {
  std::vector<TensorInfo> infos;
  infos.reserve(tensors.size());
  for (const NamedTensor& named : tensors)
    infos.push_back({named.name, named.tensor.dtype, named.tensor.shape});
  return infos;
}

TensorProducer ProducerOf(const std::vector<NamedTensor>& tensors) {
  return [&tensors](std::size_t index, const ByteSink& sink) -> Status {
    return sink(tensors[index].tensor.bytes);
  };
}

}  // namespace metier::format
