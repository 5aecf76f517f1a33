// kernels/packed.h - weights laid out as the products stream them.
//
// A packed matrix [outputs, inner] is a row of panels of kPanelOutputs outputs; a panel is one
// stretch of memory, read from its start to its end, and holds for each group of kGroupInner
// consecutive inner indices one record, codes then scales, after a header that some types have once
// for several groups:
//
//   panel:  header? record record ... header? record ...      groups of 32, the last one padded
//   codes:  rows of 256 bytes; in a row, output o of the panel owns the bytes 4 o .. 4 o + 3
//
// Four consecutive inner indices (a quad) of one output lie side by side, as the dot-product
// instructions for bytes want them; what a lane adds up belongs to one output, so no sum ever
// crosses lanes. Quads 0-7 of a group in the rows of its codes:
//
//   8 bits  row k: quad k                                                          2048 bytes
//   4 bits  row p: quad p in the low nibbles, quad p + 4 in the high ones          1024 bytes
//   2 bits  row h: quads 4 h .. 4 h + 3, from the lowest two bits of a byte up      512 bytes
//   1 bit   one row: quad k in bit k                                                256 bytes
//
// 3, 5 and 6 bits are 2 + 1, 4 + 1 and 4 + 2, the low bits' rows first. Plain types: F32 and F16
// have one row of elements [kPanelOutputs] for each inner index, BF16 one for each two, an output's
// pair side by side. Scales are rows of one number for each output; see body/packed_scales.h.
// Nothing is rounded: a packed weight decodes to the same float as the stored one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace metier::kernels {

constexpr std::size_t kPanelOutputs = 64;
constexpr std::size_t kGroupInner = 32;
// Activations share a scale over so many inner indices, and have a sum for each kSumInner.
constexpr std::size_t kBlockInner = 128;
constexpr std::size_t kSumInner = 16;
constexpr std::size_t kBlockSums = kBlockInner / kSumInner;

// One for each type that can be packed, named as the stored type.
enum class Packing : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
};
constexpr std::size_t kPackings = 15;

struct PackedLayout {
  std::size_t code_bytes;     // of a group
  std::size_t scale_bytes;    // of a group
  std::size_t header_bytes;   // once for `header_groups` groups
  std::size_t header_groups;  // 1 where there is no header
};

// In the order of the enum. The kernels assert that theirs are the same.
constexpr PackedLayout kPackedLayouts[kPackings] = {
    {8192, 0, 0, 1},     {4096, 0, 0, 1},    {4096, 0, 0, 1},     {1024, 128, 0, 1},
    {1024, 256, 0, 1},   {1280, 128, 0, 1},  {1280, 256, 0, 1},   {2048, 128, 0, 1},
    {512, 128, 256, 8},  {768, 128, 128, 8}, {1024, 128, 256, 8}, {1280, 128, 256, 8},
    {1536, 128, 128, 8}, {1024, 128, 0, 1},  {1024, 64, 128, 8},
};

// Rows of activations in 8 bits: x[r][i] is about scale[i / 128][r] * q[i / 128][r][i % 128], with
// |q| <= 127. Behind the end of a row, up to a whole block, q is 0.
struct QuantisedRows {
  const std::int8_t* q = nullptr;      // [blocks, rows, kBlockInner]
  const float* scale = nullptr;        // [blocks, rows]
  const std::int32_t* sums = nullptr;  // [blocks, rows, kBlockSums]: of q
  std::size_t rows = 0;                // the stride between blocks; at least those multiplied
};

// Memory that the caller reads soon. Without defaults: a product has room for many, and writes
// those that there are.
struct Stretch {
  const std::byte* at;
  std::size_t bytes;
};

// out[r][o] = bias[o] + sum over i of x[r][i] * w[o][i], added to what is there when `add` is set.
// The float product reads x, the 8-bit one `quantised`, that of bfloat16 pairs x_bf16.
struct PackedProduct {
  const std::byte* w = nullptr;  // the first panel
  std::size_t panel_bytes = 0;
  std::size_t outputs = 0;  // from the first panel's first; the last panel may hold fewer
  std::size_t inner = 0;
  const float* x = nullptr;  // [rows, inner], rows x_stride floats apart
  std::size_t x_stride = 0;
  QuantisedRows quantised;
  const std::uint16_t* x_bf16 = nullptr;  // [rows, inner], an odd inner's last pair ends with 0
  std::size_t x_bf16_stride = 0;
  // multiply_nonzero: bit i of word g is set where x[32 g + i] is not zero. [groups], one row.
  const std::uint32_t* nonzero = nullptr;
  const float* bias = nullptr;  // [outputs], or nullptr
  float* out = nullptr;         // [rows, outputs], rows out_stride floats apart
  std::size_t out_stride = 0;
  std::size_t rows = 0;
  bool add = false;
  // The products of 8 bits and of pairs fetch these while they compute, evenly from begin to end.
  const Stretch* ahead = nullptr;
  std::size_t ahead_count = 0;
};

using PackedKernel = void (*)(const PackedProduct& product);

// What an instruction set offers for one packing.
struct PackedKernels {
  PackedKernel multiply = nullptr;
  // nullptr for F16 and BF16. The same bits for one row whose zeros are known, which it skips, as
  // long as weights are finite (an infinite one times 0 would have made the sum NaN).
  PackedKernel multiply_nonzero = nullptr;
  // The weights of one output of a panel as floats, out[inner].
  void (*decode)(const std::byte* panel, std::size_t output, std::size_t inner,
                 float* out) = nullptr;
  // nullptr for plain types. The integer sums are exact; what is lost is the rounding of x.
  PackedKernel multiply_int8 = nullptr;
  // BF16 where the instruction set multiplies pairs: x rounded to bfloat16, sums in float.
  PackedKernel multiply_bf16 = nullptr;
};

}  // namespace metier::kernels
