#include "grammar/ebnf/gbnf.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "grammar/ebnf/grammar_text.h"

namespace metier::grammar {
namespace {

bool IsGbnfNameByte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

enum class Lines { kOne, kAny };  // whether a rule may go on in the next one

class GbnfParser {
 public:
  GbnfParser(std::string_view text, const CfgLimits& limits)
      : text_(text, "GBNF"), limits_(limits) {}

  Result<RuleSet> Parse() {
    METIER_TRY(text_.Check(limits_));
    for (SkipSpace(Lines::kAny); !text_.Ended(); SkipSpace(Lines::kAny)) METIER_TRY(Rule());
    return std::move(rules_).Finish(text_, "root");
  }

 private:
  void SkipSpace(Lines lines) {
    for (;;) {
      const char byte = text_.Peek();
      const bool line = byte == '\n' || byte == '\r';
      if (text_.Ended() || (line && lines == Lines::kOne)) return;
      if (byte == '#') {
        text_.SkipLine();
      } else if (line || byte == ' ' || byte == '\t') {
        text_.Take(std::string_view(&byte, 1));
      } else {
        return;
      }
    }
  }

  Status Rule() {
    const std::size_t place = text_.at();
    METIER_ASSIGN(const std::string name, text_.Name(IsGbnfNameByte));
    if (name.empty()) return text_.Wrong("expected a rule, `name ::= ...`");
    SkipSpace(Lines::kOne);
    if (!text_.Take("::=")) return text_.Wrong(fmt::format("expected '::=' behind '{}'", name));
    SkipSpace(Lines::kAny);
    METIER_ASSIGN(RuleBody body, Choice(0));
    if (!text_.Ended() && text_.Peek() != '\n' && text_.Peek() != '\r' && !BeginsRule())
      return text_.Wrong("expected the line's end, or more of the rule");
    if (!rules_.Define(name, std::move(body)))
      return text_.At(place, ErrorCode::kDataCorrupt,
                      fmt::format("rule '{}' is defined twice", name));
    if (rules_.size() > limits_.max_rules) {
      return text_.At(place, ErrorCode::kResourceExhausted,
                      fmt::format("more than {} rules, the limit", limits_.max_rules));
    }
    return Ok();
  }

  Result<RuleBody> Choice(int depth) {
    std::vector<RuleBody> parts;
    do {
      SkipSpace(Lines::kAny);
      METIER_ASSIGN(RuleBody part, Sequence(depth));
      parts.push_back(std::move(part));
    } while (TakeBar(depth));
    return parts.size() == 1 ? std::move(parts.front()) : RuleBody::Choice(std::move(parts));
  }

  // Also where it stands in one of the next lines.
  bool TakeBar(int depth) {
    const std::size_t before = text_.at();
    SkipSpace(Lines::kAny);
    if (text_.Take("|")) return true;
    if (depth == 0) text_.Return(before);
    return false;
  }

  Result<RuleBody> Sequence(int depth) {
    const Lines lines = depth == 0 ? Lines::kOne : Lines::kAny;
    std::vector<RuleBody> parts;
    for (SkipSpace(lines); BeginsItem(); SkipSpace(lines)) {
      // This one was empty.
      if (parts.empty() && depth == 0 && BeginsRule()) break;
      METIER_ASSIGN(RuleBody part, Item(depth));
      SkipSpace(lines);
      METIER_ASSIGN(part, Repeated(std::move(part)));
      parts.push_back(std::move(part));
    }
    return parts.size() == 1 ? std::move(parts.front()) : RuleBody::Sequence(std::move(parts));
  }

  bool BeginsItem() const {
    const char byte = text_.Peek();
    if (text_.Ended()) return false;
    return IsGbnfNameByte(byte) ||
           std::string_view("\"[(.<!*+?{").find(byte) != std::string_view::npos;
  }

  // A name at a line's begin that a definition follows.
  bool BeginsRule() {
    const std::size_t before = text_.at();
    const std::string_view behind = text_.Between(0, before);
    const std::size_t last = behind.find_last_not_of(" \t");
    if (last == behind.npos || (behind[last] != '\n' && behind[last] != '\r')) return false;
    const bool named = !text_.TakeWhile(IsGbnfNameByte).empty();
    SkipSpace(Lines::kOne);
    const bool begins = named && text_.Next("::=");
    text_.Return(before);
    return begins;
  }

  Result<RuleBody> Item(int depth) {
    const std::size_t place = text_.at();
    if (text_.Take("\"")) return String();
    if (text_.Take("[")) return Class(place);
    if (text_.Take(".")) return RuleBody::Set(CodePoints::All());
    if (text_.Take("(")) return Group(place, depth);
    if (text_.Next("<") || text_.Next("!")) return Token();
    METIER_ASSIGN(const std::string name, text_.Name(IsGbnfNameByte));
    if (name.empty()) return text_.Wrong("a quantifier with nothing before it");
    return RuleBody::Rule(rules_.Use(name, place));
  }

