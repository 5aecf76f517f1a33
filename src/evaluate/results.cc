#include "evaluate/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/nearest.h"

namespace metier::evaluate {
namespace {

std::vector<std::string> KeysOf(const Json& object) {
  std::vector<std::string> keys;
  if (!object.is_object()) return keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

// The member of an object; an error that names the nearest other one.
Result<Json> Member(const Json& object, const std::string& key, std::string_view what) {
  if (object.is_object() && object.contains(key)) return object[key];
  const std::string nearest = NearestName(key, KeysOf(object));
  return Error(ErrorCode::kNotFound,
               fmt::format("the results have no {} '{}'{}", what, key,
                           nearest.empty() ? "" : ": did you mean '" + nearest + "'?"));
}

void AddOnce(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

std::vector<std::string> AllMetrics(const Json& models) {
  std::vector<std::string> metrics;
  for (const Json& suites : models) {
    for (const auto& [suite, values] : suites.items()) {
      for (const auto& [metric, value] : values.items()) {
        if (value.is_number()) AddOnce(metrics, suite + "." + metric);
      }
    }
  }
  return metrics;
}

}  // namespace

Result<double> FindMetric(const Json& results, const std::string& model,
                          const std::string& metric) {
  const std::size_t dot = metric.find('.');
  METIER_ASSIGN(const Json models, Member(results, "models", "section"));
  METIER_ASSIGN(const Json suites, Member(models, model, "model"));
  METIER_ASSIGN(const Json suite, Member(suites, metric.substr(0, dot), "suite"));
  METIER_ASSIGN(const Json value,
                Member(suite, dot == std::string::npos ? "" : metric.substr(dot + 1), "metric"));
  if (!value.is_number())
    return Error(ErrorCode::kNotFound, fmt::format("'{}' is not a number", metric));
  return value.get<double>();
}

Result<Json> ApplyGate(const Json& results, const std::vector<GateRule>& rules) {
  Json rows = Json::array();
  bool all = true;
  for (const GateRule& rule : rules) {
    METIER_ASSIGN(const double found, FindMetric(results, rule.model, rule.metric));
    // Written so that NaN fails.
    const bool low = rule.at_least && !(found >= *rule.at_least);
    const bool high = rule.at_most && !(found <= *rule.at_most);
    Json row = {{"model", rule.model}, {"metric", rule.metric}, {"found", found}};
    if (rule.at_least) row["at_least"] = *rule.at_least;
    if (rule.at_most) row["at_most"] = *rule.at_most;
    row["passed"] = !low && !high;
    all = all && !low && !high;
    rows.push_back(std::move(row));
  }
  return Json{{"passed", all}, {"rules", std::move(rows)}};
}

Comparison Compare(const Json& results, const std::vector<std::string>& metrics) {
  Comparison comparison;
  const Json models =
      results.is_object() && results.contains("models") ? results["models"] : Json::object();
  comparison.models = KeysOf(models);
  for (const std::string& metric : metrics.empty() ? AllMetrics(models) : metrics) {
    ComparisonRow row{metric, {}};
    for (const std::string& model : comparison.models) {
      const auto value = FindMetric(results, model, metric);
      row.values.push_back(value.ok() ? std::optional(*value) : std::nullopt);
    }
    comparison.rows.push_back(std::move(row));
  }
  return comparison;
}

std::string FormatFigure(double value) {
  if (!std::isfinite(value)) return "-";
  const double magnitude = std::fabs(value);
  constexpr double kExactIntegers = 1e15;
  if (value == std::trunc(value) && magnitude < kExactIntegers) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, magnitude < 10 ? 4 : magnitude < 1000 ? 2 : 0);
}

std::string FormatTable(const Comparison& comparison) {
  std::size_t first = 6;
  for (const ComparisonRow& row : comparison.rows) first = std::max(first, row.metric.size());
  std::vector<std::size_t> widths;
  constexpr std::size_t kFigure = 10;
  for (const std::string& model : comparison.models)
    widths.push_back(std::max(kFigure, model.size()));

  std::string text = fmt::format("{:<{}}", "metric", first);
  for (std::size_t i = 0; i < widths.size(); ++i)
    text += fmt::format("  {:>{}}", comparison.models[i], widths[i]);
  text += '\n';
  for (const ComparisonRow& row : comparison.rows) {
    text += fmt::format("{:<{}}", row.metric, first);
    for (std::size_t i = 0; i < widths.size(); ++i) {
      text +=
          fmt::format("  {:>{}}", row.values[i] ? FormatFigure(*row.values[i]) : "-", widths[i]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace metier::evaluate
