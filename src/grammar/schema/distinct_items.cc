#include "grammar/schema/distinct_items.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "grammar/automata/language.h"
#include "grammar/json/json_machine.h"
#include "grammar/schema/text_language.h"

namespace metier::grammar {
namespace {

constexpr std::string_view kOneSpelling = "(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)\\.[0-9]*[1-9])";
constexpr std::int64_t kManyWays = 1 << 20;  // more items than anyone asks for

class ItemsAutomaton {
 public:
  explicit ItemsAutomaton(const AutomatonLimits& limits)
      : limits_(limits), nfa_(Spelling::kText), start_(nfa_.AddState()), end_(nfa_.AddState()) {
    nfa_.Accept(end_, 0);
  }

  Status Add(const Rules& rules) {
    if ((rules.types & (kArrayType | kObjectType)) != 0) {
      return Error(ErrorCode::kUnsupported,
                   "uniqueItems: of arrays and objects, whose values have many spellings, "
                   "it is not compiled");
    }
    for (const auto& [type, word] : {std::pair(kNullType, "null"), std::pair(kFalseType, "false"),
                                     std::pair(kTrueType, "true")})
      if ((rules.types & type) != 0)
        METIER_TRY(nfa_.AddPattern(Pattern::Literal(word), start_, end_, limits_));
    if ((rules.types & kNumberType) != 0) {
      METIER_ASSIGN(const Dfa numbers, LanguageOf(rules.numbers, limits_));
      const Result<Pattern> form = ParsePattern(kOneSpelling);
      METIER_CHECK(form.ok(), "the form of numbers is a pattern");
      METIER_ASSIGN(const Dfa single, LanguageOf(*form, Match::kWhole, Spelling::kText, limits_));
      METIER_ASSIGN(const Dfa both, Intersect(numbers, single, limits_));
      nfa_.AddDfa(both, start_, end_);
    }
    return (rules.types & kStringType) != 0 ? AddTexts(rules.strings) : Ok();
  }

  Result<DistinctShape> Build() const {
    DistinctShape shape;
    METIER_ASSIGN(shape.items, nfa_.Determinise(start_, limits_));
    CountWays(shape);
    if (any_text_) shape.free = FreeStates(shape.items, shape.items.Next(shape.items.start(), '"'));
    return shape;
  }

 private:
  Status AddTexts(const StringRules& rules) {
    METIER_ASSIGN(const std::optional<StringShape> texts, ShapeOfText(rules, limits_));
    if (!texts) return Ok();
    any_text_ =
        any_text_ || (texts->content.empty() && texts->least == 0 && texts->most == kUnlimited);
    METIER_ASSIGN(const Dfa content, LanguageOf(*texts, limits_));
    const std::int32_t open = nfa_.AddState();
    const std::int32_t close = nfa_.AddState();
    nfa_.AddEdge(start_, '"', '"', open);
    nfa_.AddDfa(content, open, close);
    nfa_.AddEdge(close, '"', '"', end_);
    return Ok();
  }

  // Texts from each state: a sum over the next ones. A state that is asked for while it is counted
  // comes back to itself.
  static void CountWays(DistinctShape& shape) {
    constexpr std::int64_t kOpen = -3;
    constexpr std::int64_t kNew = -2;
    const Dfa& items = shape.items;
    shape.ways.assign(static_cast<std::size_t>(items.states()), kNew);
    std::vector<std::int32_t> open;
    if (!items.empty()) open.push_back(items.start());
    while (!open.empty()) {
      const std::int32_t state = open.back();
      std::int64_t& ways = shape.ways[static_cast<std::size_t>(state)];
      const bool returned = ways == kOpen;
      std::int64_t sum = items.Accepts(state) ? 1 : 0;
      bool waits = false;
      for (int byte = 0; byte < 256; ++byte) {
        const std::int32_t next = items.Next(state, static_cast<std::uint8_t>(byte));
        if (next == Dfa::kNone) continue;
        const std::int64_t more = shape.ways[static_cast<std::size_t>(next)];
        if (more == kNew) {
          open.push_back(next);
          waits = true;
        } else if (more == kOpen || more == DistinctShape::kEndless) {
          sum = DistinctShape::kEndless;
          if (more == kOpen && !returned) continue;
        } else if (sum != DistinctShape::kEndless) {
          sum = std::min(kManyWays, sum + more);
        }
      }
      if (waits) {
        ways = kOpen;
        continue;
      }
      ways = sum == kManyWays ? DistinctShape::kEndless : sum;
      open.pop_back();
    }
  }

  const AutomatonLimits& limits_;
  Nfa nfa_;
  std::int32_t start_;
  std::int32_t end_;
  bool any_text_ = false;
};

}  // namespace

Result<DistinctShape> DistinctItems(const std::vector<Rules>& alternatives,
                                    const AutomatonLimits& limits) {
  ItemsAutomaton automaton(limits);
  for (const Rules& rules : alternatives) {
    for (const Rules::Unknown& unknown : rules.unknown)
      if ((unknown.types & rules.types) != 0) return Error(ErrorCode::kUnsupported, unknown.what);
    METIER_TRY(automaton.Add(rules));
  }
  return automaton.Build();
}

}  // namespace metier::grammar