  Result<RuleBody> Group(std::size_t place, int depth) {
    if (depth >= kMostNestedGroups) {
      return text_.At(place, ErrorCode::kResourceExhausted,
                      fmt::format("groups nested more than {} deep", kMostNestedGroups));
    }
    METIER_ASSIGN(RuleBody inner, Choice(depth + 1));
    if (text_.Take(")")) return inner;
    if (text_.Ended()) return text_.At(place, ErrorCode::kDataCorrupt, "'(' without ')'");
    return text_.Wrong("expected ')', or more of the group");
  }

  Error Token() const {
    return text_.Unsupported(
        "a token (<...>): a grammar says what text may come, in whatever tokens; write the text as "
        "a string");
  }

  // Of a string or a class.
  Result<std::uint32_t> Character() {
    if (!text_.Take("\\")) return text_.TakeCharacter();
    const char letter = text_.Peek();
    constexpr std::pair<char, std::uint32_t> kLetters[] = {
        {'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'\\', '\\'}, {'"', '"'}, {'[', '['}, {']', ']'}};
    for (const auto& [name, code] : kLetters)
      if (text_.Take(std::string_view(&name, 1))) return code;
    if (text_.Take("x")) return text_.HexCharacter(2);
    if (text_.Take("u")) return text_.HexCharacter(4);
    if (text_.Take("U")) return text_.HexCharacter(8);
    if (text_.Ended()) return text_.Wrong("a backslash at the end");
    return text_.Wrong(
        fmt::format("no escape '\\{}'; there are \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH "
                    "\\uHHHH \\UHHHHHHHH",
                    letter >= ' ' && letter <= '~' ? std::string(1, letter) : "..."));
  }

  Result<RuleBody> String() {
    const std::size_t place = text_.at() - 1;
    std::vector<RuleBody> parts;
    while (!text_.Take("\"")) {
      if (text_.Ended()) return text_.At(place, ErrorCode::kDataCorrupt, "'\"' without its end");
      METIER_ASSIGN(const std::uint32_t code, Character());
      parts.push_back(RuleBody::Set(CodePoints::One(code)));
    }
    return parts.size() == 1 ? std::move(parts.front()) : RuleBody::Sequence(std::move(parts));
  }

  Result<RuleBody> Class(std::size_t place) {
    const bool negative = text_.Take("^");
    CodePoints set;
    while (!text_.Take("]")) {
      if (text_.Ended()) return text_.At(place, ErrorCode::kDataCorrupt, "'[' without ']'");
      const std::size_t begin = text_.at();
      METIER_ASSIGN(const std::uint32_t first, Character());
      std::uint32_t last = first;
      if (text_.Peek() == '-' && text_.Peek(1) != ']' && text_.Peek(1) != '\0') {
        text_.Take("-");
        METIER_ASSIGN(last, Character());
      }
      if (first > last)
        return text_.At(begin, ErrorCode::kDataCorrupt, "a range whose ends are out of order");
      set.Add(first, last);
    }
    if (!negative && set.empty())
      return text_.At(place, ErrorCode::kDataCorrupt, "a class without characters");
    return RuleBody::Set(negative ? set.Not() : std::move(set));
  }

  Result<RuleBody> Repeated(RuleBody part) {
    std::int64_t least = 0;
    std::int64_t most = RuleBody::kEndless;
    const std::size_t place = text_.at();
    if (text_.Take("+")) {
      least = 1;
    } else if (text_.Take("?")) {
      most = 1;
    } else if (text_.Take("{")) {
      METIER_ASSIGN(least, Times());
      most = least;
      if (text_.Take(",")) {
        SkipSpace(Lines::kOne);
        most = RuleBody::kEndless;
        if (text_.Peek() != '}') {
          METIER_ASSIGN(most, Times());
        }
      }
      if (!text_.Take("}")) return text_.Wrong("expected '}'");
      if (most != RuleBody::kEndless && most < least)
        return text_.At(place, ErrorCode::kDataCorrupt, "times whose bounds are out of order");
    } else if (!text_.Take("*")) {
      return part;
    }
    SkipSpace(Lines::kOne);
    if (std::string_view("*+?{").find(text_.Peek()) != std::string_view::npos && !text_.Ended())
      return text_.Wrong("a quantifier behind a quantifier; put parentheses around the first");
    return RuleBody::Repeat(std::move(part), least, most);
  }

  Result<std::int64_t> Times() {
    SkipSpace(Lines::kOne);
    METIER_ASSIGN(const std::int64_t times, text_.Number());
    SkipSpace(Lines::kOne);
    return times;
  }

  GrammarText text_;
  const CfgLimits& limits_;
  NamedRules rules_;
};

}  // namespace

Result<RuleSet> ParseGbnf(std::string_view text, const CfgLimits& limits) {
  return GbnfParser(text, limits).Parse();
}

}  // namespace metier::grammar
