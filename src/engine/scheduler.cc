#include "engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/admission.h"

namespace metier::engine {

using text::TokenId;
using Clock = ActiveRequest::Clock;

namespace {

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// What a sequence may adopt: the last token is computed in any case, for its logits.
std::span<const TokenId> Adoptable(const ActiveRequest& request) {
  return std::span<const TokenId>(request.tokens)
      .first(request.tokens.size() - 1)
      .subspan(static_cast<std::size_t>(request.cached));
}

Generation FinishAnswer(ActiveRequest& request) {
  Generation result = request.answer.Finish();
  const Clock::time_point now = Clock::now();
  const Clock::time_point started = request.started.value_or(now);
  const Clock::time_point answered = request.answered.value_or(now);
  result.reused_tokens = request.reused;
  result.queue_seconds = Seconds(started - request.submitted);
  result.prompt_seconds = Seconds(answered - started);
  result.answer_seconds = Seconds(now - answered);
  return result;
}

Error TooManyWaiting(std::string_view whose, std::int64_t waiting) {
  return {ErrorCode::kResourceExhausted,
          fmt::format("{} requests {} wait already, as many as may; try again when some are done",
                      waiting, whose)};
}

}  // namespace

Scheduler::Scheduler(model::Backend& backend, const text::Tokenizer& tokenizer,
                     const SchedulerOptions& options)
    : backend_(backend),
      tokenizer_(tokenizer),
      options_(options),
      capacity_(backend.cache_stats()) {
  stats_.cache = capacity_;
}

Scheduler::~Scheduler() { EndAll(); }

Result<RequestId> Scheduler::Submit(Request request) {
  const ClientLimits limits = request.limits.value_or(options_.client);
  const auto refuse = [this](Error error) {
    const std::lock_guard lock(mutex_);
    ++stats_.refused;
    return error;
  };
  Status fits = CheckFits(request, limits, backend_.spec(), capacity_);
  if (!fits.ok()) return refuse(std::move(fits).error());
  auto active = std::make_unique<ActiveRequest>(RequestId{}, std::move(request), limits, tokenizer_,
                                                backend_.spec().max_positions);
  std::unique_lock lock(mutex_);
  const std::int64_t its = queue_.WaitingOf(active->request.client);
  std::optional<Error> error;
  if (closed_) {
    error = Error(ErrorCode::kResourceExhausted, "no more requests are taken: it is closing");
  } else if (options_.max_waiting > 0 && queue_.waiting() >= options_.max_waiting) {
    error = TooManyWaiting("in all", queue_.waiting());
  } else if (limits.max_waiting > 0 && its >= limits.max_waiting) {
    error = TooManyWaiting("of this client", its);
  }
  if (error) {
    lock.unlock();
    return refuse(std::move(*error));
  }
  const RequestId id{next_id_++};
  active->id = id;
  queue_.Push(std::move(active));
  ++stats_.submitted;
  changed_.notify_all();
  return id;
}

void Scheduler::Post(std::function<void(model::Backend&)> work) {
  const std::lock_guard lock(mutex_);
  posted_.push_back(std::move(work));
  changed_.notify_all();
}

void Scheduler::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

SchedulerStats Scheduler::stats() const {
  const std::lock_guard lock(mutex_);
  SchedulerStats stats = stats_;
  stats.waiting = queue_.waiting();
  return stats;
}

void Scheduler::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (Step()) continue;
    std::unique_lock lock(mutex_);
    const auto anything = [this] { return queue_.waiting() > 0 || !posted_.empty(); };
    if (closed_ && !anything()) return;
    changed_.wait(lock, stop, [&] { return closed_ || anything(); });
  }
  EndAll();
}

