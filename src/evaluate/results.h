// evaluate/results.h - results of several models side by side, and the gate that says whether they
// are good enough.
//
// A results document: {"models": {NAME: {SUITE: {METRIC: number, ...}}}, "gate": {"passed": bool,
// "rules": [...]}}. A metric is named SUITE.METRIC, e.g. "tool_calls.exact_match".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/fields.h"

namespace metier::evaluate {

struct GateRule {
  std::string model;
  std::string metric;
  std::optional<double> at_least = {};
  std::optional<double> at_most = {};

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "name of a model in this evaluation").Required();
    field("metric", metric, "SUITE.METRIC, e.g. tool_calls.exact_match").Required();
    field("at_least", at_least, "passes from this value on");
    field("at_most", at_most, "passes up to this value");
  }
};

// The number a metric's name stands for. kNotFound: no such model, suite or metric, with the known
// ones.
Result<double> FindMetric(const Json& results, const std::string& model, const std::string& metric);

// {"passed": bool, "rules": [{"model","metric","found","at_least","at_most","passed"}]}
Result<Json> ApplyGate(const Json& results, const std::vector<GateRule>& rules);

// One row a metric, one column a model, in the order of the document.
struct ComparisonRow {
  std::string metric;
  std::vector<std::optional<double>> values;
};
struct Comparison {
  std::vector<std::string> models;
  std::vector<ComparisonRow> rows;
};
// `metrics`: which rows; empty: every number of every suite.
Comparison Compare(const Json& results, const std::vector<std::string>& metrics);

// As aligned text for a terminal.
std::string FormatTable(const Comparison& comparison);

// "0.8730", "12.4", "38": at most four significant decimals.
std::string FormatFigure(double value);

}  // namespace metier::evaluate
