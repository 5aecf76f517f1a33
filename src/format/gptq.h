// format/gptq.h - weights of GPTQ checkpoints (Frantar et al., arXiv 2210.17323, in the layout of
// AutoGPTQ): what they are worth, and rows of blocks that hold the same numbers.
//
//   qweight  I32  [in * bits / 32, out]      codes; down each column one stream of bits, low first
//   qzeros   I32  [groups, out * bits / 32]  zero points, such a stream along each row
//   scales   F16  [groups, out]
//   g_idx    I32  [in]                       each input's group; where it is absent, i / group_size
//
//   w[o][i] = scales[g][o] * (code[i][o] - zero[g][o]),  g = g_idx[i]
//
// A zero point is stored minus one, modulo 2^bits, in checkpoint_format "gptq", as it is in
// "gptq_v2". Codes have 2, 3, 4 or 8 bits.
//
// Nothing is rounded. The difference of code and zero is a small integer, so that blocks of 32 with
// one F16 scale hold a weight as it is: Q4_0 where all differences lie in -8 .. 7 (2 and 3 bits,
// and 4 bits with symmetric zeros), Q5_0 in -16 .. 15 (4 bits), Q8_0 in -128 .. 127 (8 bits,
// symmetric); else F32, where the product of 11 and 9 bits is exact as well. With act-order the
// inputs of a group lie scattered: sorted by group they fill blocks again, and the activations have
// to be put into the same order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::format {

struct GptqConfig {
  int bits = 4;
  std::int64_t group_size = -1;  // -1: all inputs are one group
  bool zeros_minus_one = true;   // checkpoint_format "gptq"
};

// quantize_config.json, or config.json's quantization_config. kUnsupported: another method or
// layout, modules with settings of their own, a number of bits that is none of the above, each by
// name. kDataCorrupt: a value of another type.
Result<GptqConfig> ReadGptqConfig(const Json& document);

// The tensors of one linear; g_idx may be absent.
struct GptqTensors {
  tensor::TensorView qweight;
  tensor::TensorView qzeros;
  tensor::TensorView scales;
  std::optional<tensor::TensorView> g_idx = {};
};

// One linear [out, in]; borrows the tensors' bytes.
class GptqMatrix {
 public:
  // kDataCorrupt: a type, shape or group that does not fit `out` and `in`, with what was found and
  // expected. Requires positive sizes that were checked against limits.
  static Result<GptqMatrix> Create(const GptqTensors& tensors, const GptqConfig& config,
                                   std::int64_t out, std::int64_t in);

  std::int64_t outputs() const { return outputs_; }
  std::int64_t inputs() const { return inputs_; }
  // Of the rows that Encode gives: Q4_0, Q5_0, Q8_0 or F32.
  tensor::DType dtype() const { return dtype_; }
  // Column j of Encode's rows is input order[j]; empty: all inputs in their order.
  const std::vector<std::uint32_t>& input_order() const { return order_; }

  // Rows `outputs` one behind the other, of dtype() and in input_order(). out: their bytes.
  void Encode(std::span<const std::int64_t> outputs, std::span<std::byte> out) const;
  // The same as floats, inputs in their own order. out: [outputs, in]
  void Decode(std::span<const std::int64_t> outputs, std::span<float> out) const;

 private:
  GptqMatrix() = default;
  Status ReadGroups(const GptqConfig& config);
  void ChooseType();
  int Code(std::size_t input, std::size_t output) const;
  int Zero(std::size_t group, std::size_t output) const;
  float Scale(std::size_t group, std::size_t output) const;
  std::uint16_t ScaleBits(std::size_t group, std::size_t output) const;
  void EncodeRow(std::size_t output, std::span<std::byte> out) const;

  GptqTensors tensors_;
  int bits_ = 0;
  int zero_shift_ = 0;  // added to a stored zero point
  std::int64_t outputs_ = 0;
  std::int64_t inputs_ = 0;
  std::int64_t groups_ = 0;
  tensor::DType dtype_ = tensor::DType::kF32;
  std::vector<std::uint32_t> group_of_;  // [in]
  std::vector<std::uint32_t> order_;
};

}  // namespace metier::format
