// train/memory_watch.h - how much memory tensors take, on whichever device.
#pragma once

#include <cstdint>
#include <memory>

#include "train/torch.h"

namespace metier::train {

// Counts what this thread, and backward passes that it begins, allocate on a device and free again.
// One at a time in a thread.
class MemoryWatch {
 public:
  explicit MemoryWatch(at::Device device);
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  // Bytes allocated since it lives and not freed.
  std::int64_t in_use() const;
  // The most of these at once since the last call.
  std::int64_t TakePeak();

 private:
  struct Counter;
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;  // LibTorch's allocators report to it
};

}  // namespace metier::train
