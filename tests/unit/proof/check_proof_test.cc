// Proofs that somebody proposes: for theorems, for goals that no database has, and hostile ones.
#include "proof/check_proof.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "unit/proof/own_databases.h"

namespace metier::proof {
namespace {

constexpr const char* kProofOfId = "( ax-mp wi ax-1 ax-2 ) AAACZCZFAADAFACCGFCAFDAFAEBB";

class CheckProofTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto database = ReadOwn("predicate.mm");
    ASSERT_TRUE(database.ok()) << database.error().message();
    database_ = std::move(database).value();
  }

  ProofReport Check(const std::string& label, const std::string& proof,
                    const ProofLimits& limits = {}) const {
    auto report = CheckProof(*database_, label, proof, limits);
    EXPECT_TRUE(report.ok());
    return report.ok() ? *report : ProofReport();
  }

  ProofReport CheckGoal(const Goal& goal, const std::string& proof) const {
    auto report = CheckProof(*database_, goal, proof);
    EXPECT_TRUE(report.ok()) << report.error().message();
    return report.ok() ? *report : ProofReport();
  }

  std::optional<Database> database_;
};

TEST_F(CheckProofTest, AnotherProofOfATheorem) {
  // The database has it uncompressed.
  const ProofReport report = Check("id", kProofOfId);
  EXPECT_EQ(report.verdict, Verdict::kProved) << report.finding.Text();
  EXPECT_THAT(report.axioms, ::testing::ElementsAre("ax-mp", "ax-1", "ax-2"));
  EXPECT_EQ(report.steps, 26);
}

TEST_F(CheckProofTest, UsesOnlyWhatComesBefore) {
  EXPECT_THAT(Check("id", "wph id").finding.Text(), ::testing::HasSubstr("the theorem itself"));
  EXPECT_THAT(Check("id", "wph wps wph wph contract").finding.Text(),
              ::testing::HasSubstr("step 5, 'contract': found a later statement"));
  EXPECT_THAT(Check("id", "( contract ) AB").finding.Text(),
              ::testing::HasSubstr("'contract': found a later statement"));
  EXPECT_THAT(Check("id", "weaken.1").finding.Text(),
              ::testing::HasSubstr("a hypothesis of another scope"));
}

TEST_F(CheckProofTest, DeclaresNothingAndIncludesNothing) {
  for (const std::string proof :
       {"wph cheat $. $}", "$( x $) wph $= wph $.", "wph $. cheat $a |- ph $. x $p |- ph $= cheat",
        "cheat $a |- ( ph -> ph ) $.", "$[ cheat.mm $]", "$c x $.", "wph $d", "${", "a$b"}) {
    const ProofReport report = Check("id", proof);
    EXPECT_EQ(report.verdict, Verdict::kWrong) << proof;
    EXPECT_THAT(report.finding.expected, ::testing::HasSubstr("a proof alone")) << proof;
    EXPECT_TRUE(report.axioms.empty());
  }
  EXPECT_EQ(Check("id", "$( $[ x $] $) ?").verdict, Verdict::kOpen);
}

TEST_F(CheckProofTest, AnyTextGetsAVerdict) {
  for (const std::string proof : {"", " ", "$(", "caf\xc3\xa9", "( ( (", ") ", "?Z", "( ) Z"}) {
    EXPECT_EQ(Check("id", proof).verdict, Verdict::kWrong) << proof;
  }
  EXPECT_EQ(Check("id", std::string("wph\0wph", 7)).verdict, Verdict::kWrong);
  EXPECT_ERROR(CheckProof(*database_, "gone", "?"), ErrorCode::kNotFound, "gone");
  EXPECT_ERROR(CheckProof(*database_, "ax-1", "?"), ErrorCode::kNotFound, "is an axiom");
  EXPECT_ERROR(CheckProof(*database_, "wph", "?"), ErrorCode::kNotFound, "the hypothesis 'wph'");
}

