// Filters that look at each item: map, select, reject, selectattr, rejectattr, attr.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/template/filters.h"
#include "text/template/operators.h"
#include "text/template/tests.h"

namespace metier::text::jinja {
namespace {

Result<Value> PathWithDefault(Machine& machine, const Value& value, const Value& path,
                              const Value* fallback) {
  if (path.integer() != nullptr) {
    METIER_ASSIGN(const Value found, GetItem(machine, value, path));
    return found.undefined() != nullptr && fallback != nullptr ? *fallback : found;
  }
  METIER_ASSIGN(const MarkedText* text, TextOf(path, "the name of an attribute"));
  Value current = value;
  std::string_view rest = text->bytes;
  while (true) {
    METIER_TRY(machine.Step());
    const std::size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool number =
        !part.empty() && part.size() < 10 &&
        std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    const Value key =
        number ? Value(std::int64_t{std::stoll(std::string(part))}) : Value::Plain(part);
    METIER_ASSIGN(current, GetItem(machine, current, key));
    if (current.undefined() != nullptr && fallback != nullptr) current = *fallback;
    if (dot == std::string_view::npos) return current;
    rest.remove_prefix(dot + 1);
  }
}

Result<Value> Map(Machine& machine, const Value& input, const Arguments& arguments) {
  // None and other false values pass, as in Jinja.
  if (!Truth(input)) return MakeSequence(Sequence::Kind::kGenerator, {});
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    METIER_ASSIGN(const auto bound, Bind(arguments, {"attribute", "default"}, 1));
    const Value* fallback = bound[1] != nullptr && bound[1]->is_none() ? nullptr : bound[1];
    for (const Value& item : items) {
      METIER_ASSIGN(Value found, PathWithDefault(machine, item, *bound[0], fallback));
      mapped.push_back(std::move(found));
    }
    return MakeSequence(Sequence::Kind::kGenerator, std::move(mapped));
  }
  METIER_ASSIGN(const MarkedText* name, TextOf(arguments.positional[0], "the name of a filter"));
  const Filter* filter = FindFilter(name->bytes);
  if (filter == nullptr)
    return Error(ErrorCode::kUnsupported, fmt::format("filter '{}' is not supported", name->bytes));
  const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()},
                       arguments.named};
  for (const Value& item : items) {
    METIER_TRY(machine.Step());
    METIER_ASSIGN(Value result, filter->apply(machine, item, rest));
    mapped.push_back(std::move(result));
  }
  return MakeSequence(Sequence::Kind::kGenerator, std::move(mapped));
}

enum class Keep { kPassing, kFailing };
enum class Look { kItem, kAttribute };

template <Keep kKeep, Look kLook>
Result<Value> Select(Machine& machine, const Value& input, const Arguments& arguments) {
  if (!Truth(input)) return MakeSequence(Sequence::Kind::kGenerator, {});
  const std::vector<Value>& given = arguments.positional;
  const std::size_t skip = kLook == Look::kAttribute ? 1 : 0;
  if (given.size() < skip) return Wrong("the name of the attribute is missing");
  const Test* test = nullptr;
  if (given.size() > skip) {
    METIER_ASSIGN(const MarkedText* name, TextOf(given[skip], "the name of a test"));
    test = FindTest(name->bytes);
    if (test == nullptr)
      return Error(ErrorCode::kUnsupported, fmt::format("test '{}' is not supported", name->bytes));
  }
  const Arguments rest{
      {given.begin() + static_cast<std::ptrdiff_t>(std::min(given.size(), skip + 1)), given.end()},
      arguments.named};
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  std::vector<Value> kept;
  for (const Value& item : items) {
    METIER_TRY(machine.Step());
    Value looked_at = item;
    if (kLook == Look::kAttribute) {
      METIER_ASSIGN(looked_at, AttributePath(machine, item, given[0]));
    }
    bool passes = Truth(looked_at);
    if (test != nullptr) {
      METIER_ASSIGN(passes, test->apply(machine, looked_at, rest));
    }
    if (passes == (kKeep == Keep::kPassing)) kept.push_back(item);
  }
  return MakeSequence(Sequence::Kind::kGenerator, std::move(kept));
}

Result<Value> Attr(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"name"}, 1));
  METIER_ASSIGN(const MarkedText* name, TextOf(*bound[0], "the name of an attribute"));
  // Attributes only: an item of a dict is not found.
  if (input.dict() != nullptr && FindKey(*input.dict(), name->bytes) != nullptr)
    return Value::Missing(fmt::format("'dict object' has no attribute '{}'", name->bytes));
  return GetAttribute(machine, input, name->bytes);
}

constexpr std::array<Filter, 6> kSelectionFilters = {
    {{"attr", Attr},
     {"map", Map},
     {"reject", Select<Keep::kFailing, Look::kItem>},
     {"rejectattr", Select<Keep::kFailing, Look::kAttribute>},
     {"select", Select<Keep::kPassing, Look::kItem>},
     {"selectattr", Select<Keep::kPassing, Look::kAttribute>}}};

}  // namespace

std::span<const Filter> SelectionFilters() { return kSelectionFilters; }

Result<Value> AttributePath(Machine& machine, const Value& value, const Value& path) {
  return PathWithDefault(machine, value, path, nullptr);
}

}  // namespace metier::text::jinja
