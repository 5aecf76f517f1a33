// The operators that count. The sanitizers see what malloc is asked for all the same.
#include "counted_new.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

std::atomic<std::int64_t> allocations{0};

void* Counted(std::size_t bytes, std::align_val_t alignment = std::align_val_t{16}) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto unit = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(unit, std::max(bytes + unit - 1, unit) / unit * unit);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

// All forms: the sanitizers have their own of each.
void* operator new(std::size_t bytes) { return Counted(bytes); }
void* operator new[](std::size_t bytes) { return Counted(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return Counted(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return Counted(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return Counted(bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return Counted(bytes, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace metier::test {

std::int64_t AllocationsSoFar() { return allocations.load(std::memory_order_relaxed); }

namespace {

TEST(CountedNew, SeesWhatTheLibraryAllocates) {
  const auto count = [](auto allocate) {
    const std::int64_t before = AllocationsSoFar();
    allocate();
    return AllocationsSoFar() - before;
  };
  std::vector<int> grown;
  EXPECT_EQ(count([&] { grown.reserve(10); }), 1);
  EXPECT_EQ(count([&] { grown.resize(10); }), 0);
  std::string text;
  EXPECT_EQ(count([&] { text.assign(100, 'x'); }), 1);
  struct alignas(64) Line {
    char bytes[64];
  };
  std::unique_ptr<Line[]> lines;
  EXPECT_EQ(count([&] { lines = std::make_unique<Line[]>(3); }), 1);
}

}  // namespace
}  // namespace metier::test
