// grammar/ebnf/grammar_text.h - what the notations of grammars have in common: a place in a text,
// names that may be used before they are defined, quantifiers, escapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/cfg/cfg.h"
#include "grammar/cfg/rule_body.h"

namespace metier::grammar {

// Groups in one another, at most.
constexpr int kMostNestedGroups = 100;
constexpr std::int64_t kMostTimesInText = 1 << 20;
constexpr std::size_t kLongestName = 100;  // bytes

// A text and a place in it, with errors that say where.
class GrammarText {
 public:
  // `notation` is named in errors: "GBNF". The text must be UTF-8 (Check).
  GrammarText(std::string_view text, std::string_view notation)
      : text_(text), notation_(notation) {}
  // kDataCorrupt: not UTF-8. kResourceExhausted: too long.
  Status Check(const CfgLimits& limits) const;

  bool Ended() const { return at_ >= text_.size(); }
  // The byte here, or `ahead` behind it; 0 behind the end.
  char Peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool Next(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool Take(std::string_view what);
  std::uint32_t TakeCharacter();  // requires that there is one
  // The bytes up to the first that is none of the kind.
  template <class IsOne>
  std::string_view TakeWhile(IsOne&& is_one) {
    const std::size_t first = at_;
    while (at_ < text_.size() && is_one(text_[at_])) ++at_;
    return text_.substr(first, at_ - first);
  }
  // The same, for a name: "" where none begins. kResourceExhausted: a long one.
  template <class IsOne>
  Result<std::string> Name(IsOne&& is_one) {
    const std::size_t first = at_;
    std::string name(TakeWhile(is_one));
    if (name.size() > kLongestName)
      return At(first, ErrorCode::kResourceExhausted, "a name of more than 100 bytes");
    return name;
  }
  void SkipLine();

  std::size_t at() const { return at_; }
  void Return(std::size_t at) { at_ = at; }
  std::string_view Between(std::size_t first, std::size_t last) const {
    return text_.substr(first, last - first);
  }

  // "GBNF, line 3, column 7: ..." of the place here, or of another.
  Error Wrong(std::string_view what) const { return At(at_, ErrorCode::kDataCorrupt, what); }
  Error Unsupported(std::string_view what) const { return At(at_, ErrorCode::kUnsupported, what); }
  Error At(std::size_t place, ErrorCode code, std::string_view what) const;

  // A number of at most kMostTimesInText; kDataCorrupt: none here. kResourceExhausted.
  Result<std::int64_t> Number();
  // As many hexadecimal digits as that, a character. kDataCorrupt.
  Result<std::uint32_t> HexCharacter(int digits);

 private:
  std::string_view text_;
  std::string_view notation_;
  std::size_t at_ = 0;
};

// Rules by their names.
class NamedRules {
 public:
  // The rule's number, whether it is defined yet or not.
  std::int32_t Use(std::string_view name, std::size_t place);
  // False: it was defined before.
  bool Define(std::string_view name, RuleBody body);
  bool Knows(std::string_view name) const { return numbers_.contains(std::string(name)); }
  std::size_t size() const { return rules_.size(); }

  // kDataCorrupt: a rule that is used and not defined (with the nearest name), or no root.
  Result<RuleSet> Finish(const GrammarText& text, std::string_view root) &&;

 private:
  std::map<std::string, std::int32_t> numbers_;
  std::vector<NamedRule> rules_;
  std::vector<bool> defined_;
  std::vector<std::size_t> places_;  // of the first use
};

}  // namespace metier::grammar
