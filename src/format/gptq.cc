#include "format/gptq.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <string_view>

#include "base/check.h"
#include "tensor/half.h"

namespace metier::format {

using tensor::DType;
using tensor::TensorView;

namespace {

constexpr std::size_t kGptqBlock = 32;

std::uint32_t WordAt(const TensorView& view, std::size_t index) {
  std::uint32_t word = 0;
  std::memcpy(&word, view.bytes.data() + index * sizeof(word), sizeof(word));
  return word;
}

// Code `index` of a stream whose words are word(0), word(1), ...; only these are asked for.
template <class Words>
int BitsOfStream(std::size_t index, int bits, const Words& word) {
  const std::size_t at = index * static_cast<std::size_t>(bits);
  const std::size_t shift = at % 32;
  std::uint32_t value = word(at / 32) >> shift;
  if (shift + static_cast<std::size_t>(bits) > 32) value |= word(at / 32 + 1) << (32 - shift);
  return static_cast<int>(value & ((1U << bits) - 1));
}

// The least and the greatest code - zero of a block type.
struct BlockType {
  DType dtype;
  int least;
  int most;
};
constexpr std::array kBlockTypes = {BlockType{DType::kQ4_0, -8, 7},
                                    BlockType{DType::kQ5_0, -16, 15},
                                    BlockType{DType::kQ8_0, -128, 127}};

// Fields in the places that format/blocks.h gives them.
void PutBlock(DType dtype, std::uint16_t scale, const std::array<int, kGptqBlock>& values,
              std::byte* out) {
  std::memcpy(out, &scale, sizeof(scale));
  out += sizeof(scale);
  if (dtype == DType::kQ8_0) {
    for (const int value : values) *out++ = static_cast<std::byte>(value);
    return;
  }
  const int zero = dtype == DType::kQ4_0 ? 8 : 16;
  if (dtype == DType::kQ5_0) {
    std::uint32_t fifth = 0;
    for (std::size_t i = 0; i < kGptqBlock; ++i)
      fifth |= static_cast<std::uint32_t>((values[i] + zero) >> 4) << i;
    std::memcpy(out, &fifth, sizeof(fifth));
    out += sizeof(fifth);
  }
  for (std::size_t i = 0; i < kGptqBlock / 2; ++i) {
    const int low = (values[i] + zero) & 15;
    const int high = (values[i + kGptqBlock / 2] + zero) & 15;
    *out++ = static_cast<std::byte>(low | high << 4);
  }
}

Error Unsupported(std::string what) {
  return Error(ErrorCode::kUnsupported, fmt::format("GPTQ: {}", what));
}

// Absent, null, false or empty.
bool IsNothing(const Json& document, const char* key) {
  const auto found = document.find(key);
  return found == document.end() || found->is_null() || *found == Json(false) || found->empty();
}

Result<std::string> TextOr(const Json& document, const char* key, const char* fallback) {
  const auto found = document.find(key);
  if (found == document.end() || found->is_null()) return std::string(fallback);
  if (found->is_string()) return found->get<std::string>();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("GPTQ: \"{}\" is {}, a string expected", key, DumpCompact(*found)));
}

Result<std::int64_t> Whole(const Json& document, const char* key) {
  const auto found = document.find(key);
  if (found != document.end() && found->is_number_integer()) return found->get<std::int64_t>();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("GPTQ: \"{}\" is missing or not a whole number", key));
}

Status CheckTensor(std::string_view name, const TensorView& found, DType dtype,
                   const tensor::Shape& shape) {
  if (found.dtype == dtype && found.shape == shape) return Ok();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("{} is {} {}, {} {} expected", name, tensor::InfoOf(found.dtype).name,
                           tensor::FormatShape(found.shape), tensor::InfoOf(dtype).name,
                           tensor::FormatShape(shape)));
}

}  // namespace

