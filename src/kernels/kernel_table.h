// kernels/kernel_table.h - what every instruction set offers: one function pointer per kernel.
//
// Promises of every entry, on every instruction set:
//   - a result depends on its own row only, never on how many rows, heads or outputs share the
//   call,
//     so a token computes the same bits alone and in a batch, and on any number of threads;
//   - sums run in one fixed order for a given length (lanes over the inner dimension, one chain per
//     result, then the lanes in a tree), so the bits depend on the instruction set and nothing
//     else;
//   - no entry validates: the operation above it checks shapes once. Pointers are aligned to their
//     element type, no more. Outputs do not overlap inputs unless an entry says "in place".
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kv_page.h"
#include "kernels/low_rank.h"
#include "kernels/packed.h"

namespace metier::kernels {

// out[r][o] = bias[o] + sum over i of x[r][i] * w[o][i].
struct Product {
  const float* x = nullptr;  // [rows, inner], rows x_stride floats apart
  std::size_t x_stride = 0;
  const void* w = nullptr;      // [outputs, inner], contiguous: float, bfloat16 or half bits
  const float* bias = nullptr;  // [outputs], or nullptr
  float* out = nullptr;         // [rows, outputs], rows out_stride floats apart
  std::size_t out_stride = 0;
  std::size_t rows = 0;
  std::size_t inner = 0;
  std::size_t outputs = 0;
};

// out[i] = act(x[i]) * up[i]; without `up`, act(x[i]). In place (out == x or out == up) is fine.
using ActivationKernel = void (*)(const float* x, const float* up, float* out, std::size_t n);

struct KernelTable {
  const char* name;  // "scalar", "avx2", "avx512": what METIER_ISA says

  // Sum of a[i] * b[i]; the sum that every product below takes for its inner dimension.
  float (*dot)(const float* a, const float* b, std::size_t n);
  void (*multiply_f32)(const Product& product);
  void (*multiply_bf16)(const Product& product);
  void (*multiply_f16)(const Product& product);

  // out[n]: x rounded to bfloat16, ties to even.
  void (*round_bf16)(const float* x, std::size_t n, std::uint16_t* out);

  // By Packing.
  PackedKernels packed[kPackings];
  // x[inner] becomes row `row` of `rows` in 8 bits (QuantisedRows). A value that is not finite
  // makes its block's scale NaN.
  void (*quantise_row)(const float* x, std::size_t inner, std::size_t row, std::size_t rows,
                       std::int8_t* q, float* scale, std::int32_t* sums);

  // Adapters with factors of float, and of 8 bits.
  LowRankKernels low_rank_f32;
  LowRankKernels low_rank_int8;

  // By KvType: over keys and values that are kept in it, and how they get there.
  KvKernels kv[kKvTypes];

  // out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]. In place is fine.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, float* out, std::size_t n);
  // out[i] = (x[i] - mean) / sqrt(variance + epsilon) * weight[i] (+ bias[i]); bias may be nullptr.
  // In place is fine.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon,
                     float* out, std::size_t n);

  // Rotates the pairs (x[i], x[half + i]) by the angle whose cosine and sine are given, in place.
  void (*rope)(float* x, const float* cosine, const float* sine, std::size_t half);

  // In place: x[i] = exp(x[i] - max) / sum. n >= 1.
  void (*softmax)(float* x, std::size_t n);

  ActivationKernel silu;       // x / (1 + exp(-x))
  ActivationKernel gelu_erf;   // x (1 + erf(x / sqrt 2)) / 2
  ActivationKernel gelu_tanh;  // x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
  ActivationKernel relu;       // max(x, 0)

  // y[i] += factor * x[i].
  void (*add_scaled)(float* y, const float* x, float factor, std::size_t n);
  // Index of the largest value, the lowest of equal ones; 0 when every value is NaN. n >= 1.
  std::size_t (*argmax)(const float* x, std::size_t n);

  // Multiplies and adds in registers as fast as the set can, `rounds` times a fixed number of sums;
  // how many multiplications and additions that were. In place: sink[0] should be 1, and becomes
  // the mean of all sums, which is 1 after many rounds.
  std::size_t (*probe_f32)(std::size_t rounds, float* sink);
  // The same with DotAdd of 8-bit numbers: sink[0] becomes 5.5 + 4 * rounds, the mean of all sums.
  std::size_t (*probe_int8)(std::size_t rounds, float* sink);
  // The sum of x[n], read as fast as memory gives it. n is a multiple of 128.
  float (*probe_read)(const float* x, std::size_t n);
};

}  // namespace metier::kernels
