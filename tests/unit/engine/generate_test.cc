#include "engine/generate.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/stop_text.h"
#include "scripted_backend.h"
#include "support/fixtures.h"
#include "words.h"

namespace metier::engine {
namespace {

using test::Byte;
using test::kEos;
using test::kHello;
using test::kLy;
using test::kP;
using test::kSto;
using test::kVocab;
using test::kWorld;
using test::ScriptedBackend;
using text::TokenId;

TEST(StopText, IsFoundWhereverThePiecesAreCut) {
  const std::string text = "one two STOP three";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      StopText stop({"STOP", "never"});
      std::string shown(stop.Add(text.substr(0, first)));
      shown += stop.Add(text.substr(first, second - first));
      shown += stop.Add(text.substr(second));
      EXPECT_EQ(shown, "one two ");
      ASSERT_NE(stop.found(), nullptr);
      EXPECT_EQ(*stop.found(), "STOP");
    }
  }
}

TEST(StopText, HoldsBackOnlyWhatMayBecomeAStop) {
  StopText stop({"\n\nUser:", "###"});
  EXPECT_EQ(stop.Add("hi\n"), "hi");
  EXPECT_EQ(stop.Add("there"), "\nthere");
  EXPECT_EQ(stop.Add("##"), "");
  EXPECT_EQ(stop.Add(" no\n\nUse"), "## no");
  EXPECT_EQ(stop.Finish(), "\n\nUse");
  EXPECT_EQ(stop.found(), nullptr);
}

TEST(StopText, TheEarliestWinsAndEmptyOnesAreIgnored) {
  StopText stop({"", "b", "ab"});
  EXPECT_EQ(stop.Add("xab"), "x");
  EXPECT_EQ(*stop.found(), "ab");
  StopText repeated({"aab"});
  EXPECT_EQ(repeated.Add("aaa"), "a");  // "aa" may still become the stop
  EXPECT_EQ(repeated.Add("b"), "");
  EXPECT_NE(repeated.found(), nullptr);
}

class Generating : public ::testing::Test {
 protected:
  // Greedy, over a prompt of one token.
  Result<Generation> Run(std::vector<TokenId> script, GenerateOptions options,
                         std::int64_t max_positions = 100) {
    ScriptedBackend backend(kVocab, max_positions, std::move(script));
    auto session = Session::Open(backend);
    options.sampler.temperature = 0;
    pieces_.clear();
    options.on_text = [this](std::string_view piece) { pieces_.emplace_back(piece); };
    const std::vector<TokenId> prompt = {1};
    return Generate(*session, words_, prompt, options);
  }

  text::Tokenizer words_ = test::Words();
  std::vector<std::string> pieces_;
};

TEST_F(Generating, StopsAtTheEndToken) {
  ASSERT_OK_AND_ASSIGN(const Generation result, Run({kHello, kWorld, kEos}, {}));
  EXPECT_EQ(result.tokens, (std::vector<TokenId>{kHello, kWorld}));
  EXPECT_EQ(result.text, words_.Decode(result.tokens).value());
  EXPECT_EQ(result.finish, FinishReason::kStop);
  EXPECT_EQ(result.prompt_tokens, 1);
  EXPECT_TRUE(result.choices.empty());
}

TEST_F(Generating, EndTokensCanBeNamedOrIgnored) {
  GenerateOptions options;
  options.end_tokens = {kWorld};
  ASSERT_OK_AND_ASSIGN(const Generation named, Run({kHello, kEos, kWorld}, options));
  EXPECT_EQ(named.tokens, (std::vector<TokenId>{kHello, kEos}));
  options = {};
  options.ignore_end_tokens = true;
  options.max_tokens = 4;
  ASSERT_OK_AND_ASSIGN(const Generation ignored, Run({kEos}, options));
  EXPECT_EQ(ignored.tokens.size(), 4U);
  EXPECT_EQ(ignored.finish, FinishReason::kLength);
}

