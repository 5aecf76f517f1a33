#include "train/memory_watch.h"

#include <algorithm>
#include <atomic>

namespace metier::train {

// A GPU's backward pass reports from another thread.
struct MemoryWatch::Counter : public c10::MemoryReportingInfoBase {
  explicit Counter(at::Device watched) : device(watched) {}

  // LibTorch 2 counts totals without a sign.
#if TORCH_VERSION_MAJOR >= 2
  using Total = std::size_t;
#else
  using Total = std::int64_t;
#endif
  void reportMemoryUsage(void*, std::int64_t bytes, Total, Total, c10::Device where) override {
    if (where.type() != device.type()) return;
    const std::int64_t now = in_use.fetch_add(bytes) + bytes;
    std::int64_t most = peak.load();
    while (now > most && !peak.compare_exchange_weak(most, now)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }

  at::Device device;
  std::atomic<std::int64_t> in_use{0};
  std::atomic<std::int64_t> peak{0};
};

MemoryWatch::MemoryWatch(at::Device device)
    : counter_(std::make_shared<Counter>(device)),
      guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

MemoryWatch::~MemoryWatch() = default;

std::int64_t MemoryWatch::in_use() const { return counter_->in_use.load(); }

std::int64_t MemoryWatch::TakePeak() { return counter_->peak.exchange(counter_->in_use.load()); }

}  // namespace metier::train
