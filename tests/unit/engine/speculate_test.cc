// Answers with proposals are those without, token by token, whoever proposes.
#include "engine/speculate.h"

#include <gtest/gtest.h>

#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "engine/draft_model.h"
#include "engine/generate.h"
#include "engine/prompt_lookup.h"
#include "proposing.h"
#include "scripted_backend.h"
#include "support/fixtures.h"
#include "tiny_models.h"
#include "words.h"

namespace metier::engine::test {
namespace {

using text::TokenId;
using Tokens = std::vector<TokenId>;

// Forbids a third of the tokens, others after each token that it accepts.
class Thirds : public TokenConstraint {
 public:
  explicit Thirds(std::int64_t vocab) : vocab_(static_cast<std::size_t>(vocab)) {}
  Result<TokenMask> Mask() override {
    words_.assign(vocab_ / 64 + 1, 0);
    for (std::size_t id = 0; id < vocab_; ++id) {
      if (Allows(id)) words_[id / 64] |= std::uint64_t{1} << (id % 64);
    }
    return TokenMask(words_);
  }
  Status Accept(TokenId token) override {
    if (!Allows(static_cast<std::size_t>(token)))
      return Error(ErrorCode::kInvalidArgument, "a token that the mask forbids");
    state_ = state_ * 31 + static_cast<std::size_t>(token) + 1;
    return Ok();
  }

 private:
  bool Allows(std::size_t id) const { return (id + state_) % 3 != 0; }

  std::size_t vocab_;
  std::size_t state_ = 0;
  std::vector<std::uint64_t> words_;
};

// What was heard and what is left of one answer.
struct Outcome {
  Generation answer;
  Tokens told;
  std::string shown;
  Tokens held;  // by the session
  int passes = 0;
};

class Speculating : public ::testing::TestWithParam<const model::Family*> {
 protected:
  Speculating()
      : spec_(TinySpec(*GetParam())),
        model_(RandomModel(spec_)),
        words_(Words(spec_.vocab)),
        other_(OtherModel(TinySpec(*model::FindFamily("llama").value()), spec_.vocab),
               {.threads = 1}),
        twin_(model_, {.threads = 1}) {}

  // Its second half says the first again, so that there is something to look up.
  Tokens Prompt(std::uint64_t seed) const {
    Tokens prompt = RandomTokens(spec_, 3 + seed % 9, seed);
    const Tokens half = prompt;
    prompt.insert(prompt.end(), half.begin(), half.end());
    return prompt;
  }

  // Greedy and drawn, with and without penalties, filters, end tokens, stop texts, biases.
  static GenerateOptions Variant(std::uint64_t i) {
    GenerateOptions options;
    options.max_tokens = static_cast<std::int64_t>(1 + 7 * i % 40);
    options.ignore_end_tokens = i % 4 != 3;
    options.sampler.temperature = i % 2 == 0 ? 0.0 : 0.4 + 0.1 * static_cast<double>(i % 8);
    options.sampler.seed = i;
    if (i % 3 == 1) options.sampler.repetition_penalty = 1.2;
    if (i % 5 == 2) options.sampler.frequency_penalty = 0.3;
    if (i % 7 == 3) options.sampler.presence_penalty = 0.5;
    if (i % 4 == 1) options.sampler.top_k = 20;
    if (i % 6 == 5) options.sampler.min_p = 0.05;
    if (i % 8 == 7) options.sampler.top_p = 0.9;
    if (i % 5 == 4) options.sampler.top_logprobs = 2;
    if (i % 9 == 4) options.sampler.logit_bias = {{5, 2.0}, {9, -3.0}};
    if (i % 6 == 2) options.stop = {"a", "d3", "\u00e4"};
    if (i % 7 == 6) options.end_tokens = {kHello, 17, 40, 101};
    return options;
  }

