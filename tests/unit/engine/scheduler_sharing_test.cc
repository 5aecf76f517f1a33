// Who may ask for what, whose turn it is, and asking from several threads.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/scheduler.h"
#include "scheduling.h"
#include "scripted_backend.h"

namespace metier::engine::test {
namespace {

using text::TokenId;

TEST_F(Scheduling, WhatCanNeverFitIsRefusedWithTheNumbers) {
  const auto backend = Backend(2);
  Scheduler scheduler(*backend, words_, {.client = {.max_tokens = 120}});
  Heard heard;
  const auto submit = [&](Ask ask, std::optional<ClientLimits> limits = ClientLimits{}) {
    Request request = RequestOf(ask, heard);
    request.limits = limits;
    return scheduler.Submit(std::move(request));
  };
  EXPECT_ERROR(submit(Asked(Prompt(600, 1), 42)), ErrorCode::kInvalidArgument,
               "a prompt of 600 tokens and an answer of up to 42 pass the model's 640 positions; "
               "lower max_tokens to 41");
  EXPECT_ERROR(submit(Asked(Prompt(600, 1), 41)), ErrorCode::kResourceExhausted, "KV cache");
  EXPECT_ERROR(submit(Asked(Prompt(5, 1), INT64_MAX)), ErrorCode::kInvalidArgument, "positions");
  EXPECT_ERROR(submit(Asked(Prompt(100, 1), 30)), ErrorCode::kResourceExhausted,
               "a prompt of 100 tokens and an answer of up to 30 need 3 pages of 64 tokens (24576 "
               "bytes each), the KV cache has room for 2");
  EXPECT_ERROR(submit(Asked(Prompt(100, 1), 21), std::nullopt), ErrorCode::kResourceExhausted,
               "over the limit of 120 tokens a request");
  EXPECT_ERROR(submit(Asked({}, 5)), ErrorCode::kInvalidArgument, "no tokens");
  EXPECT_ERROR(submit(Asked({1, 2, 320}, 5)), ErrorCode::kInvalidArgument,
               "token 320 of the prompt is outside the vocabulary of 320");
  EXPECT_ERROR(submit(Asked({-1}, 5)), ErrorCode::kInvalidArgument, "token -1");
  EXPECT_ERROR(submit(Asked({1}, -1)), ErrorCode::kInvalidArgument, "max_tokens is -1");
  EXPECT_EQ(scheduler.stats().refused, 9);
  EXPECT_EQ(scheduler.stats().submitted, 0);
  EXPECT_FALSE(scheduler.Step());
  // To the last place: 128 tokens are held, the 129th is only said.
  ASSERT_OK(submit(Asked(Prompt(100, 1), 29)));
  while (scheduler.Step()) continue;
  ASSERT_EQ(heard.done.size(), 1U);
  ASSERT_OK(heard.done[0]);
  EXPECT_EQ(heard.done[0]->tokens.size(), 29U);
  ExpectAllGivenBack(scheduler, *backend);
}

TEST_F(Scheduling, AnEncoderAnswersNothing) {
  NativeBackend encoder(RandomModel(TinySpec(*model::FindFamily("bert").value())));
  Scheduler scheduler(encoder, words_);
  EXPECT_ERROR(scheduler.Submit({.prompt = {1}}), ErrorCode::kInvalidArgument, "encoder");
}

TEST_F(Scheduling, WaitingAndRunningHaveLimitsPerClientAndInAll) {
  std::vector<Heard> heard(8);
  const auto backend = Backend(100);
  Scheduler scheduler(
      *backend, words_,
      {.max_running = 3, .max_waiting = 5, .client = {.max_waiting = 4, .max_running = 1}});
  const auto submit = [&](const std::string& client, std::size_t i) {
    Ask ask = Asked(Prompt(3, i), 4);
    ask.client = client;
    return scheduler.Submit(RequestOf(ask, heard[i]));
  };
  for (const std::size_t i : {0, 1, 2, 3}) ASSERT_OK(submit("a", i));
  EXPECT_ERROR(submit("a", 4), ErrorCode::kResourceExhausted,
               "4 requests of this client wait already");
  ASSERT_OK(submit("b", 4));
  EXPECT_ERROR(submit("b", 5), ErrorCode::kResourceExhausted, "5 requests in all wait already");
  scheduler.Step();
  EXPECT_EQ(scheduler.stats().running, 2);  // one of each
  EXPECT_EQ(scheduler.stats().waiting, 3);
  ASSERT_OK(submit("a", 5));
  Ask ask = Asked(Prompt(3, 6), 4);
  ask.client = "c";
  Request generous = RequestOf(ask, heard[6]);
  generous.limits = ClientLimits{};
  ASSERT_OK(scheduler.Submit(std::move(generous)));
  scheduler.Step();
  ASSERT_OK(submit("d", 7));
  scheduler.Step();
  EXPECT_EQ(scheduler.stats().running, 3);
  EXPECT_EQ(scheduler.stats().waiting, 5);
  // One after the other, in their order.
  std::vector<std::size_t> order;
  while (scheduler.Step()) {
    for (const std::size_t i : {0, 1, 2, 3, 5}) {
      if (heard[i].ended() && std::find(order.begin(), order.end(), i) == order.end())
        order.push_back(i);
    }
    EXPECT_LE(scheduler.stats().running, 3);
  }
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 5}));
  ExpectAllGivenBack(scheduler, *backend);
}

