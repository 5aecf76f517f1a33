#include "grammar/ebnf/grammar_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/nearest.h"
#include "text/tokenizer/unicode.h"

namespace metier::grammar {

Status GrammarText::Check(const CfgLimits& limits) const {
  if (text_.size() > limits.max_text_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("{}: {} bytes, the limit is {}", notation_, text_.size(),
                             limits.max_text_bytes));
  }
  return text::CheckUtf8(text_, notation_);
}

bool GrammarText::Take(std::string_view what) {
  if (!Next(what)) return false;
  at_ += what.size();
  return true;
}

std::uint32_t GrammarText::TakeCharacter() {
  const text::DecodedChar c = text::DecodeChar(text_, at_);
  at_ += c.bytes;
  return c.code;
}

void GrammarText::SkipLine() {
  while (!Ended() && text_[at_] != '\n') ++at_;
}

Error GrammarText::At(std::size_t place, ErrorCode code, std::string_view what) const {
  const std::string_view before = text_.substr(0, place);
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::size_t last = before.rfind('\n');
  const std::string_view in_line = before.substr(last == before.npos ? 0 : last + 1);
  const auto column =
      1 + std::ranges::count_if(in_line, [](char byte) { return !text::IsContinuation(byte); });
  return {code, fmt::format("{}, line {}, column {}: {}", notation_, line, column, what)};
}

Result<std::int64_t> GrammarText::Number() {
  const std::size_t first = at_;
  std::int64_t value = 0;
  for (; Peek() >= '0' && Peek() <= '9'; ++at_)
    value = std::min(kMostTimesInText + 1, value * 10 + (Peek() - '0'));
  if (at_ == first) return Wrong("expected a number");
  if (value > kMostTimesInText) {
    return At(first, ErrorCode::kResourceExhausted,
              fmt::format("repeats more than {} times, the limit", kMostTimesInText));
  }
  return value;
}

Result<std::uint32_t> GrammarText::HexCharacter(int digits) {
  std::uint32_t code = 0;
  for (int i = 0; i < digits; ++i) {
    const char digit = Peek();
    const bool is_digit = digit >= '0' && digit <= '9';
    const auto lower = static_cast<char>(digit | 0x20);
    if (!is_digit && (lower < 'a' || lower > 'f'))
      return Wrong(fmt::format("an escape of {} hexadecimal digits has another character", digits));
    code = code * 16 + static_cast<std::uint32_t>(is_digit ? digit - '0' : lower - 'a' + 10);
    ++at_;
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
    return Wrong(fmt::format("U+{:04X} is no character that a text can have", code));
  return code;
}

std::int32_t NamedRules::Use(std::string_view name, std::size_t place) {
  const auto next = static_cast<std::int32_t>(rules_.size());
  const auto [found, fresh] = numbers_.try_emplace(std::string(name), next);
  if (fresh) {
    rules_.push_back({std::string(name), {}});
    defined_.push_back(false);
    places_.push_back(place);
  }
  return found->second;
}

bool NamedRules::Define(std::string_view name, RuleBody body) {
  const auto rule = static_cast<std::size_t>(Use(name, 0));
  if (defined_[rule]) return false;
  defined_[rule] = true;
  rules_[rule].body = std::move(body);
  return true;
}

Result<RuleSet> NamedRules::Finish(const GrammarText& text, std::string_view root) && {
  std::vector<std::string> defined;
  for (std::size_t i = 0; i < rules_.size(); ++i)
    if (defined_[i]) defined.push_back(rules_[i].name);
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (defined_[i]) continue;
    const std::string nearest = NearestName(rules_[i].name, defined);
    return text.At(
        places_[i], ErrorCode::kDataCorrupt,
        fmt::format("rule '{}' is not defined{}", rules_[i].name,
                    nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest)));
  }
  const auto found = numbers_.find(std::string(root));
  if (found == numbers_.end()) {
    return text.At(0, ErrorCode::kDataCorrupt,
                   fmt::format("no rule '{}', with which every text begins; define it", root));
  }
  return RuleSet{std::move(rules_), found->second};
}

}  // namespace metier::grammar
