// kernels/body/table.h - the table of one instruction set, from its V. Included last by isa/*.cc.
#pragma once

#include "kernels/body/activation.h"
#include "kernels/body/attention.h"
#include "kernels/body/elementwise.h"
#include "kernels/body/norm.h"
#include "kernels/body/product.h"

namespace metier::kernels::body {

template <class V>
constexpr KernelTable TableOf(const char* name) {
  return {.name = name,
          .dot = &Dot<V>,
          .multiply_f32 = &Multiply<V, F32Weights>,
          .multiply_bf16 = &Multiply<V, Bf16Weights>,
          .multiply_f16 = &Multiply<V, F16Weights>,
          .attention = &Attend<V>,
          .rms_norm = &RmsNorm<V>,
          .layer_norm = &LayerNorm<V>,
          .rope = &Rope<V>,
          .softmax = &Softmax<V>,
          .silu = &Activate<V, Silu>,
          .gelu_erf = &Activate<V, GeluErf>,
          .gelu_tanh = &Activate<V, GeluTanh>,
          .relu = &Activate<V, Relu>,
          .add_scaled = &AddScaled<V>,
          .argmax = &Argmax<V>};
}

}  // namespace metier::kernels::body
