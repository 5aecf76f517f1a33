// Tokens, comments and includes: what the language allows there, and what limits do.
#include "proof/source.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "proof/database.h"
#include "proof/folder_resolver.h"
#include "support/fixtures.h"

namespace metier::proof {
namespace {

Result<std::vector<std::string>> TokensOf(const std::string& text,
                                          const SourceLimits& limits = {}) {
  METIER_ASSIGN(Source source, Source::Create("t", text, nullptr, limits));
  std::vector<std::string> tokens;
  for (;;) {
    METIER_ASSIGN(const Token token, source.Next());
    if (token.text.empty()) return tokens;
    tokens.push_back(source.Where(token.place) + " " + std::string(token.text));
  }
}

IncludeResolver From(std::map<std::string, std::string> files) {
  return [files = std::move(files)](const std::string& name) -> Result<std::string> {
    const auto found = files.find(name);
    if (found == files.end()) return Error(ErrorCode::kNotFound, "no such file");
    return found->second;
  };
}

TEST(Source, TokensStandBetweenWhiteSpaceAndCommentsAreNone) {
  ASSERT_OK_AND_ASSIGN(const auto tokens,
                       TokensOf("a\tb\r\nc\f$( two\nlines, with $c and $. and ~ $) d$e\n"));
  EXPECT_THAT(tokens, ::testing::ElementsAre("t:1 a", "t:1 b", "t:2 c", "t:3 d$e"));
  ASSERT_OK_AND_ASSIGN(const auto none, TokensOf(" \n$( $)\n"));
  EXPECT_TRUE(none.empty());
}

TEST(Source, WhatIsNoCommentOrNoCharacter) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a $( b", "t:1: found the end of the file in the comment"},
      {"\n$( a $( b $)", "t:2: found '$(' in the comment"},
      {"$( a$) $)", "found 'a$)' in the comment"},
      {"$( x$(y $)", "found 'x$(y' in the comment"},
      {"$( a $)b $)", "found '$)b' in the comment"},
      {"a $)", "found $) outside of a comment"},
      {"a \x01", "found the byte 0x01"},
      {"a\v", "found the byte 0x0b"},
      {"caf\xc3\xa9", "found the byte 0xc3"},
      {"$( \x7f $)", "found the byte 0x7f"},
  };
  for (const auto& [text, message] : cases)
    EXPECT_ERROR(TokensOf(text), ErrorCode::kDataCorrupt, message);
}

TEST(Source, Limits) {
  EXPECT_OK(TokensOf("12345", {.max_file_bytes = 5, .max_token_bytes = 5}));
  EXPECT_ERROR(TokensOf("12345", {.max_file_bytes = 4}), ErrorCode::kResourceExhausted,
               "'t' has 5 bytes, limit 4");
  EXPECT_ERROR(TokensOf("12345", {.max_token_bytes = 4}), ErrorCode::kResourceExhausted,
               "a token of 5 bytes, limit 4");
  EXPECT_ERROR(TokensOf("$( 12345 $)", {.max_token_bytes = 4}), ErrorCode::kResourceExhausted,
               "a token of 5 bytes");
}

Result<Database> ReadWith(const std::string& text, std::map<std::string, std::string> files,
                          const SourceLimits& limits = {}) {
  return Database::Read(text,
                        {.name = "top.mm", .includes = From(std::move(files)), .source = limits});
}

TEST(Include, TextStandsInThePlaceOfTheCommand) {
  const std::map<std::string, std::string> files = {{"a.mm", "$[ b.mm $] $v x $. fx $f wff x $."},
                                                    {"b.mm", "$c wff |- $."}};
  ASSERT_OK_AND_ASSIGN(const Database database, ReadWith("$[ a.mm $] ax $a |- x $.", files));
  EXPECT_THAT(database.Axioms(), ::testing::ElementsAre("ax"));
}

TEST(Include, AFileIsReadOnceAndTheFirstTextIsAFileToo) {
  const std::map<std::string, std::string> files = {{"a.mm", "$[ a.mm $] $[ top.mm $] $c a $."},
                                                    {"b.mm", "$[ a.mm $] $c b $."}};
  EXPECT_OK(ReadWith("$[ a.mm $] $[ b.mm $] $[ a.mm $]", files));
}

TEST(Include, Rules) {
  const std::map<std::string, std::string> files = {
      {"c", "$c a $."},    {"half", "$c a"}, {"label", "$c a $. lonely"},
      {"comment", "$( a"}, {"open", "${"},   {"close", "$}"}};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"${ $[ c $] $}", "an include in a block"},
      {"$c $[ c $] $.", "the '$[' of top.mm:1"},
      {"$[ c d $]", "2 words between $[ and $]"},
      {"$[ $]", "0 words between $[ and $]"},
      {"$[ a$b $]", "the file name 'a$b'"},
      {"$[ c", "the end of the text, expected $] at its end"},
      {"$[ half $] $.", "half:1: found a $c that is not finished before the end of its file"},
      {"$[ label $] $a a $.", "the label 'lonely' at the end of its file"},
      {"$[ comment $] $)", "comment:1: found the end of the file in the comment"},
      {"$[ open $] $}", "found the end of the block of open:1"},
      {"${ $[ close $]", "an include in a block"},
  };
  for (const auto& [text, message] : cases)
    EXPECT_ERROR(ReadWith(text, files), ErrorCode::kDataCorrupt, message);
  EXPECT_ERROR(ReadWith("\n$[ gone $]", files), ErrorCode::kNotFound,
               "top.mm:2: include of 'gone': no such file");
  EXPECT_ERROR(Database::Read("$[ c $]"), ErrorCode::kUnsupported, "no resolver was given");
}

