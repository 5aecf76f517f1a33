// base/thread_pool.h - a fixed crew of threads that split a range.
//
// Work is cut into contiguous parts by index alone; which thread takes how many of them depends on
// who is free, so a body must compute the same of an index whatever range it came in: with kernels
// that reduce within an index only, one thread and many give the same bits. There is no lock: parts
// are claimed and reported on atomics, and a thread that finds nothing to do spins for some tens of
// microseconds, the time between two products of one token, before it sleeps; meanwhile it fetches
// what it will read next, if told.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/function_ref.h"

namespace metier {

class ThreadPool {
 public:
  // threads >= 1, the caller's thread included: ThreadPool(1) starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(begin, end) on contiguous ranges of [0, count), a few for each thread, whose bounds
  // are multiples of `grain` but for the last, and returns when all are done. One caller at a time;
  // body must not throw nor call ParallelFor. Requires grain >= 1. Allocates nothing.
  void ParallelFor(std::size_t count, std::size_t grain,
                   FunctionRef<void(std::size_t, std::size_t)> body);

  // What a thread will read first in a coming round: it has its cache fetch that as soon as it has
  // nothing else to do; thread 0, the caller, while it waits for the others to end a round. Holds
  // until it is said anew. Only ever a hint: the memory may be gone by then.
  void FetchAhead(int thread, std::span<const std::byte> ahead);
  // Where the part of ParallelFor(count, grain) begins that this thread takes first.
  std::size_t FirstOf(int thread, std::size_t count, std::size_t grain) const;

  // METIER_THREADS when set and sane, else the cores this process may run on.
  static int DefaultThreads();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace metier
