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
  result.proposed_tokens = request.speculation.proposed();
  result.accepted_tokens = request.speculation.accepted();
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
  const std::int64_t prefix = backend_.PrefixTokens(request.adapter);
  Status fits = CheckFits(request, limits, backend_.spec(), prefix, capacity_);
  if (!fits.ok()) return refuse(std::move(fits).error());
  auto active = std::make_unique<ActiveRequest>(RequestId{}, std::move(request), limits, tokenizer_,
                                                backend_.spec().max_positions, prefix);
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
    Plan();
    Propose();
    Compute(plan_.slices);
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
  model::AdapterId adapter = request.request.adapter;
  if (backend_.RoutesSequences(adapter)) {
    METIER_ASSIGN(adapter, backend_.RouteSequence(adapter, request.prompt()));
  }
  METIER_ASSIGN(request.sequence, backend_.OpenSequence(adapter));
  backend_.ExpectLength(*request.sequence, request.most_tokens());
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

void Scheduler::Plan() {
  while (true) {
    PlanStep(running_, options_.step_tokens, backend_.cache_stats(), plan_);
    if (plan_.moves) return;
    if (running_.size() == 1) {  // others hold the pages: the backend says so, with the numbers
      plan_.slices = {{running_.front().get(), 1}};
      return;
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

// Slices keep as many proposals as came; those of requests that thereby ended are dropped.
void Scheduler::Propose() {
  for (Slice& slice : plan_.slices) {
    if (slice.proposals == 0) continue;
    ActiveRequest& request = *slice.request;
    const auto trial = request.speculation.Try(request.prompt(), request.answer, slice.proposals);
    if (trial.ok()) {
      slice.proposals = static_cast<std::int64_t>(trial->size()) - 1;
    } else {
      End(request, trial.error());
    }
  }
  std::erase_if(plan_.slices,
                [](const Slice& slice) { return slice.request->outcome.has_value(); });
}

Result<std::span<const model::Rows>> Scheduler::Forward(std::span<const Slice> slices) {
  steps_.clear();
  for (const Slice& slice : slices) {
    const ActiveRequest& request = *slice.request;
    const auto known = std::span<const TokenId>(request.tokens)
                           .subspan(static_cast<std::size_t>(request.cached),
                                    static_cast<std::size_t>(slice.tokens));
    const bool last = slice.tokens == request.missing();
    model::SequenceStep step{.sequence = *request.sequence,
                             .tokens = known,
                             .want = last ? model::Want::kLast : model::Want::kNothing};
    if (slice.proposals > 0) {
      step.tokens = request.speculation.trial();
      step.want = model::Want::kAll;
    }
    steps_.push_back(step);
  }
  return backend_.Forward(steps_);
}

// A step that fails has changed nothing; without proposals there may be room for it, and each
// request alone shows whose the error is.
void Scheduler::Compute(std::span<Slice> slices) {
  if (slices.empty()) return;
  Result<std::span<const model::Rows>> rows = Forward(slices);
  if (rows.ok()) {
    for (std::size_t i = 0; i < slices.size(); ++i) Advance(slices[i], (*rows)[i]);
    return;
  }
  bool proposals = false;
  for (Slice& slice : slices) proposals |= std::exchange(slice.proposals, 0) > 0;
  if (proposals) return Compute(slices);
  if (slices.size() == 1) return End(*slices.front().request, std::move(rows).error());
  for (Slice& slice : slices) Compute({&slice, 1});
}

void Scheduler::Advance(const Slice& slice, const model::Rows& rows) {
  ActiveRequest& request = *slice.request;
  request.cached += slice.tokens;
  Verdict verdict;
  const std::size_t before = request.answer.tokens().size();
  const bool reads = request.missing() == 0;
  if (reads) {
    if (!request.answered) request.answered = Clock::now();
    verdict = request.speculation.Verify(request.answer, rows);
    request.cached += verdict.accepted;
  }
  const std::int64_t fresh = std::max<std::int64_t>(request.cached - request.seen, 0);
  const std::int64_t dropped = slice.proposals - verdict.accepted;
  request.seen += fresh;
  request.uncharged += fresh + dropped;
  counters_.computed_tokens += slice.tokens + slice.proposals;
  counters_.recomputed_tokens += slice.tokens + verdict.accepted - fresh;
  counters_.proposed_tokens += slice.proposals;
  counters_.accepted_tokens += verdict.accepted;
  if (!reads) return;
  const std::span<const TokenId> said =
      std::span<const TokenId>(request.answer.tokens()).subspan(before);
  counters_.answer_tokens += static_cast<std::int64_t>(said.size());
  if (!verdict.goes_on.ok()) return End(request, std::move(verdict.goes_on).error());
  if (!*verdict.goes_on) return End(request, FinishAnswer(request));
  request.tokens.insert(request.tokens.end(), said.begin(), said.end());
  if (dropped > 0) backend_.Truncate(*request.sequence, request.cached);
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
