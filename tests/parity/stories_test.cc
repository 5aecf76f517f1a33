// stories260K, a real trained model: greedy answers, log-probabilities and perplexity, from both
// forms.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/generate.h"
#include "engine/scoring.h"
#include "fixture_models.h"
#include "text/tokenizer.h"

namespace metier::parity {
namespace {

class Stories : public ::testing::TestWithParam<const char*> {
 protected:
  void Open(const std::string& shared) {
    fixture_ = shared + "/fixtures/stories260k";
    path_ = Unpacked(fixture_ + "/model.tar.zst") + "/" + GetParam();
    auto model = engine::NativeModel::Open(path_);
    ASSERT_TRUE(model.ok()) << model.error().message();
    backend_ = std::make_unique<engine::NativeBackend>(std::move(model).value());
  }

  std::string fixture_;
  std::string path_;
  std::unique_ptr<engine::NativeBackend> backend_;
};

TEST_P(Stories, GreedyAnswersAreTheStoredIds) {
  METIER_NEEDS_SHARED(shared);
  Open(shared);
  // The tokenizer only decodes here; its own parity is tested elsewhere.
  ASSERT_OK_AND_ASSIGN(const text::Tokenizer tokenizer,
                       text::LoadTokenizer(Unpacked(fixture_ + "/model.tar.zst") + "/hf"));
  const Json prompts = ReadJsonFile(fixture_ + "/greedy.json").value();
  ASSERT_EQ(prompts.size(), 3U);
  for (const Json& prompt : prompts) {
    ASSERT_OK_AND_ASSIGN(engine::Session session, engine::Session::Open(*backend_));
    engine::GenerateOptions options;
    options.sampler.temperature = 0;
    options.max_tokens = 64;
    options.ignore_end_tokens = true;
    ASSERT_OK_AND_ASSIGN(
        const engine::Generation answer,
        engine::Generate(session, tokenizer,
                         prompt.at("prompt_ids").get<std::vector<text::TokenId>>(), options));
    EXPECT_EQ(answer.tokens, prompt.at("ids").get<std::vector<text::TokenId>>())
        << prompt.at("prompt");
    EXPECT_EQ(answer.text.substr(answer.text[0] == ' ' ? 1 : 0),
              prompt.at("text").get<std::string>().substr(
                  prompt.at("text").get<std::string>()[0] == ' ' ? 1 : 0));
  }
}

TEST_P(Stories, LogProbabilitiesAreWithinTwoInTenThousand) {
  METIER_NEEDS_SHARED(shared);
  Open(shared);
  const Json text = ReadJsonFile(fixture_ + "/text200.json").value();
  const auto ids = text.at("ids").get<std::vector<std::int32_t>>();
  const auto expected = text.at("logprob_next").get<std::vector<double>>();
  ASSERT_OK_AND_ASSIGN(const auto scores, engine::ScoreTokens(*backend_, ids));
  ASSERT_GE(expected.size(), 199U);
  ASSERT_GE(scores.size(), 199U);
  for (std::size_t i = 0; i < std::min(scores.size(), expected.size()); ++i)
    EXPECT_NEAR(scores[i], expected[i], 2e-4) << i;
  EXPECT_LE(LargestDifference(RunText(*backend_, ids),
                              test::ReadF32(fixture_ + "/text200.logits_f32.bin")),
            2e-4);
}

// The definition of fixtures/README.md: chunks of N of BOS + text, BOS over each chunk's first
// token, predictions of tokens N/2 + 1 .. N - 1 count.
TEST_P(Stories, PerplexityToFourDigits) {
  METIER_NEEDS_SHARED(shared);
  Open(shared);
  ASSERT_OK_AND_ASSIGN(const text::Tokenizer tokenizer,
                       text::LoadTokenizer(Unpacked(fixture_ + "/model.tar.zst") + "/hf"));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer.Encode(test::ReadAll(fixture_ + "/text_20k.txt"),
                                                        {.add_special = text::AddSpecial::kYes}));
  const Json document = ReadJsonFile(fixture_ + "/perplexity.json").value();
  ASSERT_EQ(document.at("runs").size(), 3U);
  for (const Json& run : document.at("runs")) {
    const auto n = run.at("n_ctx").get<std::size_t>();
    double sum = 0;
    std::size_t count = 0;
    std::size_t chunks = 0;
    for (std::size_t begin = 0; begin + n <= ids.size(); begin += n, ++chunks) {
      std::vector<text::TokenId> chunk(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                       ids.begin() + static_cast<std::ptrdiff_t>(begin + n));
      chunk[0] = tokenizer.special().bos;
      ASSERT_OK_AND_ASSIGN(
          const auto scores,
          engine::ScoreTokens(*backend_, chunk, {.first = static_cast<std::int64_t>(n / 2)}));
      for (const double score : scores) sum -= score;
      count += scores.size();
    }
    EXPECT_EQ(chunks, run.at("chunks").get<std::size_t>());
    EXPECT_EQ(count, chunks * (n / 2 - 1));
    EXPECT_EQ(fmt::format("{:.4f}", std::exp(sum / static_cast<double>(count))),
              fmt::format("{:.4f}", run.at("ppl").get<double>()))
        << "n_ctx " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, Stories, ::testing::Values("hf", "stories260k.gguf"),
                         [](const auto& row) {
                           return std::string(row.param) == "hf" ? "directory" : "gguf";
                         });

}  // namespace
}  // namespace metier::parity
