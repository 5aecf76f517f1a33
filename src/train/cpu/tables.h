// train/cpu/tables.h - the tables that the isa_*.cc define; dispatch.cc alone chooses between them.
#pragma once

#include "train/cpu/kernels.h"

namespace metier::train::cpu {

extern const KernelTable kScalarF32;
extern const KernelTable kScalarF64;
extern const KernelTable kAvx2F32;
extern const KernelTable kAvx2F64;
extern const KernelTable kAvx512F32;
extern const KernelTable kAvx512F64;
extern const KernelTable kAvx512Bf16F32;
extern const KernelTable kAvx512Bf16F64;

}  // namespace metier::train::cpu
