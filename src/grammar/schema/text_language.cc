#include "grammar/schema/text_language.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "grammar/automata/language.h"

namespace metier::grammar {
namespace {

// Counted out in an automaton where a pattern has to hold as well.
constexpr std::int64_t kMostCounted = 4096;

Result<Dfa> OfLength(std::int64_t least, std::optional<std::int64_t> most,
                     const AutomatonLimits& limits) {
  if (std::max(least, most.value_or(0)) > kMostCounted) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("a length of {} beside a pattern or an enum, the limit is {}",
                             std::max(least, most.value_or(0)), kMostCounted));
  }
  return LanguageOf(
      Pattern::Repeat(Pattern::Set(CodePoints::All()), least, most.value_or(Pattern::kEndless)),
      Match::kWhole, Spelling::kJsonString, limits);
}

Result<Dfa> OneOf(const std::set<std::string>& texts, const AutomatonLimits& limits) {
  Nfa nfa(Spelling::kJsonString);
  const std::int32_t start = nfa.AddState();
  const std::int32_t end = nfa.AddState();
  nfa.Accept(end, 0);
  for (const std::string& text : texts)
    METIER_TRY(nfa.AddPattern(Pattern::Literal(text), start, end, limits));
  return nfa.Determinise(start, limits);
}

}  // namespace

Result<Dfa> LanguageOf(const StringShape& shape, const AutomatonLimits& limits) {
  if (!shape.content.empty()) return shape.content;
  std::optional<std::int64_t> most;
  if (shape.most != kUnlimited) most = shape.most;
  return OfLength(shape.least, most, limits);
}

Result<std::optional<StringShape>> ShapeOfText(const StringRules& rules,
                                               const AutomatonLimits& limits) {
  if (rules.most && rules.least > *rules.most) return std::optional<StringShape>();
  const bool counted =
      rules.within.empty() && rules.outside.empty() && !rules.allowed && rules.refused.empty();
  StringShape shape;
  if (counted) {
    shape.least = static_cast<std::int32_t>(rules.least);
    shape.most = static_cast<std::int32_t>(rules.most.value_or(kUnlimited));
    return std::optional(std::move(shape));
  }
  std::optional<Dfa> texts;
  if (rules.allowed) {
    METIER_ASSIGN(texts, OneOf(*rules.allowed, limits));
  }
  for (const SharedDfa& within : rules.within) {
    if (!texts) {
      texts = *within;
      continue;
    }
    METIER_ASSIGN(texts, Intersect(*texts, *within, limits));
  }
  if (!texts) {
    METIER_ASSIGN(texts, OfLength(0, std::nullopt, limits));
  }
  if (!texts->empty()) {
    const Lengths lengths = LengthsOf(*texts);
    const bool short_ones = lengths.least < rules.least;
    const bool long_ones = rules.most && (!lengths.most || *lengths.most > *rules.most);
    if (short_ones || long_ones) {
      METIER_ASSIGN(texts, WithLengths(*texts, short_ones ? rules.least : 0,
                                       long_ones ? rules.most : std::nullopt, limits));
    }
  }
  for (const SharedDfa& outside : rules.outside) {
    METIER_ASSIGN(texts, Subtract(*texts, *outside, limits));
  }
  if (!rules.refused.empty()) {
    METIER_ASSIGN(const Dfa refused, OneOf(rules.refused, limits));
    METIER_ASSIGN(texts, Subtract(*texts, refused, limits));
  }
  if (texts->empty()) return std::optional<StringShape>();
  shape.content = std::move(*texts);
  return std::optional(std::move(shape));
}

}  // namespace metier::grammar
