// train/cpu_types.h - which kernels and types of cpu/ go with a tensor's.
#pragma once

#include "train/cpu/kernels.h"
#include "train/torch.h"

namespace metier::train {

// The type of sums and weights that goes with an activation's: double with double, else float.
inline at::ScalarType RealOf(at::ScalarType act) {
  return act == at::kDouble ? at::kDouble : at::kFloat;
}

inline const cpu::KernelTable& KernelsFor(at::ScalarType act) {
  return cpu::Kernels(act == at::kDouble ? cpu::Real::kF64 : cpu::Real::kF32);
}

inline cpu::Act ActOf(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? cpu::Act::kBf16 : cpu::Act::kReal;
}

}  // namespace metier::train
