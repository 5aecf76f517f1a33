#include "format/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/byte_reader.h"
#include "format/gguf_layout.h"

namespace metier::format {
namespace {

Error Corrupt(std::string message) { return Error(ErrorCode::kDataCorrupt, std::move(message)); }

// Types that exist but that we do not decode, so that a refusal can name them.
struct ForeignType {
  std::uint32_t id;
  std::string_view name;
};
constexpr std::array kForeignTypes = {
    ForeignType{16, "IQ2_XXS"}, ForeignType{17, "IQ2_XS"}, ForeignType{18, "IQ3_XXS"},
    ForeignType{19, "IQ1_S"},   ForeignType{21, "IQ3_S"},  ForeignType{22, "IQ2_S"},
    ForeignType{29, "IQ1_M"},   ForeignType{34, "TQ1_0"},  ForeignType{35, "TQ2_0"},
    ForeignType{39, "MXFP4"},
};

std::string_view ForeignName(std::uint32_t id) {
  for (const ForeignType& type : kForeignTypes) {
    if (type.id == id) return type.name;
  }
  return "unknown";
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const Limits& limits)
      : bytes_(bytes), reader_(bytes), limits_(limits) {}

  Status Run() {
    METIER_TRY(ReadHeader());
    for (std::uint64_t i = 0; i < entry_count_; ++i) METIER_TRY(ReadEntry());
    METIER_TRY(ReadAlignment());
    for (std::uint64_t i = 0; i < tensor_count_; ++i) METIER_TRY(ReadTensorInfo());
    return PlaceTensors();
  }

  std::map<std::string, GgufValue> metadata;
  std::map<std::string, tensor::TensorView> tensors;

 private:
  struct Info {
    std::string name;
    tensor::DType dtype = tensor::DType::kF32;
    tensor::Shape shape;
    std::uint64_t bytes = 0;
    std::uint64_t offset = 0;
  };

  Status ReadHeader() {
    METIER_ASSIGN(const std::uint32_t magic, reader_.U32("magic"));
    if (magic != kGgufMagic) return Corrupt("does not start with \"GGUF\": not a GGUF file");
    METIER_ASSIGN(const std::uint32_t version, reader_.U32("version"));
    if (version != 2 && version != 3) {
      const bool swapped = version != 0 && (version & 0xffffU) == 0;
      return Error(ErrorCode::kUnsupported,
                   swapped ? std::string("a big-endian GGUF file; convert it to little-endian")
                           : fmt::format("GGUF version {}, versions 2 and 3 are read", version));
    }
    METIER_ASSIGN(tensor_count_, reader_.U64("tensor count"));
    METIER_ASSIGN(entry_count_, reader_.U64("metadata count"));
    if (tensor_count_ > limits_.max_tensors)
      return TooMany("tensors", tensor_count_, limits_.max_tensors);
    if (entry_count_ > limits_.max_metadata_entries)
      return TooMany("metadata entries", entry_count_, limits_.max_metadata_entries);
    return Ok();
  }

  static Error TooMany(std::string_view what, std::uint64_t found, std::uint64_t limit) {
    return Error(ErrorCode::kResourceExhausted, fmt::format("{} {}, limit {}", found, what, limit));
  }

  Result<std::string> ReadText(std::string_view what, std::uint64_t limit) {
    METIER_ASSIGN(const std::uint64_t size, reader_.U64(what));
    if (size > limit) return TooMany(fmt::format("bytes in {}", what), size, limit);
    METIER_ASSIGN(const std::string_view text, reader_.Text(size, what));
    return std::string(text);
  }

