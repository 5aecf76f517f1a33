// The memory of tensors: used again, aligned, bounded, and given back.
#include "train/tensor_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace metier::train {
namespace {

constexpr std::size_t kMega = 1024 * 1024;

TEST(TensorMemory, AlignsAndKeepsApartWhatItHandsOut) {
  const TensorMemory& memory = TensorMemory::Ours();
  std::vector<c10::DataPtr> held;
  const std::vector<std::size_t> sizes = {1, 63, 64, 65, 4096, 262079, 262080, 262081, 3 * kMega};
  for (const std::size_t size : sizes) {
    held.push_back(memory.allocate(size));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(held.back().get()) % 64, 0u) << size;
    std::memset(held.back().get(), static_cast<int>(held.size()), size);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto* bytes = static_cast<const unsigned char*>(held[i].get());
    EXPECT_EQ(bytes[0], i + 1);
    EXPECT_EQ(bytes[sizes[i] - 1], i + 1);
  }
}

TEST(TensorMemory, HandsOutABlockAgainToWhatNearlyFillsIt) {
  TensorMemory& memory = TensorMemory::Ours();
  memory.Release();
  void* first = memory.allocate(10 * kMega).get();  // freed at once
  EXPECT_GE(memory.statistics().waiting, 10 * kMega);
  EXPECT_EQ(memory.allocate(9 * kMega).get(), first);
  EXPECT_NE(memory.allocate(7 * kMega).get(), first) << "it would waste three megabytes of ten";
  memory.Release();
  EXPECT_EQ(memory.statistics().waiting, 0u);
}

TEST(TensorMemory, SizesThatNeverRepeatDoNotAddUp) {
  TensorMemory& memory = TensorMemory::Ours();
  memory.Release();
  for (std::size_t i = 0; i < 2000; ++i) {
    std::vector<c10::DataPtr> step;
    for (std::size_t tensor = 0; tensor < 6; ++tensor) {
      const std::size_t odd = (i * 7919 + tensor * 104729) % kMega;
      step.push_back(memory.allocate(64 * ((tensor + 1) * kMega + odd)));
    }
    const TensorMemory::Statistics now = memory.statistics();
    ASSERT_LE(now.in_use + now.waiting, now.peak + now.peak / 4 + 8 * kMega) << "step " << i;
  }
  memory.Release();
}

// No block serves another size here.
TEST(TensorMemory, WhatWaitsIsReturnedBeforeItIsTooMuch) {
  TensorMemory& memory = TensorMemory::Ours();
  memory.Release();
  for (std::size_t i = 0; i < 40; ++i) {
    const c10::DataPtr tensor = memory.allocate(kMega << (i % 10));
    const TensorMemory::Statistics now = memory.statistics();
    ASSERT_LE(now.in_use + now.waiting, now.peak + 256 * kMega) << "tensor " << i;
  }
  memory.Release();
}

TEST(TensorMemory, ServesThreadsAtOnce) {
  TensorMemory& memory = TensorMemory::Ours();
  const std::uint64_t before = memory.statistics().in_use;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &memory] {
      for (int i = 0; i < 50; ++i) {
        const std::size_t size = kMega + static_cast<std::size_t>(i) * 4096;
        const c10::DataPtr data = memory.allocate(size);
        std::memset(data.get(), t, size);
        const auto* bytes = static_cast<const unsigned char*>(data.get());
        ASSERT_TRUE(std::all_of(bytes, bytes + size, [t](unsigned char b) { return b == t; }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory.statistics().in_use, before);
}

TEST(TensorMemory, RefusesWhatNoMachineHas) {
  const TensorMemory& memory = TensorMemory::Ours();
  EXPECT_THROW(memory.allocate(std::size_t{1} << 60), std::bad_alloc);
  EXPECT_THROW(memory.allocate(~std::size_t{0}), std::bad_alloc);
  EXPECT_EQ(memory.allocate(0).get(), nullptr);
}

}  // namespace
}  // namespace metier::train
