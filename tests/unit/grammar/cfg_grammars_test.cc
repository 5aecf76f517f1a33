// Grammars as people write them: what they are for is accepted, what comes near it is not.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/fixtures.h"

namespace metier::grammar {
namespace {

void ExpectTexts(const Result<Grammar>& grammar, const std::vector<std::string>& accepted,
                 const std::vector<std::string>& refused) {
  ASSERT_OK(grammar);
  for (const std::string& text : accepted) {
    const Grammar::Verdict verdict = grammar->Judge(text);
    EXPECT_TRUE(verdict.accepted) << text << " up to byte " << verdict.bytes;
  }
  for (const std::string& text : refused) EXPECT_FALSE(grammar->Accepts(text)) << text;
}

TEST(CfgGrammars, Arithmetic) {
  ExpectTexts(Grammar::OfGbnf(R"g(
root   ::= sum "\n"
sum    ::= sum ("+" | "-") term | term        # as the schoolbook has it, left to right
term   ::= term ("*" | "/") power | power
power  ::= atom ("^" power)?
atom   ::= number | "-" atom | name "(" (sum ("," sum)*)? ")" | "(" sum ")"
number ::= [0-9]+ ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
name   ::= [a-z] [a-z0-9_]*
)g"),
              {"1\n", "1+2*3\n", "-(1.5e3-x1(2,3))/4^-2^5\n", "((((7))))\n", "f()\n"},
              {"1", "1+\n", "(1\n", "1)\n", "f(,)\n", "1.\n", "x\n"});
}

TEST(CfgGrammars, SelectsOfSql) {
  ExpectTexts(Grammar::OfLark(R"g(
start: select ";"
select: "select"i "distinct"i? columns "from"i tables where? order?
columns: "*" | column ("," column)*
column: expression ["as"i NAME]
tables: NAME (join | "," NAME)*
join: ("left"i)? "join"i NAME "on"i condition
where: "where"i condition
order: "order"i "by"i NAME ("asc"i | "desc"i)? ("," NAME)*
?condition: condition "or"i condition | condition "and"i condition
          | "not"i condition | "(" condition ")"
          | expression ("=" | "<" | ">" | "<=" | ">=" | "<>") expression
          | expression "in"i "(" (select | expression ("," expression)*) ")"
?expression: expression ("+" | "-" | "||") expression
           | NAME ["." NAME] | NUMBER | STRING | NAME "(" ("*" | expression) ")"
NAME: /[a-z_][a-z0-9_]*/i
STRING: /'(?:[^']|'')*'/
%import common (NUMBER, WS, SQL_COMMENT)
%ignore WS
%ignore SQL_COMMENT
)g"),
              {"select * from t;",
               "SELECT a, b.c AS d, count(*) FROM t LEFT JOIN u ON t.id = u.id\n"
               "WHERE a > 1.5 AND NOT (b = 'it''s' OR c IN (1, 2)) -- why\n"
               "ORDER BY a DESC, b ;",
               "select a from t where a in (select b from u where c <> 2);"},
              {"select from t;", "select * from t", "select a b from t;", "select a from t where;",
               "select 'a from t;", "select * from t where a = ;", "drop table t;"});
}

TEST(CfgGrammars, Json) {
  ExpectTexts(
      Grammar::OfGbnf(R"g(
root   ::= ws value ws
value  ::= "{" ws (member ("," ws member)*)? "}"
         | "[" ws (value ws ("," ws value ws)*)? "]"
         | string | number | "true" | "false" | "null"
member ::= string ws ":" ws value ws
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
ws     ::= [ \t\r\n]*
)g"),
      {"{}", " [1, -2.5e+3, \"\\u00e9 \xC3\xA9 \\\"\", true, null, {\"a\": {\"b\": [[]]}}] ",
       "\"x\"", "0"},
      {"", "{a: 1}", "[1,]", "{\"a\":1,}", "01", "\"\n\"", "\"\\x\"", "[1 2]", "nul", "[[]"});
}