// Five pages: one request takes three, two of them of the common beginning; each further one, one.
TEST_F(Scheduling, ACommonBeginningLetsMoreRunAtOnce) {
  std::vector<Heard> heard(4);
  const auto backend = Backend(5);
  Scheduler scheduler(*backend, words_);
  const auto submit = [&](std::size_t i) {
    Ask ask = Asked(Prompt(2 * kPage, 1), 20);
    ask.prompt.push_back(static_cast<TokenId>(i));
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  };
  submit(0);
  scheduler.Step();
  for (const std::size_t i : {1, 2, 3}) submit(i);
  scheduler.Step();
  EXPECT_EQ(scheduler.stats().running, 3);
  EXPECT_EQ(scheduler.stats().cache.used_pages, 5);
  while (scheduler.Step()) continue;
  EXPECT_EQ(scheduler.stats().preempted, 0);
  ExpectAllGivenBack(scheduler, *backend);
}

// Who was preempted comes back as old as before: others that started meanwhile give way to it.
TEST_F(Scheduling, PreemptionDoesNotMakeAnybodyYounger) {
  std::vector<Heard> heard(3);
  const auto backend = Backend(4);
  Scheduler scheduler(*backend, words_);
  const auto submit = [&](const std::string& client, std::size_t i, std::size_t prompt,
                          std::int64_t answer) {
    Ask ask = Asked(Prompt(prompt, i), answer);
    ask.client = client;
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  };
  submit("a", 0, 60, 100);
  submit("a", 1, 60, 140);
  while (scheduler.stats().preempted == 0) ASSERT_TRUE(scheduler.Step());
  ASSERT_EQ(scheduler.stats().running, 1);
  submit("b", 2, 1, 100);
  while (heard[2].tokens.empty()) ASSERT_TRUE(scheduler.Step());
  ASSERT_FALSE(heard[0].ended());  // the new one started while the other waits for room
  while (!heard[1].ended()) ASSERT_TRUE(scheduler.Step());
  EXPECT_EQ(scheduler.stats().preempted, 2);
  EXPECT_FALSE(heard[2].ended());
  while (scheduler.Step()) continue;
  ExpectAllGivenBack(scheduler, *backend);
}

// What is computed once more after a preemption is not the client's debt.
TEST_F(Scheduling, PreemptionIsNotPaidFor) {
  std::vector<Heard> heard(4);
  const auto backend = Backend(3);
  Scheduler scheduler(*backend, words_);
  const auto submit = [&](const std::string& client, std::size_t i, std::size_t prompt,
                          std::int64_t answer) {
    Ask ask = Asked(Prompt(prompt, i), answer);
    ask.client = client;
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  };
  submit("a", 0, 60, 100);  // 159 tokens in all
  submit("b", 1, 60, 60);   // 119, and a page of 64 for the second time
  while (!heard[0].ended()) ASSERT_TRUE(scheduler.Step());
  submit("a", 2, 130, 1);  // there is room for one of these
  submit("b", 3, 130, 1);
  while (!heard[2].ended() && !heard[3].ended()) ASSERT_TRUE(scheduler.Step());
  EXPECT_GT(scheduler.stats().work.recomputed_tokens, 0);
  EXPECT_TRUE(heard[3].ended());
  while (scheduler.Step()) continue;
}

