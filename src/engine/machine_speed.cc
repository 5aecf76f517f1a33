#include "engine/machine_speed.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/dispatch.h"
#include "tensor/tensor.h"

namespace metier::engine {
namespace {

double SecondsOf(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double BestSeconds(int passes, const std::function<void()>& work) {
  double best = SecondsOf(work);
  for (int pass = 1; pass < passes; ++pass) best = std::min(best, SecondsOf(work));
  return best;
}

double ReadSpeed(const kernels::KernelTable& kernels, ThreadPool& pool,
                 const MachineOptions& options) {
  constexpr std::size_t kChunk = std::size_t{1} << 16;  // floats
  const std::size_t chunks =
      std::max<std::size_t>(1, options.buffer_bytes / sizeof(float) / kChunk);
  // In large pages, as weights are. Not zero-filled here: each thread touches first what it will
  // read, so that the memory is its own node's.
  const auto floats = static_cast<std::int64_t>(chunks * kChunk);
  tensor::Tensor memory = tensor::Tensor::Uninitialised(tensor::DType::kF32, {floats});
  float* data = memory.f32().data();
  std::vector<float> sums(chunks);
  pool.ParallelFor(chunks, 1, [&](std::size_t begin, std::size_t end) {
    std::fill(data + begin * kChunk, data + end * kChunk, 1.0F);
  });
  const double seconds = BestSeconds(options.passes, [&] {
    pool.ParallelFor(chunks, 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        sums[i] = kernels.probe_read(data + i * kChunk, kChunk);
      }
    });
  });
  return static_cast<double>(chunks * kChunk * sizeof(float)) / seconds;
}

// `probe` does so many rounds and says how many operations they were.
double ArithmeticSpeed(const std::function<std::size_t(std::size_t rounds)>& probe,
                       ThreadPool& pool, const MachineOptions& options) {
  std::size_t rounds = 1024;
  while (SecondsOf([&] { probe(rounds); }) < options.pass_seconds) rounds *= 2;
  const auto threads = static_cast<std::size_t>(pool.threads());
  std::vector<std::size_t> operations(threads);
  const double seconds = BestSeconds(options.passes, [&] {
    pool.ParallelFor(threads, 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) operations[i] = probe(rounds);
    });
  });
  double all = 0;
  for (const std::size_t count : operations) all += static_cast<double>(count);
  return all / seconds;
}

}  // namespace

MachineSpeed MeasureMachine(const MachineOptions& options) {
  const kernels::KernelTable& kernels =
      options.kernels != nullptr ? *options.kernels : kernels::Kernels();
  ThreadPool pool(options.threads > 0 ? options.threads : ThreadPool::DefaultThreads());
  MachineSpeed speed{.isa = kernels.name, .threads = pool.threads()};
  speed.read_bytes_per_second = ReadSpeed(kernels, pool, options);
  const auto speed_of = [&](std::size_t (*probe)(std::size_t rounds, float* sink)) {
    return ArithmeticSpeed(
        [probe](std::size_t rounds) {
          float sink = 1;
          return probe(rounds, &sink);
        },
        pool, options);
  };
  speed.f32_operations_per_second = speed_of(kernels.probe_f32);
  speed.int8_operations_per_second = speed_of(kernels.probe_int8);
  return speed;
}

}  // namespace metier::engine
