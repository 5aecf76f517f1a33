#include "grammar/ebnf/lark.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "grammar/ebnf/grammar_text.h"
#include "grammar/ebnf/lark_terminals.h"
#include "grammar/regex/pattern.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar {
namespace {

// Of names that no one can write.
constexpr std::string_view kIgnoredRule = "%ignore";
constexpr std::string_view kWholeRule = "%start";

bool IsLarkNameByte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '_';
}

bool IsLetter(char byte) { return byte >= 'a' && byte <= 'z'; }

// By its first letter.
bool IsTerminal(std::string_view name) {
  const std::size_t first = name.find_first_not_of('_');
  return first != name.npos && name[first] >= 'A' && name[first] <= 'Z';
}

// Where a rule is: there what is ignored may come behind terminals.
enum class Level { kRule, kTerminal };

class LarkParser {
 public:
  LarkParser(std::string_view text, const CfgLimits& limits)
      : text_(text, "Lark"), limits_(limits) {}

  Result<RuleSet> Parse() {
    METIER_TRY(text_.Check(limits_));
    for (SkipLines(); !text_.Ended(); SkipLines()) {
      METIER_TRY(Statement());
      SkipSpace();
      if (!text_.Ended() && !AtLineEnd())
        return text_.Wrong("expected the line's end, or more of the rule");
      if (rules_.size() > limits_.max_rules) {
        return text_.At(text_.at(), ErrorCode::kResourceExhausted,
                        fmt::format("more than {} rules, the limit", limits_.max_rules));
      }
    }
    std::vector<RuleBody> whole = {Ignored(), RuleBody::Rule(rules_.Use("start", 0))};
    rules_.Define(kWholeRule, RuleBody::Sequence(std::move(whole)));
    rules_.Define(kIgnoredRule, RuleBody::Repeat(RuleBody::Choice(std::move(ignored_)), 0));
    return std::move(rules_).Finish(text_, kWholeRule);
  }

 private:
  RuleBody Ignored() { return RuleBody::Rule(rules_.Use(kIgnoredRule, 0)); }

  bool AtLineEnd() const { return text_.Peek() == '\n' || text_.Peek() == '\r'; }

  // Within a line, with the comment that ends it.
  void SkipSpace() {
    text_.TakeWhile([](char byte) { return byte == ' ' || byte == '\t'; });
    if (text_.Next("//") || text_.Next("#")) text_.SkipLine();
  }
  void SkipLines() {
    for (SkipSpace(); AtLineEnd(); SkipSpace())
      text_.TakeWhile([](char byte) { return byte == '\n' || byte == '\r'; });
  }

  Status Statement() {
    if (text_.Next("%")) return Directive();
    const std::size_t place = text_.at();
    text_.TakeWhile([](char byte) { return byte == '?' || byte == '!'; });
    METIER_ASSIGN(const std::string name, text_.Name(IsLarkNameByte));
    if (name.empty()) return text_.Wrong("expected a rule, `name: ...`");
    if (text_.Next("{")) return Template(name);
    if (text_.Take(".")) {  // a priority
      text_.Take("-");
      METIER_TRY(text_.Number());
    }
    SkipSpace();
    if (!text_.Take(":")) return text_.Wrong(fmt::format("expected ':' behind '{}'", name));
    METIER_ASSIGN(RuleBody body, Choice(IsTerminal(name) ? Level::kTerminal : Level::kRule, 0));
    return Define(name, std::move(body), place);
  }

  Status Define(std::string_view name, RuleBody body, std::size_t place) {
    if (rules_.Define(name, std::move(body))) return Ok();
    return text_.At(place, ErrorCode::kDataCorrupt, fmt::format("'{}' is defined twice", name));
  }

  Error Template(std::string_view name) const {
    return text_.Unsupported(
        fmt::format("template '{}{{...}}'; write the rule out for each use", name));
  }

