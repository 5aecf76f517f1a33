// What is answered does not depend on who else asks, and memory always comes back.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include "scheduling.h"

namespace metier::engine::test {
namespace {

using text::TokenId;

TEST_F(Scheduling, MixedArrivalsAreAnsweredAsAlone) {
  const std::vector<Ask> asks = Mixture();
  const std::vector<Generation> alone = EachAlone(asks);
  for (const std::int64_t pages : {0, 100, 5}) {  // the longest request needs five
    std::int64_t preempted = 0;
    for (const std::int64_t chunk : {1, 7, 16, 64, 512}) {
      const auto backend = Backend(pages, chunk == 16 ? 3 : 1);
      std::vector<Heard> heard(asks.size());
      Scheduler scheduler(*backend, words_, {.step_tokens = chunk, .max_running = 8});
      std::size_t next = 0;
      for (int step = 0;; ++step) {
        if (step % 3 == 0 && next < asks.size()) {
          ASSERT_OK(scheduler.Submit(RequestOf(asks[next], heard[next])));
          ++next;
        }
        if (!scheduler.Step() && next == asks.size()) break;
      }
      for (std::size_t i = 0; i < asks.size(); ++i) {
        ExpectSame(heard[i], alone[i],
                   fmt::format("request {}, {} pages, chunks of {}", i, pages, chunk));
      }
      ExpectAllGivenBack(scheduler, *backend);
      const SchedulerStats stats = scheduler.stats();
      EXPECT_EQ(stats.finished, static_cast<std::int64_t>(asks.size()));
      EXPECT_GT(stats.work.reused_tokens, 0);  // also of those that run
      EXPECT_EQ(stats.cache.evicted_pages > 0, pages != 100);
      preempted += stats.preempted;
    }
    EXPECT_EQ(preempted > 0, pages == 5);
  }
}

TEST_F(Scheduling, PreemptionLosesNoWork) {
  // Both pass the end of their first page; there are three.
  for (const bool evicted : {false, true}) {
    const std::vector<Ask> asks = {Asked(Prompt(60, 1), evicted ? 100 : 40, 5),
                                   Asked(Prompt(60, 2), 60, 6)};
    const auto backend = Backend(3);
    std::vector<Heard> heard(2);
    Scheduler scheduler(*backend, words_);
    for (std::size_t i = 0; i < 2; ++i) ASSERT_OK(scheduler.Submit(RequestOf(asks[i], heard[i])));
    while (scheduler.Step()) continue;
    for (std::size_t i = 0; i < 2; ++i) ExpectSame(heard[i], Alone(asks[i]), "preempted");
    const SchedulerStats stats = scheduler.stats();
    EXPECT_EQ(stats.preempted, 1);
    EXPECT_EQ(stats.cache.evicted_pages, evicted ? 2 : 0);  // later the other way round
    // Its one full page is found again, unless the older request took it for its third.
    EXPECT_EQ(stats.work.recomputed_tokens, evicted ? kPage : 0);
    EXPECT_EQ(stats.work.reused_tokens, 0);  // recovering is not reuse of a prompt
    EXPECT_EQ(stats.work.answer_tokens, evicted ? 160 : 100);
    ExpectAllGivenBack(scheduler, *backend);
  }
}

TEST_F(Scheduling, ManyAnswersThatOutgrowTheCacheAllComeToTheirEnd) {
  std::vector<Ask> asks;
  for (std::uint64_t i = 0; i < 12; ++i) asks.push_back(Asked(Prompt(30 + i, i), 150, i));
  const auto backend = Backend(7);
  std::vector<Heard> heard(asks.size());
  Scheduler scheduler(*backend, words_, {.step_tokens = 40});
  for (std::size_t i = 0; i < asks.size(); ++i)
    ASSERT_OK(scheduler.Submit(RequestOf(asks[i], heard[i])));
  while (scheduler.Step()) continue;
  for (std::size_t i = 0; i < asks.size(); ++i)
    ExpectSame(heard[i], Alone(asks[i]), std::to_string(i));
  EXPECT_GT(scheduler.stats().preempted, 3);
  ExpectAllGivenBack(scheduler, *backend);
}

TEST_F(Scheduling, CancellationAtAnyStepGivesItsPagesBackAndDisturbsNobody) {
  // Of five pages the first two need six in the end, and the third waits.
  const std::vector<Ask> asks = {Asked(Prompt(100, 1), 40, 5), Asked(Prompt(100, 2), 40, 6),
                                 Asked(Prompt(100, 3), 10, 7)};
  const std::vector<Generation> alone = EachAlone(asks);
  bool done = false;
  std::int64_t preempted = 0;
  for (int cancel_at = 0; !done; ++cancel_at) {
    ASSERT_LT(cancel_at, 1000);
    const auto backend = Backend(5);
    std::vector<Heard> heard(asks.size());
    Scheduler scheduler(*backend, words_, {.step_tokens = 30});
    std::stop_source cancel;
    for (std::size_t i = 0; i < asks.size(); ++i) {
      Ask ask = asks[i];
      if (i == 1) ask.options.cancel = cancel.get_token();
      ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
    }
    for (int step = 0; step < cancel_at; ++step) scheduler.Step();
    done = heard[1].ended();
    cancel.request_stop();
    scheduler.Step();
    ASSERT_TRUE(heard[1].ended());
    while (scheduler.Step()) continue;
    preempted += scheduler.stats().preempted;
    ExpectSame(heard[0], alone[0], "before it");
    ExpectSame(heard[2], alone[2], "after it");
    const Generation& answer = *heard[1].done[0];
    EXPECT_EQ(answer.finish, done ? FinishReason::kLength : FinishReason::kCancelled);
    ASSERT_LE(answer.tokens.size(), alone[1].tokens.size());
    EXPECT_TRUE(std::equal(answer.tokens.begin(), answer.tokens.end(), alone[1].tokens.begin()));
    EXPECT_EQ(answer.text, heard[1].text);
    EXPECT_EQ(scheduler.stats().cancelled, done ? 0 : 1);
    ExpectAllGivenBack(scheduler, *backend);
  }
  EXPECT_GT(preempted, 0);
}

TEST_F(Scheduling, AnswersDoNotWaitForALongPrompt) {
  const auto backend = Backend(100);
  std::vector<Heard> heard(3);
  Scheduler scheduler(*backend, words_, {.step_tokens = 16});
  ASSERT_OK(scheduler.Submit(RequestOf(Asked(Prompt(1, 1), 100), heard[0])));
  ASSERT_OK(scheduler.Submit(RequestOf(Asked(Prompt(1, 2), 100), heard[1])));
  scheduler.Step();
  ASSERT_OK(scheduler.Submit(RequestOf(Asked(Prompt(400, 3), 5), heard[2])));
  int steps = 0;
  while (heard[2].tokens.empty()) {
    scheduler.Step();
    ++steps;
    for (int i = 0; i < 2; ++i)
      ASSERT_EQ(heard[static_cast<std::size_t>(i)].tokens.size(), 1U + steps);
  }
  EXPECT_EQ(steps, 400 / 14 + 1);  // 16 tokens a step, two of them of answers
}

TEST_F(Scheduling, ABeginningThatIsBeingComputedIsComputedOnce) {
  const auto backend = Backend(100);
  std::vector<Heard> heard(3);
  Scheduler scheduler(*backend, words_, {.step_tokens = 64});
  const std::vector<TokenId> system = Prompt(320, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    Ask ask = Asked(system, 1);
    ask.prompt.push_back(static_cast<TokenId>(i));
    ask.client = std::to_string(i);
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  }
  while (scheduler.Step()) continue;
  EXPECT_EQ(scheduler.stats().work.computed_tokens, 320 + 3);
  EXPECT_EQ(scheduler.stats().work.reused_tokens, 2 * 320);
  std::int64_t reused = 0;
  for (const Heard& one : heard) reused += one.done[0]->reused_tokens;
  EXPECT_EQ(reused, 2 * 320);
}

// Two rows are more than a step's results may have: each answer is computed alone.
TEST_F(Scheduling, AStepThatIsRefusedTogetherIsDoneOneByOne) {
  const auto row_bytes = static_cast<std::uint64_t>(spec_.vocab) * sizeof(float);
  NativeBackend backend(model_, {.threads = 1, .max_result_bytes = row_bytes});
  std::vector<Heard> heard(2);
  Scheduler scheduler(backend, words_);
  const std::vector<Ask> asks = {Asked(Prompt(5, 1), 9, 1), Asked(Prompt(5, 2), 9, 2)};
  for (std::size_t i = 0; i < 2; ++i) ASSERT_OK(scheduler.Submit(RequestOf(asks[i], heard[i])));
  while (scheduler.Step()) continue;
  for (std::size_t i = 0; i < 2; ++i) ExpectSame(heard[i], Alone(asks[i]), "one by one");
}

// Allows every token, then gives up.
class GivesUp : public TokenConstraint {
 public:
  explicit GivesUp(int after) : left_(after) {}
  Result<TokenMask> Mask() override {
    if (left_-- == 0) return Error(ErrorCode::kInvalidArgument, "the grammar has no way on");
    return TokenMask();
  }
  Status Accept(TokenId /*token*/) override { return Ok(); }

