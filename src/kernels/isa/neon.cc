// kernels/isa/neon.cc - what every AArch64 has.
#include "kernels/body/neon_vectors.h"
#include "kernels/body/table.h"

namespace metier::kernels {
extern const KernelTable kNeonTable;
constinit const KernelTable kNeonTable = body::TableOf<F32x4>("neon");
}  // namespace metier::kernels
