// bench/products_bench.cc - packed float and bfloat16 products against oneDNN's, whose weights are
// reordered ahead into the layout it asks for, on all threads. Shapes: attention and feed-forward
// of bench/shapes. docs/adr/0021 is decided by it.
//
//   cmake --preset release -DMETIER_BENCH=ON && cmake --build --preset release --target
//   bench_products && build/release/bin/bench_products --benchmark_enable_random_interleaving
//   --benchmark_repetitions=5 --benchmark_report_aggregates_only
#include <benchmark/benchmark.h>

#include <cstdint>
#include <dnnl.hpp>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "engine/compute.h"
#include "engine/packing.h"
#include "format/decode.h"
#include "kernels/dispatch.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace metier::engine {
namespace {

using tensor::DType;

struct Shape {
  std::int64_t inner;
  std::int64_t outputs;
};

// So many that caches do not hold them, walked through in turn as the layers of a model are.
std::size_t MatricesOf(Shape shape, DType dtype) {
  constexpr std::size_t kBytes = std::size_t{128} << 20;
  const auto weights = static_cast<std::size_t>(shape.inner * shape.outputs);
  return 1 + kBytes / *tensor::BytesFor(dtype, weights);
}

std::vector<float> Normal(std::size_t n) {
  Rng rng(1);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

std::vector<std::byte> Weights(Shape shape, DType dtype) {
  const std::vector<float> values = Normal(static_cast<std::size_t>(shape.inner * shape.outputs));
  std::vector<std::byte> stored(*tensor::BytesFor(dtype, values.size()));
  static_cast<void>(format::EncodeFromF32(dtype, values, stored));
  return stored;
}

void Count(benchmark::State& state, Shape shape) {
  const auto products = static_cast<double>(state.range(0) * shape.inner * shape.outputs);
  state.counters["FLOP/s"] =
      benchmark::Counter(2 * products, benchmark::Counter::kIsIterationInvariantRate);
}

void Own(benchmark::State& state, Shape shape, DType dtype) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  const std::vector<std::byte> stored = Weights(shape, dtype);
  const Matrix plain{.dtype = dtype,
                     .rows = shape.outputs,
                     .columns = shape.inner,
                     .data = stored.data(),
                     .row_bytes = stored.size() / static_cast<std::size_t>(shape.outputs)};
  std::vector<tensor::Tensor> panels;  // in large pages
  std::vector<Matrix> packed;
  for (std::size_t i = 0; i < MatricesOf(shape, dtype); ++i) {
    packed.push_back(PackedFormOf(plain));
    const auto bytes = static_cast<std::int64_t>(PackedBytes(packed.back()));
    panels.push_back(tensor::Tensor::Uninitialised(DType::kU8, {bytes}));
    std::byte* data = panels.back().bytes().data();
    packed.back().data = data;
    for (std::size_t p = 0; p < PanelCount(shape.outputs); ++p)
      PackPanel(plain, p, data + p * packed.back().panel_bytes);
  }
  Compute compute(kernels::Kernels(), ThreadPool::DefaultThreads(), Arithmetic::kFast);
  const std::vector<float> x = Normal(rows * static_cast<std::size_t>(shape.inner));
  std::vector<float> out(rows * static_cast<std::size_t>(shape.outputs));
  std::size_t matrix = 0;
  for (auto _ : state) {
    compute.Multiply(packed[matrix], nullptr, x.data(), rows, out.data());
    matrix = (matrix + 1) % packed.size();
    benchmark::DoNotOptimize(out.data());
  }
  Count(state, shape);
}

// Threads are OpenMP's: OMP_NUM_THREADS, or all cores.
void OneDnn(benchmark::State& state, Shape shape, DType dtype) {
  using dnnl::memory;
  using Type = memory::data_type;
  using Tag = memory::format_tag;
  const memory::dim rows = state.range(0);
  const Type type = dtype == DType::kF32 ? Type::f32 : Type::bf16;
  dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(cpu);
  const memory::desc x_desc({rows, shape.inner}, Type::f32, Tag::ab);
  const memory::desc typed_desc({rows, shape.inner}, type, Tag::ab);
  const memory::desc stored_desc({shape.inner, shape.outputs}, type, Tag::ba);
  const memory::desc any_desc({shape.inner, shape.outputs}, type, Tag::any);
  const memory::desc out_desc({rows, shape.outputs}, Type::f32, Tag::ab);
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(typed_desc, any_desc, out_desc),
                                                 cpu);
  const dnnl::matmul matmul(description);

