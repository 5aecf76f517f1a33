// What is proposed changes no answer of a scheduler, whoever proposes and whoever shares the steps.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/draft_model.h"
#include "engine/prompt_lookup.h"
#include "engine/scheduler.h"
#include "proposing.h"
#include "scheduling.h"
#include "scripted_backend.h"

namespace metier::engine::test {
namespace {

using text::TokenId;
using Tokens = std::vector<TokenId>;

class Proposing : public Scheduling {
 protected:
  Proposing()
      : twin_(model_, {.threads = 1}), other_(OtherModel(spec_, spec_.vocab), {.threads = 1}) {}

  // Requests of all kinds, some of which repeat what their prompts say.
  std::vector<Ask> Asks() const {
    std::vector<Ask> asks = Mixture();
    for (std::uint64_t i = 0; i < 4; ++i) {
      Tokens prompt = Prompt(20 + 9 * i, 50 + i);
      const Tokens half = prompt;
      prompt.insert(prompt.end(), half.begin(), half.end());
      asks.push_back(Asked(std::move(prompt), 60, i % 2 * (i + 1)));
    }
    return asks;
  }

  // A proposer of each kind in turn, and none.
  std::unique_ptr<Proposer> ProposerOf(std::size_t i, const Generation& alone) {
    switch (i % 7) {
      case 0: return std::make_unique<PromptLookup>();
      case 1: return std::make_unique<Knowing>(alone.tokens, spec_.vocab, 0);
      case 2: return std::make_unique<Knowing>(alone.tokens, spec_.vocab, 1);
      case 3: return DraftModel::Create(twin_, spec_.vocab).value();
      case 4: return DraftModel::Create(other_, spec_.vocab).value();
      case 5: return std::make_unique<Knowing>(alone.tokens, spec_.vocab, 1, 4);
      default: return nullptr;
    }
  }

  NativeBackend twin_;   // the same model
  NativeBackend other_;  // another of the same vocabulary
};

TEST_F(Proposing, ChangesNoAnswer) {
  const std::vector<Ask> asks = Asks();
  const std::vector<Generation> alone = EachAlone(asks);
  std::int64_t accepted_in_all = 0;
  for (const std::int64_t pages : {0, 5}) {  // the longest request needs five
    std::int64_t preempted = 0;
    for (const std::int64_t chunk : {1, 7, 40, 512}) {
      const auto backend = Backend(pages, chunk == 40 ? 3 : 1);
      std::vector<Heard> heard(asks.size());
      std::vector<std::unique_ptr<Proposer>> proposers;
      Scheduler scheduler(*backend, words_, {.step_tokens = chunk, .max_running = 8});
      for (int step = 0;; ++step) {
        const std::size_t next = proposers.size();
        if (step % 3 == 0 && next < asks.size()) {
          Ask ask = asks[next];
          proposers.push_back(ProposerOf(next + static_cast<std::size_t>(chunk), alone[next]));
          ask.options.proposer = proposers.back().get();
          ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[next])));
        }
        if (!scheduler.Step() && next == asks.size()) break;
      }
      const std::string how = fmt::format("{} pages, chunks of {}", pages, chunk);
      std::int64_t accepted = 0;
      for (std::size_t i = 0; i < asks.size(); ++i) {
        ExpectSame(heard[i], alone[i], fmt::format("request {}, {}", i, how));
        if (heard[i].ended() && heard[i].done[0].ok())
          accepted += heard[i].done[0]->accepted_tokens;
      }
      ExpectAllGivenBack(scheduler, *backend);
      const StepCounters work = scheduler.stats().work;
      EXPECT_EQ(work.accepted_tokens, accepted) << how;
      EXPECT_LE(work.accepted_tokens, work.proposed_tokens) << how;
      EXPECT_EQ(work.proposed_tokens > 0, chunk > 1) << how;
      EXPECT_EQ(accepted > 0, chunk > 1) << how;
      accepted_in_all += accepted;
      preempted += scheduler.stats().preempted;
    }
    EXPECT_EQ(preempted > 0, pages == 5);
  }
  EXPECT_GT(accepted_in_all, 300);
  EXPECT_EQ(twin_.cache().used_bytes(), 0U);
  EXPECT_EQ(other_.cache().used_bytes(), 0U);
}

