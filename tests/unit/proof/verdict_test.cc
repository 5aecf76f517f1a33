// What is said of single proofs: each rule for proofs with one that breaks it.
#include <string>
#include <vector>

#include "proof/check_proof.h"
#include "proof/database.h"
#include "support/fixtures.h"

namespace metier::proof {
namespace {

constexpr const char* kSmall = R"(
$c ( ) -> A. wff set |- $.
$v ph ps ch x y $.
wph $f wff ph $.
wps $f wff ps $.
wch $f wff ch $.
vx $f set x $.
vy $f set y $.
wi $a wff ( ph -> ps ) $.
wal $a wff A. x ph $.
ax-k $a |- ( ph -> ( ps -> ph ) ) $.
${ min $e |- ph $. maj $e |- ( ph -> ps ) $. mp $a |- ps $. $}
${ $d x ph $. ax-d $a |- ( ph -> A. x ph ) $. $}
${ other.1 $e |- ps $. other $p |- ps $= other.1 $. $}
open $p |- ph $= ? $.
bad $p |- ph $= wph $.
)";

struct Case {
  std::string proof;
  Verdict verdict;
  std::string message;  // empty for those that are proved
};

// Theorem `th` with the given surroundings, in `kSmall`.
void Expect(const std::string& before, const std::string& statement,
            const std::vector<Case>& cases) {
  for (const auto& [proof, verdict, message] : cases) {
    SCOPED_TRACE(proof);
    const std::string head = kSmall + ("${ " + before + " th $p " + statement) + " $= ";
    const std::string tail = " $. $} later $a |- ( ph -> ph ) $.";
    ASSERT_OK_AND_ASSIGN(const Database database, Database::Read(head + proof + tail));
    ASSERT_OK_AND_ASSIGN(const TheoremReport report, database.Theorem("th"));
    EXPECT_EQ(report.verdict, verdict) << report.finding.Text();
    // And proposed for it, whatever stands there.
    ASSERT_OK_AND_ASSIGN(const Database without, Database::Read(head + "?" + tail));
    ASSERT_OK_AND_ASSIGN(const ProofReport proposed, CheckProof(without, "th", proof));
    EXPECT_EQ(proposed.verdict, verdict) << proposed.finding.Text();
    if (verdict == Verdict::kProved) continue;
    EXPECT_EQ(report.finding.theorem, "th");
    EXPECT_THAT(report.finding.Text(), ::testing::HasSubstr(message));
    EXPECT_EQ(proposed.finding.Text(), report.finding.Text());
  }
}

TEST(Verdict, Uncompressed) {
  Expect("", "|- ( ph -> ( ps -> ph ) )",
         {{"wph wps ax-k", Verdict::kProved, ""},
          {"wph $( a word $) wps ax-k", Verdict::kProved, ""},
          {"", Verdict::kWrong, "'th': found an empty proof"},
          {"wph ax-k", Verdict::kWrong,
           "'th', step 2, 'ax-k': found 1 expressions on the stack, "
           "expected 2, one for each hypothesis"},
          {"wph wph wps ax-k", Verdict::kWrong, "2 expressions on the stack at the end"},
          {"wps wph ax-k", Verdict::kWrong,
           "found '|- ( ps -> ( ph -> ps ) )' at the end, expected '|- ( ph -> ( ps -> ph ) )'"},
          {"wph vx ax-k", Verdict::kWrong,
           "step 3, 'ax-k': found 'set x', expected an expression of the type 'wff' for 'ps'"},
          {"wph wps foo", Verdict::kWrong, "step 3, 'foo': found a label that no statement has"},
          {"wph wps ph", Verdict::kWrong, "step 3, 'ph': found a label that no statement has"},
          {"th", Verdict::kWrong, "step 1, 'th': found the theorem itself"},
          {"wph wps ax-k ?", Verdict::kWrong, "2 expressions on the stack at the end"}});
  Expect(
      "", "|- ( ph -> ph )",
      {{"wph other.1", Verdict::kWrong, "step 2, 'other.1': found a hypothesis of another scope"}});
}

TEST(Verdict, EssentialHypotheses) {
  Expect("h1 $e |- ph $. h2 $e |- ( ph -> ps ) $.", "|- ps",
         {{"wph wps h1 h2 mp", Verdict::kProved, ""},
          {"wph wps h2 h1 mp", Verdict::kWrong,
           "step 5, 'mp': found '|- ( ph -> ps )' for the hypothesis 'min', expected '|- ph'"},
          {"wph wch h1 h2 mp", Verdict::kWrong,
           "found '|- ( ph -> ps )' for the hypothesis 'maj', expected '|- ( ph -> ch )'"},
          {"wph wps wph h2 mp", Verdict::kWrong, "found 'wff ph' for the hypothesis 'min'"},
          {"h1", Verdict::kWrong, "found '|- ph' at the end, expected '|- ps'"}});
}

// Where expressions are put beside each other, one can begin like another; and one may be empty.
TEST(Verdict, ExpressionsMatchInFull) {
  const std::string pairs =
      "pair $a wff ph ps $. none $a wff $. two $a |- ph ps $. "
      "${ one $e |- ph $. boxed $a |- ( ph ) $. $}";
  Expect(pairs, "|- ( ph )",
         {{"wph wph none two boxed", Verdict::kProved, ""},
          {"wph wph wps two boxed", Verdict::kWrong,
           "step 5, 'boxed': found '|- ph ps' for the hypothesis 'one', expected '|- ph'"}});
  Expect(pairs, "|- ( ph ps )",
         {{"wph wps pair wph wps two boxed", Verdict::kProved, ""},
          {"wph wps pair wph none two boxed", Verdict::kWrong,
           "step 7, 'boxed': found '|- ph' for the hypothesis 'one', expected '|- ph ps'"}});
}

TEST(Verdict, Compressed) {
  // Mandatory: wph A, wps B, h1 C. Listed: wi D, ax-k E, mp F.
  Expect("h1 $e |- ph $.", "|- ( ps -> ph )",
         {{"( wi ax-k mp ) ABADCABEF", Verdict::kProved, ""},
          {"( wi ax-k mp ) AB ADC\n A BEF", Verdict::kProved, ""},
          {"( wi ax-k mp ) ABADZCABEF", Verdict::kProved, ""},  // a tag that nothing uses
          {"( ax-k wi mp ) ABAECABDF", Verdict::kProved, ""},
          {"( wi ax-k mp", Verdict::kWrong, "no ) behind the labels"},
          {"( wi ax-k mp )", Verdict::kWrong, "a compressed proof without letters"},
          {"( wi ax-k mp ) ABADCABEG", Verdict::kWrong,
           "step 9: found a reference to number 7, expected at most 6: 3 mandatory hypotheses, 3 "
           "labels, 0 steps tagged with Z"},
          {"( wi ax-k mp ) ABADZCABEH", Verdict::kWrong, "number 8, expected at most 7"},
          {"( wi ax-k mp ) ABADCABEFU", Verdict::kWrong, "the end of the proof in a number"},
          {"( wi ax-k mp ) ABADCABEUZF", Verdict::kWrong, "'Z' in the letters"},
          {"( wi ax-k mp ) ABADCABEU?F", Verdict::kWrong, "'?' in the letters"},
          {"( wi ax-k mp ) ZABADCABEF", Verdict::kWrong, "Z before the first step"},
          {"( wi ax-k mp ) ABADZZCABEF", Verdict::kWrong, "Z behind Z"},
          {"( wi ax-k mp ) ABAD?ZCABEF", Verdict::kWrong, "Z behind ?"},
          {"( wi ax-k mp ) ABADcABEF", Verdict::kWrong, "'c' in the letters"},
          {"( wi ax-k mp ) YYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYA", Verdict::kWrong, "a reference to"},
          {"( wi ax-k wph mp ) ABADCABEG", Verdict::kWrong,
           "'wph': found a mandatory hypothesis in the list of labels"},
          {"( wi ax-k h1 mp ) ABADCABEG", Verdict::kWrong, "'h1': found a mandatory hypothesis"},
          {"( wi ax-k foo ) ABADCABEF", Verdict::kWrong, "'foo': found a label that no statement"},
          {"( wi th mp ) ABADCABEF", Verdict::kWrong, "'th': found the theorem itself"},
          {"( wi other.1 mp ) ABADCABEF", Verdict::kWrong, "'other.1': found a hypothesis of ano"},
          {"( wi ? mp ) ABADCABEF", Verdict::kWrong, "'?': found a label that no statement has"},
          {"( wi ax-k mp ) ABADCABE", Verdict::kWrong, "4 expressions on the stack at the end"}});
}

TEST(Verdict, TaggedStepsAreRepeated) {
  Expect("", "|- ( ( ph -> ph ) -> ( ( ph -> ph ) -> ( ph -> ph ) ) )",
         {{"( wi ax-k ) AABZDC", Verdict::kProved, ""},
          {"( wi ax-k ) AABAABC", Verdict::kProved, ""},
          {"( wi ax-k ) AABZADC", Verdict::kWrong, "at the end"}});
  // More than twenty numbers, and more than a hundred.
  std::string labels;
  for (int i = 0; i < 130; ++i) labels += "wch ";
  Expect("", "|- ( ph -> ( ps -> ph ) )",
         {{"( " + labels + "ax-k ) ABUUM", Verdict::kProved, ""},  // 2 + 131 = 6 * 20 + 13
          {"( " + labels + "ax-k ) ABUUL", Verdict::kWrong, "3 expressions on the stack"}});
}

TEST(Verdict, DisjointVariables) {
  Expect("$d x ph $.", "|- ( ph -> A. x ph )",
         {{"wph vx ax-d", Verdict::kProved, ""}, {"( ax-d ) ABC", Verdict::kProved, ""}});
  Expect("$d y ph $.", "|- ( ph -> A. x ph )",
         {{"wph vx ax-d", Verdict::kWrong,
           "step 3, 'ax-d': found 'ph' and 'x' in what replaces 'ph' and 'x', which are to be "
           "disjoint, expected $d ph x $. in the scope of the theorem"}});
  Expect("$d x y ph $.", "|- ( A. x ph -> A. x A. x ph )",
         {{"wph vx wal vx ax-d", Verdict::kWrong,
           "found the variable 'x' in what replaces 'ph' and 'x', which are to be disjoint, "
           "expected no variable in both"}});
  Expect("$d x ph $. $d x y $.", "|- ( A. y ph -> A. x A. y ph )",
         {{"wph vy wal vx ax-d", Verdict::kProved, ""}});
  Expect("$d x ph $.", "|- ( A. y ph -> A. x A. y ph )",
         {{"wph vy wal vx ax-d", Verdict::kWrong, "found 'y' and 'x'"}});
  // In the middle of a proof the same: ( ph -> A. y ph ) is made for the hypothesis `min`.
  Expect("$d x ph $. h $e |- ( ( ph -> A. y ph ) -> ( ph -> A. x ph ) ) $.", "|- ( ph -> A. x ph )",
         {{"wph wph vy wal wi wph wph vx wal wi wph vy ax-d h mp", Verdict::kWrong,
           "step 13, 'ax-d': found 'ph' and 'y'"}});
  Expect("$d y ph $. h $e |- ( ( ph -> A. y ph ) -> ( ph -> A. x ph ) ) $.", "|- ( ph -> A. x ph )",
         {{"wph wph vy wal wi wph wph vx wal wi wph vy ax-d h mp", Verdict::kProved, ""}});
}

TEST(Verdict, MissingStepsLeaveAProofOpen) {
  Expect("h1 $e |- ph $. h2 $e |- ( ph -> ps ) $.", "|- ps",
         {{"?", Verdict::kOpen, "'th', step 1: found ? for a step"},
          {"( ) ?", Verdict::kOpen, "step 1: found ? for a step"},
          {"wph wps ? h2 mp", Verdict::kOpen, "step 3: found ? for a step"},
          {"? wps h1 h2 mp", Verdict::kOpen, "step 1: found ?"},
          {"( mp ) AB?DE", Verdict::kOpen, "step 3: found ?"},
          // What is there has to be right all the same.
          {"wph wps h2 ? mp", Verdict::kWrong, "'|- ( ph -> ps )' for the hypothesis 'min'"},
          {"? wps wph h2 mp", Verdict::kWrong, "found 'wff ph' for the hypothesis 'min'"},
          {"wph ? vx wal mp", Verdict::kWrong, "step 5, 'mp'"},
          {"? ?", Verdict::kWrong, "2 expressions on the stack at the end"},
          {"? h1", Verdict::kWrong, "2 expressions on the stack at the end"},
          {"? mp", Verdict::kWrong, "1 expressions on the stack"}});
  Expect("$d x ph $.", "|- ( ph -> A. x ph )",
         {{"? vx ax-d", Verdict::kOpen, "step 1: found ?"},
          {"vx ? ax-d", Verdict::kWrong, "'set x'"}});
}

TEST(Verdict, WhatRestsOnSomethingUnprovedIsNotProved) {
  Expect("", "|- ps",
         {{"wps open", Verdict::kOpen,
           "'th', step 2, 'open': found a theorem that is open, expected one that is"},
          {"wps bad", Verdict::kOpen, "'bad': found a theorem that is wrong"},
          {"( open ) AB", Verdict::kOpen, "'open': found a theorem that is open"}});
  // By way of others.
  ASSERT_OK_AND_ASSIGN(const Database database,
                       Database::Read(std::string(kSmall) + "one $p |- ps $= wps open $. "
                                                            "two $p |- ps $= wps one $."));
  ASSERT_OK_AND_ASSIGN(const TheoremReport two, database.Theorem("two"));
  EXPECT_EQ(two.verdict, Verdict::kOpen);
  EXPECT_EQ(two.finding.label, "one");
}

TEST(Verdict, Names) {
  EXPECT_EQ(VerdictName(Verdict::kProved), "proved");
  EXPECT_EQ(VerdictName(Verdict::kOpen), "open");
  EXPECT_EQ(VerdictName(Verdict::kWrong), "wrong");
  EXPECT_EQ(VerdictName(Verdict::kUndecided), "undecided");
}

}  // namespace
}  // namespace metier::proof