TEST_F(Generating, StopsAtMaxTokensAndAtTheLastPosition) {
  GenerateOptions options;
  options.max_tokens = 3;
  ASSERT_OK_AND_ASSIGN(const Generation cut, Run({kHello}, options));
  EXPECT_EQ(cut.tokens.size(), 3U);
  EXPECT_EQ(cut.finish, FinishReason::kLength);
  options.max_tokens = 0;
  ASSERT_OK_AND_ASSIGN(const Generation none, Run({kHello}, options));
  EXPECT_TRUE(none.tokens.empty());
  EXPECT_EQ(none.finish, FinishReason::kLength);
  options.max_tokens = 50;
  // 5 positions: the prompt and 4 more; the logits after the last position give a fifth token.
  ASSERT_OK_AND_ASSIGN(const Generation full, Run({kHello}, options, /*max_positions=*/5));
  EXPECT_EQ(full.tokens.size(), 5U);
  EXPECT_EQ(full.finish, FinishReason::kLength);
}

TEST_F(Generating, StopTextsEndTheAnswerAcrossTokens) {
  GenerateOptions options;
  options.stop = {"STOP"};
  ASSERT_OK_AND_ASSIGN(const Generation result, Run({kHello, kSto, kP, kWorld}, options));
  EXPECT_EQ(result.finish, FinishReason::kStop);
  EXPECT_EQ(result.stop, "STOP");
  EXPECT_EQ(result.tokens, (std::vector<TokenId>{kHello, kSto, kP}));
  EXPECT_EQ(result.text, "Hello ");
  std::string streamed;
  for (const std::string& piece : pieces_) streamed += piece;
  EXPECT_EQ(streamed, result.text);
}

TEST_F(Generating, AHeldBackBeginningIsShownWhenItWasNone) {
  GenerateOptions options;
  options.stop = {"STOP"};
  ASSERT_OK_AND_ASSIGN(const Generation result, Run({kHello, kSto, kEos}, options));
  EXPECT_EQ(result.text, "Hello STO");
  EXPECT_TRUE(result.stop.empty());
}

TEST_F(Generating, NeverStreamsPartOfACharacter) {
  // "ä€😀" in bytes, then a broken character at the end.
  const std::string text = "\u00e4\u20ac\U0001F600";
  std::vector<TokenId> script;
  for (const char byte : text) script.push_back(Byte(static_cast<unsigned char>(byte)));
  script.push_back(Byte(0xE2));
  script.push_back(kEos);
  ASSERT_OK_AND_ASSIGN(const Generation result, Run(script, {}));
  ASSERT_EQ(pieces_.size(), 4U);
  EXPECT_EQ(pieces_[0], "\u00e4");
  EXPECT_EQ(pieces_[1], "\u20ac");
  EXPECT_EQ(pieces_[2], "\U0001F600");
  EXPECT_EQ(result.text, words_.Decode(result.tokens).value());
}

TEST_F(Generating, CanBeCancelled) {
  std::stop_source source;
  GenerateOptions options;
  options.cancel = source.get_token();
  options.sampler.temperature = 0;
  options.max_tokens = 50;
  int pieces = 0;
  options.on_text = [&](std::string_view) {
    if (++pieces == 3) source.request_stop();
  };
  ScriptedBackend backend(kVocab, 100, {kLy});
  ASSERT_OK_AND_ASSIGN(Session session, Session::Open(backend));
  const std::vector<TokenId> prompt = {1};
  ASSERT_OK_AND_ASSIGN(const Generation result, Generate(session, words_, prompt, options));
  EXPECT_EQ(result.tokens.size(), 3U);
  EXPECT_EQ(result.finish, FinishReason::kCancelled);
}

TEST_F(Generating, ReportsProbabilitiesOnRequest) {
  GenerateOptions options;
  options.sampler.top_logprobs = 2;
  ASSERT_OK_AND_ASSIGN(const Generation result, Run({kHello, kWorld, kEos}, options));
  ASSERT_EQ(result.choices.size(), 2U);
  EXPECT_EQ(result.choices[1].token, kWorld);
  EXPECT_EQ(result.choices[1].top.size(), 2U);
}