  Status Directive() {
    const std::size_t place = text_.at();
    text_.Take("%");
    const std::string_view word = text_.TakeWhile(IsLetter);
    SkipSpace();
    if (word == "ignore") {
      METIER_ASSIGN(RuleBody body, Choice(Level::kTerminal, 0));
      ignored_.push_back(std::move(body));
      return Ok();
    }
    if (word == "import") return Import();
    if (word == "declare") {
      return text_.At(place, ErrorCode::kUnsupported,
                      "%declare, a terminal that is no text; define it");
    }
    if (word == "override" || word == "extend") {
      return text_.At(place, ErrorCode::kUnsupported,
                      fmt::format("%{}; define the rule once, as it is meant", word));
    }
    return text_.At(place, ErrorCode::kDataCorrupt,
                    "expected %ignore or %import; there is nothing else behind '%'");
  }

  // common.NAME, common.NAME -> OTHER, common (NAME, ...)
  Status Import() {
    const std::size_t place = text_.at();
    const std::string_view module = text_.TakeWhile(IsLarkNameByte);
    if (module != "common") {
      return text_.At(place, ErrorCode::kUnsupported,
                      "%import of another module than common; put its rules into this text");
    }
    SkipSpace();
    if (text_.Take("(")) {
      do {
        SkipSpace();
        METIER_TRY(ImportOne(/*may_be_renamed=*/false));
        SkipSpace();
      } while (text_.Take(","));
      return text_.Take(")") ? Ok() : Status(text_.Wrong("expected ')' or ','"));
    }
    if (!text_.Take(".")) return text_.Wrong("expected '.' and a terminal's name");
    return ImportOne(/*may_be_renamed=*/true);
  }

  Status ImportOne(bool may_be_renamed) {
    const std::size_t place = text_.at();
    METIER_ASSIGN(const std::string name, text_.Name(IsLarkNameByte));
    const auto found = std::ranges::find(LarkCommonTerminals(), name, &LarkTerminal::name);
    if (found == LarkCommonTerminals().end()) {
      return text_.At(place, ErrorCode::kDataCorrupt,
                      fmt::format("common has no terminal '{}'", name));
    }
    std::string as = name;
    SkipSpace();
    if (may_be_renamed && text_.Take("->")) {
      SkipSpace();
      METIER_ASSIGN(as, text_.Name(IsLarkNameByte));
      if (!IsTerminal(as)) return text_.Wrong("expected a terminal's name, in upper case");
    }
    METIER_ASSIGN(RuleBody body, PatternBody(found->pattern, {}, place));
    const auto [known, fresh] = imported_.try_emplace(as, name);
    if (!fresh && known->second == name) return Ok();
    return Define(as, std::move(body), place);
  }

  Result<RuleBody> Choice(Level level, int depth) {
    std::vector<RuleBody> parts;
    do {
      METIER_ASSIGN(RuleBody part, Sequence(level, depth));
      parts.push_back(std::move(part));
    } while (TakeBar(depth));
    return parts.size() == 1 ? std::move(parts.front()) : RuleBody::Choice(std::move(parts));
  }

  // Also where it stands in one of the next lines.
  bool TakeBar(int depth) {
    const std::size_t before = text_.at();
    SkipLines();
    if (text_.Take("|")) return true;
    if (depth == 0) text_.Return(before);
    return false;
  }

  Result<RuleBody> Sequence(Level level, int depth) {
    const auto skip = [&] { return depth == 0 ? SkipSpace() : SkipLines(); };
    std::vector<RuleBody> parts;
    for (skip(); BeginsItem(); skip()) {
      METIER_ASSIGN(RuleBody part, Item(level, depth));
      METIER_ASSIGN(part, Repeated(std::move(part)));
      parts.push_back(std::move(part));
    }
    if (text_.Take("->")) {
      SkipSpace();
      METIER_ASSIGN(const std::string alias, text_.Name(IsLarkNameByte));
      if (alias.empty()) return text_.Wrong("expected a name behind '->'");
    }
    return parts.size() == 1 ? std::move(parts.front()) : RuleBody::Sequence(std::move(parts));
  }

