// The kernels of training for one instruction set: avx512 with products of bf16 pairs.
// CMakeLists.txt gives this file its flags.
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
#include "train/cpu/body/attention_pairs.h"
#include "train/cpu/body/table.h"
// clang-format on

constexpr KernelTable WithPairs() {
  KernelTable table = TableOf<float>("avx512bf16");
  table.attention = &AttentionByPairs;
  table.attention_grad = &AttentionGradByPairs;
  return table;
}
}  // namespace

constinit const KernelTable kAvx512Bf16F32 = WithPairs();
// Double knows no pairs.
constinit const KernelTable kAvx512Bf16F64 = TableOf<double>("avx512bf16");

}  // namespace metier::train::cpu
