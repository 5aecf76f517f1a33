#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "base/check.h"

namespace metier {

namespace {

// Parts for each thread: a thread that was held up leaves its share to the others, and at the end
// they wait for one part at most.
constexpr std::size_t kPartsPerThread = 16;
constexpr std::size_t kMostParts = (std::size_t{1} << 20) - 1;
constexpr int kSpins = 4000;  // pauses of about 10 ns

constexpr std::size_t kLine = 64;  // bytes that are fetched together

// How ParallelFor cuts a range.
struct Cut {
  std::size_t part;  // indices in each part but the last
  std::size_t parts;

  Cut(std::size_t count, std::size_t grain, std::size_t threads) {
    const std::size_t wanted = std::min(kMostParts, threads * kPartsPerThread);
    const std::size_t grains = count / grain + (count % grain != 0 ? 1 : 0);
    part = std::max(grain, (grains + wanted - 1) / wanted * grain);
    parts = (count + part - 1) / part;
  }
  // The first part of a thread's stretch.
  std::size_t First(std::size_t thread, std::size_t threads) const {
    return parts * thread / threads;
  }
};

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

// A round is one ParallelFor. Each thread has a stretch of neighbouring parts of its own, so that
// what it reads lies one behind the other, and helps with the others' when it is through. A
// stretch's `claim` holds the round's number, where the stretch ends and the next part of it that
// nobody has taken, so that one addition takes a part and says what it is a part of: a thread that
// wakes late takes from the round that runs now, or sees that nothing is left. The other fields are
// written between rounds only, and a round ends when all its parts are done.
struct ThreadPool::State {
  static constexpr int kFieldBits = 20;
  static constexpr std::uint64_t kField = (std::uint64_t{1} << kFieldBits) - 1;

  struct alignas(64) Stretch {
    std::atomic<std::uint64_t> claim{0};
  };
  // What FetchAhead was told. A thread may see old and new fields together: then it fetches in
  // vain.
  struct alignas(64) Hint {
    std::atomic<const std::byte*> begin{nullptr};
    std::atomic<std::size_t> bytes{0};
  };

  explicit State(int threads)
      : stretches(static_cast<std::size_t>(threads)), hints(static_cast<std::size_t>(threads)) {}

  std::vector<Stretch> stretches;
  std::vector<Hint> hints;
  std::atomic<std::size_t> done{0};
  std::atomic<std::uint32_t> epoch{0};  // rounds so far; what sleepers wait on
  std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  const FunctionRef<void(std::size_t, std::size_t)>* body = nullptr;
  std::size_t count = 0;
  std::size_t part = 0;  // indices in each part but the last
  std::vector<std::thread> crew;

  static bool HasParts(std::uint64_t claim) {
    return (claim & kField) < (claim >> kFieldBits & kField);
  }

  // Takes parts until none is left, those of its own stretch first.
  void RunParts(std::size_t thread) {
    for (std::size_t i = 0; i < stretches.size(); ++i) {
      std::atomic<std::uint64_t>& claim = stretches[(thread + i) % stretches.size()].claim;
      while (HasParts(claim.load(std::memory_order_relaxed))) {
        const std::uint64_t word = claim.fetch_add(1, std::memory_order_acq_rel);
        if (!HasParts(word)) break;
        const std::size_t index = word & kField;
        (*body)(index * part, std::min(count, (index + 1) * part));
        done.fetch_add(1, std::memory_order_release);
      }
    }
  }

  void Publish(const Cut& cut) {
    const std::uint32_t round = epoch.load(std::memory_order_relaxed) + 1;
    done.store(0, std::memory_order_relaxed);
    for (std::size_t i = 0; i < stretches.size(); ++i) {
      const std::uint64_t begin = cut.First(i, stretches.size());
      const std::uint64_t end = cut.First(i + 1, stretches.size());
      stretches[i].claim.store(std::uint64_t{round} << (2 * kFieldBits) | end << kFieldBits | begin,
                               std::memory_order_release);
    }
    epoch.store(round, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) > 0) epoch.notify_all();
  }

  // What is left of a thread's hint, a line at a time.
  class Fetcher {
   public:
    explicit Fetcher(const Hint& hint) : hint_(hint) {}
    // Takes up a hint that is new.
    void Look() {
      const std::byte* begin = hint_.begin.load(std::memory_order_relaxed);
      if (begin == begin_) return;
      begin_ = begin;
      bytes_ = begin == nullptr ? 0 : hint_.bytes.load(std::memory_order_relaxed);
      done_ = 0;
    }
    // False: nothing is left.
    bool Fetch() {
      if (done_ >= bytes_) return false;
      __builtin_prefetch(begin_ + done_, 0, 2);  // to be read, into the second-level cache
      done_ += kLine;
      return true;
    }

   private:
    const Hint& hint_;
    const std::byte* begin_ = nullptr;
    std::size_t bytes_ = 0;
    std::size_t done_ = 0;
  };

  void Work(std::size_t thread) {
    std::uint32_t seen = 0;
    Fetcher fetcher(hints[thread]);
    while (true) {
      fetcher.Look();
      for (int i = 0; i < kSpins && epoch.load(std::memory_order_acquire) == seen; ++i) {
        if (!fetcher.Fetch()) Pause();
      }
      sleepers.fetch_add(1, std::memory_order_seq_cst);
      epoch.wait(seen, std::memory_order_seq_cst);
      sleepers.fetch_sub(1, std::memory_order_relaxed);
      if (stop.load(std::memory_order_acquire)) return;
      seen = epoch.load(std::memory_order_acquire);
      RunParts(thread);
    }
  }
};

ThreadPool::ThreadPool(int threads) {
  METIER_CHECK(threads >= 1, "a pool has at least the caller's thread");
  state_ = std::make_unique<State>(threads);
  for (std::size_t i = 1; i < static_cast<std::size_t>(threads); ++i)
    state_->crew.emplace_back([state = state_.get(), i] { state->Work(i); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->Publish(Cut(0, 1, 1));
  for (std::thread& thread : state_->crew) thread.join();
}

int ThreadPool::threads() const { return static_cast<int>(state_->crew.size()) + 1; }

void ThreadPool::ParallelFor(std::size_t count, std::size_t grain,
                             FunctionRef<void(std::size_t, std::size_t)> body) {
  METIER_CHECK(grain >= 1, "parts have a size");
  if (threads() == 1 || count <= grain) {
    if (count > 0) body(0, count);
    return;
  }
  State& state = *state_;
  const Cut cut(count, grain, state.stretches.size());
  state.body = &body;
  state.count = count;
  state.part = cut.part;
  state.Publish(cut);
  state.RunParts(0);
  for (int i = 0; state.done.load(std::memory_order_acquire) != cut.parts; ++i) {
    if (i < kSpins) {
      Pause();
    } else {
      std::this_thread::yield();  // the thread that has the last part waits for a core
    }
  }
}

void ThreadPool::FetchAhead(int thread, std::span<const std::byte> ahead) {
  State::Hint& hint = state_->hints[static_cast<std::size_t>(thread)];
  hint.bytes.store(ahead.size(), std::memory_order_relaxed);
  hint.begin.store(ahead.data(), std::memory_order_relaxed);
}

std::size_t ThreadPool::FirstOf(int thread, std::size_t count, std::size_t grain) const {
  const std::size_t threads = state_->stretches.size();
  const Cut cut(count, grain, threads);
  return cut.First(static_cast<std::size_t>(thread), threads) * cut.part;
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
