#include <array>
#include <cstdlib>
#include <string_view>

#include "train/cpu/kernels.h"
#include "train/cpu/tables.h"

namespace metier::train::cpu {
namespace {

struct Supported {
  std::array<const KernelTable*, 4> f32{};
  std::array<const KernelTable*, 4> f64{};
  int count = 0;

  void Add(const KernelTable& single, const KernelTable& twice) {
    f32[static_cast<std::size_t>(count)] = &single;
    f64[static_cast<std::size_t>(count)] = &twice;
    ++count;
  }
};

// Narrowest first.
Supported Find() {
  Supported found;
  found.Add(kScalarF32, kScalarF64);
#if defined(__x86_64__) && !defined(METIER_SCALAR)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    found.Add(kAvx2F32, kAvx2F64);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    found.Add(kAvx512F32, kAvx512F64);
    if (__builtin_cpu_supports("avx512bf16")) found.Add(kAvx512Bf16F32, kAvx512Bf16F64);
  }
#endif
  return found;
}

const Supported& All() {
  static const Supported supported = Find();
  return supported;
}

int Chosen() {
  const char* asked = std::getenv("METIER_ISA");
  if (asked != nullptr)
    for (int i = 0; i < All().count; ++i)
      if (std::string_view(asked) == All().f32[static_cast<std::size_t>(i)]->name) return i;
  return All().count - 1;
}

}  // namespace

const KernelTable& Kernels(Real real) {
  static const int chosen = Chosen();
  const auto& tables = real == Real::kF64 ? All().f64 : All().f32;
  return *tables[static_cast<std::size_t>(chosen)];
}

bool MultipliesBf16() { return Kernels(Real::kF32).name == std::string_view("avx512bf16"); }

const KernelTable* const* SupportedTables(Real real, int* count) {
  *count = All().count;
  return (real == Real::kF64 ? All().f64 : All().f32).data();
}

}  // namespace metier::train::cpu
