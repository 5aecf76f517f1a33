// stories260K: one model as a Hugging Face directory and as GGUF, against the sentencepiece
// library.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "support/fixtures.h"
#include "text/tokenizer.h"
#include "unit/text/gguf_vocab_fixture.h"

namespace metier::text {
namespace {

void ExpectEveryCase(const Tokenizer& tokenizer, const std::string& shared) {
  ASSERT_OK_AND_ASSIGN(
      const Json cases,
      ParseJson(test::ReadAll(shared + "/fixtures/stories260k/tokenizer_cases.json")));
  ASSERT_GT(cases.size(), 10u);
  for (const Json& item : cases) {
    const auto text = item.at("text").get<std::string>();
    ASSERT_OK_AND_ASSIGN(const auto with_bos, tokenizer.Encode(text, {AddSpecial::kYes}));
    EXPECT_EQ(with_bos, item.at("ids").get<std::vector<TokenId>>()) << text;
    ASSERT_OK_AND_ASSIGN(const auto plain, tokenizer.Encode(text));
    EXPECT_EQ(plain, item.at("ids_no_bos").get<std::vector<TokenId>>()) << text;
    ASSERT_OK_AND_ASSIGN(const auto decoded, tokenizer.Decode(with_bos));
    // The mark of a space cannot be told from a space any more.
    EXPECT_EQ(decoded, text == "\xE2\x96\x81" ? " " : text);
  }
}

TEST(Stories, DirectoryAndGgufGiveTheReferenceIds) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder folder;
  test::UnpackTarZstd(shared + "/fixtures/stories260k/model.tar.zst", folder.path());
  ASSERT_OK_AND_ASSIGN(const Tokenizer directory, LoadTokenizer(folder / "hf"));
  ASSERT_OK_AND_ASSIGN(
      const Tokenizer gguf,
      TokenizerFromGguf(test::ReadGgufVocab(test::ReadAll(folder / "stories260k.gguf"))));
  ExpectEveryCase(directory, shared);
  ExpectEveryCase(gguf, shared);

  const std::string text = test::ReadAll(shared + "/fixtures/stories260k/text_20k.txt");
  ASSERT_OK_AND_ASSIGN(const auto from_directory, directory.Encode(text));
  ASSERT_OK_AND_ASSIGN(const auto from_gguf, gguf.Encode(text));
  EXPECT_EQ(from_directory, from_gguf);
  ASSERT_OK_AND_ASSIGN(const auto decoded, directory.Decode(from_directory));
  EXPECT_EQ(decoded, text);
  for (const Tokenizer* tokenizer : {&directory, &gguf}) {
    EXPECT_EQ(tokenizer->special().bos, 1);
    EXPECT_EQ(tokenizer->special().eos, 2);
    EXPECT_EQ(tokenizer->special().unk, 0);
    EXPECT_EQ(tokenizer->vocab_size(), 512);
    EXPECT_TRUE(tokenizer->IsSpecial(1));
    EXPECT_FALSE(tokenizer->IsSpecial(3));
  }
}

// vocab.json + merges.txt, as OpenAI published them, against the GGUF file of the same model.
TEST(Gpt2Directory, GivesTheIdsOfTheGguf) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder folder;
  test::WriteAll(folder / "vocab.json", test::ReadZstd(shared + "/data/tok-gpt2/encoder.json.zst"));
  test::WriteAll(folder / "merges.txt", test::ReadAll(shared + "/data/tok-gpt2/vocab.bpe"));
  ASSERT_OK_AND_ASSIGN(const Tokenizer directory, LoadTokenizer(folder.path()));
  const std::string base = shared + "/fixtures/tokenizers/ggml-vocab-gpt-2.gguf";
  ASSERT_OK_AND_ASSIGN(const Tokenizer gguf,
                       TokenizerFromGguf(test::ReadGgufVocab(test::ReadZstd(base + ".zst"))));
  const std::string text = test::ReadAll(base + ".inp");
  ASSERT_OK_AND_ASSIGN(const auto from_directory, directory.Encode(text));
  ASSERT_OK_AND_ASSIGN(const auto from_gguf, gguf.Encode(text));
  EXPECT_EQ(from_directory, from_gguf);
  EXPECT_EQ(directory.special().eos, 50256);
  EXPECT_EQ(directory.special().bos, 50256);
  EXPECT_EQ(directory.vocab_size(), 50257);
  ASSERT_OK_AND_ASSIGN(const auto parsed,
                       directory.Encode("a<|endoftext|>b", {AddSpecial::kNo, ParseSpecial::kYes}));
  EXPECT_EQ(parsed, (std::vector<TokenId>{64, 50256, 65}));
  ASSERT_OK_AND_ASSIGN(const auto as_text, directory.Encode("<|endoftext|>"));
  EXPECT_GT(as_text.size(), 1u);
}

}  // namespace
}  // namespace metier::text