TEST(Include, Limits) {
  const IncludeResolver endless = [](const std::string& name) -> Result<std::string> {
    return "$[ " + name + "x $]";
  };
  EXPECT_ERROR(Database::Read("$[ x $]", {.includes = endless}), ErrorCode::kResourceExhausted,
               "nested deeper than 16");
  const std::map<std::string, std::string> files = {{"a", "$( 1 $)"}, {"b", "$( 2 $)"}};
  EXPECT_ERROR(ReadWith("$[ a $] $[ b $]", files, {.max_files = 2}), ErrorCode::kResourceExhausted,
               "more than 2 files");
  EXPECT_ERROR(ReadWith("$[ a $] $[ b $]", files, {.max_total_bytes = 25}),
               ErrorCode::kResourceExhausted, "29 bytes together, limit 25");
}

TEST(FolderResolver, ReadsBelowItsFolderOnly) {
  const test::TempFolder temp;
  std::filesystem::create_directories(temp / "db/sub");
  test::WriteAll(temp / "db/a.mm", "$c a $.");
  test::WriteAll(temp / "db/sub/b.mm", "$c b $.");
  test::WriteAll(temp / "secret.mm", "$c s $.");
  test::WriteAll(temp / "dbx.mm", "$c s $.");
  std::filesystem::create_symlink("../secret.mm", temp / "db/link.mm");
  std::filesystem::create_symlink("sub/b.mm", temp / "db/inner.mm");
  const IncludeResolver files = FilesOfFolder(temp / "db", 1000);
  EXPECT_OK(files("a.mm"));
  EXPECT_OK(files("sub/b.mm"));
  EXPECT_OK(files("inner.mm"));
  EXPECT_ERROR(files("../secret.mm"), ErrorCode::kInvalidArgument, "without '..'");
  EXPECT_ERROR(files("sub/../../secret.mm"), ErrorCode::kInvalidArgument, "without '..'");
  EXPECT_ERROR(files(temp / "secret.mm"), ErrorCode::kInvalidArgument, "below the folder");
  EXPECT_ERROR(files("link.mm"), ErrorCode::kNotFound, "is no file of the folder");
  EXPECT_ERROR(files("sub"), ErrorCode::kNotFound, "is no file of the folder");
  EXPECT_ERROR(files("gone.mm"), ErrorCode::kNotFound, "is no file of the folder");
  EXPECT_ERROR(FilesOfFolder(temp / "none", 1000)("a.mm"), ErrorCode::kNotFound, "is no file");
  EXPECT_ERROR(FilesOfFolder(temp / "db", 3)("a.mm"), ErrorCode::kResourceExhausted, "a.mm");
}

}  // namespace
}  // namespace metier::proof