  template <class T>
  Result<T> ReadNumber(std::string_view what) {
    METIER_ASSIGN(const auto bytes, reader_.Bytes(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  Result<bool> ReadBool(std::string_view what) {
    METIER_ASSIGN(const std::uint8_t value, reader_.U8(what));
    if (value > 1) return Corrupt(fmt::format("{}: a bool of {}, 0 or 1 expected", what, value));
    return value == 1;
  }

  Status ReadEntry() {
    METIER_ASSIGN(std::string key, ReadText("metadata key", kGgufMaxKeyBytes));
    if (key.empty()) return Corrupt("an empty metadata key");
    METIER_ASSIGN(const std::uint32_t type, reader_.U32(key));
    METIER_ASSIGN(GgufValue value, ReadValue(key, static_cast<GgufType>(type)));
    if (!metadata.emplace(key, std::move(value)).second)
      return Corrupt(fmt::format("metadata key '{}' stands twice", key));
    return Ok();
  }

  template <class Stored, class Wide>
  Result<GgufValue> Scalar(const std::string& key) {
    METIER_ASSIGN(const Stored value, ReadNumber<Stored>(key));
    return GgufValue(static_cast<Wide>(value));
  }

  Result<GgufValue> ReadValue(const std::string& key, GgufType type) {
    switch (type) {
      case GgufType::kU8: return Scalar<std::uint8_t, std::uint64_t>(key);
      case GgufType::kI8: return Scalar<std::int8_t, std::int64_t>(key);
      case GgufType::kU16: return Scalar<std::uint16_t, std::uint64_t>(key);
      case GgufType::kI16: return Scalar<std::int16_t, std::int64_t>(key);
      case GgufType::kU32: return Scalar<std::uint32_t, std::uint64_t>(key);
      case GgufType::kI32: return Scalar<std::int32_t, std::int64_t>(key);
      case GgufType::kF32: return Scalar<float, double>(key);
      case GgufType::kU64: return Scalar<std::uint64_t, std::uint64_t>(key);
      case GgufType::kI64: return Scalar<std::int64_t, std::int64_t>(key);
      case GgufType::kF64: return Scalar<double, double>(key);
      case GgufType::kBool: {
        METIER_ASSIGN(const bool value, ReadBool(key));
        return GgufValue(value);
      }
      case GgufType::kString: {
        METIER_ASSIGN(std::string text, ReadText(key, limits_.max_string_bytes));
        return GgufValue(std::move(text));
      }
      case GgufType::kArray: return ReadArray(key);
    }
    return UnknownType(key, static_cast<std::uint32_t>(type));
  }

  static Error UnknownType(const std::string& key, std::uint32_t type) {
    return Corrupt(fmt::format("metadata '{}': value type {}, types 0 to 12 exist", key, type));
  }

  template <class Stored, class Wide>
  Result<GgufValue> Numbers(const std::string& key, std::uint64_t count) {
    const auto bytes = CheckedMul(count, sizeof(Stored));
    if (!bytes) return Corrupt(fmt::format("metadata '{}': an array of {} elements", key, count));
    METIER_ASSIGN(const auto raw, reader_.Bytes(*bytes, key));
    std::vector<Wide> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      Stored value;
      std::memcpy(&value, raw.data() + i * sizeof(Stored), sizeof(Stored));
      if constexpr (std::is_same_v<Stored, std::uint64_t>) {
        if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
          return Error(
              ErrorCode::kUnsupported,
              fmt::format("metadata '{}': element {} is {}, above 2^63 - 1", key, i, value));
        }
      }
      values[i] = static_cast<Wide>(value);
    }
    return GgufValue(std::move(values));
  }

  Result<GgufValue> ReadArray(const std::string& key) {
    METIER_ASSIGN(const std::uint32_t type, reader_.U32(key));
    METIER_ASSIGN(const std::uint64_t count, reader_.U64(key));
    if (count > limits_.max_array_elements)
      return TooMany(fmt::format("elements in '{}'", key), count, limits_.max_array_elements);
    using I64 = std::int64_t;
    switch (static_cast<GgufType>(type)) {
      case GgufType::kU8: return Numbers<std::uint8_t, I64>(key, count);
      case GgufType::kI8: return Numbers<std::int8_t, I64>(key, count);
      case GgufType::kU16: return Numbers<std::uint16_t, I64>(key, count);
      case GgufType::kI16: return Numbers<std::int16_t, I64>(key, count);
      case GgufType::kU32: return Numbers<std::uint32_t, I64>(key, count);
      case GgufType::kI32: return Numbers<std::int32_t, I64>(key, count);
      case GgufType::kU64: return Numbers<std::uint64_t, I64>(key, count);
      case GgufType::kI64: return Numbers<std::int64_t, I64>(key, count);
      case GgufType::kF32: return Numbers<float, double>(key, count);
      case GgufType::kF64: return Numbers<double, double>(key, count);
      case GgufType::kBool: return Bools(key, count);
      case GgufType::kString: return Texts(key, count);
      case GgufType::kArray:
        return Error(
            ErrorCode::kUnsupported,
            fmt::format("metadata '{}': an array of arrays; only flat arrays are read", key));
    }
    return UnknownType(key, type);
  }

  Result<GgufValue> Bools(const std::string& key, std::uint64_t count) {
    std::vector<bool> values;
    for (std::uint64_t i = 0; i < count; ++i) {
      METIER_ASSIGN(const bool value, ReadBool(key));
      values.push_back(value);
    }
    return GgufValue(std::move(values));
  }

  Result<GgufValue> Texts(const std::string& key, std::uint64_t count) {
    std::vector<std::string> values;
    // Every string has at least its length, so a count that the file cannot hold reserves nothing.
    if (count <= reader_.remaining() / sizeof(std::uint64_t))
      values.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
      METIER_ASSIGN(std::string text, ReadText(key, limits_.max_string_bytes));
      values.push_back(std::move(text));
    }
    return GgufValue(std::move(values));
  }