Result<GptqConfig> ReadGptqConfig(const Json& document) {
  if (!document.is_object())
    return Error(ErrorCode::kDataCorrupt, "GPTQ: the quantisation config is not an object");
  METIER_ASSIGN(const std::string method, TextOr(document, "quant_method", "gptq"));
  if (method != "gptq") return Unsupported(fmt::format("quant_method \"{}\"", method));
  METIER_ASSIGN(const std::string format, TextOr(document, "checkpoint_format", "gptq"));
  if (format != "gptq" && format != "gptq_v2")
    return Unsupported(fmt::format("checkpoint_format \"{}\"; gptq and gptq_v2 are read", format));
  METIER_ASSIGN(const std::string pack, TextOr(document, "pack_dtype", "int32"));
  if (pack != "int32") return Unsupported(fmt::format("pack_dtype \"{}\"; int32 is read", pack));
  for (const char* key : {"dynamic", "is_marlin_format"}) {
    if (!IsNothing(document, key))
      return Unsupported(fmt::format("\"{}\": {}", key, DumpCompact(document[key])));
  }
  GptqConfig config;
  METIER_ASSIGN(const std::int64_t bits, Whole(document, "bits"));
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
    return Unsupported(fmt::format("{} bits; 2, 3, 4 and 8 are read", bits));
  config.bits = static_cast<int>(bits);
  METIER_ASSIGN(config.group_size, Whole(document, "group_size"));
  if (config.group_size != -1 && config.group_size < 1)
    return Unsupported(fmt::format("group_size {}", config.group_size));
  config.zeros_minus_one = format == "gptq";
  return config;
}

Result<GptqMatrix> GptqMatrix::Create(const GptqTensors& tensors, const GptqConfig& config,
                                      std::int64_t out, std::int64_t in) {
  METIER_CHECK(out > 0 && in > 0, "a matrix of positive sizes");
  GptqMatrix matrix;
  matrix.tensors_ = tensors;
  matrix.bits_ = config.bits;
  matrix.zero_shift_ = config.zeros_minus_one ? 1 : 0;
  matrix.outputs_ = out;
  matrix.inputs_ = in;
  matrix.groups_ = tensors.scales.shape.empty() ? 0 : tensors.scales.shape.front();
  if (in * config.bits % 32 != 0 || out * config.bits % 32 != 0) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("[{}, {}] with {} bits does not fill whole words", out, in, config.bits));
  }
  METIER_TRY(CheckTensor("qweight", tensors.qweight, DType::kI32, {in * config.bits / 32, out}));
  METIER_TRY(CheckTensor("scales", tensors.scales, DType::kF16, {matrix.groups_, out}));
  METIER_TRY(
      CheckTensor("qzeros", tensors.qzeros, DType::kI32, {matrix.groups_, out * config.bits / 32}));
  METIER_TRY(matrix.ReadGroups(config));
  matrix.ChooseType();
  return matrix;
}

Status GptqMatrix::ReadGroups(const GptqConfig& config) {
  const std::int64_t size = config.group_size == -1 ? inputs_ : config.group_size;
  if (tensors_.g_idx) METIER_TRY(CheckTensor("g_idx", *tensors_.g_idx, DType::kI32, {inputs_}));
  group_of_.resize(static_cast<std::size_t>(inputs_));
  for (std::size_t i = 0; i < group_of_.size(); ++i) {
    const std::uint64_t group =
        tensors_.g_idx ? WordAt(*tensors_.g_idx, i) : i / static_cast<std::uint64_t>(size);
    if (group >= static_cast<std::uint64_t>(groups_)) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("input {} belongs to group {}, scales has {}", i,
                               static_cast<std::int64_t>(group), groups_));
    }
    group_of_[i] = static_cast<std::uint32_t>(group);
  }
  return Ok();
}

