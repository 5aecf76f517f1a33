// The Metamath part of miniF2F: every file is read, and none passes for proved.
#include "proof/minif2f.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "proof/database.h"
#include "support/fixtures.h"
#include "unit/proof/naive_checker.h"

namespace metier::proof {
namespace {

TEST(Minif2f, ACommentWithAtSignsIsATheorem) {
  const std::string file =
      "$(\n  @{\n    x.1 @e |- A e. NN $@\n    x.2 @e |- ph $@\n    @( (By a@b, @e it says.) @)\n"
      "    $@ (Twice.) $@\n    x @p |- ph @=\n      ? @.\n  @}\n$)\n";
  ASSERT_OK_AND_ASSIGN(const std::string text, Minif2fTheorem(file));
  EXPECT_EQ(text,
            "\n  ${\n    x.1 $e |- A e. NN $.\n    x.2 $e |- ph $.\n    $( (By a@b, @e it says.) "
            "$)\n    $( (Twice.) $)\n    x $p |- ph $=\n      ? $.\n  $}\n\n");
}

TEST(Minif2f, ATheoremThatIsNoCommentStaysAsItIs) {
  const std::string file = "${ x $p |- ph $= ? $. $}\n";
  ASSERT_OK_AND_ASSIGN(const std::string text, Minif2fTheorem(file));
  EXPECT_EQ(text, file);
}

TEST(Minif2f, WhatIsNeither) {
  for (const std::string text : {"", " \n", "theorem x", "$( @{ @}", "$( @{ @} $) $c x $.",
                                 "$( @{ x $e |- ph $. @} $)", "$( $( $) $)"}) {
    EXPECT_ERROR(Minif2fTheorem(text), ErrorCode::kDataCorrupt, "miniF2F theorem: found");
  }
}

// Declarations for the symbols of a theorem, by the names that set.mm has for variables: a stand-in
// for its first pages, without any axiom or lemma.
std::string SymbolsOf(const Words& words) {
  std::set<std::string> symbols;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool disjoint = words[i] == "$d";
    if (!disjoint && words[i] != "$e" && words[i] != "$p") continue;
    for (++i; words[i] != "$." && words[i] != "$="; ++i) symbols.insert(words[i]);
  }
  symbols.insert({"|-", "wff", "setvar", "class"});
  const std::set<std::string> wffs = {"ph", "ps", "ch", "th", "ta"};
  std::string constants;
  std::string variables;
  std::string types;
  for (const std::string& symbol : symbols) {
    const bool letter = symbol.size() == 1 && std::isalpha(symbol[0]) != 0;
    if (wffs.count(symbol) == 0 && !letter) {
      constants += symbol + " ";
      continue;
    }
    const bool set = letter && std::islower(symbol[0]) != 0;
    variables += symbol + " ";
    types += (!letter ? "w"
              : set   ? "v"
                      : "c") +
             symbol + " $f " +
             (!letter ? "wff "
              : set   ? "setvar "
                      : "class ") +
             symbol + " $.\n";
  }
  return "$c " + constants + "$.\n" + (variables.empty() ? "" : "$v " + variables + "$.\n") + types;
}

// With ? in the place of the proof.
Words WithoutProof(const Words& words) {
  Words stated(words.begin(), std::find(words.begin(), words.end(), "$=") + 1);
  stated.insert(stated.end(), {"?", "$.", "$}"});
  return stated;
}

// The one file that breaks a rule: its theorem has the label of its last hypothesis.
constexpr const char* kTwiceLabelled = "aime-1994-p3";

TEST(Minif2f, AllFilesAreReadAndNoneIsProved) {
  METIER_NEEDS_SHARED(shared);
  const test::TempFolder folder;
  test::UnpackTarZstd(shared + "/data/formal-minif2f/minif2f_metamath_lean3.tar.zst",
                      folder.path());
  int files = 0;
  int comments = 0;
  int open = 0;
  int open_statements = 0;
  int wanting_lemmas = 0;
  int disjoint = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "metamath")) {
    if (entry.path().extension() != ".mm") continue;
    SCOPED_TRACE(entry.path().filename().string());
    ++files;
    const std::string file = test::ReadAll(entry.path().string());
    // As it stands nine in ten files are a comment and no more.
    const auto as_it_stands = Database::Read(file);
    if (as_it_stands.ok()) comments += as_it_stands->StatementCount() == 0 ? 1 : 0;
    ASSERT_OK_AND_ASSIGN(std::string text, Minif2fTheorem(file));
    if (entry.path().stem() == kTwiceLabelled) {
      EXPECT_ERROR(Database::Read(SymbolsOf(SplitWords(text)) + text), ErrorCode::kDataCorrupt,
                   "the label 'aime-1994-p3.3', which is a label already");
      text.replace(text.find(".3 $p"), 2, "");
    }
    const Words words = SplitWords(text);
    const std::string symbols = SymbolsOf(words);
    disjoint += std::count(words.begin(), words.end(), "$d") > 0 ? 1 : 0;

    ASSERT_OK_AND_ASSIGN(const Database database, Database::Read(symbols + text));
    const std::vector<TheoremReport> theorems = database.Theorems();
    ASSERT_EQ(theorems.size(), 1U);
    EXPECT_EQ(theorems[0].label, entry.path().stem().string());
    EXPECT_NE(theorems[0].verdict, Verdict::kProved);
    open += theorems[0].verdict == Verdict::kOpen ? 1 : 0;
    // The others have a proof, from lemmas of set.mm.
    const bool lemma = theorems[0].finding.found == "a label that no statement has";
    wanting_lemmas += lemma ? 1 : 0;
    EXPECT_EQ(theorems[0].verdict == Verdict::kWrong, lemma) << theorems[0].finding.Text();

    // As a task, all are the same: a statement, and a proof that is to be found.
    ASSERT_OK_AND_ASSIGN(const Database task,
                         Database::Read(symbols + JoinWords(WithoutProof(words))));
    const std::vector<TheoremReport> tasks = task.Theorems();
    ASSERT_EQ(tasks.size(), 1U);
    open_statements += tasks[0].verdict == Verdict::kOpen ? 1 : 0;
    EXPECT_TRUE(task.Axioms().empty());
  }
  EXPECT_EQ(files, 488);
  EXPECT_EQ(comments, 443);
  EXPECT_EQ(open, 443);
  EXPECT_EQ(wanting_lemmas, 45);
  EXPECT_EQ(open_statements, 488);
  EXPECT_GT(disjoint, 0);
}

}  // namespace
}  // namespace metier::proof
