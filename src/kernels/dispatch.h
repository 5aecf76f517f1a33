// kernels/dispatch.h - which instruction set this process computes with.
#pragma once

#include <span>

#include "kernels/kernel_table.h"

namespace metier::kernels {

// The best table this machine can run, or the one METIER_ISA=scalar|avx2|avx512 names. Chosen once.
// An unknown name, or one this machine cannot run, ends the process with a message: computing with
// another instruction set than the one asked for would hide exactly what the variable is set for.
const KernelTable& Kernels();

// Every table this machine can run, slowest first. For tests and benchmarks.
std::span<const KernelTable* const> SupportedTables();

}  // namespace metier::kernels