TEST_F(Proposing, RightProposalsSaveSteps) {
  const Ask plain = Asked(Prompt(10, 1), 40, 3);
  const Generation alone = Alone(plain);
  const auto steps = [&](int offset) {
    Knowing proposer(alone.tokens, spec_.vocab, offset);
    Ask ask = plain;
    ask.options.proposer = &proposer;
    const auto backend = Backend(100);
    Heard heard;
    Scheduler scheduler(*backend, words_);
    EXPECT_OK(scheduler.Submit(RequestOf(ask, heard)));
    while (scheduler.Step()) continue;
    ExpectSame(heard, alone, "alone in the scheduler");
    return scheduler.stats().work.steps;
  };
  EXPECT_EQ(steps(1), 40);
  // One for the prompt, and 39 tokens at nine a step; one step ends at the end of the page.
  EXPECT_EQ(steps(0), 1 + 5);
}

// Both pass the end of their first page; there are three.
TEST_F(Proposing, PreemptionLosesNoWork) {
  const std::vector<Ask> asks = {Asked(Prompt(60, 1), 100, 5), Asked(Prompt(60, 2), 60, 6)};
  const std::vector<Generation> alone = EachAlone(asks);
  for (const std::size_t every : {1, 2, 50}) {
    const auto backend = Backend(3);
    std::vector<Heard> heard(2);
    std::vector<std::unique_ptr<Knowing>> proposers;
    Scheduler scheduler(*backend, words_);
    for (std::size_t i = 0; i < 2; ++i) {
      proposers.push_back(std::make_unique<Knowing>(alone[i].tokens, spec_.vocab, 1, every));
      Ask ask = asks[i];
      ask.options.proposer = proposers.back().get();
      ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
    }
    while (scheduler.Step()) continue;
    for (std::size_t i = 0; i < 2; ++i) ExpectSame(heard[i], alone[i], "preempted");
    const SchedulerStats stats = scheduler.stats();
    EXPECT_EQ(stats.preempted, 1) << every;
    EXPECT_EQ(stats.work.recomputed_tokens, kPage) << every;  // which the older one took
    EXPECT_EQ(stats.work.answer_tokens, 160) << every;
    // Each token once but for those: nothing is computed behind the last of an answer.
    EXPECT_EQ(stats.work.computed_tokens - stats.work.recomputed_tokens,
              2 * 60 + 160 - 2 + stats.work.proposed_tokens - stats.work.accepted_tokens)
        << every;
    EXPECT_EQ(stats.work.accepted_tokens > 0, every > 1);
    ExpectAllGivenBack(scheduler, *backend);
  }
}