bool Scheduler::Step() {
  const bool posted = DoPosted();
  EndCancelled();
  StartWaiting();
  const bool worked = posted || !running_.empty() || !ended_.empty();
  if (!running_.empty()) {
    const Clock::time_point start = Clock::now();
    for (const Owned& request : running_) Adopt(*request);
    Compute(Plan().slices);
    ++counters_.steps;
    counters_.last_step_seconds = Seconds(Clock::now() - start);
    counters_.step_seconds += counters_.last_step_seconds;
  }
  Deliver();
  return worked;
}

bool Scheduler::DoPosted() {
  std::vector<std::function<void(model::Backend&)>> posted;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
  }
  for (const auto& work : posted) work(backend_);
  return !posted.empty();
}

void Scheduler::EndCancelled() {
  for (const Owned& request : running_) {
    if (request->cancelled()) Cancel(*request);
  }
  std::vector<Owned> cancelled;
  {
    const std::lock_guard lock(mutex_);
    cancelled = queue_.TakeIf([](const ActiveRequest& request) { return request.cancelled(); });
  }
  for (Owned& request : cancelled) {
    Cancel(*request);
    ended_.push_back(std::move(request));
  }
}

// The next in turn starts when it finds room beside those that run; others do not overtake it, or
// it might wait for ever. Alone it starts in any case: then only the backend can say what is wrong.
void Scheduler::StartWaiting() {
  const std::lock_guard lock(mutex_);
  Sweep();
  while (static_cast<std::int64_t>(running_.size()) <
         std::max<std::int64_t>(options_.max_running, 1)) {
    const ActiveRequest* next = queue_.Next();
    if (next == nullptr) break;
    if (!running_.empty() &&
        !FindsRoom(*next, backend_.FindPrefix(next->request.adapter, Adoptable(*next)), running_,
                   backend_.cache_stats())) {
      break;
    }
    Owned request = queue_.Start();
    Status started = Start(*request);
    queue_.Charge(*request, 0);
    if (!started.ok()) {
      End(*request, std::move(started).error());
      queue_.End(*request);
      ended_.push_back(std::move(request));
      continue;
    }
    const auto older = [](const Owned& a, const Owned& b) { return a->age < b->age; };
    running_.insert(std::upper_bound(running_.begin(), running_.end(), request, older),
                    std::move(request));
  }
  for (const Owned& request : running_) request->client_served = request->client->served;
  stats_.running = static_cast<std::int64_t>(running_.size());
}

Status Scheduler::Start(ActiveRequest& request) {
  METIER_ASSIGN(request.sequence, backend_.OpenSequence(request.request.adapter));
  if (request.age < 0) {
    request.age = next_age_++;
    request.started = Clock::now();
  }
  Adopt(request);
  return Ok();
}

// Also later than at its start: what another request with the same beginning has computed since.
void Scheduler::Adopt(ActiveRequest& request) {
  if (request.missing() < 2) return;
  request.cached += backend_.Adopt(*request.sequence, Adoptable(request));
  const std::int64_t fresh = std::max<std::int64_t>(request.cached - request.seen, 0);
  request.seen += fresh;
  request.reused += fresh;
  counters_.reused_tokens += fresh;
}

StepPlan Scheduler::Plan() {
  while (true) {
    StepPlan plan = PlanStep(running_, options_.step_tokens, backend_.cache_stats());
    if (plan.moves) return plan;
    if (running_.size() == 1) {  // others hold the pages: the backend says so, with the numbers
      plan.slices = {{running_.front().get(), 1}};
      return plan;
    }
    PreemptYoungest();
  }
}

void Scheduler::PreemptYoungest() {
  Owned youngest = std::move(running_.back());
  running_.pop_back();
  backend_.CloseSequence(*youngest->sequence);
  youngest->sequence.reset();
  youngest->cached = 0;
  const std::lock_guard lock(mutex_);
  queue_.Return(std::move(youngest));
  ++stats_.preempted;
  stats_.running = static_cast<std::int64_t>(running_.size());
}

