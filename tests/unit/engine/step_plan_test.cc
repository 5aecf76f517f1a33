#include "engine/step_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "proposing.h"
#include "words.h"

namespace metier::engine::test {
namespace {

class Planning : public ::testing::Test {
 protected:
  // With so many tokens known and cached; of a client that was served `served` tokens.
  ActiveRequest& Add(std::int64_t known, std::int64_t cached, std::int64_t served = 0,
                     Proposer* proposer = nullptr) {
    Request request{.prompt = std::vector<text::TokenId>(static_cast<std::size_t>(known), 1)};
    request.options.max_tokens = 10;
    request.options.proposer = proposer;
    running_.push_back(std::make_unique<ActiveRequest>(RequestId{}, std::move(request),
                                                       ClientLimits{}, words_, 10000));
    running_.back()->cached = cached;
    running_.back()->client_served = served;
    running_.back()->age = static_cast<std::int64_t>(running_.size()) - 1;
    return *running_.back();
  }
  // Tokens of each running request, in their order.
  std::vector<std::int64_t> Tokens(std::int64_t budget, std::int64_t free_pages = 1000) {
    PlanStep(running_, budget, Cache(free_pages), plan_);
    std::vector<std::int64_t> tokens(running_.size());
    for (const Slice& slice : plan_.slices)
      tokens[static_cast<std::size_t>(slice.request->age)] = slice.tokens;
    return tokens;
  }
  // Of the same plan.
  std::vector<std::int64_t> Proposals() const {
    std::vector<std::int64_t> proposals(running_.size());
    for (const Slice& slice : plan_.slices)
      proposals[static_cast<std::size_t>(slice.request->age)] = slice.proposals;
    return proposals;
  }
  static model::CacheStats Cache(std::int64_t free_pages) {
    return {.page_tokens = 64, .max_pages = 500 + free_pages, .used_pages = 500};
  }

