// Filters of sequences and dicts: length, first, sort, items, ...
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/template/filters.h"
#include "text/template/methods.h"
#include "text/template/operators.h"
#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

Result<Value> Default(Machine&, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"default_value", "boolean"}));
  const bool also_false = bound[1] != nullptr && Truth(*bound[1]);
  if (input.undefined() == nullptr && !(also_false && !Truth(input))) return input;
  return bound[0] == nullptr ? Value::Plain("") : *bound[0];
}

Result<Value> LengthOf(Machine&, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(const std::int64_t length, Length(input));
  return Value(length);
}

Result<Value> First(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  return items.empty() ? Value::Missing("there is no first item, the sequence is empty")
                       : items.front();
}

bool IsGenerator(const Value& value) {
  return value.sequence() != nullptr && value.sequence()->kind == Sequence::Kind::kGenerator;
}

Result<Value> Last(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  if (IsGenerator(input)) return Wrong("a generator has no last item; add the filter 'list'");
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  return items.empty() ? Value::Missing("there is no last item, the sequence is empty")
                       : items.back();
}

Result<Value> List(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(std::vector<Value> items, Items(machine, input));
  return MakeSequence(Sequence::Kind::kList, std::move(items));
}

Result<Value> Reverse(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(std::vector<Value> items, Items(machine, input));
  std::reverse(items.begin(), items.end());
  if (input.text() == nullptr) return MakeSequence(Sequence::Kind::kGenerator, std::move(items));
  MarkedText out;
  out.markup = input.text()->markup;
  for (const Value& item : items) out.Append(*item.text());
  return machine.Made(std::move(out));
}

Result<Value> ItemsOf(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  if (input.undefined() != nullptr) return MakeSequence(Sequence::Kind::kGenerator, {});
  if (input.dict() == nullptr)
    return Wrong(fmt::format("the filter needs a dict, found a {}", TypeName(input)));
  METIER_ASSIGN(const Value method, CallMethod(machine, *MethodOf(input, "items").callable(), {}));
  return MakeSequence(Sequence::Kind::kGenerator, method.sequence()->items);
}

// Text without regard to case, unless asked for.
Value Folded(const Value& value, const Value* case_sensitive) {
  if (value.text() == nullptr || (case_sensitive != nullptr && Truth(*case_sensitive)))
    return value;
  return value.text()->Rewritten(Lower(value.text()->bytes));
}

struct Keyed {
  Value key;
  Value item;
};

Result<std::vector<Keyed>> KeyedItems(Machine& machine, const Value& input,
                                      const Value* case_sensitive, const Value* attribute) {
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    Value key = item;
    if (attribute != nullptr && !attribute->is_none()) {
      METIER_ASSIGN(key, AttributePath(machine, item, *attribute));
    }
    if (key.text() != nullptr) METIER_TRY(machine.Charge(key.text()->bytes.size()));
    keyed.push_back({Folded(key, case_sensitive), item});
  }
  return keyed;
}

enum class Direction { kRising, kFalling };

// Stable, also when falling. Merge sort by hand: the comparison can fail, and std::sort must not be
// given one that does.
Status SortKeyed(Machine& machine, std::vector<Keyed>& items, Direction direction) {
  if (items.size() < 2) return Ok();
  const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
  std::vector<Keyed> left(items.begin(), middle);
  std::vector<Keyed> right(middle, items.end());
  METIER_TRY(SortKeyed(machine, left, direction));
  METIER_TRY(SortKeyed(machine, right, direction));
  METIER_TRY(machine.Step(items.size()));
  std::size_t l = 0;
  std::size_t r = 0;
  for (Keyed& place : items) {
    bool from_right = l == left.size();
    if (!from_right && r < right.size()) {
      int order = 0;
      if (!Equal(right[r].key, left[l].key)) {
        METIER_ASSIGN(order, Order(right[r].key, left[l].key));
      }
      from_right = direction == Direction::kRising ? order < 0 : order > 0;
    }
    place = from_right ? right[r++] : left[l++];
  }
  return Ok();
}

Direction DirectionOf(const Value* reverse) {
  return reverse != nullptr && Truth(*reverse) ? Direction::kFalling : Direction::kRising;
}

