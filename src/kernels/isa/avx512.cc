// kernels/isa/avx512.cc - AVX-512 F, BW, DQ and VNNI (Cascade Lake, Ice Lake, Zen 4 and later).
#include "kernels/body/avx512_vectors.h"
#include "kernels/body/table.h"

namespace metier::kernels {
extern const KernelTable kAvx512Table;
constinit const KernelTable kAvx512Table = body::TableOf<F32x16>("avx512");
}  // namespace metier::kernels