// A crowd of requests came first; who asks a little gets it long before the crowd is done.
TEST_F(Scheduling, ACrowdDoesNotStarveAnybody) {
  std::vector<Heard> heard(40);
  const auto backend = Backend(100);
  Scheduler scheduler(*backend, words_, {.step_tokens = 20, .max_running = 2});
  const auto submit = [&](const std::string& client, std::size_t i, std::size_t prompt) {
    Ask ask = Asked(Prompt(prompt, i), 6);
    ask.client = client;
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  };
  for (std::size_t i = 0; i < 36; ++i) submit("crowd", i, 30);
  for (int step = 0; step < 12; ++step) scheduler.Step();
  for (std::size_t i = 36; i < 40; ++i) submit("small", i, 30);
  const auto ended = [&](std::size_t from, std::size_t to) {
    return std::count_if(heard.begin() + static_cast<std::ptrdiff_t>(from),
                         heard.begin() + static_cast<std::ptrdiff_t>(to),
                         [](const Heard& one) { return one.ended(); });
  };
  const std::ptrdiff_t before = ended(0, 36);
  while (ended(36, 40) < 4) ASSERT_TRUE(scheduler.Step());
  EXPECT_LE(ended(0, 36) - before, 6);  // even turns, and two that ran already
  while (scheduler.Step()) continue;
  ExpectAllGivenBack(scheduler, *backend);
}

// Two prompts at once: the short one of a client that was served less does not wait for the end of
// the long one, nor the long one for an endless stream of short ones.
TEST_F(Scheduling, PromptsOfClientsAreComputedInTurns) {
  std::vector<Heard> heard(30);
  const auto backend = Backend(100);
  Scheduler scheduler(*backend, words_, {.step_tokens = 32});
  const auto submit = [&](const std::string& client, std::size_t i, std::size_t prompt) {
    Ask ask = Asked(Prompt(prompt, i), 1);
    ask.client = client;
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  };
  submit("long", 0, 500);
  scheduler.Step();
  std::size_t next = 1;
  submit("short", next, 32);
  int steps = 0;
  while (!heard[0].ended()) {
    ASSERT_TRUE(scheduler.Step());
    ++steps;
    if (!heard[next].ended()) continue;
    ASSERT_LT(++next, heard.size());
    submit("short", next, 32);
  }
  EXPECT_GE(next, 12U);
  EXPECT_LE(steps, 2 * (500 / 32 + 1) + 1);
  while (scheduler.Step()) continue;
}

TEST_F(Scheduling, RunAnswersFromManyThreadsAndEndsWhenClosed) {
  const std::vector<Ask> asks = Mixture();
  const std::vector<Generation> alone = EachAlone(asks);
  constexpr std::size_t kThreads = 3;
  std::vector<Heard> heard(kThreads * asks.size());
  const auto backend = Backend(8);
  Scheduler scheduler(*backend, words_, {.step_tokens = 64});
  std::jthread loop([&](const std::stop_token& stop) { scheduler.Run(stop); });
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> clients;
    for (std::size_t t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        for (std::size_t i = 0; i < asks.size(); ++i) {
          if (!scheduler.Submit(RequestOf(asks[i], heard[t * asks.size() + i])).ok()) ++refused;
          static_cast<void>(scheduler.stats());
        }
      });
    }
  }
  scheduler.Close();
  loop.join();
  EXPECT_EQ(refused, 0);
  for (std::size_t i = 0; i < heard.size(); ++i)
    ExpectSame(heard[i], alone[i % asks.size()], "request " + std::to_string(i));
  ExpectAllGivenBack(scheduler, *backend);
  Heard late;
  EXPECT_ERROR(scheduler.Submit(RequestOf(asks[0], late)), ErrorCode::kResourceExhausted,
               "closing");
}

TEST_F(Scheduling, AStopEndsEverythingOnce) {
  std::vector<Heard> heard(6);
  const auto backend = Backend(100);
  Scheduler scheduler(*backend, words_, {.max_running = 2});
  std::atomic<bool> streaming = false;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    Ask ask = Asked(Prompt(3, i), 600);
    ask.options.on_token = [&](const Choice&) { streaming = true; };
    ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[i])));
  }
  {
    std::jthread loop([&](const std::stop_token& stop) { scheduler.Run(stop); });
    while (!streaming) std::this_thread::yield();
  }
  for (const Heard& one : heard) {
    ASSERT_EQ(one.done.size(), 1U);
    ASSERT_OK(one.done[0]);
    EXPECT_EQ(one.done[0]->finish, FinishReason::kCancelled);
    EXPECT_EQ(one.done[0]->tokens, one.tokens);
  }
  EXPECT_GT(heard[0].tokens.size(), 0U);
  EXPECT_EQ(heard[5].tokens.size(), 0U);
  Heard late;
  EXPECT_ERROR(scheduler.Submit(RequestOf(Asked(Prompt(3, 1), 1), late)),
               ErrorCode::kResourceExhausted, "closing");
  ExpectAllGivenBack(scheduler, *backend);
}

