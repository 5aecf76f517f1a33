// bench/kernels_bench.cc - matrix products of every instruction set, in FLOP/s and bytes of weights
// per second, beside this machine's measured read bandwidth.
//
//   cmake --preset release -DMETIER_BENCH=ON && cmake --build --preset release --target
//   bench_kernels build/release/bin/bench_kernels
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "kernels/dispatch.h"
#include "tensor/tensor.h"

namespace metier::kernels {
namespace {

constexpr std::size_t kInner = 2048;
constexpr std::size_t kOutputs = 2048;

ThreadPool& Pool() {
  static ThreadPool pool(ThreadPool::DefaultThreads());
  return pool;
}

std::vector<float> Normal(std::size_t n) {
  Rng rng(1);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

// Ones in large pages, as weights of a model are.
template <class Element>
tensor::Tensor Ones(std::size_t n) {
  const auto bytes = static_cast<std::int64_t>(n * sizeof(Element));
  tensor::Tensor ones = tensor::Tensor::Uninitialised(tensor::DType::kU8, {bytes});
  std::fill_n(reinterpret_cast<Element*>(ones.bytes().data()), n, Element{1});
  return ones;
}

// More weights than caches hold are walked through in turn, as the layers of a model are.
template <class Element>
void Multiply(benchmark::State& state, const KernelTable* table,
              void (*KernelTable::*multiply)(const Product&)) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kMatrices =
      (std::size_t{256} << 20) / (kInner * kOutputs * sizeof(Element));
  static const tensor::Tensor weights = Ones<Element>(kMatrices * kInner * kOutputs);
  const std::vector<float> x = Normal(rows * kInner);
  std::vector<float> out(rows * kOutputs);
  std::size_t matrix = 0;
  for (auto _ : state) {
    const auto* first = reinterpret_cast<const Element*>(weights.bytes().data());
    const Element* w = first + matrix * kInner * kOutputs;
    matrix = (matrix + 1) % kMatrices;
    Pool().ParallelFor(kOutputs, 12, [&](std::size_t begin, std::size_t end) {
      (table->*multiply)({.x = x.data(),
                          .x_stride = kInner,
                          .w = w + begin * kInner,
                          .out = out.data() + begin,
                          .out_stride = kOutputs,
                          .rows = rows,
                          .inner = kInner,
                          .outputs = end - begin});
    });
  }
  const double products = static_cast<double>(rows * kInner * kOutputs);
  using benchmark::Counter;
  state.counters["FLOP/s"] = Counter(2 * products, Counter::kIsIterationInvariantRate);
  state.counters["weights B/s"] = Counter(static_cast<double>(kInner * kOutputs * sizeof(Element)),
                                          Counter::kIsIterationInvariantRate, Counter::kIs1024);
}

// What the memory gives when every thread only adds up what it reads: the limit of decoding.
void ReadBandwidth(benchmark::State& state) {
  constexpr std::size_t kFloats = std::size_t{64} << 20;
  static const tensor::Tensor ones = Ones<float>(kFloats);
  const auto* data = reinterpret_cast<const float*>(ones.bytes().data());
  const KernelTable& kernels = *SupportedTables().back();
  std::vector<float> sums(kFloats / 65536);
  for (auto _ : state) {
    Pool().ParallelFor(sums.size(), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i)
        sums[i] = kernels.probe_read(data + i * 65536, 65536);
    });
    benchmark::DoNotOptimize(sums.data());
  }
  using benchmark::Counter;
  state.counters["B/s"] = Counter(static_cast<double>(kFloats * sizeof(float)),
                                  Counter::kIsIterationInvariantRate, Counter::kIs1024);
}

int Register() {
  benchmark::RegisterBenchmark("read_bandwidth", ReadBandwidth)->UseRealTime();
  for (const KernelTable* table : SupportedTables()) {
    const std::string name = std::string("multiply/") + table->name;
    for (const std::int64_t rows : {1, 8, 64, 512}) {
      benchmark::RegisterBenchmark((name + "/f32").c_str(), Multiply<float>, table,
                                   &KernelTable::multiply_f32)
          ->Arg(rows)
          ->UseRealTime();
      benchmark::RegisterBenchmark((name + "/bf16").c_str(), Multiply<std::uint16_t>, table,
                                   &KernelTable::multiply_bf16)
          ->Arg(rows)
          ->UseRealTime();
    }
  }
  return 0;
}

const int kRegistered = Register();

}  // namespace
}  // namespace metier::kernels
