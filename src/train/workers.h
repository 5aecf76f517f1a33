// train/workers.h - the processes that train one model together, as the trainer sees them.
//
// Alone it is one worker, nothing is opened, and every call returns at once. What all do together
// is done by a thread of its own, in the order in which it was asked for: the same in all workers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "train/ring.h"
#include "train/torch.h"
#include "train/worker_links.h"
#include "train/worker_place.h"

namespace metier::train {

class Workers {
 public:
  Workers() = default;
  // Meets the others (WorkerLinks::Open).
  static Result<std::unique_ptr<Workers>> Open(const WorkerPlace& place,
                                               std::chrono::milliseconds timeout);
  // Without Leave or Fail before it, the others hear that this one failed.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int rank() const { return place_.rank; }
  int count() const { return place_.count; }
  bool alone() const { return place_.count == 1; }
  bool first() const { return place_.rank == 0; }
  const WorkerPlace& place() const { return place_; }

  // Work of all that was begun. Wait returns when it is done here; a second time at once. kIo: a
  // worker is gone, and which.
  class Pending {
   public:
    Pending() = default;
    Status Wait();

   private:
    friend class Workers;
    struct State;
    Workers* workers_ = nullptr;
    std::shared_ptr<State> state_;
  };

  // Tensors are contiguous, F32 or double, and stay as they are until the work is done; those of a
  // GPU go through the CPU's memory. What they hold afterwards: Ring.
  Pending StartSum(const at::Tensor& values);
  Pending StartSumParts(const at::Tensor& values);
  Pending StartGatherParts(const at::Tensor& values);

  Status Sum(const at::Tensor& values) { return StartSum(values).Wait(); }
  Status Sum(std::vector<double>& values);
  // Worker 0's to all.
  Status Spread(const at::Tensor& values);
  Result<std::string> Spread(const std::string& text);
  // What each said, by rank.
  Result<std::vector<std::string>> Gather(const std::string& text);

  // Waits for all, and ends well.
  Status Leave();
  // Tells the others why this one ends.
  void Fail(const std::string& why);
  // Why the run cannot go on, where a worker is gone.
  std::optional<std::string> lost() const;

  // Seconds in which something was sent or received.
  double busy_seconds() const;

 private:
  using Work = std::function<Status(Ring& ring)>;
  Pending Start(Work work);
  Status Do(Work work) { return Start(std::move(work)).Wait(); }
  void WorkOff();

  WorkerPlace place_;
  std::unique_ptr<WorkerLinks> links_;
  std::optional<Ring> ring_;
  bool ended_ = false;

  mutable std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<std::pair<Work, std::shared_ptr<Pending::State>>> waiting_;
  bool stops_ = false;
  double busy_ = 0;
  std::thread thread_;
};

}  // namespace metier::train
