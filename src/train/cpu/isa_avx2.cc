// The kernels of training for one instruction set: avx2. CMakeLists.txt gives this file its flags.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "train/cpu/kernels.h"
#include "train/cpu/tables.h"

#define METIER_VECTOR_BYTES 32
#define METIER_TILE_ROWS 4

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

constinit const KernelTable kAvx2F32 = TableOf<float>("avx2");
constinit const KernelTable kAvx2F64 = TableOf<double>("avx2");

}  // namespace metier::train::cpu