 private:
  int left_;
};

TEST_F(Scheduling, AnErrorEndsItsOwnRequestOnly) {
  for (const int after : {0, 4}) {
    const auto backend = Backend(100);
    Scheduler scheduler(*backend, words_);
    GivesUp constraint(after);
    std::vector<Ask> asks = {Asked(Prompt(70, 1), 20, 1), Asked(Prompt(70, 2), 20, 2),
                             Asked(Prompt(70, 3), 20, 3)};
    const Generation first = Alone(asks[0]);
    asks[1].options.constraint = &constraint;
    std::vector<Heard> heard(3);
    for (std::size_t i = 0; i < 2; ++i) ASSERT_OK(scheduler.Submit(RequestOf(asks[i], heard[i])));
    Request unknown = RequestOf(asks[2], heard[2]);
    unknown.adapter = model::AdapterId{7};
    ASSERT_OK(scheduler.Submit(std::move(unknown)));
    while (scheduler.Step()) continue;
    ExpectSame(heard[0], first, "beside an error");
    ASSERT_EQ(heard[1].done.size(), 1U);
    EXPECT_ERROR(heard[1].done[0], ErrorCode::kInvalidArgument, "no way on");
    EXPECT_EQ(heard[1].tokens.size(), static_cast<std::size_t>(after));
    ASSERT_EQ(heard[2].done.size(), 1U);
    EXPECT_ERROR(heard[2].done[0], ErrorCode::kInvalidArgument, "no adapter with id 7");
    EXPECT_EQ(scheduler.stats().failed, 2);
    ExpectAllGivenBack(scheduler, *backend);
  }
}

TEST_F(Scheduling, SequencesOfOthersAreRespected) {
  const auto backend = Backend(3);
  ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*backend));
  ASSERT_OK(session.Set(Prompt(2 * kPage, 9)));
  std::vector<Heard> heard(2);
  Scheduler scheduler(*backend, words_);
  ASSERT_OK(scheduler.Submit(RequestOf(Asked(Prompt(50, 1), 100), heard[0])));
  ASSERT_OK(scheduler.Submit(RequestOf(Asked(Prompt(50, 2), 10), heard[1])));
  while (scheduler.Step()) continue;
  ASSERT_TRUE(heard[0].ended());
  EXPECT_ERROR(heard[0].done[0], ErrorCode::kResourceExhausted, "KV cache is full");
  ASSERT_TRUE(heard[1].ended());
  EXPECT_OK(heard[1].done[0]);
  EXPECT_EQ(backend->cache_stats().used_pages, 2);
}

}  // namespace
}  // namespace metier::engine::test
