// metier grammar: schemas and other notations as grammars, and texts that are one of theirs.
#include "grammar/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/file.h"
#include "cli/verbs/verbs.h"

namespace metier::cli {
namespace {

constexpr std::uint64_t kMostJsonText = 64ULL << 20;
constexpr std::uint64_t kMostGrammarText = 1 << 20;

struct GrammarOptions {
  std::string schema;
  std::string gbnf;
  std::string lark;
  std::string regex;
  std::int64_t max_space = grammar::JsonStyle().most_space;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("gbnf", gbnf, "instead of a schema: a grammar in GBNF, llama.cpp's notation, a file");
    field("lark", lark, "instead of a schema: a grammar in Lark's notation, a file");
    field("regex", regex, "instead of a schema: a regular expression, itself");
    field("max-space", max_space, "bytes of white space that may stand in one place of JSON")
        .AtLeast(0)
        .AtMost(255);
  }
};

struct GrammarCheckOptions : GrammarOptions {
  template <class Visitor>
  void Visit(Visitor&& field) {
    field("SCHEMA", schema, "JSON Schema file");
    GrammarOptions::Visit(field);
  }
};

struct GrammarAcceptsOptions : GrammarOptions {
  std::string input;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("schema", schema, "JSON Schema file");
    field("input", input, "the text, byte for byte; -: standard input").Required();
    GrammarOptions::Visit(field);
  }
};

// The one that was named, and its kind.
struct NamedGrammar {
  std::string kind;
  std::string name;
  grammar::Grammar grammar;
};

Result<grammar::Grammar> InFile(const std::string& file, Result<grammar::Grammar> made) {
  if (!made.ok()) return std::move(made).error().With(file);
  return made;
}

Result<grammar::Grammar> MakeGrammar(const GrammarOptions& options) {
  if (!options.regex.empty()) return grammar::Grammar::OfRegex(options.regex);
  if (!options.schema.empty()) {
    METIER_ASSIGN(const Json schema, ReadJsonFile(options.schema));
    grammar::JsonStyle style;
    style.most_space = static_cast<std::uint8_t>(options.max_space);
    return InFile(options.schema, grammar::Grammar::OfSchema(schema, style));
  }
  const bool gbnf = !options.gbnf.empty();
  const std::string& file = gbnf ? options.gbnf : options.lark;
  METIER_ASSIGN(const std::string text, ReadFile(file, kMostGrammarText));
  return InFile(file, gbnf ? grammar::Grammar::OfGbnf(text) : grammar::Grammar::OfLark(text));
}

Result<NamedGrammar> OpenGrammar(const GrammarOptions& options) {
  const std::pair<const char*, const std::string*> kinds[] = {{"schema", &options.schema},
                                                              {"gbnf", &options.gbnf},
                                                              {"lark", &options.lark},
                                                              {"regex", &options.regex}};
  const auto is_named = [](const auto& kind) { return !kind.second->empty(); };
  if (std::ranges::count_if(kinds, is_named) != 1) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("found {} grammars, expected one: a schema, --gbnf, --lark or --regex",
                             std::ranges::count_if(kinds, is_named)));
  }
  const auto& [kind, name] = *std::ranges::find_if(kinds, is_named);
  METIER_ASSIGN(grammar::Grammar made, MakeGrammar(options));
  return NamedGrammar{kind, *name, std::move(made)};
}

Result<Outcome> CheckGrammar(const GrammarCheckOptions& options, Console& console) {
  METIER_ASSIGN(const NamedGrammar named, OpenGrammar(options));
  if (const grammar::Shapes* shapes = named.grammar.shapes()) {
    console.PrintFacts({{named.kind, named.name},
                        {"parts", shapes->nodes.size()},
                        {"objects", shapes->objects.size()},
                        {"arrays", shapes->arrays.size()},
                        {"texts", shapes->strings.size()}});
    return Outcome::kSuccess;
  }
  std::int64_t states = 0;
  for (const grammar::CfgPart& part : named.grammar.cfg()->parts) states += part.body.states();
  console.PrintFacts(
      {{named.kind, named.name}, {"parts", named.grammar.cfg()->parts.size()}, {"states", states}});
  return Outcome::kSuccess;
}

Result<Outcome> AcceptText(const GrammarAcceptsOptions& options, Console& console) {
  METIER_ASSIGN(const NamedGrammar named, OpenGrammar(options));
  auto read = options.input == "-" ? console.ReadAll(kMostJsonText)
                                   : ReadFile(options.input, kMostJsonText);
  METIER_ASSIGN(std::string text, std::move(read));
  grammar::Grammar::Verdict verdict = named.grammar.Judge(text);
  // Editors end files with a line's end, which may be none of the text's.
  const std::size_t end = text.find_last_not_of("\r\n") + 1;
  if (!verdict.accepted && options.input != "-" && end < text.size()) {
    text.resize(end);
    verdict = named.grammar.Judge(text);
  }
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
    "grammar check", "whether a model can be held to a schema or grammar",
    "metier grammar check order.schema.json");
constinit const Verb kGrammarAcceptsVerb = MakeVerb<GrammarAcceptsOptions, AcceptText>(
    "grammar accepts", "whether a text is what a schema or grammar lets a model write",
    "metier grammar accepts --schema order.schema.json --input order.json");

}  // namespace metier::cli
