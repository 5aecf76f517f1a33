// A scheduler that runs on one thread while clients on others ask, cancel, load and unload
// adapters, all at random: everybody gets their answer, nobody waits for long, nothing is kept.
// METIER_SOAK_SECONDS lengthens it; the preset tsan makes a race an error.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>

#include "base/rng.h"
#include "engine/scheduler.h"
#include "proposing.h"
#include "scheduling.h"

namespace metier::engine::test {
namespace {

using Clock = std::chrono::steady_clock;

// One request, on its way between two threads: what the scheduler writes is read once it ended.
struct Call {
  std::size_t ask = 0;
  std::optional<Knowing> proposer;
  Heard heard;
  std::stop_source cancel;
  std::int64_t ended_before = 0;  // requests that had ended when it was submitted
  std::atomic<std::int64_t> overtaken = -1;

  bool ended() const { return overtaken.load() >= 0; }
};

class SchedulerThreads : public Scheduling {
 protected:
  static constexpr std::size_t kClients = 3;
  static constexpr std::size_t kOpenCalls = 4;  // of each client

  SchedulerThreads() : asks_(Mixture()), alone_(EachAlone(asks_)) {}

  void AskFor(Scheduler& scheduler, std::uint64_t client, Clock::time_point until) {
    Rng rng(client);
    std::deque<std::unique_ptr<Call>> open;
    for (int calls = 0; calls < 15 || Clock::now() < until; ++calls) {
      while (open.size() >= kOpenCalls) WaitForOldest(open);
      auto call = std::make_unique<Call>();
      if (Submit(scheduler, rng, std::string(1, static_cast<char>('x' + client)), *call))
        open.push_back(std::move(call));
      if (rng.Below(4) == 0 && !open.empty()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(rng.Below(20)));
        open[rng.Below(open.size())]->cancel.request_stop();
      }
    }
    while (!open.empty()) WaitForOldest(open);
  }

  bool Submit(Scheduler& scheduler, Rng& rng, const std::string& client, Call& call) {
    call.ask = static_cast<std::size_t>(rng.Below(asks_.size()));
    Ask ask = asks_[call.ask];
    ask.client = client;
    ask.options.cancel = call.cancel.get_token();
    if (rng.Below(2) == 0) {
      call.proposer.emplace(alone_[call.ask].tokens, spec_.vocab, 1, 1 + rng.Below(9));
      ask.options.proposer = &*call.proposer;
    }
    Request request = RequestOf(ask, call.heard);
    if (ask.adapter != model::AdapterId::kNone) {
      const std::scoped_lock lock(mutex_);
      if (adapters_.empty()) return false;
      request.adapter = adapters_[rng.Below(adapters_.size())];
    }
    call.ended_before = ended_;
    request.on_done = [this, &call](Result<Generation> result) {
      call.heard.done.push_back(std::move(result));
      call.overtaken = ended_++ - call.ended_before;
    };
    return scheduler.Submit(std::move(request)).ok();
  }

  void WaitForOldest(std::deque<std::unique_ptr<Call>>& open) {
    const Call& call = *open.front();
    while (!call.ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Check(call);
    open.pop_front();
  }

  void Check(const Call& call) {
    std::int64_t most = most_overtaken_;
    while (call.overtaken > most && !most_overtaken_.compare_exchange_weak(most, call.overtaken))
      continue;
    const Generation& alone = alone_[call.ask];
    ASSERT_EQ(call.heard.done.size(), 1U);
    const Result<Generation>& outcome = call.heard.done[0];
    if (!outcome.ok()) {  // its adapter left before it came to be served
      ++without_adapter_;
      EXPECT_NE(asks_[call.ask].adapter, model::AdapterId::kNone);
      EXPECT_ERROR(outcome, ErrorCode::kInvalidArgument, "no adapter");
      return;
    }
    if (outcome->finish != FinishReason::kCancelled)
      return ExpectSame(call.heard, alone, std::to_string(call.ask));
    EXPECT_TRUE(call.cancel.stop_requested());
    ASSERT_LE(outcome->tokens.size(), alone.tokens.size());
    EXPECT_TRUE(std::equal(outcome->tokens.begin(), outcome->tokens.end(), alone.tokens.begin()));
  }

  void ChangeAdapters(Scheduler& scheduler, const std::stop_token& stop) {
    Rng rng(99);
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5 + rng.Below(30)));
      const std::uint64_t which = rng.Below(6);
      scheduler.Post([this, which](model::Backend& backend) {
        const std::scoped_lock lock(mutex_);
        if (which < 3 || adapters_.size() < 2) {
          const auto id = backend.AddAdapter(RandomAdapter(spec_, 3));
          ASSERT_TRUE(id.ok());
          adapters_.push_back(*id);
          return;
        }
        const model::AdapterId leaving = adapters_[which % adapters_.size()];
        if (!backend.RemoveAdapter(leaving).ok()) return;  // somebody uses it
        std::erase(adapters_, leaving);
        ++removed_;
      });
    }
  }

  std::vector<Ask> asks_;
  std::vector<Generation> alone_;
  std::mutex mutex_;
  std::vector<model::AdapterId> adapters_ = {model::AdapterId{0}};
  std::atomic<std::int64_t> ended_ = 0;
  std::atomic<std::int64_t> most_overtaken_ = 0;
  std::atomic<std::int64_t> without_adapter_ = 0;
  std::int64_t removed_ = 0;  // under the mutex
};

TEST_F(SchedulerThreads, EverybodyGetsTheirAnswerAndNobodyStarves) {
  const char* seconds = std::getenv("METIER_SOAK_SECONDS");
  const auto until =
      Clock::now() + std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  const auto backend = Backend(11, 2);
  Scheduler scheduler(*backend, words_, {.step_tokens = 48, .max_running = 6, .max_waiting = 9});
  {
    std::jthread running([&](const std::stop_token& stop) { scheduler.Run(stop); });
    {
      std::jthread adapters([&](const std::stop_token& stop) { ChangeAdapters(scheduler, stop); });
      std::vector<std::jthread> clients;
      for (std::uint64_t client = 0; client < kClients; ++client)
        clients.emplace_back([&, client] { AskFor(scheduler, client, until); });
    }
    scheduler.Close();
  }
  ExpectAllGivenBack(scheduler, *backend);
  const SchedulerStats stats = scheduler.stats();
  EXPECT_EQ(stats.submitted, ended_);
  EXPECT_GT(stats.finished, 20);
  EXPECT_GT(stats.cancelled, 0);
  EXPECT_GT(stats.work.reused_tokens, 0);
  EXPECT_GT(stats.work.accepted_tokens, 0);
  // While a client's calls take their turns, the others get as many tokens: a few hundred for each
  // of its calls, of which the shortest request takes one.
  EXPECT_LT(most_overtaken_, 400);
  std::cout << "finished " << stats.finished << ", cancelled " << stats.cancelled << ", refused "
            << stats.refused << ", preempted " << stats.preempted << ", tokens reused "
            << stats.work.reused_tokens << ", evicted pages " << stats.cache.evicted_pages
            << ", adapters unloaded " << removed_ << ", asked for one that was gone "
            << without_adapter_ << "; the longest waiting was overtaken by " << most_overtaken_
            << "\n";
}

}  // namespace
}  // namespace metier::engine::test
