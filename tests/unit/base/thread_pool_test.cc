#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace metier {
namespace {

// The ranges that a body is called with, begin -> end.
using Ranges = std::map<std::size_t, std::size_t>;
Ranges RangesOf(ThreadPool& pool, std::size_t count, std::size_t grain) {
  std::mutex mutex;
  Ranges ranges;
  pool.ParallelFor(count, grain, [&](std::size_t begin, std::size_t end) {
    const std::scoped_lock lock(mutex);
    EXPECT_TRUE(ranges.emplace(begin, end).second);
  });
  return ranges;
}

void ExpectCover(const Ranges& ranges, std::size_t count, std::size_t grain) {
  std::size_t next = 0;
  for (const auto& [begin, end] : ranges) {
    EXPECT_EQ(begin, next);
    EXPECT_LT(begin, end);
    EXPECT_EQ(begin % grain, 0U);
    next = end;
  }
  EXPECT_EQ(next, count);
}

TEST(ThreadPool, RangesCoverTheWholeInWholeGrains) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::size_t count : {0U, 1U, 2U, 7U, 8U, 9U, 64U, 1000U}) {
      for (const std::size_t grain : {1U, 2U, 8U, 2000U})
        ExpectCover(RangesOf(pool, count, grain), count, grain);
    }
  }
}

// One thread is held up in the first range that it takes until all else is done: by the others.
TEST(ThreadPool, WhoIsHeldUpLeavesItsShareToTheOthers) {
  constexpr std::size_t kCount = 1000;
  for (const int threads : {2, 3, 8}) {
    ThreadPool pool(threads);
    for (const bool holds_caller : {true, false}) {
      const std::thread::id caller = std::this_thread::get_id();
      std::atomic<bool> held = false;
      std::atomic<std::size_t> done = 0;
      pool.ParallelFor(kCount, 1, [&](std::size_t begin, std::size_t end) {
        const bool mine = (std::this_thread::get_id() == caller) == holds_caller;
        if (mine && !held.exchange(true)) {
          EXPECT_LT(end - begin, kCount / static_cast<std::size_t>(threads));
          while (done < kCount - (end - begin)) std::this_thread::yield();
        }
        // The caller would be through before a sleeping thread had any.
        while (!holds_caller && !held) std::this_thread::yield();
        done += end - begin;
      });
      EXPECT_TRUE(held);
      EXPECT_EQ(done, kCount);
    }
  }
}

// Every thread holds its first range until all have one.
TEST(ThreadPool, SaysWhereThreadsBegin) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const std::size_t count : {8U, 9U, 76U, 1000U, 12345U}) {
      for (const std::size_t grain : {1U, 3U}) {
        if (count / grain < static_cast<std::size_t>(threads)) continue;
        static std::atomic<int> rounds = 0;
        const int this_round = ++rounds;
        std::mutex mutex;
        std::set<std::size_t> begins;
        std::atomic<int> began = 0;
        pool.ParallelFor(count, grain, [&](std::size_t begin, std::size_t) {
          thread_local int round = 0;
          if (std::exchange(round, this_round) == this_round) return;
          {
            const std::scoped_lock lock(mutex);
            begins.insert(begin);
          }
          ++began;
          while (began < threads) std::this_thread::yield();
        });
        std::set<std::size_t> said;
        for (int thread = 0; thread < threads; ++thread)
          said.insert(pool.FirstOf(thread, count, grain));
        EXPECT_EQ(said, begins) << threads << " threads, " << count << " in " << grain;
      }
    }
  }
}

// A hint changes nothing but time: not where it is wrong, nor where it points at nothing.
TEST(ThreadPool, HintsAreOnlyHints) {
  ThreadPool pool(3);
  const std::vector<std::byte> memory(1 << 16);
  const std::span<const std::byte> all(memory);
  for (const std::span<const std::byte> ahead :
       {all, all.first(1), all.subspan(100, 4096), all.first(0), std::span<const std::byte>()}) {
    for (int thread = 0; thread < pool.threads(); ++thread) pool.FetchAhead(thread, ahead);
    for (int i = 0; i < 50; ++i) ExpectCover(RangesOf(pool, 1000, 7), 1000, 7);
  }
}

TEST(ThreadPool, OneThreadAndManyWriteTheSame) {
  const auto squares = [](int threads) {
    ThreadPool pool(threads);
    std::vector<std::size_t> out(5000);
    pool.ParallelFor(out.size(), 16, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) out[i] = i * i;
    });
    return out;
  };
  const auto one = squares(1);
  for (const int threads : {2, 3, 5}) EXPECT_EQ(squares(threads), one);
}

TEST(ThreadPool, ManyRoundsInARow) {
  ThreadPool pool(4);
  std::vector<int> counts(64);
  for (int round = 0; round < 2000; ++round) {
    pool.ParallelFor(counts.size(), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) ++counts[i];
    });
  }
  EXPECT_EQ(counts, std::vector<int>(64, 2000));
}

TEST(ThreadPool, DefaultThreadsFollowsTheEnvironmentWhereItIsSane) {
  ::unsetenv("METIER_THREADS");
  const int machine = ThreadPool::DefaultThreads();
  EXPECT_GE(machine, 1);
  ::setenv("METIER_THREADS", "3", 1);
  EXPECT_EQ(ThreadPool::DefaultThreads(), 3);
  for (const char* bad : {"0", "-1", "many", "2x", "", "99999999999", "1025"}) {
    ::setenv("METIER_THREADS", bad, 1);
    EXPECT_EQ(ThreadPool::DefaultThreads(), machine) << bad;
  }
  ::unsetenv("METIER_THREADS");
}

TEST(ThreadPoolDeathTest, AGrainOfNothingIsABug) {
  ThreadPool pool(1);
  EXPECT_DEATH(pool.ParallelFor(4, 0, [](std::size_t, std::size_t) {}), "parts have a size");
}

}  // namespace
}  // namespace metier
