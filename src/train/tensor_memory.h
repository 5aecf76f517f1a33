// train/tensor_memory.h - memory of CPU tensors, kept and used again from step to step.
//
// Packs have as many tokens as their examples, so the sizes of a step's tensors are never twice the
// same. The C library's heap breaks up under that: a run grows by megabytes a step. Here large
// blocks come from the kernel, wait after use, and serve any request that fills four fifths of
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "train/torch.h"

namespace metier::train {

class TensorMemory : public c10::Allocator {
 public:
  struct Statistics {
    std::uint64_t in_use = 0;   // bytes of large blocks that tensors hold
    std::uint64_t waiting = 0;  // bytes of those that wait to be used again
    std::uint64_t peak = 0;     // most bytes in use at once
    std::uint64_t held = 0;     // most bytes in use or waiting at once
  };

  static TensorMemory& Ours();
  // Makes LibTorch allocate from it, and the C library keep what LibTorch's own libraries return to
  // it; before the first tensor. Tests do without: AddressSanitizer
  // cannot look into it.
  static void Install();

  // Throws std::bad_alloc, as LibTorch expects. LibTorch 1 declares it const, LibTorch 2 does not
  // and wants copy_data too: each overrides what its version has.
  c10::DataPtr allocate(std::size_t bytes) const;
  c10::DataPtr allocate(std::size_t bytes);
  void copy_data(void* to, const void* from, std::size_t bytes) const;
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }

  // Returns what waits to the kernel, and forgets the peak: the next run has its own.
  void Release();
  Statistics statistics() const;
  // Bytes that may wait after so many were in use at most.
  static std::uint64_t MostWaiting(std::uint64_t peak);

 private:
  struct Block {
    void* start = nullptr;
    std::size_t size = 0;
  };

  static void Free(void* data);
  void* TakeBlock(std::size_t size);
  void ReturnBlock(Block block);
  void DropOldest(std::uint64_t most_waiting);

  mutable std::mutex mutex_;
  std::vector<Block> waiting_;  // oldest first
  Statistics statistics_;
};

}  // namespace metier::train
