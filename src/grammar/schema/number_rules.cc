#include "grammar/schema/number_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/check.h"
#include "grammar/automata/language.h"
#include "grammar/regex/pattern.h"

namespace metier::grammar {
namespace {

constexpr std::int64_t kMostRemainders = 100'000;

// The automaton of what a rule remembers: `read` gives what it remembers behind a byte, nothing
// where the byte cannot come.
template <class Memory, class ReadByte, class Accepts>
Result<Dfa> Explore(const Memory& begin, const AutomatonLimits& limits, ReadByte&& read,
                    Accepts&& accepts) {
  std::array<bool, 256> begins_class = {};
  for (const char byte : std::string_view("-.0123456789"))
    begins_class[static_cast<unsigned char>(byte)] = true;
  for (const char byte : std::string_view("."))
    begins_class[static_cast<unsigned char>(byte) + 1U] = true;
  begins_class['9' + 1] = true;
  DfaBuilder builder(begins_class);
  std::map<Memory, std::int32_t> known;
  std::vector<Memory> memories;
  const auto state_of = [&](const Memory& memory) {
    const auto [found, fresh] = known.try_emplace(memory, builder.states());
    if (!fresh) return found->second;
    memories.push_back(memory);
    return builder.AddState(accepts(memory) ? std::vector<Dfa::Label>{0}
                                            : std::vector<Dfa::Label>());
  };
  state_of(begin);
  for (std::size_t at = 0; at < memories.size(); ++at) {
    if (static_cast<std::int64_t>(at) > limits.max_states) {
      return Error(
          ErrorCode::kResourceExhausted,
          fmt::format("a rule for numbers has more than {} states, the limit", limits.max_states));
    }
    for (const char byte : std::string_view("-.0123456789")) {
      const std::optional<Memory> next = read(Memory(memories[at]), byte);
      if (!next) continue;
      builder.Set(static_cast<std::int32_t>(at), builder.ClassOf(static_cast<std::uint8_t>(byte)),
                  state_of(*next));
    }
  }
  return std::move(builder).Build();
}

// How far a number is read, beside the bound that it is compared with.
struct Comparison {
  bool negative = false;
  bool begun = false;
  bool in_fraction = false;
  int digits = 0;  // of this part, as many as the bound has and one more
  int order = 0;   // of what was read: below, at or above as much of the bound
  auto operator<=>(const Comparison&) const = default;
};

int OrderOf(char a, char b) { return a < b ? -1 : a > b ? 1 : 0; }

// The order of the size of a number, as far as it was read, and the bound's.
int SizeOrder(const Comparison& memory, const Decimal& bound) {
  if (memory.in_fraction) {
    // Digits that the number does not have are 0.
    const bool shorter = memory.digits < static_cast<int>(bound.fraction.size());
    return memory.order == 0 && shorter ? -1 : memory.order;
  }
  const int whole = static_cast<int>(bound.whole.size());
  if (memory.digits != whole) return memory.digits < whole ? -1 : 1;
  if (memory.order != 0) return memory.order;
  return bound.fraction.empty() ? 0 : -1;
}

std::optional<Comparison> ReadDigit(Comparison memory, char byte, const Decimal& bound) {
  memory.begun = true;
  const std::string& digits = memory.in_fraction ? bound.fraction : bound.whole;
  const int size = static_cast<int>(digits.size());
  if (!memory.in_fraction && memory.digits == 0 && byte == '0') return memory;  // "0." or "0"
  if (memory.order == 0) {
    const char other = memory.digits < size ? digits[static_cast<std::size_t>(memory.digits)] : '0';
    // A whole part that is longer is above by its length alone.
    if (memory.in_fraction || memory.digits < size) memory.order = OrderOf(byte, other);
  }
  memory.digits = std::min(memory.digits + 1, size + 1);
  return memory;
}

enum class Side { kAtLeast, kAtMost };

// Numbers on one side of a bound, whatever else they are: their form is another automaton's.
Result<Dfa> OnSide(const NumberRules::Bound& bound, Side side, const AutomatonLimits& limits) {
  const Decimal& value = bound.value;
  const auto read = [&](Comparison memory, char byte) -> std::optional<Comparison> {
    if (byte == '-') {
      if (memory.begun || memory.negative) return std::nullopt;
      memory.negative = true;
      return memory;
    }
    if (byte != '.') return ReadDigit(memory, byte, value);
    if (memory.in_fraction || !memory.begun) return std::nullopt;
    const int order = SizeOrder(memory, {value.negative, value.whole, ""});
    return Comparison{memory.negative, true, true, 0, order};
  };
  const auto accepts = [&](const Comparison& memory) {
    if (!memory.begun) return false;
    const int size = SizeOrder(memory, value);
    // Zero is below no zero, whatever its sign.
    const bool zero = value.whole.empty() && value.fraction.empty() && size == 0;
    int order = memory.negative ? -size : size;
    if (memory.negative != value.negative && !zero) order = memory.negative ? -1 : 1;
    if (order == 0) return !bound.open;
    return side == Side::kAtLeast ? order > 0 : order < 0;
  };
  return Explore(Comparison(), limits, read, accepts);
}

struct Remainder {
  bool begun = false;
  int behind_point = -1;  // digits; -1: no point yet
  std::int64_t rest = 0;
  auto operator<=>(const Remainder&) const = default;
};

// Multiples of p / 10^k: all digits together, moved by k, are a multiple of p.
Result<Dfa> MultiplesOf(const Decimal& step, const AutomatonLimits& limits) {
  const std::string digits = step.whole + step.fraction;
  const int k = static_cast<int>(step.fraction.size());
  std::int64_t p = 0;
  for (const char digit : digits) {
    p = p * 10 + (digit - '0');
    if (p > kMostRemainders) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("multipleOf: {} has too many remainders, the limit is {}",
                               step.whole + (k > 0 ? "." + step.fraction : ""), kMostRemainders));
    }
  }
  const auto read = [&](Remainder memory, char byte) -> std::optional<Remainder> {
    if (byte == '-') return memory;
    if (byte == '.') {
      memory.behind_point = 0;
      return memory;
    }
    memory.begun = true;
    if (memory.behind_point == k) return byte == '0' ? std::optional(memory) : std::nullopt;
    if (memory.behind_point >= 0) ++memory.behind_point;
    memory.rest = (memory.rest * 10 + (byte - '0')) % p;
    return memory;
  };
  const auto accepts = [&](const Remainder& memory) {
    std::int64_t rest = memory.rest;
    for (int i = std::max(0, memory.behind_point); i < k; ++i) rest = rest * 10 % p;
    return memory.begun && rest == 0;
  };
  return Explore(Remainder(), limits, read, accepts);
}

