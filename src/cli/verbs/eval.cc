// metier eval: one suite on one model; metier eval diff: two results side by side.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/engine_flags.h"
#include "cli/verbs/verbs.h"
#include "evaluate/backend_model.h"
#include "evaluate/choices.h"
#include "evaluate/held_out_loss.h"
#include "evaluate/perplexity.h"
#include "evaluate/results.h"
#include "evaluate/tool_calls.h"
#include "specialist/chat_reply.h"
#include "specialist/runnable.h"

namespace metier::cli {
namespace {

constexpr const char* kPerplexity = "perplexity";
constexpr const char* kLoss = "loss";
constexpr const char* kChoices = "choices";
constexpr const char* kToolCalls = "tool_calls";

// Lists a suite's flags with the suite's name before their help. `file` is common to all suites and
// listed once, by the verb.
template <class Visitor>
class OfSuite {
 public:
  OfSuite(const char* suite, Visitor& field) : suite_(suite), field_(field) {}

  template <class T>
  recipe::Constraint& operator()(const char* name, T& value, const char* help) {
    ignored_ = {};
    if (std::string_view(name) == "file") return ignored_;
    return field_(name, value, fmt::format("{}: {}", suite_, help).c_str());
  }

 private:
  const char* suite_;
  Visitor& field_;
  recipe::Constraint ignored_;
};

struct EvalOptions {
  std::string model;
  std::string suite;
  std::string file;
  std::string adapter;
  EngineFlags engine;
  evaluate::PerplexityOptions perplexity;  // without their files
  evaluate::HeldOutLossOptions loss;
  evaluate::ChoiceOptions choices;
  evaluate::ToolCallOptions tool_calls;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "specialist, model directory or .gguf file").Required();
    field("suite", suite, "what to measure")
        .Required()
        .OneOf({kPerplexity, kLoss, kChoices, kToolCalls});
    field("file", file,
          "perplexity: text, or JSONL with a \"text\" field when its name ends in .jsonl; "
          "loss: token file of `metier data build`; "
          "choices: JSONL with \"prompt\" or \"messages\", \"choices\" and \"answer\"; "
          "tool_calls: dialogues, JSONL with \"messages\" and \"tools\"")
        .Required();
    field("adapter", adapter, "PEFT adapter or mixture directory to put on top");
    engine.Visit(field);
    OfSuite of_perplexity(kPerplexity, field);
    perplexity.Visit(of_perplexity);
    OfSuite of_loss(kLoss, field);
    loss.Visit(of_loss);
    OfSuite of_choices(kChoices, field);
    choices.Visit(of_choices);
    OfSuite of_tool_calls(kToolCalls, field);
    tool_calls.Visit(of_tool_calls);
  }
};

// kInvalidArgument: a flag of this suite, where another is measured.
template <class Options>
Status RefuseFlags(const Options& options, const char* of_suite, const std::string& suite) {
  if (suite == of_suite) return Ok();
  const Json given = recipe::WriteFields(options);
  const Json defaults = recipe::WriteFields(Options{});
  for (const auto& [name, value] : given.items()) {
    if (value == defaults[name]) continue;
    std::string flag = name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("--{} is a flag of --suite {}, found --suite {}; leave it out", flag,
                             of_suite, suite));
  }
  return Ok();
}

Status CheckFlags(const EvalOptions& options) {
  METIER_TRY(RefuseFlags(options.perplexity, kPerplexity, options.suite));
  METIER_TRY(RefuseFlags(options.loss, kLoss, options.suite));
  METIER_TRY(RefuseFlags(options.choices, kChoices, options.suite));
  return RefuseFlags(options.tool_calls, kToolCalls, options.suite);
}

// The suite's own options, with the file that the verb was given.
template <class Options>
Options WithFile(Options suite, const EvalOptions& options) {
  suite.file = options.file;
  return suite;
}

