// kernels/isa/neondot.cc - with dot products of bytes (ARMv8.2, optional; Cortex-A76, Neoverse N1,
// Apple M1 and later).
#include "kernels/body/neon_vectors.h"
#include "kernels/body/table.h"

namespace metier::kernels {
extern const KernelTable kNeonDotTable;
constinit const KernelTable kNeonDotTable = body::TableOf<F32x4>("neondot");
}  // namespace metier::kernels
