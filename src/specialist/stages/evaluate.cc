// specialist/stages/evaluate.cc - several models on the same suites, side by side, and the gate.

#include <functional>

#include "base/file.h"
#include "evaluate/backend_model.h"
#include "evaluate/choices.h"
#include "evaluate/held_out_loss.h"
#include "evaluate/perplexity.h"
#include "evaluate/results.h"
#include "evaluate/tool_calls.h"
#include "specialist/chat_reply.h"
#include "specialist/runnable.h"
#include "specialist/stages/evaluation_section.h"
#include "specialist/stages/stages.h"

namespace metier::specialist {
namespace {

struct EvaluatedModel {
  std::string path;
  std::string adapter;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("path", path, "a specialist, a Hugging Face directory or a GGUF file").Required();
    field("adapter", adapter, "PEFT adapter to put on top");
  }
};

struct EvaluateSettings {
  std::map<std::string, EvaluatedModel> models;
  std::map<std::string, evaluate::ToolCallOptions> tool_calls;
  std::map<std::string, evaluate::PerplexityOptions> perplexity;
  std::map<std::string, evaluate::HeldOutLossOptions> loss;
  std::map<std::string, evaluate::ChoiceOptions> choices;
  std::vector<evaluate::GateRule> gate;
  std::vector<std::string> headline;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("models", models, "models by name").Required();
    field("tool_calls", tool_calls, "suites of next-tool-call exact match, by name");
    field("perplexity", perplexity, "perplexity suites, by name");
    field("loss", loss, "suites of the loss on held-out token files, by name");
    field("choices", choices, "suites of questions with given answers, by name");
    field("gate", gate, "what must hold for the recipe to go on");
    field("headline", headline, "metrics of the before/after table; none given: all");
  }
};

constexpr char kBeginsAnew[] = "the evaluation begins anew next time";

Result<Json> EvaluateOne(const std::string& name, const EvaluatedModel& entry,
                         const EvaluateSettings& settings, const StageContext& context) {
  METIER_ASSIGN(Runnable runnable, OpenRunnable({.path = entry.path, .adapter = entry.adapter}));
  METIER_ASSIGN(const LoadedModel loaded, LoadModel(runnable, {.threads = context.threads}));
  METIER_ASSIGN(const auto model, evaluate::BackendModel::Create(*loaded.backend, loaded.adapter));
  Json suites = Json::object();
  for (const auto& [suite, options] : settings.tool_calls) {
    const ChatReply chat(runnable, *model, options.max_tokens);
    METIER_ASSIGN(const auto result,
                  evaluate::MeasureToolCalls(std::cref(chat), runnable.dialect, options,
                                             context.Watch(name + ": " + suite, kBeginsAnew)));
    suites[suite] = result.ToJson();
  }
  for (const auto& [suite, options] : settings.perplexity) {
    METIER_ASSIGN(const auto result,
                  evaluate::MeasurePerplexity(*model, runnable.tokenizer, options,
                                              context.Watch(name + ": " + suite, kBeginsAnew)));
    suites[suite] = result.ToJson();
  }
  for (const auto& [suite, options] : settings.loss) {
    METIER_ASSIGN(const auto result,
                  evaluate::MeasureHeldOutLoss(*model, options,
                                               context.Watch(name + ": " + suite, kBeginsAnew)));
    suites[suite] = result.ToJson();
  }
  for (const auto& [suite, options] : settings.choices) {
    METIER_ASSIGN(
        const auto result,
        MeasureChoices(runnable, *model, options, context.Watch(name + ": " + suite, kBeginsAnew)));
    suites[suite] = result.ToJson();
  }
  return suites;
}

Result<Json> Run(const StageContext& context) {
  EvaluateSettings settings;
  METIER_TRY(recipe::ReadFields(context.config, context.name, settings));
  Json results = {{"models", Json::object()}};
  for (const auto& [name, entry] : settings.models) {
    auto suites = EvaluateOne(name, entry, settings, context);
    if (!suites.ok()) return std::move(suites).error().With("model '" + name + "'");
    results["models"][name] = *std::move(suites);
  }
  METIER_ASSIGN(results["gate"], evaluate::ApplyGate(results, settings.gate));
  const evaluate::Comparison table = evaluate::Compare(results, settings.headline);
  Json headline = Json::object();
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < table.models.size(); ++i) {
      if (row.values[i]) headline[row.metric][table.models[i]] = *row.values[i];
    }
  }
  results["headline"] = headline;
  METIER_TRY(WriteFileAtomic(context.work + "/results.json", DumpPretty(results)));
  return Json{
      {"headline", headline}, {"gate", results["gate"]}, {"table", evaluate::FormatTable(table)}};
}

}  // namespace

const StageKind kEvaluateStage = {"evaluate",
                                  "measure models side by side and apply the gate",
                                  StageKind::Leftovers::kClear,
                                  &CheckSettings<EvaluateSettings>,
                                  &Run,
                                  &EvaluationSection,
                                  &SettingsSchema<EvaluateSettings>};

}  // namespace metier::specialist