// How numbers are written; made once each, because most schemas have some.
enum class Form { kInteger, kDecimal, kAny };
const Dfa& NumbersOf(Form form) {
  const auto make = [](std::string_view behind) {
    const std::string pattern =
        fmt::format("-?(?:0|[1-9][0-9]{{0,{}}}){}", kMostDigits - 1, behind);
    const Result<Pattern> parsed = ParsePattern(pattern);
    METIER_CHECK(parsed.ok(), "the forms of numbers are patterns");
    Result<Dfa> dfa = LanguageOf(*parsed, Match::kWhole, Spelling::kText);
    METIER_CHECK(dfa.ok(), "the forms of numbers have automata");
    return std::move(*dfa);
  };
  static const std::string fraction = fmt::format("(?:\\.[0-9]{{1,{}}})?", kMostDigits);
  static const Dfa integers = make("");
  static const Dfa decimals = make(fraction);
  static const Dfa any = make(fraction + "(?:[eE][+-]?[0-9]{1,2})?");
  if (form == Form::kInteger) return integers;
  return form == Form::kDecimal ? decimals : any;
}

// Integers that are written with a point.
const Dfa& WholeDecimals() {
  static const Dfa dfa = [] {
    const Result<Pattern> zeros = ParsePattern("-?[0-9]+(?:\\.0+)?");
    METIER_CHECK(zeros.ok(), "the form of integers is a pattern");
    Result<Dfa> made = LanguageOf(*zeros, Match::kWhole, Spelling::kText);
    METIER_CHECK(made.ok(), "and has an automaton");
    return std::move(*made);
  }();
  return dfa;
}

// Whose form is the other automaton's.
Result<Dfa> Equal(const Dfa& form, const Decimal& value, const AutomatonLimits& limits) {
  METIER_ASSIGN(const Dfa below, OnSide({value, false}, Side::kAtMost, limits));
  METIER_ASSIGN(const Dfa above, OnSide({value, false}, Side::kAtLeast, limits));
  METIER_ASSIGN(const Dfa both, Intersect(below, above, limits));
  return Intersect(form, both, limits);
}

}  // namespace