  Outcome Run(const Tokens& prompt, GenerateOptions options, bool constrained, Proposer* proposer) {
    CountingBackend backend(model_, {.threads = 1, .kv_type = kv_type_});
    auto session = Session::Open(backend);
    Thirds thirds(spec_.vocab);
    Outcome outcome;
    options.proposer = proposer;
    if (constrained) options.constraint = &thirds;
    options.on_token = [&](const Choice& choice) { outcome.told.push_back(choice.token); };
    options.on_text = [&](std::string_view piece) { outcome.shown += piece; };
    auto answer = Generate(*session, words_, prompt, options);
    EXPECT_TRUE(answer.ok()) << answer.error().message();
    if (answer.ok()) outcome.answer = std::move(answer).value();
    outcome.held.assign(session->tokens().begin(), session->tokens().end());
    outcome.passes = backend.passes;
    EXPECT_EQ(backend.Length(model::SequenceId{0}), std::ssize(outcome.held));
    return outcome;
  }

  static void ExpectSame(const Outcome& drafted, const Outcome& plain, const std::string& what) {
    EXPECT_EQ(drafted.answer.tokens, plain.answer.tokens) << what;
    EXPECT_EQ(drafted.answer.text, plain.answer.text) << what;
    EXPECT_EQ(drafted.answer.finish, plain.answer.finish) << what;
    EXPECT_EQ(drafted.answer.stop, plain.answer.stop) << what;
    ASSERT_EQ(drafted.answer.choices.size(), plain.answer.choices.size()) << what;
    for (std::size_t i = 0; i < plain.answer.choices.size(); ++i)
      EXPECT_EQ(drafted.answer.choices[i].logprob, plain.answer.choices[i].logprob) << what;
    EXPECT_EQ(drafted.told, plain.told) << what;
    EXPECT_EQ(drafted.shown, plain.shown) << what;
    EXPECT_EQ(drafted.held, plain.held) << what;
  }

