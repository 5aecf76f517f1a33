// kernels/body/table.h - the table of one instruction set, from its V. Included last by isa/*.cc.
#pragma once

#include "kernels/body/activation.h"
#include "kernels/body/attention.h"
#include "kernels/body/elementwise.h"
#include "kernels/body/kv_page.h"
#include "kernels/body/low_rank.h"
#include "kernels/body/norm.h"
#include "kernels/body/packed_product.h"
#include "kernels/body/packed_product_f32.h"
#include "kernels/body/packed_product_nonzero.h"
#include "kernels/body/probe.h"
#include "kernels/body/product.h"
#include "kernels/body/quantise.h"

namespace metier::kernels::body {

template <class V, class Floats>
constexpr PackedKernels PlainKernels() {
  return {.multiply = &MultiplyFloats<V, Floats>, .decode = &DecodeOutput<V, Floats>};
}

template <class V>
constexpr PackedKernels F32Kernels() {
  PackedKernels kernels = PlainKernels<V, F32Floats>();
  kernels.multiply_nonzero = &MultiplyNonzero<V, F32Marked>;
  return kernels;
}

template <class V, class F>
constexpr PackedKernels QuantisedKernels() {
  PackedKernels kernels = PlainKernels<V, QuantisedFloats<F>>();
  kernels.multiply_nonzero = &MultiplyNonzero<V, QuantisedMarked<F>>;
  kernels.multiply_int8 = &MultiplyInt8<V, F>;
  return kernels;
}

template <class V, class P>
constexpr KvKernels KvKernelsOf() {
  return {
      .attention = &Attend<V, P>, .store_key = &StoreKey<V, P>, .store_value = &StoreValue<V, P>};
}

template <class V>
constexpr KernelTable TableOf(const char* name) {
  return {.name = name,
          .dot = &Dot<V>,
          .multiply_f32 = &Multiply<V, F32Weights>,
          .multiply_bf16 = &Multiply<V, Bf16Weights>,
          .multiply_f16 = &Multiply<V, F16Weights>,
          .round_bf16 = &RoundBf16<V>,
          .packed = {F32Kernels<V>(), PlainKernels<V, F16Floats>(), PlainKernels<V, Bf16Floats>(),
                     QuantisedKernels<V, Q4_0Format>(), QuantisedKernels<V, Q4_1Format>(),
                     QuantisedKernels<V, Q5_0Format>(), QuantisedKernels<V, Q5_1Format>(),
                     QuantisedKernels<V, Q8_0Format>(), QuantisedKernels<V, Q2_KFormat>(),
                     QuantisedKernels<V, Q3_KFormat>(), QuantisedKernels<V, Q4_KFormat>(),
                     QuantisedKernels<V, Q5_KFormat>(), QuantisedKernels<V, Q6_KFormat>(),
                     QuantisedKernels<V, IQ4_NLFormat>(), QuantisedKernels<V, IQ4_XSFormat>()},
          .quantise_row = &QuantiseRow<V>,
          .low_rank_f32 = LowRankKernelsOf<V, F32Factors, ExpandF32>(),
          .low_rank_int8 = LowRankKernelsOf<V, Int8Factors, ExpandInt8>(),
          .kv = {KvKernelsOf<V, F32Page>(), KvKernelsOf<V, Bf16Page>(), KvKernelsOf<V, Int8Page>()},
          .rms_norm = &RmsNorm<V>,
          .layer_norm = &LayerNorm<V>,
          .rope = &Rope<V>,
          .softmax = &Softmax<V>,
          .silu = &Activate<V, Silu>,
          .gelu_erf = &Activate<V, GeluErf>,
          .gelu_tanh = &Activate<V, GeluTanh>,
          .relu = &Activate<V, Relu>,
          .add_scaled = &AddScaled<V>,
          .argmax = &Argmax<V>,
          .probe_f32 = &ProbeF32<V>,
          .probe_int8 = &ProbeInt8<V>,
          .probe_read = &ProbeRead<V>};
}

}  // namespace metier::kernels::body