Decimal DecimalOf(const Json& number) {
  std::string text = number.dump();
  Decimal decimal;
  if (text.front() == '-') {
    decimal.negative = true;
    text.erase(0, 1);
  }
  std::int64_t exponent = 0;
  if (const std::size_t e = text.find_first_of("eE"); e != text.npos) {
    exponent = std::stoll(text.substr(e + 1));
    text.erase(e);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  decimal.whole = text.substr(0, point);
  if (point < text.size()) decimal.fraction = text.substr(point + 1);
  for (; exponent > 0; --exponent) {
    decimal.whole += decimal.fraction.empty() ? '0' : decimal.fraction.front();
    if (!decimal.fraction.empty()) decimal.fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    decimal.fraction.insert(0, 1, decimal.whole.empty() ? '0' : decimal.whole.back());
    if (!decimal.whole.empty()) decimal.whole.pop_back();
  }
  decimal.whole.erase(0, std::min(decimal.whole.find_first_not_of('0'), decimal.whole.size()));
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  if (decimal.whole.empty() && decimal.fraction.empty()) decimal.negative = false;
  return decimal;
}

namespace {

// -1, 0, 1.
int Compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int size = 0;
  if (a.whole.size() != b.whole.size()) {
    size = a.whole.size() < b.whole.size() ? -1 : 1;
  } else if (a.whole != b.whole) {
    size = a.whole < b.whole ? -1 : 1;
  } else if (a.fraction != b.fraction) {
    size = a.fraction < b.fraction ? -1 : 1;
  }
  return a.negative ? -size : size;
}

// Of two bounds the one that leaves less; `sign`: 1 where the greater does.
void Tighten(std::optional<NumberRules::Bound>& bound,
             const std::optional<NumberRules::Bound>& other, int sign) {
  if (!other) return;
  const int order = bound ? sign * Compare(other->value, bound->value) : 1;
  if (order > 0 || (order == 0 && other->open)) bound = other;
}

}  // namespace

void NumberRules::And(const NumberRules& other) {
  integer = integer || other.integer;
  fractional = fractional || other.fractional;
  Tighten(least, other.least, 1);
  Tighten(most, other.most, -1);
  multiples_of.insert(multiples_of.end(), other.multiples_of.begin(), other.multiples_of.end());
  refused.insert(refused.end(), other.refused.begin(), other.refused.end());
  if (!other.allowed) return;
  if (!allowed) {
    allowed = other.allowed;
    return;
  }
  std::erase_if(*allowed, [&](const Decimal& value) {
    return std::ranges::find(*other.allowed, value) == other.allowed->end();
  });
}

Result<Dfa> LanguageOf(const NumberRules& rules, const AutomatonLimits& limits) {
  const bool free = !rules.fractional && !rules.least && !rules.most &&
                    rules.multiples_of.empty() && !rules.allowed && rules.refused.empty();
  Dfa numbers = NumbersOf(rules.integer ? Form::kInteger : free ? Form::kAny : Form::kDecimal);
  if (rules.fractional) {
    METIER_ASSIGN(numbers, Subtract(numbers, WholeDecimals(), limits));
  }
  if (rules.least) {
    METIER_ASSIGN(const Dfa side, OnSide(*rules.least, Side::kAtLeast, limits));
    METIER_ASSIGN(numbers, Intersect(numbers, side, limits));
  }
  if (rules.most) {
    METIER_ASSIGN(const Dfa side, OnSide(*rules.most, Side::kAtMost, limits));
    METIER_ASSIGN(numbers, Intersect(numbers, side, limits));
  }
  for (const Decimal& step : rules.multiples_of) {
    METIER_ASSIGN(const Dfa multiples, MultiplesOf(step, limits));
    METIER_ASSIGN(numbers, Intersect(numbers, multiples, limits));
  }
  for (const Decimal& value : rules.refused) {
    METIER_ASSIGN(const Dfa equal, Equal(numbers, value, limits));
    METIER_ASSIGN(numbers, Subtract(numbers, equal, limits));
  }
  if (!rules.allowed) return numbers;
  Nfa any(Spelling::kText);
  const std::int32_t start = any.AddState();
  const std::int32_t end = any.AddState();
  any.Accept(end, 0);
  for (const Decimal& value : *rules.allowed) {
    METIER_ASSIGN(const Dfa equal, Equal(numbers, value, limits));
    any.AddDfa(equal, start, end);
  }
  return any.Determinise(start, limits);
}

}  // namespace metier::grammar
