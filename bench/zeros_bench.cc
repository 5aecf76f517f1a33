// bench/zeros_bench.cc - the product of one row whose zeros are skipped, beside the same product
// with all of it: what a gate of ReLU is worth on the way down.
//
//   cmake --preset release -DMETIER_BENCH=ON && cmake --build --preset release --target bench_zeros
//   build/release/bin/bench_zeros
//
// All cores share the panels of an expert of SmallThinker 21B, [2560, 768], and walk through as
// many experts as no cache holds. The fastest of many rounds in which both take turns; `ratio`:
// time of the whole product over that of the other.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "engine/packing.h"
#include "format/decode.h"
#include "kernels/dispatch.h"

namespace metier::engine {
namespace {

constexpr std::int64_t kOutputs = 2560;
constexpr std::int64_t kInner = 768;
constexpr std::size_t kWeightBytes = std::size_t{192} << 20;

struct Panels {
  explicit Panels(tensor::DType dtype) {
    const auto elements = static_cast<std::size_t>(kOutputs * kInner);
    std::vector<float> values(elements);
    Rng rng(1);
    for (float& value : values) value = static_cast<float>(0.02 * rng.Normal());
    std::vector<std::byte> rows(*tensor::BytesFor(dtype, elements));
    if (!format::EncodeFromF32(dtype, values, rows).ok()) return;
    const Matrix stored{.dtype = dtype,
                        .rows = kOutputs,
                        .columns = kInner,
                        .data = rows.data(),
                        .row_bytes = rows.size() / kOutputs};
    matrix = PackedFormOf(stored);
    const std::size_t bytes = PackedBytes(matrix);
    data.resize(kWeightBytes / bytes * bytes);
    for (std::size_t panel = 0; panel < PanelCount(kOutputs); ++panel)
      PackPanel(stored, panel, data.data() + panel * matrix.panel_bytes);
    for (std::size_t at = bytes; at < data.size(); at += bytes)
      std::copy_n(data.begin(), bytes, data.begin() + static_cast<std::ptrdiff_t>(at));
  }

  Matrix matrix;
  std::vector<std::byte> data;  // the same matrix many times
};

void SkipZeros(benchmark::State& state, const kernels::KernelTable* table, tensor::DType dtype) {
  const Panels panels(dtype);
  const auto inner = static_cast<std::size_t>(kInner);
  std::vector<float> x(inner);
  std::vector<std::uint32_t> nonzero(inner / kernels::kGroupInner);
  Rng rng(2);
  for (std::size_t i = 0; i < inner; ++i) {
    if (rng.Below(100) < static_cast<std::uint64_t>(state.range(0))) continue;
    x[i] = static_cast<float>(rng.Normal());
    nonzero[i / kernels::kGroupInner] |= 1U << (i % kernels::kGroupInner);
  }
  std::vector<float> out(static_cast<std::size_t>(kOutputs));
  kernels::PackedProduct product{.panel_bytes = panels.matrix.panel_bytes,
                                 .outputs = out.size(),
                                 .inner = inner,
                                 .x = x.data(),
                                 .x_stride = inner,
                                 .quantised = {},
                                 .nonzero = nonzero.data(),
                                 .out = out.data(),
                                 .out_stride = out.size(),
                                 .rows = 1};
  const kernels::PackedKernels& kernels =
      table->packed[static_cast<std::size_t>(*panels.matrix.packing)];
  const std::size_t bytes = PackedBytes(panels.matrix);
  static ThreadPool pool(ThreadPool::DefaultThreads());
  std::size_t at = 0;
  double whole = 1;
  double skipping = 1;
  const auto time = [&](kernels::PackedKernel kernel, double& seconds) {
    const std::byte* w = panels.data.data() + at;
    at = (at + bytes) % panels.data.size();
    const auto start = std::chrono::steady_clock::now();
    pool.ParallelFor(PanelCount(kOutputs), 1, [&](std::size_t begin, std::size_t end) {
      kernels::PackedProduct part = product;
      part.w = w + begin * part.panel_bytes;
      part.out += begin * kernels::kPanelOutputs;
      part.outputs = (end - begin) * kernels::kPanelOutputs;
      kernel(part);
    });
    const auto end = std::chrono::steady_clock::now();
    seconds = std::min(seconds, std::chrono::duration<double>(end - start).count());
    benchmark::DoNotOptimize(out.data());
  };
  for (auto _ : state) {
    time(kernels.multiply, whole);
    time(kernels.multiply_nonzero, skipping);
  }
  state.counters["whole_us"] = 1e6 * whole;
  state.counters["skipping_us"] = 1e6 * skipping;
  state.counters["ratio"] = whole / skipping;
}

int RegisterSkipZeros() {
  for (const kernels::KernelTable* table : kernels::SupportedTables()) {
    for (const tensor::DType dtype :
         {tensor::DType::kF32, tensor::DType::kQ8_0, tensor::DType::kQ4_0, tensor::DType::kQ4_K,
          tensor::DType::kQ6_K}) {
      const std::string name =
          std::string("skip_zeros/") + table->name + "/" + std::string(tensor::InfoOf(dtype).name);
      benchmark::RegisterBenchmark(name.c_str(), SkipZeros, table, dtype)
          ->ArgName("zeros_percent")
          ->Arg(0)
          ->Arg(40)
          ->Arg(50)
          ->Arg(60)
          ->Arg(80)
          ->Arg(90);
    }
  }
  return 0;
}

const int kRegisteredSkipZeros = RegisterSkipZeros();

}  // namespace
}  // namespace metier::engine