  Status ReadAlignment() {
    const auto found = metadata.find("general.alignment");
    if (found == metadata.end()) return Ok();
    const auto* value = std::get_if<std::uint64_t>(&found->second);
    constexpr std::uint64_t kLargest = 1U << 20;
    if (value == nullptr || !std::has_single_bit(*value) || *value > kLargest)
      return Corrupt(
          "metadata 'general.alignment' must be an unsigned power of two of at most 2^20");
    alignment_ = *value;
    return Ok();
  }

  Status ReadTensorInfo() {
    Info info;
    METIER_ASSIGN(info.name, ReadText("tensor name", kGgufMaxTensorNameBytes));
    METIER_ASSIGN(const std::uint32_t dimensions, reader_.U32(info.name));
    if (dimensions > kGgufMaxDimensions)
      return Corrupt(fmt::format("tensor '{}': {} dimensions, at most {} are allowed", info.name,
                                 dimensions, kGgufMaxDimensions));
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      METIER_ASSIGN(const std::uint64_t dimension, reader_.U64(info.name));
      const auto product = CheckedMul(elements, dimension);
      if (dimension > limits_.max_tensor_elements || !product ||
          *product > limits_.max_tensor_elements)
        return TooMany(fmt::format("elements (or more) in tensor '{}'", info.name), dimension,
                       limits_.max_tensor_elements);
      elements = *product;
      info.shape.insert(info.shape.begin(), static_cast<std::int64_t>(dimension));
    }
    METIER_ASSIGN(const std::uint32_t type, reader_.U32(info.name));
    METIER_ASSIGN(info.offset, reader_.U64(info.name));
    METIER_TRY(SetType(info, type, elements));
    if (info.offset % alignment_ != 0)
      return Corrupt(fmt::format("tensor '{}': offset {} is not a multiple of the alignment {}",
                                 info.name, info.offset, alignment_));
    infos_.push_back(std::move(info));
    return Ok();
  }