TEST_F(CheckProofTest, OpenProofsReportTheirAxiomsToo) {
  const ProofReport report = Check("contract", "wph wph wps ? wph ? under-mp");
  EXPECT_EQ(report.verdict, Verdict::kWrong);  // one expression too many
  const ProofReport open = Check("contract", "wph wph wps ? contract.1 under-mp");
  EXPECT_EQ(open.verdict, Verdict::kOpen) << open.finding.Text();
  EXPECT_THAT(open.axioms, ::testing::ElementsAre("ax-mp", "ax-2"));
}

TEST_F(CheckProofTest, SmuggledAxiomsShowInTheReport) {
  ASSERT_OK_AND_ASSIGN(const Database database,
                       Database::Read("$c |- wff $. $v ph $. wph $f wff ph $. all $a |- ph $. "
                                      "lemma $p |- ph $= wph all $. goal $p |- ph $= ? $."));
  ASSERT_OK_AND_ASSIGN(const ProofReport report, CheckProof(database, "goal", "wph lemma"));
  EXPECT_EQ(report.verdict, Verdict::kProved);
  EXPECT_THAT(report.axioms, ::testing::ElementsAre("all"));
}

TEST_F(CheckProofTest, Goals) {
  const Goal goal{.hypotheses = {{"g.1", "|- ph"}, {"g.2", "|- ( ph -> ( ps -> ch ) )"}},
                  .conclusion = "|- ( ps -> ch )"};
  EXPECT_EQ(CheckGoal(goal, "wph wps wch wi g.1 g.2 ax-mp").verdict, Verdict::kProved);
  EXPECT_EQ(CheckGoal(goal, "( wi ax-mp ) ABCFDEG").verdict, Verdict::kProved);
  EXPECT_EQ(CheckGoal(goal, "wph wps wch wi g.2 g.1 ax-mp").verdict, Verdict::kWrong);
  EXPECT_EQ(CheckGoal(goal, "wph wps wch wi ? g.2 ax-mp").verdict, Verdict::kOpen);
  EXPECT_THAT(CheckGoal(goal, "wph wps wch wi wph g.2 ax-mp").finding.Text(),
              ::testing::HasSubstr("'goal', step 7, 'ax-mp': found 'wff ph'"));
  EXPECT_THAT(CheckGoal(goal, "wph vx wch wi g.1 g.2 ax-mp").finding.Text(),
              ::testing::HasSubstr("step 4, 'wi'"));
}

TEST_F(CheckProofTest, GoalsHaveDisjointVariablesOfTheirOwn) {
  Goal goal{.conclusion = "|- ( ps -> A. y ps )"};
  EXPECT_EQ(CheckGoal(goal, "wps vy ax-free").verdict, Verdict::kWrong);
  goal.disjoint = {"x y", "y ph ps"};
  EXPECT_EQ(CheckGoal(goal, "wps vy ax-free").verdict, Verdict::kProved);
}

TEST_F(CheckProofTest, EveryStatementIsAGoalAndItsTheoremProvesIt) {
  for (const TheoremReport& theorem : database_->Theorems()) {
    ASSERT_OK_AND_ASSIGN(Goal goal, database_->StatementOf(theorem.label));
    std::string proof;  // of uncompressed hypotheses, then the theorem
    for (const std::string floating :
         {"wph", "wps", "wch", "wth", "vx", "vy", "vz", "tr", "ts", "tt", "tu"}) {
      const std::string variable = floating.substr(1);
      std::string all = " " + goal.conclusion + " ";
      for (const auto& hypothesis : goal.hypotheses) all += hypothesis.text + " ";
      if (all.find(" " + variable + " ") != std::string::npos) proof += floating + " ";
    }
    for (auto& hypothesis : goal.hypotheses) {
      hypothesis.label += "-again";
      proof += hypothesis.label + " ";
    }
    EXPECT_EQ(CheckGoal(goal, proof + theorem.label).verdict, Verdict::kProved) << proof;
  }
}

