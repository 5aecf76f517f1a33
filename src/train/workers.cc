#include "train/workers.h"

#include <exception>
#include <utility>

#include "base/check.h"

namespace metier::train {
namespace {

// Calls work with the values as a span of their type, in the CPU's memory.
template <class Call>
Status OnHost(const at::Tensor& values, Call&& call) {
  const torch::NoGradGuard no_grad;
  const at::Tensor host = values.to(at::kCPU);
  const auto size = static_cast<std::size_t>(host.numel());
  if (host.scalar_type() == at::kFloat) {
    METIER_TRY(call(std::span(host.data_ptr<float>(), size)));
  } else {
    METIER_TRY(call(std::span(host.data_ptr<double>(), size)));
  }
  if (!values.is_cpu()) values.copy_(host);
  return Ok();
}

void CheckValues(const at::Tensor& values) {
  METIER_CHECK(values.is_contiguous() &&
                   (values.scalar_type() == at::kFloat || values.scalar_type() == at::kDouble),
               "workers exchange contiguous tensors of floats or doubles");
}

}  // namespace

struct Workers::Pending::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Status> result;
};

Status Workers::Pending::Wait() {
  if (state_ == nullptr) return Ok();
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->result.has_value(); });
  if (state_->result->ok()) return Ok();
  const std::string symptom = state_->result->error().message();
  lock.unlock();
  return Error(ErrorCode::kIo, workers_->links_->Verdict(symptom));
}

Result<std::unique_ptr<Workers>> Workers::Open(const WorkerPlace& place,
                                               std::chrono::milliseconds timeout) {
  auto workers = std::make_unique<Workers>();
  if (place.count == 1) return workers;
  METIER_ASSIGN(std::unique_ptr<WorkerLinks> links, WorkerLinks::Open(place, timeout));
  workers->place_ = place;
  workers->links_ = std::move(links);
  Workers& here = *workers;
  here.ring_.emplace(place.rank, place.count, here.links_->TakeNext(), here.links_->TakePrevious());
  here.links_->Watch([&here] { here.ring_->Abort(); });
  here.thread_ = std::thread([&here] { here.WorkOff(); });
  return workers;
}

Workers::~Workers() {
  if (alone()) return;
  if (!ended_) Fail("by an error of its own");
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  asked_.notify_all();
  if (thread_.joinable()) thread_.join();
  links_.reset();  // ends the watcher, which may abort the ring
}

Workers::Pending Workers::Start(Work work) {
  Pending pending;
  if (alone()) return pending;
  pending.workers_ = this;
  pending.state_ = std::make_shared<Pending::State>();
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(std::move(work), pending.state_);
  }
  asked_.notify_all();
  return pending;
}

void Workers::WorkOff() {
  bool broken = false;
  while (true) {
    std::unique_lock lock(mutex_);
    asked_.wait(lock, [this] { return stops_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto [work, state] = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const auto start = std::chrono::steady_clock::now();
    // What follows a call that failed would take other calls' bytes for its own.
    Status result = Error(ErrorCode::kIo, "an earlier exchange failed");
    if (!broken) {
      try {
        result = work(*ring_);
      } catch (const std::exception& problem) {
        result = Error(ErrorCode::kIo, problem.what());
      }
    }
    broken = broken || !result.ok();
    work = nullptr;  // lets its tensors go
    lock.lock();
    busy_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    lock.unlock();
    {
      const std::lock_guard done(state->mutex);
      state->result = std::move(result);
    }
    state->changed.notify_all();
  }
}

Workers::Pending Workers::StartSum(const at::Tensor& values) {
  CheckValues(values);
  return Start([values](Ring& ring) {
    return OnHost(values, [&ring](auto span) { return ring.Sum(span); });
  });
}

Workers::Pending Workers::StartSumParts(const at::Tensor& values) {
  CheckValues(values);
  return Start([values](Ring& ring) {
    return OnHost(values, [&ring](auto span) { return ring.SumParts(span); });
  });
}

Workers::Pending Workers::StartGatherParts(const at::Tensor& values) {
  CheckValues(values);
  return Start([values](Ring& ring) {
    return OnHost(values, [&ring](auto span) { return ring.GatherParts(span); });
  });
}

Status Workers::Sum(std::vector<double>& values) {
  return Do([&values](Ring& ring) { return ring.Sum(std::span(values)); });
}

Status Workers::Spread(const at::Tensor& values) {
  CheckValues(values);
  return Do([values](Ring& ring) {
    return OnHost(values, [&ring](auto span) { return ring.Spread(std::as_writable_bytes(span)); });
  });
}

Result<std::string> Workers::Spread(const std::string& text) {
  std::string shared = text;
  const auto work = [&shared](Ring& ring) -> Status {
    std::uint64_t size = shared.size();
    METIER_TRY(ring.Spread(std::as_writable_bytes(std::span(&size, 1))));
    shared.resize(size);
    return ring.Spread(std::as_writable_bytes(std::span(shared.data(), shared.size())));
  };
  METIER_TRY(Do(work));
  return shared;
}

Result<std::vector<std::string>> Workers::Gather(const std::string& text) {
  std::vector<std::string> texts(static_cast<std::size_t>(count()));
  texts[static_cast<std::size_t>(rank())] = text;
  const auto work = [&texts, this](Ring& ring) -> Status {
    std::vector<std::uint64_t> sizes(texts.size());
    sizes[static_cast<std::size_t>(rank())] = texts[static_cast<std::size_t>(rank())].size();
    std::vector<std::span<std::byte>> blocks;
    for (std::uint64_t& size : sizes) blocks.push_back(std::as_writable_bytes(std::span(&size, 1)));
    METIER_TRY(ring.GatherBlocks(blocks));
    blocks.clear();
    for (std::size_t r = 0; r < texts.size(); ++r) {
      texts[r].resize(sizes[r]);
      blocks.push_back(std::as_writable_bytes(std::span(texts[r].data(), texts[r].size())));
    }
    return ring.GatherBlocks(blocks);
  };
  METIER_TRY(Do(work));
  return texts;
}

Status Workers::Leave() {
  if (alone()) return Ok();
  std::vector<double> nothing = {0};
  METIER_TRY(Sum(nothing));
  links_->Leave();
  ended_ = true;
  return Ok();
}

void Workers::Fail(const std::string& why) {
  if (alone()) return;
  ended_ = true;
  links_->Fail(why);
  ring_->Abort();
}

std::optional<std::string> Workers::lost() const {
  return alone() ? std::nullopt : links_->verdict();
}

double Workers::busy_seconds() const {
  const std::lock_guard lock(mutex_);
  return busy_;
}

}  // namespace metier::train
