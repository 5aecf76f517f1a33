#include "evaluate/perplexity.h"

#include <cmath>

#include "support/fixtures.h"
#include "unit/evaluate/letters.h"

namespace metier::evaluate {
namespace {

using text::TokenId;

class UniformModel : public PositionalModel {
 public:
  explicit UniformModel(int vocab) : PositionalModel(64), vocab_(vocab) {}
  Result<std::vector<double>> LogProbs(std::span<const TokenId> tokens,
                                       std::size_t first) override {
    return std::vector<double>(tokens.size() - first, -std::log(static_cast<double>(vocab_)));
  }

 private:
  int vocab_;
};

TEST(SlidingWindows, ScoreEachTokenOnceWithEnoughBefore) {
  for (const std::size_t tokens : {0, 1, 5, 16, 17, 100}) {
    for (const std::size_t window : {2, 7, 16}) {
      for (std::size_t stride = 1; stride <= window; ++stride) {
        std::size_t next = 0;
        for (const Window& w : SlidingWindows(tokens, window, stride)) {
          EXPECT_EQ(w.score, next);
          EXPECT_GT(w.end, w.score);
          EXPECT_LE(w.end - w.begin, window);
          if (w.begin > 0) {
            EXPECT_GE(w.score - w.begin, window - stride);
          }
          next = w.end;
        }
        EXPECT_EQ(next, tokens);
      }
    }
  }
}

TEST(HalfWindows, ScoreTheSecondHalfAndDropTheRest) {
  const auto windows = HalfWindows(21, 8);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1].begin, 8U);
  EXPECT_EQ(windows[1].end, 16U);
  EXPECT_EQ(windows[1].score, 13U);
}

class Perplexity : public ::testing::Test {
 protected:
  PerplexityOptions Options(const std::string& text) {
    PerplexityOptions options;
    options.file = folder_ / "text.txt";
    test::WriteAll(options.file, text);
    return options;
  }
  test::TempFolder folder_;
  text::Tokenizer tokenizer_ = LetterTokenizer();
};

TEST_F(Perplexity, OfAUniformModelIsTheVocabulary) {
  UniformModel model(17);
  auto options = Options("abcd efgh abcd");
  options.bos = "first";
  options.window = 5;
  ASSERT_OK_AND_ASSIGN(const auto result, MeasurePerplexity(model, tokenizer_, options));
  EXPECT_EQ(result.scored_tokens, 14);
  EXPECT_NEAR(result.TokenPerplexity(), 17, 1e-12);
  EXPECT_EQ(result.words, 3);
  EXPECT_EQ(result.bytes, 14);
  EXPECT_NEAR(result.BitsPerByte(), std::log2(17.0), 1e-12);
  EXPECT_NEAR(result.WordPerplexity(), std::pow(17.0, 14.0 / 3.0), 1e-6);
}

TEST_F(Perplexity, StrideOneIsBruteForce) {
  PositionalModel model(6);
  auto options = Options("abcdefghijklmnop");
  options.bos = "none";
  options.window = 6;
  options.stride = 1;
  ASSERT_OK_AND_ASSIGN(const auto result, MeasurePerplexity(model, tokenizer_, options));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer_.Encode("abcdefghijklmnop"));
  double nll = 0;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const std::size_t begin =
        i >= 5 ? i - 5 : 0;  // every token sees the five before it, or all there are
    const std::span<const TokenId> context(ids.data() + begin, i - begin + 1);
    nll -= PositionalModel::LogProb(context, context.size() - 1);
  }
  EXPECT_EQ(result.scored_tokens, 15);
  EXPECT_NEAR(result.nll, nll, 1e-12);
}

TEST_F(Perplexity, BosPolicyDecidesWhetherTheFirstTokenCounts) {
  UniformModel model(4);
  auto options = Options("abcdefgh");
  options.window = 8;
  options.bos = "none";
  ASSERT_OK_AND_ASSIGN(const auto without, MeasurePerplexity(model, tokenizer_, options));
  EXPECT_EQ(without.scored_tokens, 7);
  options.bos = "first";
  ASSERT_OK_AND_ASSIGN(const auto with, MeasurePerplexity(model, tokenizer_, options));
  EXPECT_EQ(with.scored_tokens, 8);
  options.scoring = "halves";
  options.bos = "replace";
  options.window = 4;
  ASSERT_OK_AND_ASSIGN(const auto halves, MeasurePerplexity(model, tokenizer_, options));
  EXPECT_EQ(halves.windows, 2);        // nine tokens with the BOS, two whole windows
  EXPECT_EQ(halves.scored_tokens, 2);  // position 3 of each
  EXPECT_EQ(halves.bytes, 0);
}

TEST_F(Perplexity, DocumentsDoNotSeeEachOther) {
  PositionalModel model(32);
  auto options = Options("abc\nabc\n");
  options.documents = "lines";
  ASSERT_OK_AND_ASSIGN(const auto two, MeasurePerplexity(model, tokenizer_, options));
  options = Options("abc\n");
  options.documents = "lines";
  ASSERT_OK_AND_ASSIGN(const auto one, MeasurePerplexity(model, tokenizer_, options));
  EXPECT_EQ(two.documents, 2);
  EXPECT_NEAR(two.nll, 2 * one.nll, 1e-12);
}

TEST_F(Perplexity, BadOptionsAreNamed) {
  UniformModel model(4);
  auto options = Options("abcdefgh");
  options.window = 65;
  EXPECT_ERROR(MeasurePerplexity(model, tokenizer_, options), ErrorCode::kInvalidArgument,
               "found 65, expected 2 to 64");
  options.window = 4;
  options.stride = 5;
  EXPECT_ERROR(MeasurePerplexity(model, tokenizer_, options), ErrorCode::kInvalidArgument,
               "stride 5");
  options = Options("a");
  EXPECT_ERROR(MeasurePerplexity(model, tokenizer_, options), ErrorCode::kInvalidArgument,
               "too few");
  options.file = folder_ / "bad.jsonl";
  test::WriteAll(options.file, "{\"text\":\"ab\"}\n{\"txt\":1}\n");
  EXPECT_ERROR(MeasurePerplexity(model, tokenizer_, options), ErrorCode::kDataCorrupt, "line 2");
}

TEST_F(Perplexity, TellsOfEachWindowAndMayBeEnded) {
  UniformModel model(4);
  auto options = Options("abcdefgh\nabcd\n");
  options.documents = "lines";
  options.bos = "none";
  options.window = 4;
  options.stride = 4;
  std::vector<std::uint64_t> done;
  const OnProgress listen = [&](std::uint64_t windows, std::uint64_t total,
                                std::string_view note) -> Status {
    EXPECT_EQ(total, 3U);
    EXPECT_EQ(note, "ppl 4.0000");
    done.push_back(windows);
    if (done.size() == 4) return Error(ErrorCode::kIo, "enough");
    return Ok();
  };
  ASSERT_OK(MeasurePerplexity(model, tokenizer_, options, listen));
  EXPECT_EQ(done, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_ERROR(MeasurePerplexity(model, tokenizer_, options, listen), ErrorCode::kIo, "enough");
}

}  // namespace
}  // namespace metier::evaluate
