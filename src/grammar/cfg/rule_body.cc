#include "grammar/cfg/rule_body.h"

#include <algorithm>
#include <utility>

#include "grammar/automata/language.h"

namespace metier::grammar {
namespace {

constexpr std::int64_t kMostTimes = 1 << 30;

bool LooksAround(const Pattern& pattern) {
  switch (pattern.kind) {
    case Pattern::Kind::kBegin:
    case Pattern::Kind::kEnd:
    case Pattern::Kind::kAhead: return true;
    default: return std::ranges::any_of(pattern.parts, LooksAround);
  }
}

RuleBody Plain(const Pattern& pattern) {
  std::vector<RuleBody> parts;
  for (const Pattern& part : pattern.parts) parts.push_back(Plain(part));
  switch (pattern.kind) {
    case Pattern::Kind::kSet: return RuleBody::Set(pattern.set);
    case Pattern::Kind::kChoice: return RuleBody::Choice(std::move(parts));
    case Pattern::Kind::kRepeat:
      return RuleBody::Repeat(std::move(parts.front()), pattern.least, pattern.most);
    default: return RuleBody::Sequence(std::move(parts));
  }
}

// Without what means nothing of a whole text: ^ in front of everything and $ behind it.
Pattern WithoutEnds(const Pattern& pattern) {
  if (pattern.kind == Pattern::Kind::kBegin || pattern.kind == Pattern::Kind::kEnd)
    return Pattern::Sequence({});
  std::vector<Pattern> parts = pattern.parts;
  if (pattern.kind == Pattern::Kind::kChoice) {
    std::ranges::transform(parts, parts.begin(), WithoutEnds);
    return Pattern::Choice(std::move(parts));
  }
  if (pattern.kind != Pattern::Kind::kSequence || parts.empty()) return pattern;
  if (parts.front().kind == Pattern::Kind::kBegin) parts.erase(parts.begin());
  if (!parts.empty() && parts.back().kind == Pattern::Kind::kEnd) parts.pop_back();
  return Pattern::Sequence(std::move(parts));
}

}  // namespace

RuleBody RuleBody::Set(CodePoints set) { return {.kind = Kind::kSet, .set = std::move(set)}; }

RuleBody RuleBody::Literal(std::string_view text) { return Plain(Pattern::Literal(text)); }

RuleBody RuleBody::Sequence(std::vector<RuleBody> parts) {
  return {.kind = Kind::kSequence, .parts = std::move(parts)};
}

RuleBody RuleBody::Choice(std::vector<RuleBody> parts) {
  return {.kind = Kind::kChoice, .parts = std::move(parts)};
}

// A repetition of a repetition is one where every number of times in between can come about.
RuleBody RuleBody::Repeat(RuleBody part, std::int64_t least, std::int64_t most) {
  if (part.kind == Kind::kRepeat && part.least <= 1) {
    const bool never = most == 0 || part.most == 0;
    const bool endless = most == kEndless || part.most == kEndless;
    part.least = std::min(kMostTimes, part.least * least);
    part.most = never ? 0 : endless ? kEndless : std::min(kMostTimes, part.most * most);
    return part;
  }
  RuleBody repeat{.kind = Kind::kRepeat, .least = least, .most = most};
  repeat.parts.push_back(std::move(part));
  return repeat;
}

RuleBody RuleBody::Rule(std::int32_t rule) { return {.kind = Kind::kRule, .rule = rule}; }

Result<RuleBody> WholePattern(const Pattern& pattern, const AutomatonLimits& limits) {
  const Pattern inner = WithoutEnds(pattern);
  if (!LooksAround(inner)) return Plain(inner);
  METIER_ASSIGN(Dfa language, LanguageOf(inner, Match::kWhole, Spelling::kText, limits));
  return RuleBody{.kind = RuleBody::Kind::kLanguage,
                  .language = std::make_shared<const Dfa>(std::move(language))};
}

}  // namespace metier::grammar
