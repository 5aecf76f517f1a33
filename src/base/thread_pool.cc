#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

namespace metier {

struct ThreadPool::State {
  std::mutex mutex;
  std::condition_variable start;
  std::condition_variable done;
  std::vector<std::thread> crew;
  const std::function<void(std::size_t, std::size_t)>* body = nullptr;
  std::size_t count = 0;
  std::size_t part = 0;  // indices in each part but the last
  std::size_t round = 0;
  std::size_t running = 0;
  bool stop = false;

  void RunPart(std::size_t index) const {
    const std::size_t begin = std::min(count, index * part);
    const std::size_t end = std::min(count, begin + part);
    if (begin < end) (*body)(begin, end);
  }

  void Work(std::size_t index) {
    std::size_t seen = 0;
    while (true) {
      {
        std::unique_lock lock(mutex);
        start.wait(lock, [&] { return stop || round != seen; });
        if (stop) return;
        seen = round;
      }
      RunPart(index);
      const std::scoped_lock lock(mutex);
      if (--running == 0) done.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  METIER_CHECK(threads >= 1, "a pool has at least the caller's thread");
  for (int i = 1; i < threads; ++i) {
    state_->crew.emplace_back(
        [state = state_.get(), i] { state->Work(static_cast<std::size_t>(i)); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->stop = true;
  }
  state_->start.notify_all();
  for (std::thread& thread : state_->crew) thread.join();
}

int ThreadPool::threads() const { return static_cast<int>(state_->crew.size()) + 1; }

void ThreadPool::ParallelFor(std::size_t count, std::size_t grain,
                             const std::function<void(std::size_t, std::size_t)>& body) {
  METIER_CHECK(grain >= 1, "parts have a size");
  const auto parts = static_cast<std::size_t>(threads());
  const std::size_t grains = count / grain + (count % grain != 0 ? 1 : 0);
  if (parts == 1 || grains <= 1) {
    if (count > 0) body(0, count);
    return;
  }
  State& state = *state_;
  {
    const std::scoped_lock lock(state.mutex);
    state.body = &body;
    state.count = count;
    state.part = (grains + parts - 1) / parts * grain;
    state.running = state.crew.size();
    ++state.round;
  }
  state.start.notify_all();
  state.RunPart(0);
  std::unique_lock lock(state.mutex);
  state.done.wait(lock, [&] { return state.running == 0; });
}

int ThreadPool::DefaultThreads() {
  constexpr int kMostThreads = 1024;
  if (const char* text = std::getenv("METIER_THREADS"); text != nullptr) {
    int threads = 0;
    const auto [end, failed] = std::from_chars(text, text + std::strlen(text), threads);
    if (failed == std::errc() && *end == '\0' && threads >= 1 && threads <= kMostThreads)
      return threads;
  }
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace metier