void GptqMatrix::ChooseType() {
  if (static_cast<std::size_t>(inputs_) % kGptqBlock != 0) return;
  std::vector<std::uint32_t> order(group_of_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return group_of_[a] < group_of_[b]; });
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (group_of_[order[i]] != group_of_[order[i / kGptqBlock * kGptqBlock]]) return;
  }
  int least_zero = 1 << bits_;
  int most_zero = 0;
  for (std::int64_t g = 0; g < groups_; ++g) {
    for (std::int64_t o = 0; o < outputs_; ++o) {
      const int zero = Zero(static_cast<std::size_t>(g), static_cast<std::size_t>(o));
      least_zero = std::min(least_zero, zero);
      most_zero = std::max(most_zero, zero);
    }
  }
  for (const BlockType& type : kBlockTypes) {
    if (-most_zero < type.least || (1 << bits_) - 1 - least_zero > type.most) continue;
    dtype_ = type.dtype;
    if (!std::is_sorted(order.begin(), order.end())) order_ = std::move(order);
    return;
  }
}

int GptqMatrix::Code(std::size_t input, std::size_t output) const {
  return BitsOfStream(input, bits_, [&](std::size_t word) {
    return WordAt(tensors_.qweight, word * static_cast<std::size_t>(outputs_) + output);
  });
}

int GptqMatrix::Zero(std::size_t group, std::size_t output) const {
  const std::size_t words = static_cast<std::size_t>(outputs_ * bits_ / 32);
  const int stored = BitsOfStream(output, bits_, [&](std::size_t word) {
    return WordAt(tensors_.qzeros, group * words + word);
  });
  return (stored + zero_shift_) & ((1 << bits_) - 1);
}

std::uint16_t GptqMatrix::ScaleBits(std::size_t group, std::size_t output) const {
  std::uint16_t bits = 0;
  const std::size_t at = group * static_cast<std::size_t>(outputs_) + output;
  std::memcpy(&bits, tensors_.scales.bytes.data() + at * sizeof(bits), sizeof(bits));
  return bits;
}

float GptqMatrix::Scale(std::size_t group, std::size_t output) const {
  return tensor::FromF16(ScaleBits(group, output));
}

void GptqMatrix::EncodeRow(std::size_t output, std::span<std::byte> out) const {
  const std::size_t bytes = tensor::InfoOf(dtype_).block_bytes;
  std::array<int, kGptqBlock> values{};
  for (std::size_t block = 0; block * bytes < out.size(); ++block) {
    const auto input = [&](std::size_t i) {
      const std::size_t at = block * kGptqBlock + i;
      return order_.empty() ? at : order_[at];
    };
    const std::size_t group = group_of_[input(0)];
    const int zero = Zero(group, output);
    for (std::size_t i = 0; i < kGptqBlock; ++i) values[i] = Code(input(i), output) - zero;
    PutBlock(dtype_, ScaleBits(group, output), values, out.data() + block * bytes);
  }
}

void GptqMatrix::Encode(std::span<const std::int64_t> outputs, std::span<std::byte> out) const {
  const std::size_t row_bytes = out.size() / std::max<std::size_t>(outputs.size(), 1);
  if (dtype_ == DType::kF32) {
    std::vector<float> row(static_cast<std::size_t>(inputs_));
    for (std::size_t r = 0; r < outputs.size(); ++r) {
      Decode(outputs.subspan(r, 1), row);
      std::memcpy(out.data() + r * row_bytes, row.data(), row_bytes);
    }
    return;
  }
  for (std::size_t r = 0; r < outputs.size(); ++r)
    EncodeRow(static_cast<std::size_t>(outputs[r]), out.subspan(r * row_bytes, row_bytes));
}

void GptqMatrix::Decode(std::span<const std::int64_t> outputs, std::span<float> out) const {
  for (std::size_t r = 0; r < outputs.size(); ++r) {
    const auto output = static_cast<std::size_t>(outputs[r]);
    float* row = out.data() + r * static_cast<std::size_t>(inputs_);
    for (std::size_t i = 0; i < group_of_.size(); ++i) {
      const std::size_t group = group_of_[i];
      row[i] = Scale(group, output) * static_cast<float>(Code(i, output) - Zero(group, output));
    }
  }
}

}  // namespace metier::format
