// A scheduler's life at random: arrivals, cancellations, proposals, adapters that come and go, a
// cache that is too small. METIER_SOAK_SECONDS lengthens it.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>

#include "base/rng.h"
#include "engine/scheduler.h"
#include "proposing.h"
#include "scheduling.h"

namespace metier::engine::test {
namespace {

struct Life {
  std::size_t ask = 0;
  std::optional<Knowing> proposer;
  Heard heard;
  std::stop_source cancel;
  bool cancelled = false;
  bool adapter_removed = false;  // or about to be
  model::AdapterId adapter = model::AdapterId::kNone;
};

class Soak : public Scheduling {
 protected:
  Soak() : asks_(Mixture()), alone_(EachAlone(asks_)) {}

  void Live(std::uint64_t seed, int steps) {
    Rng rng(seed);
    lives_.clear();
    adapters_ = {model::AdapterId{0}};
    const auto backend = Backend(static_cast<std::int64_t>(5 + rng.Below(10)));
    Scheduler scheduler(*backend, words_,
                        {.step_tokens = static_cast<std::int64_t>(1 + rng.Below(100)),
                         .max_running = static_cast<std::int64_t>(1 + rng.Below(8)),
                         .max_waiting = 12});
    for (int step = 0; step < steps; ++step) {
      if (rng.Below(3) == 0) Arrive(rng, scheduler);
      if (rng.Below(12) == 0) CancelOne(rng);
      if (rng.Below(20) == 0) scheduler.Post([this](model::Backend& held) { Load(held); });
      if (rng.Below(20) == 0 && !adapters_.empty()) {
        const model::AdapterId leaving = adapters_[rng.Below(adapters_.size())];
        scheduler.Post([this, leaving](model::Backend& held) { Unload(held, leaving); });
      }
      scheduler.Step();
      const SchedulerStats stats = scheduler.stats();
      ASSERT_EQ(stats.submitted,
                stats.running + stats.waiting + stats.finished + stats.cancelled + stats.failed);
      ASSERT_GE(stats.cache.free_pages, 0);
    }
    while (scheduler.Step()) continue;
    for (const auto& [number, life] : lives_) CheckEnd(*life);
    ExpectAllGivenBack(scheduler, *backend);
    const SchedulerStats stats = scheduler.stats();
    preempted_ += stats.preempted;
    evicted_ += stats.cache.evicted_pages;
    reused_ += stats.work.reused_tokens;
    accepted_ += stats.work.accepted_tokens;
    finished_ += stats.finished;
    cancelled_ += stats.cancelled;
  }

  void Arrive(Rng& rng, Scheduler& scheduler) {
    auto life = std::make_unique<Life>();
    life->ask = static_cast<std::size_t>(rng.Below(asks_.size()));
    Ask ask = asks_[life->ask];
    ask.options.cancel = life->cancel.get_token();
    if (rng.Below(2) == 0) {
      life->proposer.emplace(alone_[life->ask].tokens, spec_.vocab, 1, 1 + rng.Below(9));
      ask.options.proposer = &*life->proposer;
    }
    Request request = RequestOf(ask, life->heard);
    if (ask.adapter != model::AdapterId::kNone) {
      if (adapters_.empty()) return;
      life->adapter = adapters_[rng.Below(adapters_.size())];
      request.adapter = life->adapter;
    }
    const auto id = scheduler.Submit(std::move(request));
    if (id.ok()) lives_[static_cast<std::int64_t>(*id)] = std::move(life);
  }
  void CancelOne(Rng& rng) {
    if (lives_.empty()) return;
    Life& life = *std::next(lives_.begin(), static_cast<int>(rng.Below(lives_.size())))->second;
    if (life.heard.ended()) return;
    life.cancelled = true;
    life.cancel.request_stop();
  }
  void Load(model::Backend& backend) {
    const auto id = backend.AddAdapter(RandomAdapter(spec_, 3));
    ASSERT_TRUE(id.ok());
    adapters_.push_back(*id);
  }
  void Unload(model::Backend& backend, model::AdapterId adapter) {
    if (!backend.RemoveAdapter(adapter).ok()) return;  // somebody uses it, or it is gone
    std::erase(adapters_, adapter);
    for (const auto& [number, life] : lives_) {
      if (life->adapter == adapter && !life->heard.ended()) life->adapter_removed = true;
    }
  }
  void CheckEnd(const Life& life) const {
    const Generation& alone = alone_[life.ask];
    ASSERT_EQ(life.heard.done.size(), 1U);
    const Result<Generation>& outcome = life.heard.done[0];
    if (life.adapter_removed && !outcome.ok()) {
      EXPECT_ERROR(outcome, ErrorCode::kInvalidArgument, "no adapter");
      return;
    }
    ASSERT_TRUE(outcome.ok()) << outcome.error().message();
    if (outcome->finish != FinishReason::kCancelled)
      return ExpectSame(life.heard, alone, std::to_string(life.ask));
    EXPECT_TRUE(life.cancelled);
    ASSERT_LE(outcome->tokens.size(), alone.tokens.size());
    EXPECT_TRUE(std::equal(outcome->tokens.begin(), outcome->tokens.end(), alone.tokens.begin()));
  }

  std::vector<Ask> asks_;
  std::vector<Generation> alone_;
  std::map<std::int64_t, std::unique_ptr<Life>> lives_;
  std::vector<model::AdapterId> adapters_;
  std::int64_t preempted_ = 0;
  std::int64_t evicted_ = 0;
  std::int64_t reused_ = 0;
  std::int64_t accepted_ = 0;
  std::int64_t finished_ = 0;
  std::int64_t cancelled_ = 0;
};

TEST_F(Soak, EverybodyGetsTheirAnswer) {
  const char* seconds = std::getenv("METIER_SOAK_SECONDS");
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::seconds(seconds == nullptr ? 0 : std::atoi(seconds));
  std::uint64_t seed = 1;
  for (; seed <= 3 || std::chrono::steady_clock::now() < until; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Live(seed, 300);
    if (HasFailure()) return;
  }
  EXPECT_GT(preempted_, 0);
  EXPECT_GT(evicted_, 0);
  EXPECT_GT(reused_, 0);
  EXPECT_GT(accepted_, 100);
  EXPECT_GT(finished_, 30);
  EXPECT_GT(cancelled_, 3);
}

}  // namespace
}  // namespace metier::engine::test
