// The kernels of training for one instruction set: avx512. CMakeLists.txt gives this file its
// flags.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "train/cpu/kernels.h"
#include "train/cpu/tables.h"

#define METIER_VECTOR_BYTES 64
#define METIER_TILE_ROWS 8

namespace metier::train::cpu {
namespace {
// Not sorted: each body uses the ones before it.
// clang-format off
#include "train/cpu/body/vector.h"
#include "train/cpu/body/gemm.h"
#include "train/cpu/body/low_rank.h"
#include "train/cpu/body/rows.h"
#include "train/cpu/body/attention.h"
#include "train/cpu/body/table.h"
// clang-format on
}  // namespace

constinit const KernelTable kAvx512F32 = TableOf<float>("avx512");
constinit const KernelTable kAvx512F64 = TableOf<double>("avx512");

}  // namespace metier::train::cpu