Result<Value> Sort(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"reverse", "case_sensitive", "attribute"}));
  METIER_ASSIGN(auto keyed, KeyedItems(machine, input, bound[1], bound[2]));
  METIER_TRY(SortKeyed(machine, keyed, DirectionOf(bound[0])));
  std::vector<Value> items;
  for (Keyed& one : keyed) items.push_back(std::move(one.item));
  return MakeSequence(Sequence::Kind::kList, std::move(items));
}

Result<Value> DictSort(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"case_sensitive", "by", "reverse"}));
  if (input.undefined() != nullptr) return MissingError(input);
  if (input.dict() == nullptr)
    return Wrong(fmt::format("the filter needs a dict, found a {}", TypeName(input)));
  std::int64_t place = 0;
  if (bound[1] != nullptr) {
    METIER_ASSIGN(const MarkedText* by, TextOf(*bound[1], "the argument 'by'"));
    if (by->bytes != "key" && by->bytes != "value")
      return Wrong("the argument 'by' must be 'key' or 'value'");
    place = by->bytes == "key" ? 0 : 1;
  }
  METIER_ASSIGN(const Value items, CallMethod(machine, *MethodOf(input, "items").callable(), {}));
  const Value attribute(place);
  METIER_ASSIGN(auto keyed, KeyedItems(machine, items, bound[0], &attribute));
  METIER_TRY(SortKeyed(machine, keyed, DirectionOf(bound[2])));
  std::vector<Value> sorted;
  for (Keyed& one : keyed) sorted.push_back(std::move(one.item));
  return MakeSequence(Sequence::Kind::kList, std::move(sorted));
}

Result<Value> Unique(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"case_sensitive", "attribute"}));
  METIER_ASSIGN(const auto keyed, KeyedItems(machine, input, bound[0], bound[1]));
  std::vector<Value> kept;
  std::vector<const Value*> seen;
  for (const Keyed& one : keyed) {
    METIER_TRY(machine.Step(seen.size()));
    if (std::any_of(seen.begin(), seen.end(),
                    [&one](const Value* key) { return Equal(*key, one.key); }))
      continue;
    seen.push_back(&one.key);
    kept.push_back(one.item);
  }
  return MakeSequence(Sequence::Kind::kGenerator, std::move(kept));
}

template <int kSign>
Result<Value> Extreme(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"case_sensitive", "attribute"}));
  METIER_ASSIGN(const auto keyed, KeyedItems(machine, input, bound[0], bound[1]));
  if (keyed.empty())
    return Value::Missing("there is no smallest or largest item, the sequence is empty");
  const Keyed* best = &keyed.front();
  for (std::size_t i = 1; i < keyed.size(); ++i) {
    METIER_ASSIGN(const int order, Order(keyed[i].key, best->key));
    if (order * kSign > 0) best = &keyed[i];
  }
  return best->item;
}

Result<Value> Sum(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"attribute", "start"}));
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  Value total = bound[1] == nullptr ? Value(std::int64_t{0}) : *bound[1];
  if (total.text() != nullptr) return Wrong("texts are not summed; use the filter 'join'");
  for (Value item : items) {
    if (bound[0] != nullptr && !bound[0]->is_none()) {
      METIER_ASSIGN(item, AttributePath(machine, item, *bound[0]));
    }
    METIER_ASSIGN(total, Binary(machine, "+", total, item));
  }
  return total;
}

constexpr std::array<Filter, 15> kSequenceFilters = {{{"count", LengthOf},
                                                      {"d", Default},
                                                      {"default", Default},
                                                      {"dictsort", DictSort},
                                                      {"first", First},
                                                      {"items", ItemsOf},
                                                      {"last", Last},
                                                      {"length", LengthOf},
                                                      {"list", List},
                                                      {"max", Extreme<1>},
                                                      {"min", Extreme<-1>},
                                                      {"reverse", Reverse},
                                                      {"sort", Sort},
                                                      {"sum", Sum},
                                                      {"unique", Unique}}};

}  // namespace

std::span<const Filter> SequenceFilters() { return kSequenceFilters; }

}  // namespace metier::text::jinja