TEST_F(Generating, EveryTokenIsToldBeforeItsText) {
  std::vector<std::string> heard;
  GenerateOptions options;
  options.sampler.temperature = 0;
  options.on_token = [&](const Choice& choice) { heard.push_back(std::to_string(choice.token)); };
  options.on_text = [&](std::string_view text) { heard.emplace_back(text); };
  ScriptedBackend backend(kVocab, 100, {kHello, kWorld, kEos});
  ASSERT_OK_AND_ASSIGN(Session session, Session::Open(backend));
  const std::vector<TokenId> prompt = {1};
  ASSERT_OK(Generate(session, words_, prompt, options));
  EXPECT_EQ(heard, (std::vector<std::string>{std::to_string(kHello), "Hello",
                                             std::to_string(kWorld), " world"}));
}

TEST_F(Generating, RefusesWhatItCannotDo) {
  GenerateOptions options;
  options.max_tokens = -1;
  EXPECT_ERROR(Run({kEos}, options), ErrorCode::kInvalidArgument, "max_tokens");
  options = {};
  options.sampler.top_p = 2;
  EXPECT_ERROR(Run({kEos}, options), ErrorCode::kInvalidArgument, "top_p");
  ScriptedBackend backend(kVocab, 4, {kEos});
  ASSERT_OK_AND_ASSIGN(Session session, Session::Open(backend));
  const std::vector<TokenId> prompt(5, 1);
  EXPECT_ERROR(Generate(session, words_, prompt, {}), ErrorCode::kInvalidArgument,
               "5 tokens, the model has 4 positions");
  EXPECT_ERROR(Generate(session, words_, {}, {}), ErrorCode::kInvalidArgument, "no tokens");
}

// Allows one token after another, whatever the model prefers.
class Fixed : public TokenConstraint {
 public:
  explicit Fixed(std::vector<TokenId> tokens) : tokens_(std::move(tokens)) {}
  Result<TokenMask> Mask() override {
    words_.assign(kVocab / 64 + 1, 0);
    const auto id = static_cast<std::size_t>(tokens_[at_]);
    words_[id / 64] |= std::uint64_t{1} << (id % 64);
    return TokenMask(words_);
  }
  Status Accept(TokenId token) override {
    EXPECT_EQ(token, tokens_[at_]);
    ++at_;
    return Ok();
  }

 private:
  std::vector<TokenId> tokens_;
  std::vector<std::uint64_t> words_;
  std::size_t at_ = 0;
};

TEST_F(Generating, AConstraintDecides) {
  Fixed fixed({kWorld, kLy, kEos});
  GenerateOptions options;
  options.constraint = &fixed;
  ASSERT_OK_AND_ASSIGN(const Generation result, Run({kHello}, options));
  EXPECT_EQ(result.tokens, (std::vector<TokenId>{kWorld, kLy}));
  EXPECT_EQ(result.finish, FinishReason::kStop);
}

TEST(Session, ComputesOnlyWhatIsNew) {
  ScriptedBackend backend(kVocab, 100, {kHello});
  {
    ASSERT_OK_AND_ASSIGN(Session session, Session::Open(backend));
    ASSERT_OK(session.Set(std::vector<TokenId>{1, 5, 6, 7}));
    EXPECT_EQ(backend.computed(), 4U);
    ASSERT_OK(session.Append(8));
    EXPECT_EQ(backend.computed(), 5U);
    ASSERT_OK(session.Set(std::vector<TokenId>{1, 5, 6, 9, 10}));  // shares three
    EXPECT_EQ(session.reused(), 3);
    EXPECT_EQ(backend.computed(), 7U);
    ASSERT_OK(session.Set(std::vector<TokenId>{1, 5}));  // shorter: only the last once more
    EXPECT_EQ(session.reused(), 1);
    EXPECT_EQ(backend.computed(), 8U);
    Session moved = std::move(session);
    ASSERT_OK(moved.Append(3));
    EXPECT_EQ(moved.tokens().size(), 3U);
    EXPECT_EQ(backend.open(), 1U);
  }
  EXPECT_EQ(backend.open(), 0U);
}

}  // namespace
}  // namespace metier::engine