Result<std::vector<model::Rows>> Scheduler::Forward(std::span<const Slice> slices) {
  std::vector<model::SequenceStep> steps;
  for (const Slice& slice : slices) {
    const ActiveRequest& request = *slice.request;
    const bool last = slice.tokens == request.missing();
    steps.push_back({.sequence = *request.sequence,
                     .tokens = std::span<const TokenId>(request.tokens)
                                   .subspan(static_cast<std::size_t>(request.cached),
                                            static_cast<std::size_t>(slice.tokens)),
                     .types = {},
                     .want = last ? model::Want::kLast : model::Want::kNothing});
  }
  return backend_.Forward(steps);
}

// A step that fails has changed nothing; each request alone shows whose the error is.
void Scheduler::Compute(std::span<const Slice> slices) {
  Result<std::vector<model::Rows>> rows = Forward(slices);
  if (rows.ok()) {
    for (std::size_t i = 0; i < slices.size(); ++i) Advance(slices[i], (*rows)[i]);
    return;
  }
  if (slices.size() == 1) return End(*slices.front().request, std::move(rows).error());
  for (const Slice& slice : slices) Compute({&slice, 1});
}

void Scheduler::Advance(const Slice& slice, const model::Rows& rows) {
  ActiveRequest& request = *slice.request;
  request.cached += slice.tokens;
  const std::int64_t fresh = std::max<std::int64_t>(request.cached - request.seen, 0);
  request.seen += fresh;
  request.uncharged += fresh;
  counters_.computed_tokens += slice.tokens;
  counters_.recomputed_tokens += slice.tokens - fresh;
  if (request.missing() > 0) return;
  if (!request.answered) request.answered = Clock::now();
  const std::size_t before = request.answer.tokens().size();
  Result<bool> goes_on = request.answer.Next(rows.Row(0));
  counters_.answer_tokens += static_cast<std::int64_t>(request.answer.tokens().size() - before);
  if (!goes_on.ok()) return End(request, std::move(goes_on).error());
  if (!*goes_on) return End(request, FinishAnswer(request));
  request.tokens.push_back(request.answer.tokens().back());
}

void Scheduler::End(ActiveRequest& request, Result<Generation> outcome) {
  if (request.sequence) backend_.CloseSequence(*request.sequence);
  request.sequence.reset();
  request.outcome = std::move(outcome);
}

void Scheduler::Cancel(ActiveRequest& request) {
  request.answer.Cancel();
  End(request, FinishAnswer(request));
}

void Scheduler::Sweep() {
  for (Owned& request : running_) {
    queue_.Charge(*request, std::exchange(request->uncharged, 0));
    if (!request->outcome) continue;
    queue_.End(*request);
    ended_.push_back(std::move(request));
  }
  std::erase(running_, nullptr);
}

void Scheduler::Deliver() {
  std::vector<Owned> ended;
  {
    const std::lock_guard lock(mutex_);
    Sweep();
    ended.swap(ended_);
    for (const Owned& request : ended) {
      const Result<Generation>& outcome = *request->outcome;
      const bool cancelled = outcome.ok() && outcome->finish == FinishReason::kCancelled;
      ++(!outcome.ok() ? stats_.failed : cancelled ? stats_.cancelled : stats_.finished);
    }
    stats_.work = counters_;
    stats_.cache = backend_.cache_stats();
    stats_.running = static_cast<std::int64_t>(running_.size());
  }
  for (const Owned& request : ended) {
    if (request->request.on_done) request->request.on_done(std::move(*request->outcome));
  }
}

void Scheduler::EndAll() {
  std::vector<Owned> waiting;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting = queue_.TakeIf([](const ActiveRequest&) { return true; });
  }
  DoPosted();
  for (const Owned& request : running_) Cancel(*request);
  for (Owned& request : waiting) {
    Cancel(*request);
    ended_.push_back(std::move(request));
  }
  Deliver();
}

}  // namespace metier::engine