  model::ModelSpec spec_;
  std::shared_ptr<const NativeModel> model_;
  text::Tokenizer words_;
  NativeBackend other_;  // another model of the same vocabulary
  NativeBackend twin_;   // the same model
  KvType kv_type_ = KvType::kF32;
};

TEST_P(Speculating, ChangesNoAnswer) {
  if (!spec_.predicts_next()) return;  // an encoder answers nothing
  PromptLookup lookup;
  const auto draft = DraftModel::Create(other_, spec_.vocab).value();
  const auto twin = DraftModel::Create(twin_, spec_.vocab).value();
  const auto own = DraftModel::Create(twin_, spec_.vocab, {.temperature = 0.7, .seed = 4}).value();
  std::int64_t looked_up = 0;
  for (std::uint64_t i = 0; i < 50; ++i) {
    const Tokens prompt = Prompt(i);
    const GenerateOptions options = Variant(i);
    const bool constrained = i % 4 == 2;
    const std::string what = "prompt " + std::to_string(i);
    const Outcome plain = Run(prompt, options, constrained, nullptr);
    EXPECT_EQ(plain.answer.proposed_tokens, 0);
    Knowing oracle(plain.answer.tokens, spec_.vocab, 0);
    Knowing wrong(plain.answer.tokens, spec_.vocab, 1);
    const Outcome known = Run(prompt, options, constrained, &oracle);
    ExpectSame(known, plain, what + ", oracle");
    if (plain.answer.tokens.size() > 2) {  // the first comes of the prompt
      EXPECT_LT(known.passes, plain.passes) << what;
    }
    const Outcome mistaken = Run(prompt, options, constrained, &wrong);
    ExpectSame(mistaken, plain, what + ", wrong");
    EXPECT_EQ(mistaken.answer.accepted_tokens, 0) << what;
    EXPECT_EQ(mistaken.passes, plain.passes) << what;
    const Outcome seen = Run(prompt, options, constrained, &lookup);
    ExpectSame(seen, plain, what + ", lookup");
    looked_up += seen.answer.accepted_tokens;
    if (i % 5 != 0) continue;  // draft models are the slow ones
    ExpectSame(Run(prompt, options, constrained, draft.get()), plain, what + ", draft");
    ExpectSame(Run(prompt, options, constrained, own.get()), plain, what + ", own stream");
    const Outcome twins = Run(prompt, options, constrained, twin.get());
    ExpectSame(twins, plain, what + ", twin");
    if (!constrained && twins.answer.finish == FinishReason::kLength) {
      // It draws with the numbers that the answer is about to use: nothing it says is wrong.
      EXPECT_EQ(twins.answer.accepted_tokens, twins.answer.proposed_tokens) << what;
    }
  }
  EXPECT_GT(looked_up, 0);
}

// What was proposed in vain has been stored and is stored over.
TEST_P(Speculating, ChangesNoAnswerWhateverKeysAndValuesAreKeptAs) {
  if (!spec_.predicts_next()) return;
  for (const KvType type : {KvType::kBF16, KvType::kInt8}) {
    kv_type_ = type;
    for (std::uint64_t i = 0; i < 10; ++i) {
      const Tokens prompt = Prompt(i);
      const Outcome plain = Run(prompt, Variant(i), false, nullptr);
      Knowing sometimes_wrong(plain.answer.tokens, spec_.vocab, 1, 3);
      ExpectSame(Run(prompt, Variant(i), false, &sometimes_wrong), plain,
                 "prompt " + std::to_string(i));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, Speculating,
                         ::testing::ValuesIn(model::Families().begin(), model::Families().end()),
                         FamilyName);

// On a backend whose answer is written down: ends in the middle of an accepted run.
class Endings : public ::testing::Test {
 protected:
  struct Ended {
    Generation answer;
    std::size_t held = 0;
    std::size_t computed = 0;
  };

  // Greedy, over a prompt of one token; `script` is proposed whole, or nothing is.
  Result<Ended> Run(const Tokens& script, GenerateOptions options, std::size_t proposals,
                    std::int64_t max_positions = 100) {
    ScriptedBackend backend(kVocab, max_positions, script);
    Knowing oracle(script, kVocab, 0);
    options.sampler.temperature = 0;
    options.max_proposals = static_cast<std::int64_t>(proposals);
    options.proposer = &oracle;
    METIER_ASSIGN(Session session, Session::Open(backend));
    METIER_ASSIGN(Generation answer, Generate(session, words_, Tokens{1}, options));
    EXPECT_EQ(backend.Length(model::SequenceId{0}), std::ssize(session.tokens()));
    return Ended{std::move(answer), session.tokens().size(), backend.computed()};
  }

  text::Tokenizer words_ = Words();
};

TEST_F(Endings, AnEndTokenInsideARun) {
  for (const std::size_t proposals : {0, 1, 2, 8}) {
    ASSERT_OK_AND_ASSIGN(const Ended ended,
                         Run({kHello, kWorld, kLy, kEos, kHello, kHello}, {}, proposals));
    EXPECT_EQ(ended.answer.tokens, (Tokens{kHello, kWorld, kLy})) << proposals;
    EXPECT_EQ(ended.answer.finish, FinishReason::kStop);
    EXPECT_EQ(ended.held, 4U) << proposals;  // the prompt and the three
  }
}

TEST_F(Endings, AStopTextInsideARun) {
  GenerateOptions options;
  options.stop = {"STOP"};
  for (const std::size_t proposals : {0, 1, 2, 3, 8}) {
    ASSERT_OK_AND_ASSIGN(const Ended ended,
                         Run({kHello, kWorld, kSto, kP, kWorld, kWorld}, options, proposals));
    EXPECT_EQ(ended.answer.tokens, (Tokens{kHello, kWorld, kSto, kP})) << proposals;
    EXPECT_EQ(ended.answer.text, "Hello world ") << proposals;
    EXPECT_EQ(ended.answer.stop, "STOP");
    EXPECT_EQ(ended.held, 4U) << proposals;  // the token that ended it is not computed
  }
}

TEST_F(Endings, ACancelInsideARun) {
  for (const std::size_t proposals : {0, 8}) {
    std::stop_source source;
    GenerateOptions options;
    options.cancel = source.get_token();
    options.on_token = [&](const Choice& choice) {
      if (choice.token == kLy) source.request_stop();
    };
    ASSERT_OK_AND_ASSIGN(const Ended ended,
                         Run({kHello, kWorld, kLy, kHello, kHello, kEos}, options, proposals));
    EXPECT_EQ(ended.answer.tokens, (Tokens{kHello, kWorld, kLy})) << proposals;
    EXPECT_EQ(ended.answer.finish, FinishReason::kCancelled);
    EXPECT_EQ(ended.held, 4U) << proposals;
  }
}

TEST_F(Endings, NothingIsComputedThatCouldNotBeSaid) {
  const Tokens script(50, kHello);
  for (const std::size_t proposals : {0, 1, 8, 40}) {
    GenerateOptions options;
    options.max_tokens = 12;
    ASSERT_OK_AND_ASSIGN(const Ended cut, Run(script, options, proposals));
    EXPECT_EQ(cut.answer.tokens.size(), 12U);
    EXPECT_EQ(cut.held, 12U) << proposals;
    EXPECT_EQ(cut.computed, 12U) << proposals;
    options.max_tokens = 40;
    ASSERT_OK_AND_ASSIGN(const Ended full, Run(script, options, proposals, /*max_positions=*/10));
    EXPECT_EQ(full.answer.tokens.size(), 10U);
    EXPECT_EQ(full.answer.finish, FinishReason::kLength);
    EXPECT_EQ(full.held, 10U) << proposals;
  }
}

TEST_F(Endings, WrongProposalsBecomeFew) {
  const Tokens script(50, kHello);
  ScriptedBackend backend(kVocab, 100, script);
  Knowing wrong(script, kVocab, 1);
  GenerateOptions options{.max_tokens = 12, .proposer = &wrong};
  options.sampler.temperature = 0;
  ASSERT_OK_AND_ASSIGN(Session session, Session::Open(backend));
  ASSERT_OK_AND_ASSIGN(const Generation answer, Generate(session, words_, Tokens{1}, options));
  // The first token comes of the prompt, the last has nothing behind it: 10 steps propose.
  EXPECT_EQ(answer.proposed_tokens, 8 + 4 + 2 + 7 * 1);
  EXPECT_EQ(answer.accepted_tokens, 0);
}

TEST_F(Endings, ANegativeNumberIsRefused) {
  EXPECT_ERROR(Run({kEos}, {}, static_cast<std::size_t>(-1)), ErrorCode::kInvalidArgument,
               "max_proposals");
}

// Fails at the third token.
class Failing : public TokenConstraint {
 public:
  Result<TokenMask> Mask() override { return TokenMask(); }
  Status Accept(TokenId /*token*/) override {
    if (++accepted_ < 3) return Ok();
    return Error(ErrorCode::kInvalidArgument, "the third is refused");
  }

 private:
  int accepted_ = 0;
};

TEST_F(Endings, AnErrorLeavesWhatItWouldWithoutProposals) {
  for (const std::int64_t proposals : {0, 8}) {
    ScriptedBackend backend(kVocab, 100, {kHello});
    Knowing oracle(Tokens(20, kHello), kVocab, 0);
    Failing failing;
    GenerateOptions options{.constraint = &failing, .proposer = &oracle};
    options.max_proposals = proposals;
    options.sampler.temperature = 0;
    ASSERT_OK_AND_ASSIGN(Session session, Session::Open(backend));
    EXPECT_ERROR(Generate(session, words_, Tokens{1}, options), ErrorCode::kInvalidArgument,
                 "third");
    EXPECT_EQ(session.tokens().size(), 3U) << proposals;
    EXPECT_EQ(backend.Length(model::SequenceId{0}), 3) << proposals;
  }
}

TEST(Speculation, GoesOnWithoutWhatCannotBeComputed) {
  const model::ModelSpec spec = TinySpec(*model::FindFamily("llama").value());
  const text::Tokenizer words = Words(spec.vocab);
  CountingBackend backend(RandomModel(spec), {.threads = 1});
  GenerateOptions options{.max_tokens = 20, .ignore_end_tokens = true};
  options.sampler.temperature = 0;
  const auto run = [&](Proposer* proposer) -> Result<Generation> {
    options.proposer = proposer;
    METIER_ASSIGN(Session session, Session::Open(backend));
    return Generate(session, words, Tokens{1}, options);
  };
  ASSERT_OK_AND_ASSIGN(const Generation plain, run(nullptr));
  Broken unknown(Tokens{static_cast<TokenId>(spec.vocab)});
  ASSERT_OK_AND_ASSIGN(const Generation without, run(&unknown));
  EXPECT_EQ(without.tokens, plain.tokens);
  EXPECT_EQ(without.proposed_tokens, 0);
  Broken many(Tokens(200, 1));  // more than asked for, and than there are positions
  ASSERT_OK_AND_ASSIGN(const Generation cut, run(&many));
  EXPECT_EQ(cut.tokens, plain.tokens);
  EXPECT_GT(cut.proposed_tokens, 0);
  backend.most = 2;
  Knowing oracle(plain.tokens, spec.vocab, 0);
  ASSERT_OK_AND_ASSIGN(const Generation narrow, run(&oracle));
  EXPECT_EQ(narrow.tokens, plain.tokens);
  Broken failing(Error(ErrorCode::kIo, "no idea"));
  EXPECT_ERROR(run(&failing), ErrorCode::kIo, "no idea");
}

TEST(Speculation, AConversationGoesOn) {
  const model::ModelSpec spec = TinySpec(*model::FindFamily("llama").value());
  const text::Tokenizer words = Words(spec.vocab);
  const auto model = RandomModel(spec);
  NativeBackend drafting(model, {.threads = 1});
  const auto draft = DraftModel::Create(drafting, spec.vocab).value();
  const auto converse = [&](Proposer* proposer) {
    NativeBackend backend(model, {.threads = 1});
    auto session = Session::Open(backend);
    GenerateOptions options{.max_tokens = 15, .ignore_end_tokens = true, .proposer = proposer};
    Tokens past = {1, 9, 8, 9, 8};
    for (int turn = 0; turn < 3; ++turn) {
      options.sampler.seed = static_cast<std::uint64_t>(turn);
      const auto answer = Generate(*session, words, past, options);
      EXPECT_TRUE(answer.ok());
      if (turn > 0) {
        EXPECT_GT(answer->reused_tokens, 15);
      }
      past.insert(past.end(), answer->tokens.begin(), answer->tokens.end());
      past.insert(past.end(), {30, 31});
    }
    return past;
  };
  const Tokens plain = converse(nullptr);
  PromptLookup lookup;
  EXPECT_EQ(converse(&lookup), plain);
  EXPECT_EQ(converse(draft.get()), plain);
}

TEST(AdaptProposals, GrowsAfterRightOnesAndShrinksAfterWrongOnes) {
  EXPECT_EQ(AdaptProposals(4, 8, 4, 4), 6);
  EXPECT_EQ(AdaptProposals(7, 8, 7, 7), 8);
  EXPECT_EQ(AdaptProposals(5, 8, 2, 2), 7);
  EXPECT_EQ(AdaptProposals(8, 8, 8, 3), 5);
  EXPECT_EQ(AdaptProposals(8, 8, 8, 7), 7);
  EXPECT_EQ(AdaptProposals(2, 8, 2, 0), 1);
  EXPECT_EQ(AdaptProposals(1, 8, 1, 0), 1);
  EXPECT_EQ(AdaptProposals(3, 8, 0, 0), 3);  // nothing proposed says nothing
}

}  // namespace
}  // namespace metier::engine::test
