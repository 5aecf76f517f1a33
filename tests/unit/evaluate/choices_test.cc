#include "evaluate/choices.h"

#include "support/fixtures.h"
#include "unit/evaluate/letters.h"

namespace metier::evaluate {
namespace {

using text::TokenId;

// Says of every token what is set for it, and writes what it is told.
class LikingModel : public LanguageModel {
 public:
  std::int64_t MaxTokens() const override { return 12; }
  Result<std::vector<double>> LogProbs(std::span<const TokenId> tokens,
                                       std::size_t first) override {
    firsts.push_back(first);
    std::vector<double> out;
    for (std::size_t i = first; i < tokens.size(); ++i)
      out.push_back(likes[static_cast<std::size_t>(tokens[i])]);
    return out;
  }
  Result<std::vector<std::vector<TokenId>>> Greedy(std::span<const Prompt> prompts,
                                                   std::int64_t max_tokens,
                                                   std::span<const TokenId>) override {
    asked = {prompts[0].tokens.begin(), prompts[0].tokens.end()};
    std::vector<TokenId> reply = writes;
    if (static_cast<std::int64_t>(reply.size()) > max_tokens)
      reply.resize(static_cast<std::size_t>(max_tokens));
    return std::vector<std::vector<TokenId>>{reply};
  }

  std::vector<double> likes = std::vector<double>(20, -1);
  std::vector<TokenId> writes;
  std::vector<TokenId> asked;
  std::vector<std::size_t> firsts;
};

class Choices : public ::testing::Test {
 protected:
  Result<ChoiceResult> Measure(const std::string& rows, bool generate = false) {
    ChoiceOptions options;
    options.file = folder_ / "rows.jsonl";
    options.generate = generate;
    test::WriteAll(options.file, rows);
    return MeasureChoices(model_, {.tokenizer = tokenizer_}, options);
  }
  test::TempFolder folder_;
  text::Tokenizer tokenizer_ = LetterTokenizer();
  LikingModel model_;
};

TEST_F(Choices, TheChoiceOfTheLargestSumIsTheAnswer) {
  model_.likes[1] = -0.5;  // b
  model_.likes[2] = -0.2;  // c
  // "b" -0.5; "ccc" -0.6 in all, -0.2 a byte; "a" -1.
  ASSERT_OK_AND_ASSIGN(const ChoiceResult result,
                       Measure(R"({"prompt": "hh", "choices": ["a", "b", "ccc"], "answer": "b"})"
                               "\n\n"
                               R"({"prompt": "h", "choices": ["a", "b", "ccc"], "answer": 2})"
                               "\n"));
  EXPECT_EQ(model_.firsts, (std::vector<std::size_t>{2, 2, 2, 1, 1, 1}));
  const Json json = result.ToJson();
  EXPECT_DOUBLE_EQ(json["accuracy"].get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(json["accuracy_norm"].get<double>(), 0.5);
  EXPECT_EQ(json["confusion"], Json({{"b", {{"b", 1}}}, {"ccc", {{"b", 1}}}}));
  EXPECT_EQ(result.right, 1);
  EXPECT_EQ(result.right_norm, 1);  // the other row
  EXPECT_FALSE(json.contains("same_as_free"));
}

TEST_F(Choices, F1IsOfRowsWithTheSameChoicesOnly) {
  ASSERT_OK_AND_ASSIGN(const ChoiceResult result,
                       Measure(R"({"prompt": "hh", "choices": ["a", "b"], "answer": "b"})"
                               "\n"
                               R"({"prompt": "hh", "choices": ["b", "a"], "answer": "b"})"
                               "\n"));
  EXPECT_FALSE(result.ToJson().contains("macro_f1"));
}

TEST_F(Choices, FreeWritingIsTheSameWhereItIsTheChosenTextAndNoMore) {
  model_.likes[1] = -0.5;
  const std::string row = R"({"prompt": "hh", "choices": ["aa", "b"], "answer": "b"})"
                          "\n";
  for (const auto& [writes, same] : std::vector<std::pair<std::vector<TokenId>, int>>{
           {{1}, 1}, {{1, 1}, 0}, {{0, 0}, 0}, {{}, 0}}) {
    model_.writes = writes;
    ASSERT_OK_AND_ASSIGN(const ChoiceResult result, Measure(row, true));
    EXPECT_EQ(result.same_as_free, same);
    EXPECT_EQ(model_.asked, (std::vector<TokenId>{7, 7}));
  }
}

TEST_F(Choices, RefusesRowsByTheirLine) {
  const std::string good = R"({"prompt": "h", "choices": ["a", "b"], "answer": "b"})"
                           "\n";
  const auto corrupt = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(Measure(good + "{}"), corrupt,
               "line 2: found no \"choices\", expected an object with a list of two");
  EXPECT_ERROR(Measure(R"({"prompt": "h", "choices": ["a"], "answer": 0})"), corrupt, "line 1");
  EXPECT_ERROR(Measure(R"({"prompt": "h", "choices": ["a", ""], "answer": 0})"), corrupt,
               "texts that are not empty");
  EXPECT_ERROR(Measure(R"({"choices": ["a", "b"], "answer": 0})"), corrupt,
               "found no \"prompt\" or \"messages\"");
  EXPECT_ERROR(Measure(R"({"prompt": "", "choices": ["a", "b"], "answer": 0})"), corrupt,
               "found no \"prompt\"");
  EXPECT_ERROR(Measure(R"({"prompt": "h", "choices": ["a", "b"]})"), corrupt, "no \"answer\"");
  for (const char* answer : {"2", "-1", "\"c\"", "null", "0.5"}) {
    EXPECT_ERROR(
        Measure(R"({"prompt": "h", "choices": ["a", "b"], "answer": )" + std::string(answer) + "}"),
        corrupt, "expected one of the 2 choices");
  }
  const auto invalid = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(Measure("\n"), invalid, "found no row");
  EXPECT_ERROR(Measure(R"({"prompt": "hhhhhhhhhhhh", "choices": ["a", "b"], "answer": 0})"),
               invalid, "13 tokens, the model takes 12");
  EXPECT_ERROR(Measure(R"({"messages": [{"role": "user", "content": "h"}], "choices": ["a", "b"],)"
                       R"( "answer": 0})"),
               invalid, "line 1");
}

}  // namespace
}  // namespace metier::evaluate