  Status SetType(Info& info, std::uint32_t type, std::uint64_t elements) {
    const auto dtype = tensor::DTypeFromGgml(type);
    if (!dtype) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("tensor '{}': type {} ({}) is not one we read; requantise the model "
                               "to Q4_K, Q8_0 or another common type",
                               info.name, type, ForeignName(type)));
    }
    info.dtype = *dtype;
    const std::uint32_t block = tensor::InfoOf(info.dtype).block_elements;
    const std::int64_t row = info.shape.empty() ? 1 : info.shape.back();
    const auto bytes = tensor::BytesFor(info.dtype, elements);
    if (row % block != 0 || !bytes)
      return Corrupt(fmt::format("tensor '{}': rows of {} weights are not whole {} blocks of {}",
                                 info.name, row, tensor::InfoOf(info.dtype).name, block));
    info.bytes = *bytes;
    return Ok();
  }

  Status PlaceTensors() {
    if (infos_.empty()) return Ok();  // a vocabulary: the data, and its padding, may be absent
    const std::uint64_t padding = (alignment_ - reader_.offset() % alignment_) % alignment_;
    METIER_TRY(reader_.Bytes(padding, "padding before the tensors"));
    const auto data = bytes_.subspan(reader_.offset());
    std::sort(infos_.begin(), infos_.end(), [](const Info& a, const Info& b) {
      return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
    });
    std::uint64_t used = 0;
    for (Info& info : infos_) {
      if (info.offset > data.size() || info.bytes > data.size() - info.offset)
        return Corrupt(
            fmt::format("tensor '{}': {} bytes at offset {}, but the data has {} bytes "
                        "(file truncated?)",
                        info.name, info.bytes, info.offset, data.size()));
      if (info.offset < used)
        return Corrupt(
            fmt::format("tensor '{}': its offset {} lies inside another tensor, which "
                        "ends at {}",
                        info.name, info.offset, used));
      used = info.offset + info.bytes;
      tensor::TensorView view{info.dtype, std::move(info.shape),
                              data.subspan(static_cast<std::size_t>(info.offset),
                                           static_cast<std::size_t>(info.bytes))};
      if (!tensors.emplace(info.name, std::move(view)).second)
        return Corrupt(fmt::format("tensor '{}' stands twice", info.name));
    }
    return Ok();
  }

  std::span<const std::byte> bytes_;
  ByteReader reader_;
  const Limits& limits_;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t entry_count_ = 0;
  std::uint64_t alignment_ = kGgufAlignment;
  std::vector<Info> infos_;
};

Error WrongType(const std::string& key, std::string_view expected) {
  return Corrupt(fmt::format("metadata '{}' is not {}", key, expected));
}

Error Absent(const std::string& key) {
  return Error(ErrorCode::kNotFound, fmt::format("metadata '{}' is missing", key));
}

// An absent key becomes the fallback; every other error stays one.
template <class T>
Result<T> Or(Result<T> found, T fallback) {
  if (!found.ok() && found.error().code() == ErrorCode::kNotFound) return fallback;
  return found;
}

}  // namespace

Result<GgufFile> GgufFile::Open(const std::string& path, const Limits& limits) {
  METIER_ASSIGN(MappedFile mapped, MappedFile::Open(path));
  GgufFile file(std::move(mapped));
  Parser parser(file.file_.bytes(), limits);
  auto parsed = parser.Run();
  if (!parsed.ok()) return std::move(parsed).error().With("'" + path + "'");
  file.metadata_ = std::move(parser.metadata);
  file.tensors_ = std::move(parser.tensors);
  return file;
}

const tensor::TensorView* GgufFile::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::vector<std::string> GgufFile::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

const GgufValue* GgufFile::Metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

Result<std::int64_t> GgufFile::Int(const std::string& key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return Absent(key);
  if (const auto* i = std::get_if<std::int64_t>(value)) return *i;
  const auto* u = std::get_if<std::uint64_t>(value);
  if (u == nullptr || *u > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return WrongType(key, "an integer below 2^63");
  return static_cast<std::int64_t>(*u);
}

Result<double> GgufFile::Float(const std::string& key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return Absent(key);
  if (const auto* d = std::get_if<double>(value)) return *d;
  return WrongType(key, "a floating-point number");
}

Result<std::string> GgufFile::Text(const std::string& key) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return Absent(key);
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return WrongType(key, "a string");
}

Result<std::int64_t> GgufFile::IntOr(const std::string& key, std::int64_t fallback) const {
  return Or(Int(key), fallback);
}

Result<double> GgufFile::FloatOr(const std::string& key, double fallback) const {
  return Or(Float(key), fallback);
}

Result<bool> GgufFile::BoolOr(const std::string& key, bool fallback) const {
  const GgufValue* value = Metadata(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return WrongType(key, "a bool");
}

Result<std::string> GgufFile::TextOr(const std::string& key, std::string fallback) const {
  return Or(Text(key), std::move(fallback));
}

}  // namespace metier::format
