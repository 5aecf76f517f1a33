// metier eval: one suite on one model; metier eval diff: two results side by side.
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "cli/loaded_model.h"
#include "cli/verbs/verbs.h"
#include "evaluate/backend_model.h"
#include "evaluate/perplexity.h"
#include "evaluate/results.h"
#include "specialist/runnable.h"

namespace metier::cli {
namespace {

struct EvalOptions {
  std::string model;
  std::string suite;
  std::string adapter;
  std::int64_t threads = 0;
  evaluate::PerplexityOptions perplexity;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file").Required();
    field("suite", suite, "what to measure").Required().OneOf({"perplexity"});
    field("adapter", adapter, "PEFT adapter directory to put on top");
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
    perplexity.Visit(field);
  }
};

Result<Outcome> Eval(const EvalOptions& options, Console& console) {
  METIER_ASSIGN(const specialist::Runnable runnable,
                specialist::OpenRunnable({.path = options.model, .adapter = options.adapter}));
  METIER_ASSIGN(const LoadedModel loaded,
                LoadModel(runnable.files, runnable.adapter, static_cast<int>(options.threads)));
  METIER_ASSIGN(const auto model,
                evaluate::BackendModel::Create(*loaded.backend, loaded.adapter_id));
  METIER_ASSIGN(const evaluate::PerplexityResult result,
                evaluate::MeasurePerplexity(*model, runnable.tokenizer, options.perplexity));
  Json document = {{"model", options.model}, {"suite", options.suite}};
  const Json figures = result.ToJson();
  for (const auto& [key, value] : figures.items()) document[key] = value;
  console.PrintFacts(document);
  return Outcome::kSuccess;
}

struct EvalDiffOptions {
  std::string first;
  std::string second;
  std::vector<std::string> metric;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("A", first, "results: what `metier eval --json` printed, or a run's results.json")
        .Required();
    field("B", second, "the other results").Required();
    field("metric", metric, "only this metric, SUITE.METRIC");
  }
};

// Puts the models of one file into the common document, named after the file.
Status AddModels(const std::string& path, Json& models) {
  METIER_ASSIGN(const Json document, ReadJsonFile(path));
  const bool one =
      document.is_object() && document.contains("suite") && document["suite"].is_string();
  const bool several =
      document.is_object() && document.contains("models") && document["models"].is_object();
  if (one) {
    models[path] = {{document["suite"].get<std::string>(), document}};
  } else if (several) {
    for (const auto& [name, suites] : document["models"].items())
      models[path + ":" + name] = suites;
  } else {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}': expected results with \"suite\" or \"models\"", path));
  }
  return Ok();
}

Result<Outcome> EvalDiff(const EvalDiffOptions& options, Console& console) {
  Json results = {{"models", Json::object()}};
  METIER_TRY(AddModels(options.first, results["models"]));
  METIER_TRY(AddModels(options.second, results["models"]));
  const evaluate::Comparison table = evaluate::Compare(results, options.metric);
  if (!console.json()) {
    console.Print(evaluate::FormatTable(table));
    return Outcome::kSuccess;
  }
  Json rows = Json::array();
  for (const evaluate::ComparisonRow& row : table.rows) {
    Json values = Json::object();
    for (std::size_t i = 0; i < table.models.size(); ++i) {
      values[table.models[i]] = row.values[i] ? Json(*row.values[i]) : Json(nullptr);
    }
    rows.push_back({{"metric", row.metric}, {"values", std::move(values)}});
  }
  console.PrintJson({{"rows", std::move(rows)}});
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kEvalVerb = MakeVerb<EvalOptions, Eval>(
    "eval", "measure a model",
    "metier eval model.gguf --suite perplexity --file text.txt --json\n"
    "metier eval model.gguf --suite perplexity --file text.txt --window 512 --scoring halves --bos "
    "replace");
constinit const Verb kEvalDiffVerb = MakeVerb<EvalDiffOptions, EvalDiff>(
    "eval diff", "two results side by side", "metier eval diff before.json after.json");

}  // namespace metier::cli
