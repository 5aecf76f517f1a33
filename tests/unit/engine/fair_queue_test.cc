#include "engine/fair_queue.h"

#include <gtest/gtest.h>

#include "words.h"

namespace metier::engine::test {
namespace {

class Turns : public ::testing::Test {
 protected:
  void Ask(const std::string& client, std::int64_t id, std::size_t prompt,
           std::int64_t max_running = 0) {
    Request request;
    request.prompt.assign(prompt, 1);
    request.client = client;
    queue_.Push(std::make_unique<ActiveRequest>(
        RequestId{id}, std::move(request), ClientLimits{.max_running = max_running}, words_, 1000));
  }
  // -1: nobody.
  std::int64_t NextId() const {
    const ActiveRequest* next = queue_.Next();
    return next == nullptr ? -1 : static_cast<std::int64_t>(next->id);
  }
  void Compute(ActiveRequest& request, std::int64_t tokens) {
    request.seen += tokens;
    queue_.Charge(request, tokens);
  }
  std::vector<std::int64_t> StartAll() {
    std::vector<std::int64_t> ids;
    while (NextId() >= 0) {
      ids.push_back(NextId());
      running_.push_back(queue_.Start());
    }
    return ids;
  }

  text::Tokenizer words_ = Words();
  std::vector<std::unique_ptr<ActiveRequest>> running_;
  FairQueue queue_;
};

TEST_F(Turns, PromptsThatStartedCountBeforeTheyAreComputed) {
  for (std::int64_t id = 0; id < 4; ++id) Ask("a", id, 10);
  for (std::int64_t id = 4; id < 6; ++id) Ask("b", id, 10);
  Ask("c", 6, 25);
  Ask("c", 7, 1);
  EXPECT_EQ(queue_.waiting(), 8);
  EXPECT_EQ(queue_.WaitingOf("a"), 4);
  EXPECT_EQ(queue_.WaitingOf("nobody"), 0);
  EXPECT_EQ(StartAll(), (std::vector<std::int64_t>{0, 4, 6, 1, 5, 2, 7, 3}));
  EXPECT_EQ(queue_.waiting(), 0);
}

TEST_F(Turns, WhoWasServedLeastIsNext) {
  Ask("a", 0, 10);
  Ask("b", 1, 10);
  StartAll();
  Compute(*running_[0], 10);
  Compute(*running_[1], 10);
  Compute(*running_[0], 1);  // a token of an answer
  Ask("a", 2, 10);
  Ask("b", 3, 10);
  EXPECT_EQ(NextId(), 3);
  Compute(*running_[1], 2);
  EXPECT_EQ(NextId(), 2);
}

TEST_F(Turns, WhatWasAdoptedIsNotCharged) {
  Ask("a", 0, 100);
  Ask("b", 1, 10);
  Ask("a", 2, 1);
  Ask("b", 3, 1);
  running_.push_back(queue_.Start());
  running_.push_back(queue_.Start());
  EXPECT_EQ(NextId(), 3);
  running_[0]->seen = 96;
  queue_.Charge(*running_[0], 0);
  EXPECT_EQ(NextId(), 2);  // four are left of the hundred
}

TEST_F(Turns, SilenceSavesNothingUp) {
  Ask("busy", 0, 10);
  Ask("busy", 1, 10);
  StartAll();
  Compute(*running_[0], 500);
  Ask("new", 2, 10);
  Ask("busy", 3, 10);
  EXPECT_EQ(NextId(), 2);
  running_.push_back(queue_.Start());
  Compute(*running_.back(), 11);  // it began at 500, the other owes ten more of a prompt
  EXPECT_EQ(NextId(), 3);
}

TEST_F(Turns, NoStreamOfNewClientsHoldsUpAnOldRequest) {
  Ask("low", 0, 1);
  Ask("high", 1, 1);
  StartAll();
  Compute(*running_[1], 1000);
  Ask("new 2", 2, 1);  // nobody waits: as "low"
  Ask("high", 3, 1);
  for (std::int64_t id = 4; NextId() != 3; ++id) {
    ASSERT_LT(id, 10);
    Ask("new " + std::to_string(id), id, 1);
    running_.push_back(queue_.Start());
  }
}

TEST_F(Turns, LeavingAndComingBackForgivesNothing) {
  Ask("a", 0, 10);
  Ask("b", 1, 10);
  StartAll();
  Compute(*running_[0], 300);
  Compute(*running_[1], 10);
  queue_.End(*running_[0]);
  Ask("a", 2, 10);
  Ask("b", 3, 10);
  EXPECT_EQ(NextId(), 3);
}

TEST_F(Turns, WhoGoesBackIsInFrontAndPaysOnce) {
  Ask("a", 0, 10);
  Ask("b", 1, 10);
  Ask("a", 2, 10);
  Ask("b", 3, 10);
  running_.push_back(queue_.Start());
  Compute(*running_[0], 6);
  queue_.Return(std::move(running_[0]));
  EXPECT_EQ(queue_.waiting(), 4);
  EXPECT_EQ(NextId(), 1);
  running_[0] = queue_.Start();
  Compute(*running_[0], 10);
  EXPECT_EQ(NextId(), 0);  // not 2
  running_.push_back(queue_.Start());
  EXPECT_EQ(running_[1]->promised, 4);
  EXPECT_EQ(NextId(), 2);  // ten each: who asked first
}

TEST_F(Turns, AFullClientLetsOthersPass) {
  Ask("a", 0, 1, 1);
  Ask("a", 1, 1, 1);
  Ask("b", 2, 50, 1);
  EXPECT_EQ(StartAll(), (std::vector<std::int64_t>{0, 2}));
  queue_.End(*running_[0]);
  EXPECT_EQ(NextId(), 1);
}

TEST_F(Turns, TheChosenAreTakenOut) {
  for (std::int64_t id = 0; id < 5; ++id) Ask(id % 2 == 0 ? "a" : "b", id, 1);
  const auto taken = queue_.TakeIf([](const ActiveRequest& request) {
    return request.id == RequestId{0} || request.id == RequestId{3};
  });
  EXPECT_EQ(taken.size(), 2U);
  EXPECT_EQ(queue_.waiting(), 3);
  EXPECT_EQ(StartAll(), (std::vector<std::int64_t>{1, 2, 4}));
}

}  // namespace
}  // namespace metier::engine::test
