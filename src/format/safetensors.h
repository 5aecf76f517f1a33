// format/safetensors.h - safetensors files: read through a memory map, written atomically.
//
//   u64 LE N | N bytes of JSON {name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__":
//   {string: string}} | data
//
// Non-goals: F4/F6 sub-byte types; files that break the rules (holes, overlaps, duplicate keys) are
// refused, as the format demands. Trap: the data may start at any byte, so views need not be
// aligned; read them through format/decode.h or memcpy.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/limits.h"
#include "base/result.h"
#include "format/tensor_stream.h"
#include "tensor/tensor.h"

namespace metier::format {

using StringMap = std::map<std::string, std::string>;

class SafetensorsFile : public tensor::TensorSource {
 public:
  // kDataCorrupt: anything the format forbids, with the tensor's name. kUnsupported: an unknown
  // dtype.
  static Result<SafetensorsFile> Open(const std::string& path, const Limits& limits = {});

  const tensor::TensorView* Find(const std::string& name) const override;
  std::vector<std::string> Names() const override;
  const StringMap& metadata() const { return metadata_; }
  // Where a tensor's bytes begin in the file. Requires a tensor of Find.
  std::uint64_t OffsetOf(const tensor::TensorView& tensor) const {
    return static_cast<std::uint64_t>(tensor.bytes.data() - file_.bytes().data());
  }

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  StringMap metadata_;
  std::map<std::string, tensor::TensorView> tensors_;
};

// A model's tensors: model.safetensors, or the shards named by model.safetensors.index.json, as one
// source. kNotFound: neither is there. kDataCorrupt: a shard lacks a tensor that the index places
// in it.
Result<std::unique_ptr<tensor::TensorSource>> OpenSafetensorsModel(const std::string& folder,
                                                                   const Limits& limits = {});

// Atomic. Tensors are stored in the order given, header padded so that data starts at a multiple of
// 64 bytes. kInvalidArgument: a name twice, or bytes that do not fit the type and shape.
Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                        const StringMap& metadata);

// The same with bytes produced one tensor at a time (format/tensor_stream.h).
Status StreamSafetensors(const std::string& path, const std::vector<TensorInfo>& infos,
                         const StringMap& metadata, const TensorProducer& produce);

inline constexpr std::uint64_t kDefaultShardBytes = 5'000'000'000;  // as transformers

// A model into `folder` (created): model.safetensors, or shards of at most max_shard_bytes (one
// tensor at least) with their index, written last. A model of the other form that stood there is
// removed.
Status WriteSafetensorsModel(const std::string& folder, const std::vector<NamedTensor>& tensors,
                             const StringMap& metadata,
                             std::uint64_t max_shard_bytes = kDefaultShardBytes);
Status StreamSafetensorsModel(const std::string& folder, const std::vector<TensorInfo>& infos,
                              const StringMap& metadata, const TensorProducer& produce,
                              std::uint64_t max_shard_bytes = kDefaultShardBytes);

}  // namespace metier::format
