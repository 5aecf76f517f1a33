// Answers that a training run asks for: whose they are, what they are worth, and that they hang on
// nothing else.
#include "specialist/rollouts.h"

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "engine/scoring.h"
#include "format/peft.h"
#include "model/adapter_files.h"
#include "model/model_files.h"
#include "specialist/runnable.h"
#include "support/fixtures.h"
#include "tensor/tensor.h"

namespace metier::specialist {
namespace {

std::string Model() { return test::SourceFolder() + "/examples/retail/base_model"; }

class RolloutsTest : public ::testing::Test {
 protected:
  RolloutsTest() : tokenizer_(OpenTokenizer(Model()).value()) {
    WriteAdapter(folder_ / "strong", 1, 2);
    WriteAdapter(folder_ / "other", 2, 2);
  }

  // On the first layer's feed-forward.
  static void WriteAdapter(const std::string& folder, std::uint64_t seed, double scale) {
    const model::ModelSpec spec = model::ModelFiles::Open(Model()).value().spec();
    tensor::Tensor a(tensor::DType::kF32, {2, spec.width});
    tensor::Tensor b(tensor::DType::kF32, {spec.hidden, 2});
    Rng rng(seed);
    for (float& value : a.f32()) value = static_cast<float>(rng.Normal());
    for (float& value : b.f32()) value = static_cast<float>(scale * rng.Normal());
    format::PeftConfig config;
    config.rank = 2;
    config.alpha = 2;
    config.target_modules = {"up_proj"};
    ASSERT_OK(format::WritePeftAdapter(folder, config,
                                       {{"model.layers.0.mlp.up_proj", a.view(), b.view()}}));
  }

  Json IdsOf(const std::string& text) { return tokenizer_.Encode(text).value(); }

  Json Question() {
    return {{"question", "rollout"},
            {"model", Model()},
            {"adapter", folder_ / "strong"},
            {"reference", ""},
            {"prompts", {IdsOf("I want my money back."), IdsOf("Where is my order?")}},
            {"truths", {IdsOf("Yes."), IdsOf("Here.")}},
            {"answers", 3},
            {"max_tokens", 12},
            {"end_token", tokenizer_.Encode(".").value().front()},
            {"seed", 11},
            {"streams", {0, 3}},
            {"threads", 1},
            {"rewards", {{{"kind", "regex"}, {"pattern", "e"}}}}};
  }

  test::TempFolder folder_;
  text::Tokenizer tokenizer_;
};

TEST_F(RolloutsTest, AreDrawnByTheAdapterAndScoredByTheReference) {
  Rollouts rollouts;
  const Json question = Question();
  ASSERT_OK_AND_ASSIGN(const Json reply, rollouts.Answer(question));
  ASSERT_EQ(reply.at("answers").size(), 2U);
  auto weights = engine::NativeModel::Open(Model());
  ASSERT_OK(weights);
  engine::NativeBackend backend(*weights, {.threads = 1});
  for (std::size_t p = 0; p < 2; ++p) {
    ASSERT_EQ(reply.at("answers")[p].size(), 3U);
    for (const Json& answer : reply.at("answers")[p]) {
      auto tokens = answer.at("tokens").get<std::vector<text::TokenId>>();
      ASSERT_OK_AND_ASSIGN(const std::string text, tokenizer_.Decode(tokens));
      EXPECT_EQ(answer.at("reward"), text.find('e') == std::string::npos ? 0 : 1);
      if (answer.at("ended") == true)
        tokens.push_back(question.at("end_token").get<text::TokenId>());
      ASSERT_LE(tokens.size(), 12U);
      auto whole = question.at("prompts")[p].get<std::vector<text::TokenId>>();
      const auto first = static_cast<std::int64_t>(whole.size()) - 1;
      whole.insert(whole.end(), tokens.begin(), tokens.end());
      ASSERT_OK_AND_ASSIGN(const std::vector<double> scores,
                           engine::ScoreTokens(backend, whole, {.first = first}));
      EXPECT_EQ(answer.at("reference").get<std::vector<double>>(), scores);
    }
  }
}

// The first token of an answer, taken for the one that ends answers, ends this one at once.
TEST_F(RolloutsTest, EndWithTheirEndToken) {
  Rollouts rollouts;
  Json question = Question();
  question["end_token"] = 0;
  ASSERT_OK_AND_ASSIGN(const Json whole, rollouts.Answer(question));
  const Json& answer = whole.at("answers")[0][0];
  ASSERT_EQ(answer.at("ended"), false);
  ASSERT_EQ(answer.at("tokens").size(), 12U);
  question["end_token"] = answer.at("tokens")[0];
  ASSERT_OK_AND_ASSIGN(const Json ended, rollouts.Answer(question));
  const Json& empty = ended.at("answers")[0][0];
  EXPECT_EQ(empty.at("ended"), true);
  EXPECT_EQ(empty.at("tokens"), Json::array());
  EXPECT_EQ(empty.at("reference"), Json({answer.at("reference")[0]}));
}

TEST_F(RolloutsTest, HangOnTheirStreamAndAdapterAlone) {
  Rollouts rollouts;
  Json question = Question();
  ASSERT_OK_AND_ASSIGN(const Json both, rollouts.Answer(question));
  // The second prompt alone, by a program that answers for the first time.
  question["prompts"] = {question["prompts"][1]};
  question["truths"] = {question["truths"][1]};
  question["streams"] = {3};
  Rollouts fresh;
  ASSERT_OK_AND_ASSIGN(const Json alone, fresh.Answer(question));
  EXPECT_EQ(alone.at("answers")[0], both.at("answers")[1]);
  question["streams"] = {4};
  ASSERT_OK_AND_ASSIGN(const Json next, rollouts.Answer(question));
  EXPECT_EQ(next.at("answers")[0][0], both.at("answers")[1][1]);
  question["adapter"] = folder_ / "other";
  ASSERT_OK_AND_ASSIGN(const Json other, rollouts.Answer(question));
  EXPECT_NE(other.at("answers"), next.at("answers"));
}

TEST_F(RolloutsTest, GreedyAnswersAreTheLikeliest) {
  Rollouts rollouts;
  Json question = Question();
  question["greedy"] = true;
  question["answers"] = 1;
  question.erase("reference");
  ASSERT_OK_AND_ASSIGN(const Json first, rollouts.Answer(question));
  question["seed"] = 12;
  ASSERT_OK_AND_ASSIGN(const Json second, rollouts.Answer(question));
  EXPECT_EQ(first, second);
  EXPECT_FALSE(first.at("answers")[0][0].contains("reference"));
}

TEST_F(RolloutsTest, SayWhatIsWrongWithAQuestion) {
  Rollouts rollouts;
  const auto error = [&](const Json& patch) {
    Json question = Question();
    question.merge_patch(patch);
    return rollouts.Answer(question);
  };
  EXPECT_ERROR(error({{"model", folder_ / "none"}}), ErrorCode::kNotFound, "none");
  EXPECT_ERROR(error({{"adapter", folder_ / "none"}}), ErrorCode::kNotFound, "none");
  EXPECT_ERROR(error({{"question", "weather"}}), ErrorCode::kDataCorrupt, "rollout");
  EXPECT_ERROR(error({{"streams", {0}}}), ErrorCode::kInvalidArgument,
               "found 2 prompts, 2 truths and 1 streams");
  EXPECT_ERROR(error({{"rewards", {{{"kind", "regex"}, {"pattern", "("}}}}}),
               ErrorCode::kDataCorrupt, "pattern '('");
}

}  // namespace
}  // namespace metier::specialist
