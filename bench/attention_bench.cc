// bench/attention_bench.cc - attention behind a long text, for every type of keys and values and
// every instruction set, on one thread: heads of the shape of bench/shapes/llama-1b.json.
//
//   cmake --preset release -DMETIER_BENCH=ON && cmake --build --preset release --target
//   bench_attention && build/release/bin/bench_attention
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/dispatch.h"

namespace metier::kernels {
namespace {

constexpr std::size_t kHeadDim = 64;
constexpr std::size_t kHeads = 4;  // that share keys and values
constexpr std::size_t kTokens = 4096;
// More pasts than caches hold are walked through in turn, as layers and heads of a model are.
constexpr std::size_t kPasts = 128;

std::vector<float> Normal(std::size_t n) {
  Rng rng(1);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

// The last state.range(0) queries of kTokens.
void Attend(benchmark::State& state, const KernelTable* table, KvType type) {
  const KvKernels& kernels = table->kv[static_cast<std::size_t>(type)];
  const auto rows = static_cast<std::size_t>(state.range(0));
  const std::size_t key_bytes = KeyBytes(type, kHeadDim);
  const std::size_t page_bytes = key_bytes + ValueBytes(type, kHeadDim);
  constexpr std::size_t kPages = kTokens / kPageTokens;
  std::vector<std::byte> pages(kPasts * kPages * page_bytes);
  const std::vector<float> x = Normal(kPageTokens * kHeadDim);
  std::vector<const std::byte*> keys;
  std::vector<const std::byte*> values;
  for (std::size_t page = 0; page < kPasts * kPages; ++page) {
    std::byte* key = pages.data() + page * page_bytes;
    keys.push_back(key);
    values.push_back(key + key_bytes);
    for (std::size_t token = 0; token < kPageTokens; ++token) {
      kernels.store_key(x.data() + token * kHeadDim, kHeadDim, token, key);
      kernels.store_value(x.data() + token * kHeadDim, kHeadDim, token, key + key_bytes);
    }
  }
  const std::vector<float> q = Normal(rows * kHeads * kHeadDim);
  std::vector<float> out(q.size());
  std::size_t past = 0;
  for (auto _ : state) {
    kernels.attention({.q = q.data(),
                       .q_stride = kHeads * kHeadDim,
                       .out = out.data(),
                       .out_stride = kHeads * kHeadDim,
                       .k = keys.data() + past * kPages,
                       .v = values.data() + past * kPages,
                       .rows = rows,
                       .heads = kHeads,
                       .head_dim = kHeadDim,
                       .first_position = kTokens - rows,
                       .length = kTokens,
                       .scale = 0.125F});
    past = (past + 1) % kPasts;
    benchmark::DoNotOptimize(out.data());
  }
  using benchmark::Counter;
  const double read = static_cast<double>(kPages * page_bytes);
  state.counters["B/s"] = Counter(read, Counter::kIsIterationInvariantRate, Counter::kIs1024);
  const auto products = static_cast<double>(rows * kHeads * 2 * kTokens * kHeadDim);
  state.counters["FLOP/s"] = Counter(2 * products, Counter::kIsIterationInvariantRate);
}

int Register() {
  constexpr const char* kNames[kKvTypes] = {"f32", "bf16", "int8"};
  for (const KernelTable* table : SupportedTables()) {
    for (const KvType type : {KvType::kF32, KvType::kBF16, KvType::kInt8}) {
      const std::string name =
          std::string("attention/") + table->name + "/" + kNames[static_cast<std::size_t>(type)];
      benchmark::RegisterBenchmark(name.c_str(), Attend, table, type)->Arg(1)->Arg(24);
    }
  }
  return 0;
}

const int kRegistered = Register();

}  // namespace
}  // namespace metier::kernels
