#include "text/template/tests.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "text/template/filters.h"
#include "text/template/operators.h"
#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

// A test of the value's kind alone.
template <bool (*kIs)(const Value&)>
Result<bool> Kind(Machine&, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return kIs(input);
}

bool IsDefined(const Value& v) { return v.undefined() == nullptr; }
bool IsUndefined(const Value& v) { return v.undefined() != nullptr; }
bool IsNone(const Value& v) { return v.is_none(); }
bool IsBoolean(const Value& v) { return v.boolean() != nullptr; }
bool IsTrue(const Value& v) { return v.boolean() != nullptr && *v.boolean(); }
bool IsFalse(const Value& v) { return v.boolean() != nullptr && !*v.boolean(); }
bool IsInteger(const Value& v) { return v.integer() != nullptr; }
bool IsFloat(const Value& v) { return v.real() != nullptr; }
bool IsNumber(const Value& v) { return v.is_number(); }
bool IsString(const Value& v) { return v.text() != nullptr; }
bool IsMapping(const Value& v) { return v.dict() != nullptr; }
bool IsCallable(const Value& v) { return v.callable() != nullptr; }
// Undefined counts for both, as it has a length of 0 and can be looped over.
bool IsIterable(const Value& v) {
  return v.undefined() != nullptr || v.text() != nullptr || v.dict() != nullptr ||
         v.sequence() != nullptr || v.loop() != nullptr;
}
bool IsSequence(const Value& v) {
  return v.undefined() != nullptr || v.text() != nullptr || v.dict() != nullptr ||
         v.is_list_or_tuple();
}
bool IsEscaped(const Value& v) { return v.text() != nullptr && v.text()->markup; }

template <CharacterClass kClass>
Result<bool> CaseTest(Machine&, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(const MarkedText text, ToText(input));
  return AllOf(text.bytes, kClass);
}

Result<bool> EqualTo(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"other"}, 1));
  return Equal(input, *bound[0]);
}
Result<bool> Unequal(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"other"}, 1));
  return !Equal(input, *bound[0]);
}

template <bool (*kHolds)(int)>
Result<bool> Ordered(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"other"}, 1));
  METIER_ASSIGN(const int order, Order(input, *bound[0]));
  return kHolds(order);
}
bool Less(int order) { return order < 0; }
bool LessOrEqual(int order) { return order <= 0; }
bool Greater(int order) { return order > 0; }
bool GreaterOrEqual(int order) { return order >= 0; }

Result<bool> In(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"seq"}, 1));
  METIER_TRY(machine.Step());
  return Contains(*bound[0], input);
}

Result<bool> SameAs(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"other"}, 1));
  const Value& other = *bound[0];
  if (input.is_none() || other.is_none()) return input.is_none() && other.is_none();
  if (input.boolean() != nullptr || other.boolean() != nullptr)
    return input.boolean() != nullptr && other.boolean() != nullptr &&
           *input.boolean() == *other.boolean();
  if (input.dict() != nullptr) return input.dict() == other.dict();
  if (input.sequence() != nullptr) return input.sequence() == other.sequence();
  return Error(
      ErrorCode::kUnsupported,
      fmt::format("`is sameas` of a {} depends on Python's memory; use ==", TypeName(input)));
}

Result<bool> DivisibleBy(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"num"}, 1));
  METIER_ASSIGN(const Value rest, Binary(machine, "%", input, *bound[0]));
  return Equal(rest, Value(std::int64_t{0}));
}

template <int kRemainder>
Result<bool> Parity(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(const Value rest, Binary(machine, "%", input, Value(std::int64_t{2})));
  return Equal(rest, Value(std::int64_t{kRemainder}));
}

Result<bool> IsFilter(Machine&, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return input.text() != nullptr && FindFilter(input.text()->bytes) != nullptr;
}
Result<bool> IsTest(Machine&, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return input.text() != nullptr && FindTest(input.text()->bytes) != nullptr;
}

constexpr std::array<Test, 39> kTests = {{
    {"!=", Unequal},
    {"<", Ordered<Less>},
    {"<=", Ordered<LessOrEqual>},
    {"==", EqualTo},
    {">", Ordered<Greater>},
    {">=", Ordered<GreaterOrEqual>},
    {"boolean", Kind<IsBoolean>},
    {"callable", Kind<IsCallable>},
    {"defined", Kind<IsDefined>},
    {"divisibleby", DivisibleBy},
    {"eq", EqualTo},
    {"equalto", EqualTo},
    {"escaped", Kind<IsEscaped>},
    {"even", Parity<0>},
    {"false", Kind<IsFalse>},
    {"filter", IsFilter},
    {"float", Kind<IsFloat>},
    {"ge", Ordered<GreaterOrEqual>},
    {"greaterthan", Ordered<Greater>},
    {"gt", Ordered<Greater>},
    {"in", In},
    {"integer", Kind<IsInteger>},
    {"iterable", Kind<IsIterable>},
    {"le", Ordered<LessOrEqual>},
    {"lessthan", Ordered<Less>},
    {"lower", CaseTest<CharacterClass::kLower>},
    {"lt", Ordered<Less>},
    {"mapping", Kind<IsMapping>},
    {"ne", Unequal},
    {"none", Kind<IsNone>},
    {"number", Kind<IsNumber>},
    {"odd", Parity<1>},
    {"sameas", SameAs},
    {"sequence", Kind<IsSequence>},
    {"string", Kind<IsString>},
    {"test", IsTest},
    {"true", Kind<IsTrue>},
    {"undefined", Kind<IsUndefined>},
    {"upper", CaseTest<CharacterClass::kUpper>},
}};

}  // namespace

const Test* FindTest(std::string_view name) {
  for (const Test& test : kTests)
    if (test.name == name) return &test;
  return nullptr;
}

std::span<const std::string> TestNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Test& test : kTests) all.emplace_back(test.name);
    return all;
  }();
  return names;
}

}  // namespace metier::text::jinja