// In the middle of what one step accepts, and between two.
TEST_F(Proposing, ACancelEndsTheAnswerWhereItStands) {
  std::vector<Ask> asks = {Asked(Prompt(100, 1), 40, 5), Asked(Prompt(100, 2), 40, 6)};
  const std::vector<Generation> alone = EachAlone(asks);
  for (std::size_t said = 1; said <= 40; ++said) {
    const auto backend = Backend(5);
    std::vector<Heard> heard(2);
    Scheduler scheduler(*backend, words_, {.step_tokens = 60});
    std::stop_source cancel;
    std::vector<std::unique_ptr<Knowing>> proposers;
    for (std::size_t i = 0; i < 2; ++i) {
      proposers.push_back(std::make_unique<Knowing>(alone[i].tokens, spec_.vocab, 1, 30));
      asks[i].options.proposer = proposers.back().get();
    }
    asks[1].options.cancel = cancel.get_token();
    asks[1].options.on_token = [&](const Choice&) {
      if (heard[1].tokens.size() == said) cancel.request_stop();
    };
    for (std::size_t i = 0; i < 2; ++i) ASSERT_OK(scheduler.Submit(RequestOf(asks[i], heard[i])));
    while (scheduler.Step()) continue;
    ExpectSame(heard[0], alone[0], "beside it");
    ASSERT_TRUE(heard[1].ended());
    const Generation& answer = *heard[1].done[0];
    EXPECT_EQ(answer.finish, said == 40 ? FinishReason::kLength : FinishReason::kCancelled);
    EXPECT_EQ(answer.tokens, Tokens(alone[1].tokens.begin(),
                                    alone[1].tokens.begin() + static_cast<std::ptrdiff_t>(said)));
    EXPECT_EQ(heard[1].tokens, answer.tokens);
    EXPECT_EQ(answer.text, heard[1].text);
    ExpectAllGivenBack(scheduler, *backend);
  }
}

TEST_F(Proposing, AnswersEndInsideWhatIsAccepted) {
  const Tokens script = {kHello, kWorld, kLy, kSto, kP, kHello, kWorld, kEos, kHello, kHello};
  const auto answer = [&](GenerateOptions options, std::int64_t proposals) {
    ScriptedBackend backend(kVocab, 100, script);
    Knowing oracle(script, kVocab, 0);
    options.sampler.temperature = 0;
    options.max_tokens = std::min<std::int64_t>(options.max_tokens, 50);
    options.proposer = &oracle;
    options.max_proposals = proposals;
    Heard heard;
    Scheduler scheduler(backend, words_);
    EXPECT_OK(scheduler.Submit(RequestOf({.prompt = {1}, .options = options}, heard)));
    while (scheduler.Step()) continue;
    EXPECT_EQ(backend.open(), 0U);
    return heard;
  };
  std::vector<GenerateOptions> ends(4);
  ends[1].stop = {"STOP"};
  ends[2].max_tokens = 5;
  ends[3].end_tokens = {kLy};
  for (const GenerateOptions& options : ends) {
    const Heard plain = answer(options, 0);
    ASSERT_TRUE(plain.ended());
    for (const std::int64_t proposals : {1, 2, 3, 8})
      ExpectSame(answer(options, proposals), *plain.done[0], std::to_string(proposals));
  }
}

TEST_F(Proposing, AnErrorEndsItsOwnRequestOnly) {
  const std::vector<Ask> asks = {Asked(Prompt(70, 1), 20, 1), Asked(Prompt(70, 2), 20, 2)};
  const Generation first = Alone(asks[0]);
  const auto backend = Backend(100);
  Knowing oracle(first.tokens, spec_.vocab, 0);
  Broken failing(Error(ErrorCode::kIo, "no idea"));
  std::vector<Heard> heard(2);
  Scheduler scheduler(*backend, words_);
  for (std::size_t i = 0; i < 2; ++i) {
    Ask ask = asks[i];
    ask.options.proposer = i == 0 ? static_cast<Proposer*>(&oracle) : &failing;
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  }
  while (scheduler.Step()) continue;
  ExpectSame(heard[0], first, "beside an error");
  ASSERT_TRUE(heard[1].ended());
  EXPECT_ERROR(heard[1].done[0], ErrorCode::kIo, "no idea");
  EXPECT_EQ(scheduler.stats().failed, 1);
  ExpectAllGivenBack(scheduler, *backend);
}

