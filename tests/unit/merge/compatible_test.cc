#include "merge/compatible.h"

#include "base/file.h"
#include "merging.h"

namespace metier::merge {
namespace {

using test::RandomSource;
using test::TinySpec;

Json TokenizerDocument(const std::vector<std::string>& tokens) {
  Json vocab = Json::object();
  for (std::size_t i = 0; i < tokens.size(); ++i) vocab[tokens[i]] = i;
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

text::Tokenizer Vocabulary(const std::vector<std::string>& tokens, const std::string& eos = "a") {
  auto made = text::TokenizerFromJson(TokenizerDocument(tokens), {{"eos_token", eos}});
  EXPECT_TRUE(made.ok()) << made.error().message();
  return std::move(made).value();
}

SourceModel WithVocabulary(const std::vector<std::string>& tokens, const std::string& eos = "a") {
  SourceModel source = RandomSource(TinySpec("llama", 2), 1);
  source.tokenizer = Vocabulary(tokens, eos);
  return source;
}

TEST(Compatible, NamesTheFieldInWhichNetworksDiffer) {
  const model::ModelSpec spec = TinySpec("llama", 2);
  const auto code = ErrorCode::kInvalidArgument;
  const auto check = [&spec](const model::ModelSpec& other) {
    return CheckSameNetwork("a", spec, "b", other);
  };
  model::ModelSpec other = spec;
  EXPECT_OK(check(other));
  other.hidden = 96;
  EXPECT_ERROR(check(other), code, "'a' and 'b' are not of one base: hidden is 48 and 96");
  other = spec;
  other.vocab += 2;
  EXPECT_ERROR(check(other), code, "vocab is 320 and 322");
  other = spec;
  other.rope.theta = 1e6;
  EXPECT_ERROR(check(other), code, "rope_theta is");
  EXPECT_ERROR(check(TinySpec("qwen3", 2)), code, "family is \"llama\" and \"qwen3\"");
  other = spec;
  other.tied_head = !spec.tied_head;
  other.max_positions = 128;
  EXPECT_OK(check(other));
  model::ModelSpec learned = TinySpec("gpt2", 2);
  other = learned;
  other.max_positions += 1;
  EXPECT_ERROR(CheckSameNetwork("a", learned, "b", other), code, "max_positions");
}

TEST(Compatible, SaysWhichTokensDiffer) {
  const auto code = ErrorCode::kInvalidArgument;
  const text::Tokenizer tokenizer = Vocabulary({"a", "b", "c"});
  EXPECT_OK(CheckSameTokens("a", tokenizer, "b", Vocabulary({"a", "b", "c"})));
  EXPECT_ERROR(CheckSameTokens("a", tokenizer, "b", Vocabulary({"a", "c", "b"})), code,
               "2 tokens differ (1 is 'b' and 'c'; 2 is 'c' and 'b')");
  EXPECT_ERROR(CheckSameTokens("a", tokenizer, "b", Vocabulary({"a", "b", "c", "d"})), code,
               "1 tokens differ (3 is nothing and 'd')");
  EXPECT_ERROR(CheckSameTokens("a", Vocabulary({"a", "b", "c", "d", "e", "f", "g"}), "b",
                               Vocabulary({"a", "g", "b", "c", "d", "e", "f"})),
               code, "6 tokens differ");
}

TEST(Compatible, ChecksAllModelsAndTheTokenizerOfTheResult) {
  const auto code = ErrorCode::kInvalidArgument;
  const std::vector<std::string> order = {"a", "b"};
  const std::vector<std::string> tokens = {"a", "b", "c"};
  SourceModels models = {{"a", WithVocabulary(tokens)}, {"b", WithVocabulary(tokens, "c")}};
  ASSERT_OK_AND_ASSIGN(const std::vector<std::string> notes, CheckCompatible(order, models, "a"));
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_THAT(notes[0], ::testing::HasSubstr("eos token is 'a' in 'a' and 'c' in 'b'"));

  models.at("b") = WithVocabulary({"a", "c", "b"});
  EXPECT_ERROR(CheckCompatible(order, models, "a"), code, "2 tokens differ");

  models.at("b").tokenizer.reset();
  EXPECT_ERROR(CheckCompatible(order, models, "a"), code, "'b' has no tokenizer, others have one");
  EXPECT_ERROR(CheckCompatible(order, models, "b"), code, "'b' has no tokenizer, others have one");
  models.at("a").tokenizer.reset();
  EXPECT_OK(CheckCompatible(order, models, "a"));
}

TEST(Compatible, TakesATokenizerOfItsOwnFolder) {
  const metier::test::TempFolder folder;
  ASSERT_OK(
      WriteFileAtomic(folder / "tokenizer.json", DumpCompact(TokenizerDocument({"a", "b", "x"}))));
  SourceModels models = {{"a", WithVocabulary({"a", "b", "c"})}};
  EXPECT_ERROR(CheckCompatible({"a"}, models, folder.path()), ErrorCode::kInvalidArgument,
               "1 tokens differ (2 is 'x' and 'c')");
  models.at("a") = WithVocabulary({"a", "b", "x"});
  EXPECT_OK(CheckCompatible({"a"}, models, folder.path()));
  const metier::test::TempFolder empty;
  EXPECT_ERROR(CheckCompatible({"a"}, models, empty.path()), ErrorCode::kInvalidArgument,
               "has no tokenizer");
  EXPECT_ERROR(CheckCompatible({"a"}, models, empty / "nowhere"), ErrorCode::kNotFound,
               "there is nothing of that name");
}

}  // namespace
}  // namespace metier::merge
