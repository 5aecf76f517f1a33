// engine/scheduler.h - many requests on one backend: every step computes the next tokens of all
// that run, answers and pieces of prompts together.
//
//   Submit -> FairQueue -> start (adopts the longest known prefix) -> steps -> on_done
//                  ^                                                    |
//                  +-------------- preempted: pages run out ------------+
//
// Same in, same out: a request's tokens depend on its prompt, adapter, options and the backend's
// own promise (model/backend.h), not on who shares its steps, the size of the chunks, what was
// cached, or how often it was preempted. A preempted request keeps its answer and its random
// stream; its pages stay findable, and when it starts again only what was evicted is computed once
// more.
//
// A step appends tokens[cached..] of a request, as many as the plan says, and reads the row of the
// last; behind the last token of an answer also proposals, with all their rows, and its sequence is
// cut again behind the last that the answer chose too (speculate.h). How many are tried depends on
// who shares the step; what is answered does not.
//
// Threads: Submit, Post, Close and stats from any; Step and Run from one, which then is the
// backend's caller. A mutex guards the queue and the counters, twice a step.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "engine/fair_queue.h"
#include "engine/request.h"
#include "engine/step_plan.h"
#include "model/backend.h"
#include "text/tokenizer.h"

namespace metier::engine {

struct SchedulerOptions {
  // Of one step; answers first, prompts get one at least, proposals what is left.
  std::int64_t step_tokens = 512;
  std::int64_t max_running = 32;    // requests, at least 1
  std::int64_t max_waiting = 4096;  // requests over all clients; 0: no limit
  ClientLimits client;              // for requests that bring none
};

// Since the scheduler was made.
struct StepCounters {
  std::int64_t computed_tokens = 0;    // of prompts and answers, and what was proposed
  std::int64_t recomputed_tokens = 0;  // of these, once more after a preemption
  std::int64_t reused_tokens = 0;      // of prompts, adopted instead
  std::int64_t answer_tokens = 0;
  std::int64_t proposed_tokens = 0;  // and computed
  std::int64_t accepted_tokens = 0;  // of these, kept
  std::int64_t steps = 0;
  double step_seconds = 0;  // over all steps
  double last_step_seconds = 0;
};

struct SchedulerStats {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  // Since the scheduler was made: submitted = running + waiting + finished + cancelled + failed.
  std::int64_t submitted = 0;
  std::int64_t refused = 0;  // by Submit, not submitted
  std::int64_t finished = 0;
  std::int64_t cancelled = 0;
  std::int64_t failed = 0;
  std::int64_t preempted = 0;  // times

  StepCounters work;        // as of the last step, as is
  model::CacheStats cache;  // this
};

class Scheduler {
 public:
  // Borrows both. The backend may have other sequences open.
  Scheduler(model::Backend& backend, const text::Tokenizer& tokenizer,
            const SchedulerOptions& options = {});
  // As a stop of Run.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Takes the request; what becomes of it says on_done, which is not called for a refused one.
  // kInvalidArgument: what CheckPrompt refuses, tokens outside the vocabulary, an answer that could
  // pass the last position.  kResourceExhausted: more than the whole cache or the client's limits
  // hold (with the numbers), too many waiting, or closed.
  Result<RequestId> Submit(Request request);

  // `work` runs between two steps, at the latest when the scheduler ends: the way to add and remove
  // adapters from another thread. Must not throw.
  void Post(std::function<void(model::Backend&)> work);

  // One step. False: there is nothing to do.
  bool Step();

  // No more submissions.
  void Close();
  // Steps, and waits for requests, until `stop`, or until it is closed and all is done. After a
  // stop it is closed, and what was not done ends with FinishReason::kCancelled:
  //   std::jthread thread([&](const std::stop_token& stop) { scheduler.Run(stop); });
  void Run(const std::stop_token& stop);

  SchedulerStats stats() const;

 private:
  using Owned = std::unique_ptr<ActiveRequest>;

  // The parts of a step, in their order. Running requests that ended stay in place until Sweep.
  bool DoPosted();
  void EndCancelled();
  void StartWaiting();
  void Plan();
  void Propose();
  void Compute(std::span<Slice> slices);
  void Deliver();

  Status Start(ActiveRequest& request);
  void Adopt(ActiveRequest& request);
  void PreemptYoungest();
  Result<std::span<const model::Rows>> Forward(std::span<const Slice> slices);
  void Advance(const Slice& slice, const model::Rows& rows);
  void End(ActiveRequest& request, Result<Generation> outcome);
  void Cancel(ActiveRequest& request);
  void EndAll();
  void Sweep();  // requires the mutex

  model::Backend& backend_;
  const text::Tokenizer& tokenizer_;
  const SchedulerOptions options_;
  const model::CacheStats capacity_;  // of the backend; the limits in it do not change

  // Of the stepping thread.
  std::vector<Owned> running_;  // by age
  std::vector<Owned> ended_;    // to be told
  std::int64_t next_age_ = 0;
  StepCounters counters_;
  StepPlan plan_;
  std::vector<model::SequenceStep> steps_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  FairQueue queue_;
  std::vector<std::function<void(model::Backend&)>> posted_;
  std::int64_t next_id_ = 0;
  bool closed_ = false;
  SchedulerStats stats_;
};

}  // namespace metier::engine