TEST_F(Proposing, WhatCannotBeComputedIsLeftOut) {
  // The first is alone in the end.
  const std::vector<Ask> asks = {Asked(Prompt(5, 1), 30, 1), Asked(Prompt(70, 2), 20, 2),
                                 Asked(Prompt(9, 3), 20, 3)};
  const std::vector<Generation> alone = EachAlone(asks);
  const auto backend = Backend(100);
  std::vector<std::unique_ptr<Proposer>> proposers;
  proposers.push_back(std::make_unique<Broken>(Tokens{static_cast<TokenId>(spec_.vocab)}));
  proposers.push_back(std::make_unique<Broken>(Tokens(200, 1)));  // more than asked for
  proposers.push_back(std::make_unique<Knowing>(alone[2].tokens, spec_.vocab, 0));
  std::vector<Heard> heard(asks.size());
  Scheduler scheduler(*backend, words_);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    Ask ask = asks[i];
    ask.options.proposer = proposers[i].get();
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  }
  while (scheduler.Step()) continue;
  for (std::size_t i = 0; i < asks.size(); ++i) ExpectSame(heard[i], alone[i], std::to_string(i));
  ASSERT_OK(heard[0].done[0]);
  EXPECT_EQ(heard[0].done[0]->proposed_tokens, 0);
  ExpectAllGivenBack(scheduler, *backend);
}

// Two that say the same beside each other, wrong proposals alike: no page is found by tokens that
// never came, none is copied, none given up for them.
TEST_F(Proposing, WrongProposalsLeaveNoTrace) {
  const Ask plain = Asked(Prompt(50, 1), 120);
  const Generation alone = Alone(plain);
  const auto backend = Backend(6);
  std::vector<std::unique_ptr<Knowing>> proposers;
  std::vector<Heard> heard(2);
  Scheduler scheduler(*backend, words_);
  for (Heard& one : heard) {
    proposers.push_back(std::make_unique<Knowing>(alone.tokens, spec_.vocab, 1, 12));
    Ask ask = plain;
    ask.options.proposer = proposers.back().get();
    ASSERT_OK(scheduler.Submit(RequestOf(ask, one)));
  }
  while (scheduler.Step()) continue;
  for (const Heard& one : heard) ExpectSame(one, alone, "twins");
  const SchedulerStats stats = scheduler.stats();
  EXPECT_GT(stats.work.accepted_tokens, 100);
  EXPECT_LT(stats.work.accepted_tokens, stats.work.proposed_tokens);
  EXPECT_EQ(stats.cache.copied_pages, 0);
  EXPECT_EQ(stats.cache.evicted_pages, 0);
  EXPECT_EQ(stats.cache.idle_pages, (50 + 120 - 1) / kPage);  // what they said, once
  ExpectAllGivenBack(scheduler, *backend);
}

// What was computed for a client counts, whether its proposals were right or wrong.
TEST_F(Proposing, WrongProposalsArePaidFor) {
  const Ask plain = Asked(Prompt(5, 1), 30);
  const Generation alone = Alone(plain);
  Knowing wrong(alone.tokens, spec_.vocab, 1);
  const auto backend = Backend(100);
  std::vector<Heard> heard(4);
  Scheduler scheduler(*backend, words_, {.max_running = 2});
  const auto submit = [&](std::size_t i, const std::string& client, Proposer* proposer,
                          std::int64_t max_tokens) {
    Ask ask = plain;
    ask.client = client;
    ask.options.proposer = proposer;
    ask.options.max_tokens = max_tokens;
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  };
  submit(0, "guesses", &wrong, 30);
  submit(1, "plain", nullptr, 25);
  submit(2, "guesses", nullptr, 5);
  submit(3, "plain", nullptr, 5);
  while (heard[2].tokens.empty() && heard[3].tokens.empty()) ASSERT_TRUE(scheduler.Step());
  EXPECT_FALSE(heard[0].ended());  // one place is free, and both were served alike but for them
  EXPECT_FALSE(heard[3].tokens.empty());
  while (scheduler.Step()) continue;
  EXPECT_EQ(scheduler.stats().work.accepted_tokens, 0);
  ExpectAllGivenBack(scheduler, *backend);
}

}  // namespace
}  // namespace metier::engine::test
