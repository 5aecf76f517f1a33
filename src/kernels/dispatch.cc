#include "kernels/dispatch.h"

#ifdef METIER_HAVE_AVX2
#include <cpuid.h>
#endif
#ifdef METIER_HAVE_NEON
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace metier::kernels {

extern const KernelTable kScalarTable;
#ifdef METIER_HAVE_AVX2
extern const KernelTable kAvx2Table;
#endif
#ifdef METIER_HAVE_AVX512
extern const KernelTable kAvx512Table;
extern const PackedKernel kMultiplyBf16Pairs;
#endif
#ifdef METIER_HAVE_NEON
extern const KernelTable kNeonTable;
extern const KernelTable kNeonDotTable;
#endif

namespace {

#ifdef METIER_HAVE_AVX512
const KernelTable& Avx512Bf16Table() {
  static const KernelTable table = [] {
    KernelTable with_pairs = kAvx512Table;
    with_pairs.name = "avx512bf16";
    with_pairs.packed[static_cast<std::size_t>(Packing::kBF16)].multiply_bf16 = kMultiplyBf16Pairs;
    return with_pairs;
  }();
  return table;
}

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}
#endif

struct InstructionSet {
  const KernelTable* table;
  bool (*supported)();
};

#ifdef METIER_HAVE_AVX2
// clang before 15 does not know the name for __builtin_cpu_supports.
bool HasF16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

std::vector<const KernelTable*> FindSupported() {
  // Slowest first. `supported` names every extension of the unit's compiler flags (module.cmake).
  const InstructionSet sets[] = {
      {&kScalarTable, [] { return true; }},
#ifdef METIER_HAVE_AVX2
      {&kAvx2Table,
       [] {
         return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
                HasF16c();
       }},
#endif
#ifdef METIER_HAVE_AVX512
      {&kAvx512Table, &HasAvx512},
      {&Avx512Bf16Table(), [] { return HasAvx512() && __builtin_cpu_supports("avx512bf16") != 0; }},
#endif
#ifdef METIER_HAVE_NEON
      {&kNeonTable, [] { return true; }},
      {&kNeonDotTable, [] { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }},
#endif
  };
  std::vector<const KernelTable*> tables;
  for (const InstructionSet& set : sets) {
    if (set.supported()) tables.push_back(set.table);
  }
  return tables;
}

const KernelTable& Choose() {
  const char* wanted = std::getenv("METIER_ISA");
  if (wanted == nullptr) return *SupportedTables().back();
  for (const KernelTable* table : SupportedTables()) {
    if (std::string_view(table->name) == wanted) return *table;
  }
  std::fprintf(
      stderr,
      "METIER_ISA='%s' is not an instruction set this program can use here; it can use:", wanted);
  for (const KernelTable* table : SupportedTables()) std::fprintf(stderr, " %s", table->name);
  std::fprintf(stderr, "\n");
  std::abort();
}

}  // namespace

std::span<const KernelTable* const> SupportedTables() {
  static const std::vector<const KernelTable*> tables = FindSupported();
  return tables;
}

const KernelTable& Kernels() {
  static const KernelTable& table = Choose();
  return table;
}

}  // namespace metier::kernels