TEST_F(CheckProofTest, GoalsThatMakeNoSense) {
  const std::vector<std::pair<Goal, std::string>> cases = {
      {{.conclusion = ""}, "the conclusion: found no symbols"},
      {{.conclusion = "|- foo"}, "the symbol 'foo'"},
      {{.conclusion = "|- wph"}, "the symbol 'wph'"},
      {{.conclusion = "ph"}, "the variable 'ph', expected a constant at the beginning"},
      {{.conclusion = "|- $a"}, "the symbol '$a'"},
      {{.conclusion = "|- \x01"}, "found the byte 0x01"},
      {{.hypotheses = {{"id", "|- ph"}}, .conclusion = "|- ph"}, "the label 'id'"},
      {{.hypotheses = {{"", "|- ph"}}, .conclusion = "|- ph"}, "the label ''"},
      {{.hypotheses = {{"a", "|- ph"}, {"a", "|- ph"}}, .conclusion = "|- ph"}, "the label 'a'"},
      {{.hypotheses = {{"a", "|- foo"}}, .conclusion = "|- ph"}, "the hypothesis 'a': found the"},
      {{.disjoint = {"ph ph"}, .conclusion = "|- ph"}, "disjoint variables: found 'ph'"},
      {{.disjoint = {"ph wff"}, .conclusion = "|- ph"}, "disjoint variables: found 'wff'"}};
  for (const auto& [goal, message] : cases)
    EXPECT_ERROR(CheckProof(*database_, goal, "?"), ErrorCode::kInvalidArgument, message);
}

// Every step doubles what it repeats: 2 to the 60 symbols in 180 letters.
TEST_F(CheckProofTest, ExpressionsThatDoubleAreGivenUp) {
  std::string letters = "AABZ";  // numbers: wph 1, wi 2, tags from 3 on
  for (int i = 0; i < 60; ++i) {
    const std::string tag = i < 18 ? std::string(1, static_cast<char>('C' + i))
                                   : "U" + std::string(1, static_cast<char>('A' + (i - 18) % 20));
    letters += tag + tag + "BZ";
  }
  const ProofReport report = Check("id", "( wi ) " + letters);
  EXPECT_EQ(report.verdict, Verdict::kUndecided);
  EXPECT_THAT(report.finding.Text(), ::testing::HasSubstr("at most 33554432 in one proof"));
  EXPECT_TRUE(report.axioms.empty());
}

TEST_F(CheckProofTest, LimitsLeaveAProofUndecided) {
  const std::string proof = kProofOfId;
  const std::int64_t steps = Check("id", proof).steps;
  EXPECT_EQ(Check("id", proof, {.max_steps = steps}).verdict, Verdict::kProved);
  EXPECT_EQ(Check("id", proof, {.max_steps = steps - 1}).verdict, Verdict::kUndecided);
  EXPECT_EQ(Check("id", proof, {.max_symbols = 20}).verdict, Verdict::kUndecided);
  EXPECT_EQ(Check("id", proof, {.max_proof_bytes = 20}).verdict, Verdict::kUndecided);
  const ProofReport late = Check("id", proof, {.max_time = std::chrono::milliseconds(0)});
  EXPECT_EQ(late.verdict, Verdict::kUndecided);
  EXPECT_THAT(late.finding.Text(), ::testing::HasSubstr("no end in the time given"));
  EXPECT_EQ(Check("id", proof, {.max_time = std::chrono::minutes(1)}).verdict, Verdict::kProved);
}

TEST_F(CheckProofTest, ManyThreadsCheckAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> proved(4);
  for (std::size_t i = 0; i < proved.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j) {
        const auto report = CheckProof(*database_, "id", kProofOfId);
        proved[i] += report.ok() && report->verdict == Verdict::kProved ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(proved, ::testing::Each(50));
}

}  // namespace
}  // namespace metier::proof