TEST_F(Scheduling, WhoSchedulesNoMoreTellsThoseWhoWait) {
  std::vector<Heard> heard(2);
  const auto backend = Backend(100);
  bool worked = false;
  {
    Scheduler scheduler(*backend, words_, {.max_running = 1});
    for (std::size_t i = 0; i < 2; ++i)
      ASSERT_OK(scheduler.Submit(RequestOf(Asked(Prompt(70, i), 50), heard[i])));
    for (int step = 0; step < 3; ++step) scheduler.Step();
    scheduler.Post([&](model::Backend&) { worked = true; });
  }
  EXPECT_TRUE(worked);
  for (const Heard& one : heard) {
    ASSERT_EQ(one.done.size(), 1U);
    EXPECT_EQ(one.done[0]->finish, FinishReason::kCancelled);
  }
  EXPECT_EQ(heard[0].tokens.size(), 3U);
  EXPECT_EQ(backend->cache().used_bytes(), 0U);
}

TEST_F(Scheduling, AdaptersComeAndGoBetweenSteps) {
  std::vector<Heard> heard(2);
  const auto backend = Backend(100);
  const Ask ask = [&] {
    Ask adapted = Asked(Prompt(70, 1), 5);
    adapted.adapter = model::AdapterId{0};
    return adapted;
  }();
  const Generation alone = Alone(ask);
  Scheduler scheduler(*backend, words_);
  std::optional<Status> removed;
  const auto remove = [&](model::Backend& held) {
    removed = held.RemoveAdapter(model::AdapterId{0});
  };
  ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[0])));
  scheduler.Step();
  scheduler.Post(remove);
  scheduler.Step();
  ASSERT_TRUE(removed.has_value());
  EXPECT_ERROR(*removed, ErrorCode::kInvalidArgument, "in use by 1");
  while (scheduler.Step()) continue;
  ExpectSame(heard[0], alone, "adapted");
  scheduler.Post(remove);
  EXPECT_TRUE(scheduler.Step());
  EXPECT_OK(*removed);
  EXPECT_EQ(backend->cache_stats().idle_pages, 0);
  ASSERT_OK(scheduler.Submit(RequestOf(ask, heard[1])));
  while (scheduler.Step()) continue;
  ASSERT_TRUE(heard[1].ended());
  EXPECT_ERROR(heard[1].done[0], ErrorCode::kInvalidArgument, "no adapter");
}

// A callback may ask again.
TEST_F(Scheduling, AnAnswerMayLeadToTheNextQuestion) {
  std::vector<Heard> heard(3);
  const auto backend = Backend(100);
  Scheduler scheduler(*backend, words_);
  std::function<void(std::size_t)> ask = [&](std::size_t i) {
    Request request = RequestOf(Asked(Prompt(5, i), 3), heard[i]);
    request.on_done = [&, i](Result<Generation> result) {
      heard[i].done.push_back(std::move(result));
      if (i + 1 < heard.size()) ask(i + 1);
    };
    ASSERT_OK(scheduler.Submit(std::move(request)));
  };
  ask(0);
  while (scheduler.Step()) continue;
  for (const Heard& one : heard) EXPECT_TRUE(one.ended());
  ExpectAllGivenBack(scheduler, *backend);
}

// A backend without pages has room for everything.
TEST(Scheduler, NeedsNoPages) {
  ScriptedBackend backend(kVocab, 100, {kHello, kWorld, kLy, kEos});
  const text::Tokenizer words = Words();
  std::vector<std::string> texts(3);
  Scheduler scheduler(backend, words, {.step_tokens = 1});
  for (std::string& text : texts) {
    Request request{.prompt = {1}};
    request.options.sampler.temperature = 0;
    request.options.max_tokens = 50;
    request.on_done = [&text](const Result<Generation>& result) { text = result->text; };
    ASSERT_OK(scheduler.Submit(std::move(request)));
  }
  while (scheduler.Step()) continue;
  for (const std::string& text : texts) EXPECT_EQ(text, "Hello worldly");
  EXPECT_EQ(backend.open(), 0U);
  EXPECT_EQ(scheduler.stats().work.answer_tokens, 9);
}

}  // namespace
}  // namespace metier::engine::test
