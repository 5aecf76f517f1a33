// format/gguf.h - GGUF v2 and v3: read through a memory map, written atomically.
//
//   "GGUF" | u32 version | u64 tensors | u64 entries | entries | tensor infos (dimensions fastest
//   first) | padding to general.alignment | data
//
// Shapes handed out here are slowest first. Non-goals: version 1 and big-endian files, which nobody
// writes any more; both are refused by name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/limits.h"
#include "base/result.h"
#include "format/tensor_stream.h"
#include "tensor/tensor.h"

namespace metier::format {

// Integers widen to 64 bits, floats to double (exactly). Arrays are of one kind; arrays of arrays
// and array elements above 2^63 - 1 are refused.
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::int64_t>,
                 std::vector<double>, std::vector<bool>, std::vector<std::string>>;

class GgufFile : public tensor::TensorSource {
 public:
  // kDataCorrupt: anything the format forbids, with the key's or tensor's name. kUnsupported: a
  // version or tensor type that we do not read. kResourceExhausted: over a limit.
  static Result<GgufFile> Open(const std::string& path, const Limits& limits = {});

  const tensor::TensorView* Find(const std::string& name) const override;
  std::vector<std::string> Names() const override;

  // nullptr: no such key.
  const GgufValue* Metadata(const std::string& key) const;
  const std::map<std::string, GgufValue>& metadata() const { return metadata_; }

  // Typed look-ups. kNotFound: absent; kDataCorrupt: another type. Integers convert where the value
  // fits.
  Result<std::int64_t> Int(const std::string& key) const;
  Result<double> Float(const std::string& key) const;
  Result<std::string> Text(const std::string& key) const;
  // The same with a default for an absent key (another type is still an error).
  Result<std::int64_t> IntOr(const std::string& key, std::int64_t fallback) const;
  Result<double> FloatOr(const std::string& key, double fallback) const;
  Result<bool> BoolOr(const std::string& key, bool fallback) const;
  Result<std::string> TextOr(const std::string& key, std::string fallback) const;

 private:
  explicit GgufFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  std::map<std::string, GgufValue> metadata_;
  std::map<std::string, tensor::TensorView> tensors_;
};

// Writes version 3, alignment 32, atomically; general.alignment in `metadata` is replaced. Any
// tensor type of GGUF; the bytes are passed through. Values get the narrowest type that readers
// expect: u32 or u64, i32 or i64; a double becomes f32 when it is one exactly and f64 otherwise, so
// round what other programs should read as f32. kInvalidArgument: a name twice or too long, more
// than 4 dimensions.
Status WriteGguf(const std::string& path, const std::map<std::string, GgufValue>& metadata,
                 const std::vector<NamedTensor>& tensors);

// The same with bytes produced one tensor at a time (format/tensor_stream.h). Tensors start at
// multiples of `alignment` bytes, a power of two of at least 8.
inline constexpr std::uint64_t kGgufAlignment = 32;
Status StreamGguf(const std::string& path, const std::map<std::string, GgufValue>& metadata,
                  const std::vector<TensorInfo>& infos, const TensorProducer& produce,
                  std::uint64_t alignment = kGgufAlignment);

}  // namespace metier::format
