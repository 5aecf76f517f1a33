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

// Parts for each thread: one that was held up leaves its share to the others, and at the end they
// wait for one part.
constexpr std::size_t kPartsPerThread = 64;
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
// nobody has taken, so that one exchange takes parts and says what they are parts of: a thread that
// wakes late takes from the round that runs now, or sees that nothing is left.
//
// A line of memory that another core wrote last takes some 200 ns to come, as long as a small
// part, and an atomic exchange waits until what was stored before it has arrived. So what a round
// is about lies in one line, parts are taken several at a time, the caller's first ones without an
// exchange, and each thread reports what it has done in a line of its own, once it finds no more.
struct ThreadPool::State {
  static constexpr int kFieldBits = 20;
  static constexpr std::uint64_t kField = (std::uint64_t{1} << kFieldBits) - 1;
  using Body = FunctionRef<void(std::size_t, std::size_t)>;

  // Written between rounds only; a round ends when all its parts are reported.
  struct alignas(kLine) Round {
    std::atomic<std::uint32_t> epoch{0};  // rounds so far; what threads wait on
    std::uint64_t number = 0;             // the same, which no program lives to see wrap
    Body body = kNothing;
    std::size_t count = 0;
    std::size_t part = 0;  // indices in each part but the last
  };
  struct alignas(kLine) Stretch {
    std::atomic<std::uint64_t> claim{0};
  };
  // Parts that a thread has done in the round it last had any of: its number, then how many.
  struct alignas(kLine) Report {
    std::atomic<std::uint64_t> word{0};
  };
  // What FetchAhead was told. A thread may see old and new fields together: then it fetches in
  // vain.
  struct alignas(kLine) Hint {
    std::atomic<const std::byte*> begin{nullptr};
    std::atomic<std::size_t> bytes{0};
  };
  struct Parts {
    std::size_t begin;
    std::size_t end;
  };

  explicit State(int threads)
      : stretches(static_cast<std::size_t>(threads)),
        reports(static_cast<std::size_t>(threads)),
        hints(static_cast<std::size_t>(threads)) {}

  static constexpr auto kNothing = [](std::size_t, std::size_t) {};

  Round round;
  std::vector<Stretch> stretches;
  std::vector<Report> reports;
  std::vector<Hint> hints;
  alignas(kLine) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> crew;

  static std::size_t PartsIn(std::uint64_t claim) {
    const std::uint64_t begin = claim & kField;
    const std::uint64_t end = claim >> kFieldBits & kField;
    return begin < end ? end - begin : 0;
  }

  // Half of what is left is taken at once: large shares while others can still even out what comes,
  // then small ones, for all to end together.
  static std::size_t Share(std::size_t left) { return (left + 1) / 2; }

  // Empty: nothing is left.
  static Parts Take(std::atomic<std::uint64_t>& claim) {
    std::uint64_t word = claim.load(std::memory_order_relaxed);
    while (true) {
      const std::size_t left = PartsIn(word);
      if (left == 0) return {0, 0};
      const std::size_t taken = Share(left);
      if (claim.compare_exchange_weak(word, word + taken, std::memory_order_acq_rel,
                                      std::memory_order_relaxed))
        return {word & kField, (word & kField) + taken};
    }
  }

  void Run(Parts parts) const {
    round.body(parts.begin * round.part, std::min(round.count, parts.end * round.part));
  }

  // Takes parts until none is left, those of its own stretch first; what it has done is added to
  // `report`.
  void RunParts(std::size_t thread, std::uint64_t& report) {
    for (std::size_t i = 0; i < stretches.size(); ++i) {
      std::atomic<std::uint64_t>& claim = stretches[(thread + i) % stretches.size()].claim;
      for (Parts parts = Take(claim); parts.begin != parts.end; parts = Take(claim)) {
        // Parts that are not reported yet keep their round from ending.
        if (report >> kFieldBits != round.number) report = round.number << kFieldBits;
        Run(parts);
        report += parts.end - parts.begin;
      }
    }
  }

  // Parts of the round that the crew has reported.
  std::size_t PartsReported() const {
    std::size_t done = 0;
    for (const Report& report : reports) {
      const std::uint64_t word = report.word.load(std::memory_order_acquire);
      if (word >> kFieldBits == round.number) done += word & kField;
    }
    return done;
  }

  // Begins a round and returns the parts that the caller, thread 0, has by that.
  Parts Publish(const Cut& cut) {
    ++round.number;
    const std::size_t own = Share(cut.First(1, stretches.size()));
    for (std::size_t i = 0; i < stretches.size(); ++i) {
      const std::uint64_t begin = i == 0 ? own : cut.First(i, stretches.size());
      const std::uint64_t end = cut.First(i + 1, stretches.size());
      stretches[i].claim.store(round.number << (2 * kFieldBits) | end << kFieldBits | begin,
                               std::memory_order_release);
    }
    round.epoch.store(static_cast<std::uint32_t>(round.number), std::memory_order_release);
    // A thread that falls asleep at this moment may be overlooked: its parts are taken by others,
    // and the next round wakes it.
    if (sleepers.load(std::memory_order_relaxed) > 0) round.epoch.notify_all();
    return {0, own};
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
    std::uint64_t report = 0;
    Fetcher fetcher(hints[thread]);
    while (true) {
      fetcher.Look();
      int spins = 0;
      while (round.epoch.load(std::memory_order_acquire) == seen && spins < kSpins) {
        if (fetcher.Fetch()) continue;
        Pause();
        ++spins;
      }
      if (spins == kSpins) Sleep(seen);
      if (stop.load(std::memory_order_acquire)) return;
      seen = round.epoch.load(std::memory_order_acquire);
      RunParts(thread, report);
      reports[thread].word.store(report, std::memory_order_release);
    }
  }

  void Sleep(std::uint32_t seen) {
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    round.epoch.wait(seen, std::memory_order_seq_cst);
    sleepers.fetch_sub(1, std::memory_order_relaxed);
  }
};

ThreadPool::ThreadPool(int threads) {
  METIER_CHECK(threads >= 1, "a pool has at least the caller's thread");
  state_ = std::make_unique<State>(threads);
  for (std::size_t i = 1; i < static_cast<std::size_t>(threads); ++i)
    state_->crew.emplace_back([state = state_.get(), i] { state->Work(i); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_seq_cst);
  state_->round.epoch.fetch_add(1, std::memory_order_seq_cst);
  state_->round.epoch.notify_all();
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
  state.round.body = body;
  state.round.count = count;
  state.round.part = cut.part;
  const State::Parts own = state.Publish(cut);
  if (own.end > 0) state.Run(own);
  std::uint64_t report = state.round.number << State::kFieldBits | own.end;
  state.RunParts(0, report);
  const std::size_t done = report & State::kField;
  State::Fetcher fetcher(state.hints[0]);
  fetcher.Look();
  for (int spins = 0; done + state.PartsReported() != cut.parts;) {
    if (fetcher.Fetch()) continue;
    if (spins < kSpins) {
      Pause();
      ++spins;
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
