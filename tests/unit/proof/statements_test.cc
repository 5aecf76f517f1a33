// The rules for statements, each with texts that break it and, where the line is fine, one that
// does not.
#include <string>
#include <utility>
#include <vector>

#include "proof/database.h"
#include "support/fixtures.h"

namespace metier::proof {
namespace {

// Symbols for the cases: constants ( ) -> wff class |-, typed variables ph ps, v without a type.
std::string Typed(const std::string& text) {
  return "$c ( ) -> wff class |- $. $v ph ps v $. wph $f wff ph $. wps $f wff ps $.\n" + text;
}

struct Case {
  std::string text;
  std::string message;
};

void ExpectBroken(const std::vector<Case>& cases) {
  for (const auto& [text, message] : cases) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(Database::Read(Typed(text), {.name = "t"}), ErrorCode::kDataCorrupt, message);
  }
}

void ExpectRead(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    SCOPED_TRACE(text);
    EXPECT_OK(Database::Read(Typed(text)));
  }
}

TEST(Statements, Constants) {
  ExpectBroken({{"$c $.", "t:2: found a $c without symbols"},
                {"${ $c a $. $}", "a $c in a block"},
                {"$c a a $.", "the constant 'a', which is a constant already"},
                {"$c wff $.", "the constant 'wff', which is a constant already"},
                {"$c ph $.", "the constant 'ph', which is a variable already"},
                {"${ $v x $. $} $c x $.", "the constant 'x', which is a variable already"},
                {"$c a$b $.", "the symbol 'a$b'"},
                {"$c a", "a $c that is not finished before the end of the text"},
                {"$c a $c b $.", "a $c that is not finished before the '$c' of t:2"},
                {"$c a $foo $.", "the '$foo' of t:2"}});
}

TEST(Statements, Variables) {
  ExpectBroken({{"$v $.", "a $v without symbols"},
                {"$v x x $.", "the variable 'x', which is active already"},
                {"$v ph $.", "the variable 'ph', which is active already"},
                {"${ $v ph $. $}", "the variable 'ph', which is active already"},
                {"$v wff $.", "the variable 'wff', which is a constant already"},
                {"$v a$ $.", "the symbol 'a$'"}});
  ExpectRead({"${ $v x $. $} ${ $v x $. $} $v x $.", "$v $( not here $) x $."});
}

TEST(Statements, Labels) {
  ExpectBroken({{"a! $a |- ph $.", "the label 'a!'"},
                {"wph $a |- ph $.", "the label 'wph', which is a label already"},
                {"a $a |- ph $. ${ a $e |- ph $. $}", "the label 'a', which is a label already"},
                {"${ a $e |- ph $. $} a $a |- ph $.", "the label 'a', which is a label already"},
                {"ph $a |- ph $.", "the label 'ph', which is a variable already"},
                {"wff $a |- ph $.", "the label 'wff', which is a constant already"},
                {"$c wph $.", "the constant 'wph', which is a label already"},
                {"$v wph $.", "the variable 'wph', which is a label already"},
                {"a $c b $.", "'$c' behind 'a'"},
                {"a b $a |- ph $.", "'b' behind 'a'"},
                {"a ${ $}", "'${' behind 'a'"},
                {"a", "the label 'a' at the end of its file"},
                {"$a |- ph $.", "'$a', expected a label before it"},
                {"$e |- ph $.", "'$e', expected a label before it"},
                {"$. ", "'$.', expected the beginning of a statement"},
                {"$= ", "'$=', expected the beginning of a statement"},
                {"$x ", "'$x', expected the beginning of a statement"}});
  ExpectRead({"A-b_c.9 $a |- ph $."});
}

TEST(Statements, FloatingHypotheses) {
  ExpectBroken(
      {{"a $f wff $.", "a $f of 1 symbols"},
       {"a $f wff v v $.", "a $f of 3 symbols"},
       {"a $f v v $.", "'v' as the typecode of a $f"},
       {"a $f foo v $.", "'foo' as the typecode of a $f"},
       {"a $f wff foo $.", "'foo' in a $f, expected an active variable"},
       {"a $f wff class $.", "'class' in a $f, expected an active variable"},
       {"${ $v x $. $} a $f wff x $.", "'x' in a $f, expected an active variable"},
       {"a $f wff ph $.", "a second $f of 'ph', behind 'wph'"},
       {"${ a $f wff ph $. $}", "a second $f of 'ph', behind 'wph'"},
       {"${ a $f wff v $. $} ${ b $f class v $. $}",
        "the type 'class' for 'v', which had the type 'wff' before"},
       {"${ $v x $. a $f wff x $. $} ${ $v x $. b $f class x $. $}", "the type 'class' for 'x'"}});
  ExpectRead({"${ a $f wff v $. $} ${ b $f wff v $. $}"});
}

