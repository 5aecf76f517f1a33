#include "train/tensor_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace metier::train {
namespace {

// In front of every tensor's bytes, a cache line long to keep their alignment.
struct alignas(64) Header {
  std::size_t block_size;  // 0: from the C library's heap
  std::size_t bytes;       // of the tensor
};

// To whoever counts (memory_watch.h); a negative number: freed. LibTorch asks for totals of the
// allocator, too, which nobody reads.
void Report(void* data, std::int64_t bytes) {
  if (!c10::memoryProfilingEnabled()) return;
  c10::reportMemoryUsageToProfiler(data, bytes, 0, 0, c10::Device(c10::DeviceType::CPU));
}

// Smaller ones fit the heap's bins.
constexpr std::size_t kLargeBytes = 256 * 1024;
constexpr int kHeapBytes = 32 << 20;  // larger ones are mapped; the most that glibc takes
constexpr int kKeptBytes = 512 << 20;
constexpr std::uint64_t kLeastSpare = 256 << 20;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugePageBytes = 2 * 1024 * 1024;

// The next of eight sizes an octave: tensors of steps with a few tokens more or less share blocks.
std::size_t SizeClass(std::size_t size) {
  const std::size_t step = std::max(std::bit_floor(size) / 8, kPageBytes);
  return (size + step - 1) / step * step;
}

void* MapBlock(std::size_t size) {
  void* start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  if (size >= 2 * kHugePageBytes) ::madvise(start, size, MADV_HUGEPAGE);  // a hint: may fail
  return start;
}

}  // namespace

TensorMemory& TensorMemory::Ours() {
  static TensorMemory* ours = new TensorMemory;  // never destroyed: tensors may outlive main
  return *ours;
}

void TensorMemory::Install() {
  static const bool once = [] {
    c10::SetAllocator(c10::DeviceType::CPU, &Ours(), /*priority=*/1);
    // oneDNN takes its scratch pads from the C library and gives them back after each product. By
    // default the library maps and unmaps such sizes anew each time, which costs a tenth of a step.
    ::mallopt(M_MMAP_THRESHOLD, kHeapBytes);
    ::mallopt(M_TRIM_THRESHOLD, kKeptBytes);
    // Products of the two dozen sizes that batches have (trainer.cc), forward and backward.
    ::setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096", /*overwrite=*/0);
    return true;
  }();
  static_cast<void>(once);
}

c10::DataPtr TensorMemory::allocate(std::size_t bytes) const {
  if (bytes == 0) return {nullptr, nullptr, &Free, c10::Device(c10::DeviceType::CPU)};
  constexpr std::size_t kMost = std::size_t{1} << 62;
  if (bytes > kMost) throw std::bad_alloc();
  std::size_t size = bytes + sizeof(Header);
  void* start = nullptr;
  if (size < kLargeBytes) {
    size = (size + sizeof(Header) - 1) / sizeof(Header) * sizeof(Header);
    start = std::aligned_alloc(alignof(Header), size);
    size = 0;
  } else {
    // What it hands out is not part of an allocator's value.
    size = SizeClass(size);
    start = const_cast<TensorMemory*>(this)->TakeBlock(size);
  }
  if (start == nullptr) throw std::bad_alloc();
  if (size > 0) size = static_cast<Header*>(start)->block_size;
  auto* header = ::new (start) Header{size, bytes};
  void* data = header + 1;
  Report(data, static_cast<std::int64_t>(bytes));
  return {data, data, &Free, c10::Device(c10::DeviceType::CPU)};
}

c10::DataPtr TensorMemory::allocate(std::size_t bytes) {
  return std::as_const(*this).allocate(bytes);
}

void TensorMemory::copy_data(void* to, const void* from, std::size_t bytes) const {
  std::memcpy(to, from, bytes);
}

void TensorMemory::Free(void* data) {
  if (data == nullptr) return;
  Header* header = static_cast<Header*>(data) - 1;
  Report(data, -static_cast<std::int64_t>(header->bytes));
  if (header->block_size == 0) {
    std::free(header);
  } else {
    Ours().ReturnBlock({header, header->block_size});
  }
}

// The block's size stands in its header. nullptr: no memory.
void* TensorMemory::TakeBlock(std::size_t size) {
  const std::lock_guard lock(mutex_);
  // A block that is a quarter larger serves; of several the smallest.
  auto best = waiting_.end();
  for (auto block = waiting_.begin(); block != waiting_.end(); ++block) {
    if (block->size < size || block->size > size + size / 4) continue;
    if (best == waiting_.end() || block->size < best->size) best = block;
  }
  Block taken;
  if (best != waiting_.end()) {
    taken = *best;
    waiting_.erase(best);
    statistics_.waiting -= taken.size;
  } else {
    const std::uint64_t most = statistics_.peak + MostWaiting(statistics_.peak);
    const std::uint64_t wanted = statistics_.in_use + size;
    DropOldest(most > wanted ? most - wanted : 0);
    taken = {MapBlock(size), size};
    if (taken.start == nullptr) {
      DropOldest(0);
      taken.start = MapBlock(size);
    }
    if (taken.start == nullptr) return nullptr;
  }
  statistics_.in_use += taken.size;
  statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
  statistics_.held = std::max(statistics_.held, statistics_.in_use + statistics_.waiting);
  ::new (taken.start) Header{taken.size, 0};
  return taken.start;
}

void TensorMemory::ReturnBlock(Block block) {
  const std::lock_guard lock(mutex_);
  statistics_.in_use -= block.size;
  statistics_.waiting += block.size;
  waiting_.push_back(block);
}

// Requires the lock.
void TensorMemory::DropOldest(std::uint64_t most_waiting) {
  std::size_t dropped = 0;
  while (dropped < waiting_.size() && statistics_.waiting > most_waiting) {
    ::munmap(waiting_[dropped].start, waiting_[dropped].size);
    statistics_.waiting -= waiting_[dropped].size;
    ++dropped;
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(dropped));
}

void TensorMemory::Release() {
  const std::lock_guard lock(mutex_);
  DropOldest(0);
  statistics_.peak = statistics_.in_use;
  statistics_.held = statistics_.in_use;
}

// All in all never more than a quarter above the most that was ever needed at once, where that is
// much: small models have few blocks of a size, and pages from the kernel cost them a tenth of a
// step.
std::uint64_t TensorMemory::MostWaiting(std::uint64_t peak) {
  return std::max(peak / 4, kLeastSpare);
}

TensorMemory::Statistics TensorMemory::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

}  // namespace metier::train