  using Counts = std::vector<std::int64_t>;
  text::Tokenizer words_ = Words();
  std::vector<std::unique_ptr<ActiveRequest>> running_;
  StepPlan plan_;
};

TEST_F(Planning, AnswersComeFirstAndPromptsShareTheRest) {
  Add(300, 0);
  Add(20, 19);
  Add(40, 10);
  Add(100, 99);
  EXPECT_EQ(Tokens(512), (Counts{300, 1, 30, 1}));
  EXPECT_EQ(Tokens(310), (Counts{300, 1, 8, 1}));
  EXPECT_EQ(Tokens(100), (Counts{98, 1, 0, 1}));
  EXPECT_EQ(Tokens(1), (Counts{1, 1, 0, 1}));  // one at least
  EXPECT_TRUE(plan_.moves);
}

TEST_F(Planning, ThePromptOfTheLeastServedClientComesFirst) {
  Add(300, 0, 50);
  Add(300, 0, 20);
  Add(300, 0, 20);
  EXPECT_EQ(Tokens(310), (Counts{0, 300, 10}));
}

TEST_F(Planning, NoStepTakesMorePagesThanThereAre) {
  Add(300, 60);
  Add(65, 64);
  EXPECT_EQ(Tokens(512, 3), (Counts{4 + 128, 1}));
  EXPECT_TRUE(plan_.moves);
  EXPECT_EQ(Tokens(512, 1), (Counts{4, 1}));
  EXPECT_EQ(Tokens(512, 0), (Counts{4, 0}));
  EXPECT_FALSE(plan_.moves);  // an answer waits
}

TEST_F(Planning, APromptMayWaitForAPageButNotEverybody) {
  Add(300, 64);
  EXPECT_EQ(Tokens(512, 0), (Counts{0}));
  EXPECT_FALSE(plan_.moves);
  Add(20, 19);
  EXPECT_EQ(Tokens(512, 0), (Counts{0, 1}));
  EXPECT_TRUE(plan_.moves);
}

TEST_F(Planning, ProposalsTakeWhatIsLeftOfTheBudget) {
  Knowing proposer({}, kVocab, 0);
  Add(20, 19, 50, &proposer);
  Add(300, 0, 0, &proposer);  // of a prompt nothing is proposed
  Add(20, 19, 40, &proposer);
  Add(20, 19);
  EXPECT_EQ(Tokens(512), (Counts{1, 300, 1, 1}));
  EXPECT_EQ(Proposals(), (Counts{8, 0, 8, 0}));
  EXPECT_EQ(Tokens(313), (Counts{1, 300, 1, 1}));
  EXPECT_EQ(Proposals(), (Counts{2, 0, 8, 0}));  // the client served least comes first
  for (const std::int64_t budget : {303, 200, 1}) {
    EXPECT_EQ(Tokens(budget)[1], std::max<std::int64_t>(budget - 3, 1));
    EXPECT_EQ(Proposals(), (Counts{0, 0, 0, 0})) << budget;
  }
}

TEST_F(Planning, ProposalsTakeOnlyPagesThatNobodyNeeds) {
  Knowing proposer({}, kVocab, 0);
  Add(64, 63, 0, &proposer);
  Add(60, 10);
  EXPECT_EQ(Tokens(512, 1), (Counts{1, 50}));
  EXPECT_EQ(Proposals(), (Counts{8, 0}));
  Add(65, 64);
  EXPECT_EQ(Tokens(512, 1), (Counts{1, 50, 1}));
  EXPECT_EQ(Proposals(), (Counts{0, 0, 0}));
  EXPECT_TRUE(plan_.moves);
}

TEST_F(Planning, ProposalsFillNoPage) {
  Knowing proposer({}, kVocab, 0);
  const std::vector<std::int64_t> known = {54, 55, 56, 62, 63, 64, 128 + 60};
  for (const std::int64_t tokens : known) Add(tokens, tokens - 1, 0, &proposer);
  Tokens(512);
  EXPECT_EQ(Proposals(), (Counts{8, 8, 7, 1, 0, 8, 3}));
}

TEST_F(Planning, ABackendWithoutPagesHasRoom) {
  Add(300, 64);
  Add(65, 64);
  PlanStep(running_, 512, {}, plan_);
  EXPECT_EQ(plan_.slices.size(), 2U);
  EXPECT_EQ(PagesFor(1000, {}), 0);
  EXPECT_TRUE(FindsRoom(*running_[0], {}, running_, {}));
}

TEST_F(Planning, WhoStartsFindsRoomForAllKnownTokensAndTheNext) {
  ActiveRequest& start = Add(128, 0);
  const std::vector<std::unique_ptr<ActiveRequest>> nobody;
  EXPECT_FALSE(FindsRoom(start, {}, nobody, Cache(2)));
  EXPECT_TRUE(FindsRoom(start, {}, nobody, Cache(3)));
  // Nothing follows the last token of an answer.
  start.request.options.max_tokens = 1;
  EXPECT_TRUE(FindsRoom(start, {}, nobody, Cache(2)));
  // What it adopts needs no page, unless nobody holds that now.
  EXPECT_TRUE(FindsRoom(start, {.tokens = 64}, nobody, Cache(1)));
  EXPECT_FALSE(FindsRoom(start, {.tokens = 64, .idle_pages = 1}, nobody, Cache(1)));
  EXPECT_TRUE(FindsRoom(start, {.tokens = 64, .idle_pages = 1}, nobody, Cache(2)));
}

TEST_F(Planning, WhoRunsHasItsRoomSetAside) {
  Add(129, 40);  // two pages more, and the next token has its place
  Request request{.prompt = std::vector<text::TokenId>(10, 1)};
  const ActiveRequest start(RequestId{}, std::move(request), {}, words_, 10000);
  EXPECT_FALSE(FindsRoom(start, {}, running_, Cache(2)));
  EXPECT_TRUE(FindsRoom(start, {}, running_, Cache(3)));
  Add(64, 63);  // the token after the next needs one
  EXPECT_FALSE(FindsRoom(start, {}, running_, Cache(3)));
  EXPECT_TRUE(FindsRoom(start, {}, running_, Cache(4)));
}

}  // namespace
}  // namespace metier::engine::test