TEST(CfgGrammars, CommaSeparatedValues) {
  ExpectTexts(
      Grammar::OfGbnf(R"g(
root   ::= header (row){1,10000}
header ::= "name,size,note\n"
row    ::= field "," [0-9]{1,6} "," field "\n"
field  ::= [^",\n]* | "\"" ([^"] | "\"\"")* "\""
)g"),
      {"name,size,note\na,1,\n", "name,size,note\n\"a, \"\"b\"\"\nc\",12,x\n,999999,\"\"\n"},
      {"name,size,note\n", "a,1,b\n", "name,size,note\na,1234567,\n", "name,size,note\na,1,b",
       "name,size,note\n\"a\"b,1,\n"});
}

TEST(CfgGrammars, SExpressions) {
  ExpectTexts(Grammar::OfLark(R"g(
start: item+
item: "(" item* ")" | "'" item | ATOM | ESCAPED_STRING
ATOM: /[^\s()'";]+/
COMMENT: /;[^\n]*/
%import common (ESCAPED_STRING, WS)
%ignore WS
%ignore COMMENT
)g"),
              {"(define (f x) (* x 2)) ; twice\n(f 21)", "'(a \"b c\" ())", "x"},
              {"", "(", "(a))", "\"a", "'"});
}

TEST(CfgGrammars, CallsOfToolsInChats) {
  ExpectTexts(
      Grammar::OfGbnf(R"g(
root      ::= thought? (call | answer)
thought   ::= "<think>\n" line{1,200} "</think>\n"
line      ::= [^<\n]{0,400} "\n"
answer    ::= [^<]+
call      ::= "<tool_call>\n" "{\"name\": \"" tool "}\n" "</tool_call>"
tool      ::= "search\", \"arguments\": {\"query\": " string (", \"limit\": " [0-9]{1,3})? "}"
            | "weather\", \"arguments\": {\"city\": " string "}"
string    ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\n])* "\""
)g"),
      {"It is late.",
       "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"S\xC3\xA3o\"}}\n"
       "</tool_call>",
       "<think>\nWhat is asked?\n\nA search.\n</think>\n<tool_call>\n{\"name\": \"search\", "
       "\"arguments\": {\"query\": \"a \\\"b\\\"\", \"limit\": 10}}\n</tool_call>"},
      {"", "<think>\n</think>\nx", "<tool_call>\n{\"name\": \"delete\"",
       "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"query\": \"x\"}}\n</tool_call>",
       "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"x\", \"limit\": 1000}}"
       "\n</tool_call>"});
}

TEST(CfgGrammars, RegularExpressions) {
  ExpectTexts(Grammar::OfRegex(R"g([A-Z]{3}-\d{4}(?:-[a-f\d]+)?)g"), {"ABC-1234", "ABC-1234-0f"},
              {"ABC-123", "xABC-1234", "ABC-1234-", "ABC-12345"});
  ExpectTexts(Grammar::OfRegex("^(?:a|b$)"), {"a", "b"}, {"ab", ""});
  ExpectTexts(Grammar::OfRegex("^a|b$"), {"a", "b"}, {"ab", ""});
  ExpectTexts(Grammar::OfRegex("(?!no$)[a-z]+"), {"yes", "n", "nob"}, {"no", ""});
  ExpectTexts(Grammar::OfRegex("(?i)\xC3\xA4+"), {"\xC3\x84\xC3\xA4"}, {"a"});
  ExpectTexts(Grammar::OfRegex(""), {""}, {"a"});
  // Counted: many times are few states.
  ExpectTexts(Grammar::OfRegex("(?:[a-z]|\\d\\d){3,100000}x"),
              {"ab12x", std::string(5000, 'a') + "x"}, {"abx", "ab1x"});
  EXPECT_ERROR(Grammar::OfRegex("(a"), ErrorCode::kDataCorrupt, "'(' without ')'");
  EXPECT_ERROR(Grammar::OfRegex("(a)\\1"), ErrorCode::kUnsupported, "a backreference");
  EXPECT_ERROR(Grammar::OfRegex("[ab]*a[ab]{20}"), ErrorCode::kResourceExhausted,
               "rule 'regular expression': an automaton has more than 16384 states");
  EXPECT_ERROR(Grammar::OfRegex("a{99999999}"), ErrorCode::kResourceExhausted, "repeats more than");
}

}  // namespace
}  // namespace metier::grammar
