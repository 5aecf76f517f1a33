#include "specialist/content_hash.h"

#include "format/gguf.h"
#include "support/fixtures.h"

namespace metier::specialist {
namespace {

TEST(HashTokenizer, OfAFolderKnowsTokenizerFilesOnly) {
  const test::TempFolder folder;
  EXPECT_ERROR(HashTokenizer(folder / "."), ErrorCode::kNotFound, "no tokenizer files");
  test::WriteAll(folder / "tokenizer.json", "{}");
  ASSERT_OK_AND_ASSIGN(const std::string before, HashTokenizer(folder / "."));
  test::WriteAll(folder / "model.safetensors", "weights");
  ASSERT_OK_AND_ASSIGN(const std::string with_weights, HashTokenizer(folder / "."));
  EXPECT_EQ(with_weights, before);
  test::WriteAll(folder / "merges.txt", "a b");
  ASSERT_OK_AND_ASSIGN(const std::string with_merges, HashTokenizer(folder / "."));
  EXPECT_NE(with_merges, before);
}

TEST(HashTokenizer, OfAGgufFileKnowsItsTokenizerOnly) {
  const test::TempFolder folder;
  const std::string path = folder / "model.gguf";
  const auto hash_of = [&](std::map<std::string, format::GgufValue> metadata) {
    EXPECT_TRUE(format::WriteGguf(path, metadata, {}).ok());
    return HashTokenizer(path);
  };
  using Strings = std::vector<std::string>;
  std::map<std::string, format::GgufValue> metadata = {{"general.name", std::string("one")}};
  EXPECT_ERROR(hash_of(metadata), ErrorCode::kNotFound, "no tokenizer");
  metadata["tokenizer.ggml.tokens"] = Strings{"a", "bc"};
  ASSERT_OK_AND_ASSIGN(const std::string first, hash_of(metadata));
  metadata["general.name"] = std::string("two");
  ASSERT_OK_AND_ASSIGN(const std::string renamed, hash_of(metadata));
  EXPECT_EQ(renamed, first);
  metadata["tokenizer.ggml.tokens"] = Strings{"ab", "c"};  // the same letters
  ASSERT_OK_AND_ASSIGN(const std::string other, hash_of(metadata));
  EXPECT_NE(other, first);
}

}  // namespace
}  // namespace metier::specialist
