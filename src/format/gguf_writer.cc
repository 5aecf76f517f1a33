#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "format/gguf.h"
#include "format/gguf_layout.h"

namespace metier::format {
namespace {

constexpr std::string_view kAlignmentKey = "general.alignment";

template <class T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void AppendText(std::string& out, std::string_view text) {
  Append<std::uint64_t>(out, text.size());
  out += text;
}

bool IsFloat(double value) {
  if (!std::isfinite(value)) return true;
  return std::fabs(value) <= std::numeric_limits<float>::max() &&
         static_cast<double>(static_cast<float>(value)) == value;
}

bool IsI32(std::int64_t value) {
  return value >= std::numeric_limits<std::int32_t>::min() &&
         value <= std::numeric_limits<std::int32_t>::max();
}

// One overload per alternative of GgufValue: its type, then its bytes.
class ValueWriter {
 public:
  explicit ValueWriter(std::string& out) : out_(out) {}

  void operator()(std::uint64_t value) const {
    if (value <= std::numeric_limits<std::uint32_t>::max()) {
      Typed(GgufType::kU32, static_cast<std::uint32_t>(value));
    } else {
      Typed(GgufType::kU64, value);
    }
  }
  void operator()(std::int64_t value) const {
    if (IsI32(value)) {
      Typed(GgufType::kI32, static_cast<std::int32_t>(value));
    } else {
      Typed(GgufType::kI64, value);
    }
  }
  void operator()(double value) const {
    if (IsFloat(value)) {
      Typed(GgufType::kF32, static_cast<float>(value));
    } else {
      Typed(GgufType::kF64, value);
    }
  }
  void operator()(bool value) const {
    Typed(GgufType::kBool, static_cast<std::uint8_t>(value ? 1 : 0));
  }
  void operator()(const std::string& value) const {
    Append(out_, static_cast<std::uint32_t>(GgufType::kString));
    AppendText(out_, value);
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    if (std::all_of(values.begin(), values.end(), IsI32)) {
      Array<std::int32_t>(GgufType::kI32, values);
    } else {
      Array<std::int64_t>(GgufType::kI64, values);
    }
  }
  void operator()(const std::vector<double>& values) const {
    if (std::all_of(values.begin(), values.end(), IsFloat)) {
      Array<float>(GgufType::kF32, values);
    } else {
      Array<double>(GgufType::kF64, values);
    }
  }
  void operator()(const std::vector<bool>& values) const {
    Array<std::uint8_t>(GgufType::kBool, values);
  }
  void operator()(const std::vector<std::string>& values) const {
    ArrayHeader(GgufType::kString, values.size());
    for (const std::string& value : values) AppendText(out_, value);
  }

 private:
  template <class T>
  void Typed(GgufType type, T value) const {
    Append(out_, static_cast<std::uint32_t>(type));
    Append(out_, value);
  }
  void ArrayHeader(GgufType element, std::size_t count) const {
    Append(out_, static_cast<std::uint32_t>(GgufType::kArray));
    Append(out_, static_cast<std::uint32_t>(element));
    Append<std::uint64_t>(out_, count);
  }
  template <class Stored, class Values>
  void Array(GgufType element, const Values& values) const {
    ArrayHeader(element, values.size());
    for (const auto value : values) Append(out_, static_cast<Stored>(value));
  }

  std::string& out_;
};

std::uint64_t PaddingAfter(std::uint64_t bytes, std::uint64_t alignment) {
  return (alignment - bytes % alignment) % alignment;
}

Status CheckInfos(const std::vector<TensorInfo>& infos) {
  std::set<std::string_view> seen;
  for (const TensorInfo& info : infos) {
    std::string wrong;
    if (!seen.insert(info.name).second) wrong = "the name is given twice";
    if (info.name.empty() || info.name.size() > kGgufMaxTensorNameBytes)
      wrong = fmt::format("names have 1 to {} bytes", kGgufMaxTensorNameBytes);
    if (info.shape.size() > kGgufMaxDimensions)
      wrong = fmt::format("shape {} has more than {} dimensions", tensor::FormatShape(info.shape),
                          kGgufMaxDimensions);
    if (tensor::InfoOf(info.dtype).ggml_type < 0)
      wrong = fmt::format("{} is not a GGUF type", tensor::InfoOf(info.dtype).name);
    if (!wrong.empty())
      return Error(ErrorCode::kInvalidArgument, fmt::format("tensor '{}': {}", info.name, wrong));
  }
  return Ok();
}

Status AppendMetadata(std::string& out, const std::map<std::string, GgufValue>& metadata) {
  for (const auto& [key, value] : metadata) {
    if (key == kAlignmentKey) continue;
    if (key.empty() || key.size() > kGgufMaxKeyBytes)
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("metadata key '{}': keys have 1 to {} bytes", key, kGgufMaxKeyBytes));
    AppendText(out, key);
    std::visit(ValueWriter(out), value);
  }
  return Ok();
}

void AppendInfo(std::string& out, const TensorInfo& info, std::uint64_t offset) {
  AppendText(out, info.name);
  Append(out, static_cast<std::uint32_t>(info.shape.size()));
  for (auto d = info.shape.rbegin(); d != info.shape.rend(); ++d)
    Append(out, static_cast<std::uint64_t>(*d));
  Append(out, static_cast<std::uint32_t>(tensor::InfoOf(info.dtype).ggml_type));
  Append(out, offset);
}

}  // namespace

Status StreamGguf(const std::string& path, const std::map<std::string, GgufValue>& metadata,
                  const std::vector<TensorInfo>& infos, const TensorProducer& produce,
                  std::uint64_t alignment) {
  METIER_TRY(CheckInfos(infos));
  std::string header;
  Append(header, kGgufMagic);
  Append<std::uint32_t>(header, 3);
  Append<std::uint64_t>(header, infos.size());
  const bool says_alignment = alignment != kGgufAlignment;
  Append<std::uint64_t>(header, metadata.size() - metadata.count(std::string(kAlignmentKey)) +
                                    (says_alignment ? 1 : 0));
  if (says_alignment) {
    AppendText(header, kAlignmentKey);
    ValueWriter{header}(alignment);
  }
  METIER_TRY(AppendMetadata(header, metadata));
  std::vector<std::uint64_t> sizes;
  std::uint64_t offset = 0;
  for (const TensorInfo& info : infos) {
    METIER_ASSIGN(const std::uint64_t bytes, BytesOf(info));
    AppendInfo(header, info, offset);
    sizes.push_back(bytes);
    const auto next = CheckedAdd(offset, bytes);
    const auto padded = next ? CheckedAdd(*next, PaddingAfter(*next, alignment)) : next;
    if (!padded)
      return Error(ErrorCode::kInvalidArgument, "tensors of more bytes than 64 bits can count");
    offset = *padded;
  }
  header.append(PaddingAfter(header.size(), alignment), '\0');

  const std::vector<std::byte> zeros(static_cast<std::size_t>(alignment));
  METIER_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  METIER_TRY(file.Write(header));
  for (std::size_t i = 0; i < infos.size(); ++i) {
    METIER_TRY(WriteTensorBytes(file, infos[i], sizes[i], i, produce));
    METIER_TRY(file.Write(std::span(zeros).first(PaddingAfter(sizes[i], alignment))));
  }
  return file.Commit();
}

Status WriteGguf(const std::string& path, const std::map<std::string, GgufValue>& metadata,
                 const std::vector<NamedTensor>& tensors) {
  return StreamGguf(path, metadata, InfosOf(tensors), ProducerOf(tensors));
}

}  // namespace metier::format