  bool BeginsItem() const {
    return !text_.Ended() &&
           (IsLarkNameByte(text_.Peek()) ||
            std::string_view("\"/([*+?~").find(text_.Peek()) != std::string_view::npos);
  }

  Result<RuleBody> Item(Level level, int depth) {
    const std::size_t place = text_.at();
    if (text_.Take("(")) return Group(")", level, depth);
    if (text_.Take("[")) {
      METIER_ASSIGN(RuleBody inner, Group("]", level, depth));
      return RuleBody::Repeat(std::move(inner), 0, 1);
    }
    if (text_.Next("\"") || text_.Next("/")) {
      METIER_ASSIGN(RuleBody body, text_.Next("/") ? Regex() : StringOrRange());
      return AsTerminal(std::move(body), level);
    }
    METIER_ASSIGN(const std::string name, text_.Name(IsLarkNameByte));
    if (name.empty()) return text_.Wrong("a quantifier with nothing before it");
    if (text_.Next("{")) return Template(name);
    if (!IsTerminal(name) && level == Level::kTerminal) {
      return text_.At(
          place, ErrorCode::kDataCorrupt,
          fmt::format("rule '{}' in a terminal; terminals are made of terminals", name));
    }
    RuleBody body = RuleBody::Rule(rules_.Use(name, place));
    return IsTerminal(name) ? AsTerminal(std::move(body), level) : std::move(body);
  }

  RuleBody AsTerminal(RuleBody body, Level level) {
    if (level == Level::kTerminal) return body;
    std::vector<RuleBody> parts;
    parts.push_back(std::move(body));
    parts.push_back(Ignored());
    return RuleBody::Sequence(std::move(parts));
  }

  Result<RuleBody> Group(std::string_view end, Level level, int depth) {
    const std::size_t place = text_.at() - 1;
    if (depth >= kMostNestedGroups) {
      return text_.At(place, ErrorCode::kResourceExhausted,
                      fmt::format("groups nested more than {} deep", kMostNestedGroups));
    }
    METIER_ASSIGN(RuleBody inner, Choice(level, depth + 1));
    if (text_.Take(end)) return inner;
    if (text_.Ended()) return text_.At(place, ErrorCode::kDataCorrupt, "a group without its end");
    return text_.Wrong(fmt::format("expected '{}', or more of the group", end));
  }

  // What a backslash and a letter stand for; both themselves, where they mean nothing.
  Result<std::u32string> Escape() {
    constexpr std::pair<char, char32_t> kLetters[] = {{'n', '\n'}, {'r', '\r'},  {'t', '\t'},
                                                      {'f', '\f'}, {'\\', '\\'}, {'"', '"'}};
    for (const auto& [letter, code] : kLetters)
      if (text_.Take(std::string_view(&letter, 1))) return std::u32string(1, code);
    for (const auto& [letter, digits] : {std::pair("x", 2), std::pair("u", 4), std::pair("U", 8)}) {
      if (!text_.Take(letter)) continue;
      METIER_ASSIGN(const std::uint32_t code, text_.HexCharacter(digits));
      return std::u32string(1, code);
    }
    return std::u32string(1, U'\\');
  }

  Result<std::u32string> String() {
    const std::size_t place = text_.at();
    if (!text_.Take("\"")) return text_.Wrong("expected a string");
    std::u32string characters;
    while (!text_.Take("\"")) {
      if (text_.Ended() || AtLineEnd())
        return text_.At(place, ErrorCode::kDataCorrupt, "'\"' without its end in the line");
      if (!text_.Take("\\")) {
        characters += text_.TakeCharacter();
        continue;
      }
      METIER_ASSIGN(const std::u32string escaped, Escape());
      characters += escaped;
    }
    return characters;
  }