  std::vector<std::byte> stored = Weights(shape, dtype);
  memory stored_memory(stored_desc, cpu, stored.data());
  std::vector<tensor::Tensor> space;  // in large pages
  std::vector<memory> weights;
  for (std::size_t i = 0; i < MatricesOf(shape, dtype); ++i) {
    const auto bytes = static_cast<std::int64_t>(description.weights_desc().get_size());
    space.push_back(tensor::Tensor::Uninitialised(DType::kU8, {bytes}));
    weights.emplace_back(description.weights_desc(), cpu, space.back().bytes().data());
    dnnl::reorder(stored_memory, weights.back()).execute(stream, stored_memory, weights.back());
  }
  std::vector<float> x = Normal(static_cast<std::size_t>(rows * shape.inner));
  std::vector<float> out(static_cast<std::size_t>(rows * shape.outputs));
  memory x_memory(x_desc, cpu, x.data());
  memory typed_memory(typed_desc, cpu);
  memory out_memory(out_desc, cpu, out.data());
  const dnnl::reorder round(x_memory, typed_memory);
  stream.wait();
  std::size_t matrix = 0;
  for (auto _ : state) {
    // Rows come in floats, as they do to us.
    if (type != Type::f32) round.execute(stream, x_memory, typed_memory);
    matmul.execute(stream, {{DNNL_ARG_SRC, type == Type::f32 ? x_memory : typed_memory},
                            {DNNL_ARG_WEIGHTS, weights[matrix]},
                            {DNNL_ARG_DST, out_memory}});
    stream.wait();
    matrix = (matrix + 1) % weights.size();
    benchmark::DoNotOptimize(out.data());
  }
  Count(state, shape);
}

// Weights that no library has: what a token of one conversation and of eight reads and multiplies.
void Quantised(benchmark::State& state, Shape shape, DType dtype) {
  Own(state, shape, dtype);
  const auto weights = static_cast<std::size_t>(shape.inner * shape.outputs);
  state.counters["weights B/s"] =
      benchmark::Counter(static_cast<double>(*tensor::BytesFor(dtype, weights)),
                         benchmark::Counter::kIsIterationInvariantRate);
}

int Register() {
  constexpr Shape kShapes[] = {{2048, 2048}, {2048, 8192}, {8192, 2048}, {896, 4864}, {4864, 896}};
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const Shape shape : kShapes) {
      const std::string name = std::string(tensor::InfoOf(dtype).name) + "/" +
                               std::to_string(shape.inner) + "x" + std::to_string(shape.outputs);
      for (const std::int64_t rows : {1, 8, 64, 512}) {
        const auto own = [=](benchmark::State& state) { Own(state, shape, dtype); };
        const auto peer = [=](benchmark::State& state) { OneDnn(state, shape, dtype); };
        benchmark::RegisterBenchmark((name + "/metier").c_str(), own)->Arg(rows)->UseRealTime();
        benchmark::RegisterBenchmark((name + "/onednn").c_str(), peer)->Arg(rows)->UseRealTime();
      }
    }
  }
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_K, DType::kQ8_0}) {
    for (const Shape shape : {Shape{2048, 2048}, Shape{2048, 8192}, Shape{8192, 2048}}) {
      const std::string name = std::string(tensor::InfoOf(dtype).name) + "/" +
                               std::to_string(shape.inner) + "x" + std::to_string(shape.outputs);
      const auto own = [=](benchmark::State& state) { Quantised(state, shape, dtype); };
      for (const std::int64_t rows : {1, 8})
        benchmark::RegisterBenchmark(name.c_str(), own)->Arg(rows)->UseRealTime();
    }
  }
  return 0;
}

const int kRegistered = Register();

}  // namespace
}  // namespace metier::engine
