#include "model/gguf_vocab.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "format/gguf.h"
#include "support/fixtures.h"

namespace metier::model {
namespace {

using Metadata = std::map<std::string, format::GgufValue>;

// A file with this metadata and no tensors.
Result<format::GgufFile> Write(const test::TempFolder& folder, const Metadata& metadata) {
  const std::string path = folder / "vocab.gguf";
  METIER_TRY(format::WriteGguf(path, metadata, {}));
  return format::GgufFile::Open(path);
}

Metadata Tiny() {
  return {{"general.name", std::string("tiny")},
          {"tokenizer.ggml.model", std::string("llama")},
          {"tokenizer.ggml.pre", std::string("default")},
          {"tokenizer.ggml.tokens",
           std::vector<std::string>{"<unk>", "<s>", "</s>", "\xE2\x96\x81", "a", "b", "ab"}},
          {"tokenizer.ggml.scores", std::vector<double>{0, 0, 0, -1, -2, -3, -0.5}},
          {"tokenizer.ggml.token_type", std::vector<std::int64_t>{2, 3, 3, 1, 1, 1, 1}},
          {"tokenizer.ggml.bos_token_id", std::uint64_t{1}},
          {"tokenizer.ggml.eos_token_id", std::uint64_t{2}},
          {"tokenizer.ggml.add_eos_token", true},
          {"tokenizer.ggml.add_space_prefix", false}};
}

TEST(GgufVocab, EveryKeyArrives) {
  const test::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const format::GgufFile file, Write(folder, Tiny()));
  ASSERT_OK_AND_ASSIGN(const text::GgufVocab vocab, ReadGgufVocab(file));
  EXPECT_EQ(vocab.name, "tiny");
  EXPECT_EQ(vocab.model, "llama");
  EXPECT_EQ(vocab.pre, "default");
  EXPECT_EQ(vocab.tokens.size(), 7u);
  EXPECT_EQ(vocab.scores[6], -0.5f);
  EXPECT_EQ(vocab.token_types[1], 3);
  EXPECT_EQ(vocab.bos, 1);
  EXPECT_EQ(vocab.eos, 2);
  EXPECT_EQ(vocab.unk, -1);
  EXPECT_EQ(vocab.add_eos, true);
  EXPECT_EQ(vocab.add_bos, std::nullopt);
  EXPECT_EQ(vocab.add_space_prefix, false);

  ASSERT_OK_AND_ASSIGN(const text::Tokenizer tokenizer, LoadGgufTokenizer(file));
  ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer.Encode("ab ba", {text::AddSpecial::kYes}));
  EXPECT_EQ(ids, (std::vector<text::TokenId>{1, 6, 3, 5, 4, 2}));
}

TEST(GgufVocab, AFileWithoutOneSaysSo) {
  const test::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const format::GgufFile file,
                       Write(folder, {{"tokenizer.ggml.model", std::string("no_vocab")}}));
  EXPECT_ERROR(ReadGgufVocab(file), ErrorCode::kNotFound, "no_vocab");
}

TEST(GgufVocab, WrongKindsAreRefusedByKey) {
  const test::TempFolder folder;
  Metadata metadata = Tiny();
  metadata["tokenizer.ggml.scores"] = std::vector<std::string>{"x"};
  ASSERT_OK_AND_ASSIGN(const format::GgufFile file, Write(folder, metadata));
  EXPECT_ERROR(ReadGgufVocab(file), ErrorCode::kDataCorrupt, "tokenizer.ggml.scores");
}

// Real files through the real reader; the ids themselves are compared in unit/text.
TEST(GgufVocab, ReadsTheFixtures) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder folder;
  for (const std::string name : {"bert-bge", "gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2"}) {
    const std::string path = folder / (name + ".gguf");
    test::WriteAll(
        path, test::ReadZstd(shared + "/fixtures/tokenizers/ggml-vocab-" + name + ".gguf.zst"));
    ASSERT_OK_AND_ASSIGN(const format::GgufFile file, format::GgufFile::Open(path));
    ASSERT_OK_AND_ASSIGN(const text::Tokenizer tokenizer, LoadGgufTokenizer(file));
    ASSERT_OK_AND_ASSIGN(const auto ids, tokenizer.Encode("hello world"));
    ASSERT_OK_AND_ASSIGN(const std::string text, tokenizer.Decode(ids));
    EXPECT_EQ(text, "hello world") << name;
  }
}

}  // namespace
}  // namespace metier::model
