// Every vector of the tokenizer fixtures: what the models' own tokenizers and llama.cpp give.
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/fixtures.h"
#include "text/tokenizer.h"
#include "unit/text/gguf_vocab_fixture.h"

namespace metier::text {
namespace {

using ::testing::ElementsAreArray;

constexpr const char* kSeparator = "\n__ggml_vocab_test__\n";

std::vector<std::string> SplitBy(const std::string& all, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t at = all.find(separator, begin);
    parts.push_back(all.substr(begin, at == std::string::npos ? at : at - begin));
    if (at == std::string::npos) return parts;
    begin = at + separator.size();
  }
}

std::vector<TokenId> ParseIds(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<TokenId>(in), std::istream_iterator<TokenId>()};
}

std::vector<TokenId> Ids(const Json& json) { return json.get<std::vector<TokenId>>(); }

class GgufParity : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufParity, EveryVectorIsIdentical) {
  METIER_NEEDS_SHARED(shared);
  const std::string base =
      shared + "/fixtures/tokenizers/ggml-vocab-" + std::string(GetParam()) + ".gguf";
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                       TokenizerFromGguf(test::ReadGgufVocab(test::ReadZstd(base + ".zst"))));

  const std::vector<std::string> texts = SplitBy(test::ReadAll(base + ".inp"), kSeparator);
  const std::vector<std::string> lines = SplitBy(test::ReadAll(base + ".out"), "\n");
  ASSERT_EQ(texts.size(), lines.size());
  ASSERT_GT(texts.size(), 40u);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const std::vector<TokenId> ids, tokenizer.Encode(texts[i]));
    EXPECT_THAT(ids, ElementsAreArray(ParseIds(lines[i]))) << "text " << i << ": " << texts[i];
  }
}

TEST_P(GgufParity, EveryExtraCaseIsIdentical) {
  METIER_NEEDS_SHARED(shared);
  const std::string base =
      shared + "/fixtures/tokenizers/ggml-vocab-" + std::string(GetParam()) + ".gguf";
  ASSERT_OK_AND_ASSIGN(const Tokenizer tokenizer,
                       TokenizerFromGguf(test::ReadGgufVocab(test::ReadZstd(base + ".zst"))));
  std::istringstream lines(test::ReadAll(base + ".extra.jsonl"));
  int cases = 0;
  for (std::string line; std::getline(lines, line); ++cases) {
    ASSERT_OK_AND_ASSIGN(const Json json, ParseJson(line));
    const std::string text = json.at("text").get<std::string>();
    const std::vector<TokenId> plain = Ids(json.at("plain"));
    const auto or_else = [&](const char* key, const std::vector<TokenId>& other) {
      return json.contains(key) ? Ids(json.at(key)) : other;
    };
    const std::vector<TokenId> special = or_else("special", plain);
    const auto expect = [&](AddSpecial add, ParseSpecial parse, const std::vector<TokenId>& ids,
                            const char* what) {
      ASSERT_OK_AND_ASSIGN(const std::vector<TokenId> got, tokenizer.Encode(text, {add, parse}));
      EXPECT_THAT(got, ElementsAreArray(ids)) << what << ": " << line.substr(0, 200);
    };
    expect(AddSpecial::kNo, ParseSpecial::kNo, plain, "plain");
    expect(AddSpecial::kYes, ParseSpecial::kNo, special, "special");
    expect(AddSpecial::kNo, ParseSpecial::kYes, or_else("parse", plain), "parse");
    expect(AddSpecial::kYes, ParseSpecial::kYes, or_else("special_parse", special),
           "special_parse");
  }
  EXPECT_GT(cases, 100);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GgufParity,
                         ::testing::Values("bert-bge", "gpt-2", "llama-bpe", "llama-spm", "phi-3",
                                           "qwen2"));

}  // namespace
}  // namespace metier::text