TEST(Statements, Expressions) {
  for (const std::string keyword : {"$e", "$a"}) {
    ExpectBroken({{"a " + keyword + " $.", "an empty " + keyword},
                  {"a " + keyword + " ph $.", "'ph' as the typecode of a " + keyword},
                  {"a " + keyword + " foo ph $.", "'foo' as the typecode"},
                  {"a " + keyword + " |- foo $.", "the symbol 'foo', expected one that has been"},
                  {"a " + keyword + " |- wph $.", "the symbol 'wph', expected one that has been"},
                  {"a " + keyword + " |- v $.", "the variable 'v', which has no active $f"},
                  {"${ f $f wff v $. $} a " + keyword + " |- v $.", "'v', which has no active $f"},
                  {"${ $v x $. f $f wff x $. $} a " + keyword + " |- x $.",
                   "the variable 'x', which is not active"},
                  {"a " + keyword + " |- ph $= wph $.", "not finished before the '$='"},
                  {"a " + keyword + " |- ph", "not finished before the end of the text"}});
  }
  ExpectBroken({{"a $p |- v $= ? $.", "the variable 'v', which has no active $f"},
                {"a $p |- ph $.", "not finished before the '$.'"},
                {"a $p |- ph $= wph", "not finished before the end of the text"},
                {"a $p |- ph $= wph $= $.", "not finished before the '$='"},
                {"a $p |- ph $= b $a |- ps $.", "a $p that is not finished before the '$a'"},
                {"a $p $= ? $.", "an empty $p"}});
  ExpectRead({"a $a |- $.", "a $a |- ( ph $."});  // what is an expression is the database's affair
}

TEST(Statements, DisjointVariables) {
  ExpectBroken({{"$d $.", "a $d of 0 variables"},
                {"$d ph $.", "a $d of 1 variables"},
                {"$d ph wff $.", "'wff' in a $d, expected an active variable"},
                {"$d ph foo $.", "'foo' in a $d"},
                {"$d ph ps ph $.", "'ph' twice in a $d"},
                {"${ $v x $. $} $d x ph $.", "'x' in a $d"}});
  ExpectRead({"$d ph v $.", "$d ph ps $. $d ps ph $. ${ $d ph ps $. $}"});
}

TEST(Statements, Blocks) {
  ExpectBroken({{"${", "t:2: found a ${ without its end"},
                {"\n${ ${ $}", "t:3: found a ${ without its end"},
                {"$}", "a $} that closes nothing"},
                {"${ $} $}", "a $} that closes nothing"}});
  ExpectRead({"${ ${ $} $}", ""});
}

TEST(Statements, LimitsOfTheDatabase) {
  const std::string text = Typed("$d ph ps $. a $a |- ph $. b $a |- ps $.");
  EXPECT_OK(Database::Read(text, {.max_frame_entries = 10}));
  EXPECT_ERROR(Database::Read(text, {.max_frame_entries = 3}), ErrorCode::kResourceExhausted,
               "hypotheses and disjoint variables in scope together, the limit");
  EXPECT_ERROR(Database::Read(text, {.max_frame_entries = 1LL << 40}), ErrorCode::kInvalidArgument,
               "expected at most 2147483648 each");
  const std::string proofs = Typed("a $a |- ph $. b $p |- ph $= wph a $. c $p |- ph $= wph b $.");
  EXPECT_OK(Database::Read(proofs, {.max_proof_symbols = 100}));
  EXPECT_ERROR(Database::Read(proofs, {.name = "t", .max_proof_symbols = 12}),
               ErrorCode::kResourceExhausted, "t:2: the proofs up to here cost more than 12");
}

TEST(Statements, MessagesStayShort) {
  const std::string name(60'000, 'x');
  const auto read = Database::Read(Typed("a $a |- " + name + " $."));
  ASSERT_FALSE(read.ok());
  EXPECT_LT(read.error().message().size(), 300U);
}

}  // namespace
}  // namespace metier::proof
