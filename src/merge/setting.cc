#include "merge/setting.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "merge/open_numbers.h"

namespace metier::merge {
namespace {

constexpr const char* kForms = "a number, a list of numbers, or a list of {filter, value}";

// One entry of a list of filters.
struct FilteredValue {
  std::string filter;
  Json value;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("filter", filter, "part of the tensor's name; absent or *: every tensor");
    field("value", value, "a number, or numbers along the layers").Required();
  }
};

Result<double> ReadNumber(const Json& value, const std::string& path,
                          const recipe::Constraint& constraint) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (!value.is_number()) return recipe::internal::WrongType(path, kForms, value);
  const auto number = value.get<double>();
  METIER_TRY(recipe::internal::CheckNumber(path, number, constraint));
  if (!std::isfinite(number)) return recipe::internal::WrongType(path, "a finite number", value);
  return number;
}

// A number or a gradient.
Result<std::vector<double>> ReadNumbers(const Json& value, const std::string& path,
                                        const recipe::Constraint& constraint) {
  if (IsOpenNumber(value)) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: a number that is left open; `metier merge evolve` finds it", path));
  }
  std::vector<double> numbers;
  if (!value.is_array()) {
    METIER_ASSIGN(const double number, ReadNumber(value, path, constraint));
    numbers.push_back(number);
    return numbers;
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    METIER_ASSIGN(const double number,
                  ReadNumber(value[i], fmt::format("{}[{}]", path, i), constraint));
    numbers.push_back(number);
  }
  if (numbers.empty()) return recipe::internal::WrongType(path, kForms, value);
  return numbers;
}

}  // namespace

Result<Setting> Setting::Parse(const Json& value, const std::string& path,
                               const recipe::Constraint& constraint) {
  Setting setting;
  if (value.is_null()) return setting;
  const bool filters =
      value.is_array() && !value.empty() && value[0].is_object() && !IsOpenNumber(value[0]);
  if (!filters) {
    METIER_ASSIGN(std::vector<double> numbers, ReadNumbers(value, path, constraint));
    setting.rules_.push_back({"", std::move(numbers)});
    return setting;
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", path, i);
    FilteredValue entry;
    METIER_TRY(recipe::ReadFields(value[i], place, entry));
    if (entry.filter == "*") entry.filter.clear();
    METIER_ASSIGN(std::vector<double> numbers,
                  ReadNumbers(entry.value, place + ".value", constraint));
    setting.rules_.push_back({std::move(entry.filter), std::move(numbers)});
  }
  return setting;
}

std::optional<double> Setting::At(std::string_view tensor, double position) const {
  for (const Rule& rule : rules_) {
    if (tensor.find(rule.filter) == std::string_view::npos) continue;
    const auto last = static_cast<double>(rule.values.size() - 1);
    const double place = std::clamp(position, 0.0, 1.0) * last;
    const auto before = static_cast<std::size_t>(place);
    const std::size_t after = std::min(before + 1, rule.values.size() - 1);
    const double part = place - static_cast<double>(before);
    return (1 - part) * rule.values[before] + part * rule.values[after];
  }
  return std::nullopt;
}

std::vector<std::string> Setting::Filters() const {
  std::vector<std::string> filters;
  for (const Rule& rule : rules_) {
    if (!rule.filter.empty()) filters.push_back(rule.filter);
  }
  return filters;
}

}  // namespace metier::merge
