// metier grammar: schemas as grammars, and texts that are one of theirs.
#include "grammar/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/file.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

constexpr std::uint64_t kMostJsonText = 64ULL << 20;

struct GrammarOptions {
  std::string schema;
  std::int64_t max_space = grammar::JsonStyle().most_space;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("max-space", max_space, "bytes of white space that may stand in one place")
        .AtLeast(0)
        .AtMost(255);
  }
};

struct GrammarCheckOptions : GrammarOptions {
  template <class Visitor>
  void Visit(Visitor&& field) {
    field("SCHEMA", schema, "JSON Schema file").Required();
    GrammarOptions::Visit(field);
  }
};

struct GrammarAcceptsOptions : GrammarOptions {
  std::string input;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("schema", schema, "JSON Schema file").Required();
    field("input", input, "the text, byte for byte; -: standard input").Required();
    GrammarOptions::Visit(field);
  }
};

Result<grammar::Grammar> OpenGrammar(const GrammarOptions& options) {
  METIER_ASSIGN(const Json schema, ReadJsonFile(options.schema));
  grammar::JsonStyle style;
  style.most_space = static_cast<std::uint8_t>(options.max_space);
  auto made = grammar::Grammar::OfSchema(schema, style);
  if (!made.ok()) return std::move(made).error().With(options.schema);
  return made;
}

Result<Outcome> CheckGrammar(const GrammarCheckOptions& options, Console& console) {
  METIER_ASSIGN(const grammar::Grammar grammar, OpenGrammar(options));
  const grammar::Shapes& shapes = grammar.shapes();
  console.PrintFacts({{"schema", options.schema},
                      {"parts", shapes.nodes.size()},
                      {"objects", shapes.objects.size()},
                      {"arrays", shapes.arrays.size()},
                      {"texts", shapes.strings.size()}});
  return Outcome::kSuccess;
}

Result<Outcome> AcceptText(const GrammarAcceptsOptions& options, Console& console) {
  METIER_ASSIGN(const grammar::Grammar grammar, OpenGrammar(options));
  auto read = options.input == "-" ? console.ReadAll(kMostJsonText)
                                   : ReadFile(options.input, kMostJsonText);
  METIER_ASSIGN(std::string text, std::move(read));
  // Editors end files with a line's end, which is none of the document's.
  const bool document = options.input != "-";
  while (document && !text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const grammar::Grammar::Verdict verdict = grammar.Judge(text);
  if (console.json()) {
    console.PrintJson({{"accepted", verdict.accepted}, {"bytes", verdict.bytes}});
  } else if (verdict.accepted) {
    console.Print("accepted\n");
  } else if (verdict.bytes == text.size()) {
    console.Print(fmt::format("not accepted: the text ends before it is complete, at byte {}\n",
                              verdict.bytes));
  } else {
    const std::string before = text.substr(verdict.bytes - std::min<std::size_t>(verdict.bytes, 30),
                                           std::min<std::size_t>(verdict.bytes, 30));
    console.Print(fmt::format("not accepted: byte {} cannot come, behind {}\n", verdict.bytes,
                              DumpCompact(Json(before))));
  }
  return verdict.accepted ? Outcome::kSuccess : Outcome::kWorkFailed;
}

}  // namespace

constinit const Verb kGrammarCheckVerb = MakeVerb<GrammarCheckOptions, CheckGrammar>(
    "grammar check", "whether a model can be held to a schema",
    "metier grammar check order.schema.json");
constinit const Verb kGrammarAcceptsVerb = MakeVerb<GrammarAcceptsOptions, AcceptText>(
    "grammar accepts", "whether a text is what a schema's grammar lets a model write",
    "metier grammar accepts --schema order.schema.json --input order.json");

}  // namespace metier::cli
