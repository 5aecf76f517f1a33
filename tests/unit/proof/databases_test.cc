// Databases of our own: everything in them is proved, and from the axioms that one expects.
#include <string>
#include <vector>

#include "proof/check_proof.h"
#include "unit/proof/own_databases.h"

namespace metier::proof {
namespace {

struct Own {
  const char* name;
  std::size_t theorems;
  std::size_t axioms;
};

class EveryDatabase : public ::testing::TestWithParam<Own> {};

TEST_P(EveryDatabase, IsProved) {
  ASSERT_OK_AND_ASSIGN(const Database database, ReadOwn(GetParam().name));
  const std::vector<TheoremReport> theorems = database.Theorems();
  EXPECT_EQ(theorems.size(), GetParam().theorems);
  for (const TheoremReport& theorem : theorems)
    EXPECT_EQ(theorem.verdict, Verdict::kProved) << theorem.finding.Text();
  EXPECT_EQ(database.Axioms().size(), GetParam().axioms);
}

// The same without the files: what is included is in the place of the command.
TEST_P(EveryDatabase, IsTheSameInOneText) {
  ASSERT_OK_AND_ASSIGN(const Database files, ReadOwn(GetParam().name));
  ASSERT_OK_AND_ASSIGN(const Database text, Database::Read(OwnInOne(GetParam().name)));
  EXPECT_EQ(text.StatementCount(), files.StatementCount());
  EXPECT_EQ(text.Axioms(), files.Axioms());
}

INSTANTIATE_TEST_SUITE_P(Own, EveryDatabase,
                         ::testing::Values(Own{"propositional.mm", 23, 4},
                                           Own{"predicate.mm", 36, 9},
                                           Own{"arithmetic.mm", 49, 17}),
                         [](const auto& instance) {
                           const std::string name = instance.param.name;
                           return name.substr(0, name.find('.'));
                         });

std::vector<std::string> Behind(const Database& database, const std::string& label) {
  const auto axioms = database.AxiomsBehind(label);
  EXPECT_TRUE(axioms.ok()) << label;
  return axioms.ok() ? *axioms : std::vector<std::string>();
}

TEST(Axioms, AreFoundBehindTheorems) {
  ASSERT_OK_AND_ASSIGN(const Database database, ReadOwn("arithmetic.mm"));
  using ::testing::ElementsAre;
  EXPECT_THAT(Behind(database, "id"), ElementsAre("ax-mp", "ax-1", "ax-2"));
  EXPECT_THAT(Behind(database, "peirce"), ElementsAre("ax-mp", "ax-1", "ax-2", "ax-3"));
  EXPECT_THAT(Behind(database, "all-imply"), ElementsAre("ax-mp", "ax-gen", "ax-all"));
  EXPECT_THAT(Behind(database, "free-in-both"), ElementsAre("ax-free"));
  EXPECT_THAT(Behind(database, "ax-some"), ElementsAre("ax-some"));
  EXPECT_THAT(Behind(database, "wal"), ElementsAre());
  EXPECT_THAT(Behind(database, "two-is-not-one"),
              ElementsAre("ax-mp", "ax-1", "ax-2", "ax-3", "ax-distinct", "ax-one-to-one"));
  EXPECT_ERROR(database.AxiomsBehind("gone"), ErrorCode::kNotFound, "no statement 'gone'");
  EXPECT_ERROR(database.AxiomsBehind("wph"), ErrorCode::kNotFound, "the hypothesis 'wph'");
  EXPECT_ERROR(database.Theorem("ax-1"), ErrorCode::kNotFound, "'ax-1' is an axiom");
}

// Not by the name |- alone: a database that asserts by another typecode has axioms too.
TEST(Axioms, AreThoseThatDoNotSayWhatIsAnExpression) {
  ASSERT_OK_AND_ASSIGN(const Database database,
                       Database::Read("$c wff |- !! $. $v ph $. wph $f wff ph $. n $a wff ph $. "
                                      "a $a |- ph $. b $a !! ph $. t $p !! ph $= wph b $."));
  EXPECT_THAT(database.Axioms(), ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(Behind(database, "t"), ::testing::ElementsAre("b"));
  ASSERT_OK_AND_ASSIGN(const Database odd,
                       Database::Read("$c |- $. $v ph $. wph $f |- ph $. a $a |- ph $."));
  EXPECT_THAT(odd.Axioms(), ::testing::ElementsAre("a"));
}

TEST(StatementOf, GivesHypothesesConclusionAndDisjointVariables) {
  ASSERT_OK_AND_ASSIGN(const Database database, ReadOwn("predicate.mm"));
  ASSERT_OK_AND_ASSIGN(const Goal goal, database.StatementOf("generalise-twice"));
  EXPECT_EQ(goal.conclusion, "|- ( ph -> A. x A. y ps )");
  ASSERT_EQ(goal.hypotheses.size(), 1U);
  EXPECT_EQ(goal.hypotheses[0].label, "generalise-twice.1");
  EXPECT_EQ(goal.hypotheses[0].text, "|- ( ph -> ps )");
  EXPECT_THAT(goal.disjoint, ::testing::ElementsAre("x ph", "y ph"));
  EXPECT_ERROR(database.StatementOf("gone"), ErrorCode::kNotFound, "gone");
}

}  // namespace
}  // namespace metier::proof
