// base/thread_pool.h - a fixed crew of threads that split a range.
//
// Work is cut into contiguous parts by index alone, so what a part computes never depends on
// timing: with kernels that reduce within a part only, one thread and many give the same bits.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace metier {

class ThreadPool {
 public:
  // threads >= 1, the caller's thread included: ThreadPool(1) starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(begin, end) on at most `threads()` contiguous parts of [0, count), whose sizes are
  // multiples of `grain` but for the last, and returns when all are done. One caller at a time;
  // body must not throw nor call ParallelFor. Requires grain >= 1.
  void ParallelFor(std::size_t count, std::size_t grain,
                   const std::function<void(std::size_t, std::size_t)>& body);

  // METIER_THREADS when set and sane, else the cores this process may run on.
  static int DefaultThreads();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace metier