  Result<RuleBody> StringOrRange() {
    const std::size_t place = text_.at();
    METIER_ASSIGN(const std::u32string first, String());
    const bool ignores_case = text_.Take("i");
    if (text_.Take("..")) {
      METIER_ASSIGN(const std::u32string last, String());
      if (first.size() != 1 || last.size() != 1 || first > last || ignores_case) {
        return text_.At(place, ErrorCode::kDataCorrupt,
                        "a range has one character at each end, the lower one first");
      }
      return RuleBody::Set(CodePoints::Of(first[0], last[0]));
    }
    std::vector<RuleBody> parts;
    for (const char32_t code : first) {
      const CodePoints one = CodePoints::One(code);
      parts.push_back(RuleBody::Set(ignores_case ? one.WithOtherCases() : one));
    }
    return RuleBody::Sequence(std::move(parts));
  }

  Result<RuleBody> Regex() {
    const std::size_t place = text_.at();
    text_.Take("/");
    const std::size_t first = text_.at();
    while (!text_.Next("/")) {
      text_.Take("\\");
      if (text_.Ended() || AtLineEnd())
        return text_.At(place, ErrorCode::kDataCorrupt, "'/' without its end in the line");
      text_.TakeCharacter();
    }
    const std::string_view pattern = text_.Between(first, text_.at());
    text_.Take("/");
    PatternOptions options;
    for (const char flag : text_.TakeWhile(IsLetter)) {
      if (flag == 'i') {
        options.ignores_case = true;
      } else if (flag == 's') {
        options.dot_is_any = true;
      } else if (flag != 'u') {
        return text_.At(place, ErrorCode::kUnsupported,
                        fmt::format("flag '{}' of a regular expression; there are i and s", flag));
      }
    }
    return PatternBody(pattern, options, place);
  }

  Result<RuleBody> PatternBody(std::string_view pattern, const PatternOptions& options,
                               std::size_t place) const {
    const auto in_its_place = [&](const Error& error) {
      return text_.At(place, error.code(), error.message());
    };
    const Result<Pattern> parsed = ParsePattern(pattern, options);
    if (!parsed.ok()) return in_its_place(parsed.error());
    Result<RuleBody> body = WholePattern(*parsed, limits_.automaton);
    if (!body.ok()) return in_its_place(body.error());
    return body;
  }

  Result<RuleBody> Repeated(RuleBody part) {
    std::int64_t least = 0;
    std::int64_t most = RuleBody::kEndless;
    const std::size_t place = text_.at();
    SkipSpace();
    if (text_.Take("+")) {
      least = 1;
    } else if (text_.Take("?")) {
      most = 1;
    } else if (text_.Take("~")) {
      SkipSpace();
      METIER_ASSIGN(least, text_.Number());
      most = least;
      SkipSpace();
      if (text_.Take("..")) {
        SkipSpace();
        METIER_ASSIGN(most, text_.Number());
      }
      if (most < least)
        return text_.At(place, ErrorCode::kDataCorrupt, "times whose bounds are out of order");
    } else if (!text_.Take("*")) {
      text_.Return(place);
      return part;
    }
    if (!text_.Ended() && std::string_view("*+?~").find(text_.Peek()) != std::string_view::npos)
      return text_.Wrong("a quantifier behind a quantifier; put parentheses around the first");
    return RuleBody::Repeat(std::move(part), least, most);
  }

  GrammarText text_;
  const CfgLimits& limits_;
  NamedRules rules_;
  std::vector<RuleBody> ignored_;
  std::map<std::string, std::string> imported_;  // by the name here, the one in common
};

}  // namespace

Result<RuleSet> ParseLark(std::string_view text, const CfgLimits& limits) {
  return LarkParser(text, limits).Parse();
}

}  // namespace metier::grammar