Result<Json> Measure(const EvalOptions& options, const specialist::Runnable& runnable,
                     evaluate::LanguageModel& model) {
  const OnProgress progress = ShowProgress(options.suite);
  if (options.suite == kPerplexity) {
    METIER_ASSIGN(const evaluate::PerplexityResult result,
                  evaluate::MeasurePerplexity(model, runnable.tokenizer,
                                              WithFile(options.perplexity, options), progress));
    return result.ToJson();
  }
  if (options.suite == kLoss) {
    METIER_ASSIGN(const evaluate::HeldOutLossResult result,
                  evaluate::MeasureHeldOutLoss(model, WithFile(options.loss, options), progress));
    return result.ToJson();
  }
  if (options.suite == kChoices) {
    METIER_ASSIGN(
        const evaluate::ChoiceResult result,
        specialist::MeasureChoices(runnable, model, WithFile(options.choices, options), progress));
    return result.ToJson();
  }
  const evaluate::ToolCallOptions suite = WithFile(options.tool_calls, options);
  specialist::ChatReply reply(runnable, model, suite.max_tokens);
  METIER_ASSIGN(const evaluate::ToolCallResult result,
                evaluate::MeasureToolCalls(std::ref(reply), runnable.dialect, suite, progress));
  return result.ToJson();
}

Result<Outcome> Eval(const EvalOptions& options, Console& console) {
  METIER_TRY(CheckFlags(options));
  METIER_ASSIGN(const specialist::Runnable runnable,
                specialist::OpenRunnable({.path = options.model, .adapter = options.adapter}));
  METIER_ASSIGN(const specialist::LoadedModel loaded,
                specialist::LoadModel(runnable, options.engine.Resolve()));
  METIER_ASSIGN(const auto model, evaluate::BackendModel::Create(*loaded.backend, loaded.adapter));
  METIER_ASSIGN(const Json figures, Measure(options, runnable, *model));
  Json document = {{"model", options.model}, {"suite", options.suite}};
  for (const auto& [key, value] : figures.items()) {
    if (console.json() || value.is_primitive()) document[key] = value;
  }
  console.PrintFacts(document);
  ReportExpertCache(loaded.experts);
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

// The suites of a file by model; where one model was measured alone, its name is empty.
Result<Json> ReadModels(const std::string& path) {
  METIER_ASSIGN(const Json document, ReadJsonFile(path));
  if (document.is_object() && document.contains("suite") && document["suite"].is_string()) {
    return Json{{"", {{document["suite"].get<std::string>(), document}}}};
  }
  if (document.is_object() && document.contains("models") && document["models"].is_object()) {
    return document["models"];
  }
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("'{}': expected results with \"suite\" or \"models\"", path));
}

// A results document with the models of both, each beside its namesake: "A:base", "B:base", ...
Json SideBySide(const Json& first, const Json& second) {
  const auto name = [](const char* side, const std::string& model) {
    return model.empty() ? std::string(side) : fmt::format("{}:{}", side, model);
  };
  Json models = Json::object();
  for (const auto& [model, suites] : first.items()) {
    models[name("A", model)] = suites;
    if (second.contains(model)) models[name("B", model)] = second[model];
  }
  for (const auto& [model, suites] : second.items()) models[name("B", model)] = suites;
  return {{"models", std::move(models)}};
}

Result<Outcome> EvalDiff(const EvalDiffOptions& options, Console& console) {
  METIER_ASSIGN(const Json first, ReadModels(options.first));
  METIER_ASSIGN(const Json second, ReadModels(options.second));
  const evaluate::Comparison table = evaluate::Compare(SideBySide(first, second), options.metric);
  if (!console.json()) {
    console.Print(fmt::format("A  {}\nB  {}\n\n{}", options.first, options.second,
                              evaluate::FormatTable(table)));
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
  console.PrintJson({{"A", options.first}, {"B", options.second}, {"rows", std::move(rows)}});
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kEvalVerb = MakeVerb<EvalOptions, Eval>(
    "eval", "measure a model",
    "metier eval model.gguf --suite perplexity --file text.txt --json\n"
    "metier eval model.gguf --suite perplexity --file text.txt --window 512 --scoring halves --bos "
    "replace\n"
    "metier eval runs/base --adapter runs/sft/final --suite loss --file test.safetensors\n"
    "metier eval runs/base --adapter runs/labels/final --suite choices --file labels.jsonl\n"
    "metier eval runs/shop/specialist --suite tool_calls --file test.jsonl --max-dialogues 50");
constinit const Verb kEvalDiffVerb = MakeVerb<EvalDiffOptions, EvalDiff>(
    "eval diff", "two results side by side", "metier eval diff before.json after.json");

}  // namespace metier::cli
