#include "grammar/regex/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "text/tokenizer/unicode.h"

namespace metier::grammar {
namespace {

constexpr int kMostNested = 200;
constexpr std::int64_t kMostRepeats = 1 << 20;

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

class PatternParser {
 public:
  PatternParser(std::string_view text, const PatternOptions& options)
      : text_(text), ignores_case_(options.ignores_case), dot_is_any_(options.dot_is_any) {}

  Result<Pattern> Parse() {
    if (text_.starts_with("(?i)")) {
      ignores_case_ = true;
      at_ = 4;
    }
    METIER_ASSIGN(Pattern whole, Choice());
    if (at_ < text_.size()) return Wrong("')' without '('");
    return whole;
  }

 private:
  Error Wrong(std::string_view what) const {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("regular expression '{}': {} at byte {}", Shown(), what, at_));
  }
  Error Unsupported(std::string_view what) const {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("regular expression '{}': {} at byte {}", Shown(), what, at_));
  }
  // The expression as messages have it.
  std::string Shown() const {
    constexpr std::size_t kLongestShown = 200;
    if (text_.size() <= kLongestShown) return std::string(text_);
    const std::string_view begin = text_.substr(0, kLongestShown);
    return std::string(begin.substr(0, text::CompletePrefix(begin))) + "...";
  }
  bool Ended() const { return at_ >= text_.size(); }
  bool Next(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool Take(std::string_view what) {
    if (!Next(what)) return false;
    at_ += what.size();
    return true;
  }
  std::uint32_t TakeCharacter() {
    const text::DecodedChar c = text::DecodeChar(text_, at_);
    at_ += c.bytes;
    return c.code;
  }

  Result<Pattern> Choice() {
    if (++depth_ > kMostNested) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("regular expression: groups nested more than {} deep", kMostNested));
    }
    std::vector<Pattern> parts;
    do {
      METIER_ASSIGN(Pattern part, Sequence());
      parts.push_back(std::move(part));
    } while (Take("|"));
    --depth_;
    if (parts.size() == 1) return std::move(parts.front());
    return Pattern::Choice(std::move(parts));
  }

  Result<Pattern> Sequence() {
    std::vector<Pattern> parts;
    while (!Ended() && !Next("|") && !Next(")")) {
      METIER_ASSIGN(Pattern part, Atom());
      METIER_ASSIGN(part, Repeated(std::move(part)));
      parts.push_back(std::move(part));
    }
    if (parts.size() == 1) return std::move(parts.front());
    return Pattern::Sequence(std::move(parts));
  }

  Result<Pattern> Atom() {
    if (Take("^")) return Pattern{.kind = Pattern::Kind::kBegin};
    if (Take("$")) return Pattern{.kind = Pattern::Kind::kEnd};
    if (Take("(")) return Group();
    if (Take("[")) return Class();
    if (Take("\\")) return Escape();
    if (Take(".")) {
      if (dot_is_any_) return Pattern::Set(CodePoints::All());
      CodePoints ends;
      for (const std::uint32_t code : {0x0AU, 0x0DU, 0x2028U, 0x2029U}) ends.Add(code, code);
      return Pattern::Set(ends.Not());
    }
    if (Next("*") || Next("+") || Next("?")) return Wrong("a quantifier with nothing before it");
    if (Next("{") && Quantifier()) return Wrong("a quantifier with nothing before it");
    return Cased(CodePoints::One(TakeCharacter()));
  }

  Pattern Cased(const CodePoints& set) const {
    return Pattern::Set(ignores_case_ ? set.WithOtherCases() : set);
  }

  Result<Pattern> Group() {
    std::optional<bool> ahead;  // positive
    if (Take("?=")) {
      ahead = true;
    } else if (Take("?!")) {
      ahead = false;
    } else if (Next("?<=") || Next("?<!")) {
      return Unsupported("lookbehind");
    } else if (Take("?<") || Take("?P<")) {
      const std::size_t end = text_.find('>', at_);
      if (end == text_.npos) return Wrong("a group's name without '>'");
      at_ = end + 1;
    } else if (!Take("?:") && Next("?")) {
      return Unsupported("this kind of group");
    }
    METIER_ASSIGN(Pattern inner, Choice());
    if (!Take(")")) return Wrong("'(' without ')'");
    if (!ahead) return inner;
    Pattern looks{.kind = Pattern::Kind::kAhead, .negative = !*ahead};
    looks.parts.push_back(std::move(inner));
    return looks;
  }

  struct Times {
    std::int64_t least = 0;
    std::int64_t most = Pattern::kEndless;
    std::size_t bytes = 0;
  };
  // {n}, {n,} or {n,m} here; nothing: the brace is a character.
  std::optional<Times> Quantifier() const {
    std::size_t at = at_ + 1;
    const auto number = [&]() -> std::optional<std::int64_t> {
      std::optional<std::int64_t> value;
      for (; at < text_.size() && text_[at] >= '0' && text_[at] <= '9'; ++at)
        value = std::min(kMostRepeats + 1, value.value_or(0) * 10 + (text_[at] - '0'));
      return value;
    };
    const std::optional<std::int64_t> least = number();
    if (!least) return std::nullopt;
    Times times = {*least, *least};
    if (at < text_.size() && text_[at] == ',') {
      ++at;
      times.most = number().value_or(Pattern::kEndless);
    }
    if (at >= text_.size() || text_[at] != '}') return std::nullopt;
    times.bytes = at + 1 - at_;
    return times;
  }

  Result<Pattern> Repeated(Pattern part) {
    Times times;
    if (Take("*")) {
      times = {0, Pattern::kEndless};
    } else if (Take("+")) {
      times = {1, Pattern::kEndless};
    } else if (Take("?")) {
      times = {0, 1};
    } else if (Next("{")) {
      const std::optional<Times> found = Quantifier();
      if (!found) return part;
      times = *found;
      if (times.most != Pattern::kEndless && times.most < times.least)
        return Wrong("a quantifier whose bounds are out of order");
      if (std::max(times.least, times.most) > kMostRepeats) {
        return Error(ErrorCode::kResourceExhausted,
                     fmt::format("regular expression '{}': repeats more than {} times", Shown(),
                                 kMostRepeats));
      }
      at_ += times.bytes;
    } else {
      return part;
    }
    Take("?");  // lazy
    if (Next("+") || Next("*") || Next("?") || (Next("{") && Quantifier()))
      return Wrong("a quantifier behind a quantifier");
    const bool looks = part.kind == Pattern::Kind::kAhead;
    // What is nothing is nothing however often; no time at all is the empty text.
    if (looks) return times.least == 0 ? Pattern::Sequence({}) : std::move(part);
    return Pattern::Repeat(std::move(part), times.least, times.most);
  }

  // Behind a backslash, outside of a class.
  Result<Pattern> Escape() {
    if (Ended()) return Wrong("a backslash at the end");
    if (Next("b") || Next("B")) return Unsupported("a word boundary");
    if (Next("k<") || (text_[at_] >= '1' && text_[at_] <= '9'))
      return Unsupported("a backreference");
    METIER_ASSIGN(const CodePoints set, EscapedSet());
    return Cased(set);
  }

  // What an escape stands for, inside of classes and outside.
  Result<CodePoints> EscapedSet() {
    if (Take("d")) return Digits();
    if (Take("D")) return Digits().Not();
    if (Take("w")) return WordCharacters();
    if (Take("W")) return WordCharacters().Not();
    if (Take("s")) return Spaces();
    if (Take("S")) return Spaces().Not();
    if (Next("p{") || Next("P{")) return NamedProperty();
    METIER_ASSIGN(const std::uint32_t code, EscapedCharacter());
    return CodePoints::One(code);
  }

  Result<CodePoints> NamedProperty() {
    const bool negative = Next("P");
    const std::size_t end = text_.find('}', at_);
    if (end == text_.npos) return Wrong("a property's name without '}'");
    auto set = Property(text_.substr(at_ + 2, end - at_ - 2));
    if (!set.ok()) return Unsupported(set.error().message());
    at_ = end + 1;
    return negative ? set->Not() : *set;
  }

  // `digits` hexadecimal ones here, or nothing.
  std::optional<std::uint32_t> Hexadecimal(std::size_t digits) {
    const std::string_view word = text_.substr(std::min(at_, text_.size()), digits);
    if (word.size() < digits || !std::ranges::all_of(word, IsHexDigit)) return std::nullopt;
    at_ += digits;
    return static_cast<std::uint32_t>(std::stoul(std::string(word), nullptr, 16));
  }

  Result<std::uint32_t> EscapedCharacter() {
    constexpr std::pair<char, std::uint32_t> kLetters[] = {
        {'t', '\t'}, {'n', '\n'}, {'v', '\v'}, {'f', '\f'}, {'r', '\r'}};
    const char letter = text_[at_];
    for (const auto& [name, code] : kLetters) {
      if (letter != name) continue;
      ++at_;
      return code;
    }
    if (letter == '0') {
      ++at_;
      return 0U;
    }
    if (letter == 'c' && at_ + 1 < text_.size() &&
        std::isalpha(static_cast<unsigned char>(text_[at_ + 1]))) {
      at_ += 2;
      return static_cast<std::uint32_t>(text_[at_ - 1] & 0x1F);
    }
    if (letter == 'x' || letter == 'u') {
      ++at_;
      METIER_ASSIGN(const std::optional<std::uint32_t> code, HexadecimalEscape(letter));
      return code.value_or(static_cast<std::uint32_t>(letter));
    }
    return TakeCharacter();
  }

  // \xHH, \uHHHH (two that are surrogates: one character), \u{H...}; nothing: the letter itself.
  Result<std::optional<std::uint32_t>> HexadecimalEscape(char letter) {
    if (letter == 'x') return Hexadecimal(2);
    if (Next("{")) {
      const std::size_t end = text_.find('}', at_);
      const std::string_view word = end == text_.npos ? "" : text_.substr(at_ + 1, end - at_ - 1);
      if (word.empty() || word.size() > 8 || !std::ranges::all_of(word, IsHexDigit))
        return std::optional<std::uint32_t>();
      const auto code = static_cast<std::uint32_t>(std::stoul(std::string(word), nullptr, 16));
      if (code > 0x10FFFF) return Wrong("a character beyond U+10FFFF");
      at_ = end + 1;
      return std::optional(code);
    }
    const std::optional<std::uint32_t> code = Hexadecimal(4);
    if (!code || *code < 0xD800 || *code > 0xDBFF || !Next("\\u")) return code;
    const std::size_t before = at_;
    at_ += 2;
    const std::optional<std::uint32_t> low = Hexadecimal(4);
    if (low && *low >= 0xDC00 && *low <= 0xDFFF)
      return std::optional(0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00));
    at_ = before;
    return code;
  }

  // One item of a class; whether it is one character, which can begin or end a range.
  struct ClassItem {
    CodePoints set;
    std::optional<std::uint32_t> code;
  };
  Result<ClassItem> Item() {
    if (!Take("\\")) {
      const std::uint32_t code = TakeCharacter();
      return ClassItem{CodePoints::One(code), code};
    }
    if (Ended()) return Wrong("a backslash at the end");
    if (Take("b")) return ClassItem{CodePoints::One('\b'), '\b'};
    if (std::string_view("dDwWsS").find(text_[at_]) != std::string_view::npos || Next("p{") ||
        Next("P{")) {
      METIER_ASSIGN(CodePoints set, EscapedSet());
      return ClassItem{std::move(set), std::nullopt};
    }
    METIER_ASSIGN(const std::uint32_t code, EscapedCharacter());
    return ClassItem{CodePoints::One(code), code};
  }

  Result<Pattern> Class() {
    const bool negative = Take("^");
    CodePoints set;
    while (!Take("]")) {
      if (Ended()) return Wrong("'[' without ']'");
      METIER_ASSIGN(const ClassItem first, Item());
      const bool range = Next("-") && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (!range) {
        set.Add(first.set);
        continue;
      }
      const std::size_t dash = at_;
      Take("-");
      METIER_ASSIGN(const ClassItem last, Item());
      if (!first.code || !last.code) {  // the dash is a character
        set.Add(first.set);
        set.Add(last.set);
        set.Add('-', '-');
        continue;
      }
      if (*first.code > *last.code) {
        at_ = dash;
        return Wrong("a range whose ends are out of order");
      }
      set.Add(*first.code, *last.code);
    }
    if (ignores_case_) set = set.WithOtherCases();
    return Pattern::Set(negative ? set.Not() : set);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool ignores_case_;
  bool dot_is_any_;
};

}  // namespace

Pattern Pattern::Set(CodePoints set) { return {.kind = Kind::kSet, .set = std::move(set)}; }

Pattern Pattern::Literal(std::string_view text) {
  std::vector<Pattern> parts;
  for (std::size_t at = 0; at < text.size();) {
    const text::DecodedChar c = text::DecodeChar(text, at);
    parts.push_back(Set(CodePoints::One(c.code)));
    at += c.bytes;
  }
  return Sequence(std::move(parts));
}

Pattern Pattern::Sequence(std::vector<Pattern> parts) {
  return {.kind = Kind::kSequence, .parts = std::move(parts)};
}

Pattern Pattern::Choice(std::vector<Pattern> parts) {
  return {.kind = Kind::kChoice, .parts = std::move(parts)};
}

Pattern Pattern::Repeat(Pattern part, std::int64_t least, std::int64_t most) {
  Pattern repeat{.kind = Kind::kRepeat, .least = least, .most = most};
  repeat.parts.push_back(std::move(part));
  return repeat;
}

Result<Pattern> ParsePattern(std::string_view text, const PatternOptions& options) {
  METIER_TRY(text::CheckUtf8(text, "regular expression"));
  return PatternParser(text, options).Parse();
}

}  // namespace metier::grammar
