// engine/machine_speed.h - what this machine can do at most: the yardstick for a model's speed.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/kernel_table.h"

namespace metier::engine {

struct MachineOptions {
  int threads = 0;                                  // 0: ThreadPool::DefaultThreads()
  const kernels::KernelTable* kernels = nullptr;    // nullptr: kernels::Kernels()
  std::size_t buffer_bytes = std::size_t{1} << 29;  // read again and again; more than all caches
  double pass_seconds = 0.05;                       // of arithmetic, at least
  int passes = 7;                                   // the best one counts: noise only slows down
};

struct MachineSpeed {
  std::string isa;  // that was measured: "avx512"
  int threads = 0;
  double read_bytes_per_second = 0;       // sums of f32 from memory: what bounds decoding
  double f32_operations_per_second = 0;   // multiplications and additions in registers
  double int8_operations_per_second = 0;  // the same of 8-bit products, summed in 32 bits
};

// Takes about a second. All threads work at once. buffer_bytes is allocated and given back.
MachineSpeed MeasureMachine(const MachineOptions& options = {});

}  // namespace metier::engine
