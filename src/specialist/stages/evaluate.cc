// specialist/stages/evaluate.cc - several models on the same suites, side by side, and the gate.

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "evaluate/backend_model.h"
#include "evaluate/perplexity.h"
#include "evaluate/results.h"
#include "evaluate/tool_calls.h"
#include "specialist/chat_reply.h"
#include "specialist/report.h"
#include "specialist/runnable.h"
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
  std::vector<evaluate::GateRule> gate;
  std::vector<std::string> headline;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("models", models, "models by name").Required();
    field("tool_calls", tool_calls, "suites of next-tool-call exact match, by name");
    field("perplexity", perplexity, "perplexity suites, by name");
    field("gate", gate, "what must hold for the recipe to go on");
    field("headline", headline, "metrics of the before/after table; none given: all");
  }
};

Result<Json> EvaluateOne(const std::string& name, const EvaluatedModel& entry,
                         const EvaluateSettings& settings, const StageContext& context) {
  METIER_ASSIGN(Runnable runnable, OpenRunnable({.path = entry.path, .adapter = entry.adapter}));
  METIER_ASSIGN(const LoadedModel loaded, LoadModel(runnable, context.threads));
  METIER_ASSIGN(const auto model, evaluate::BackendModel::Create(*loaded.backend, loaded.adapter));
  Json suites = Json::object();
  for (const auto& [suite, options] : settings.tool_calls) {
    LogInfo(fmt::format("{}: {}", name, suite));
    const ChatReply chat(runnable, *model, options.max_tokens);
    const auto reply = [&](const Json& messages, const Json& tools) -> Result<std::string> {
      if (context.StopAsked()) return Interrupted("the evaluation begins anew next time");
      return chat(messages, tools);
    };
    METIER_ASSIGN(const auto result, evaluate::MeasureToolCalls(reply, runnable.dialect, options));
    suites[suite] = result.ToJson();
  }
  for (const auto& [suite, options] : settings.perplexity) {
    LogInfo(fmt::format("{}: {}", name, suite));
    METIER_ASSIGN(const auto result,
                  evaluate::MeasurePerplexity(*model, runnable.tokenizer, options));
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

std::string TableHtml(const evaluate::Comparison& table) {
  std::string html = "<div class=\"wide\"><table><tr><th>metric</th>";
  for (const std::string& model : table.models) {
    html += fmt::format("<th class=\"figure\">{}</th>", EscapeHtml(model));
  }
  html += "</tr>\n";
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    html += fmt::format("<tr{}><td>{}</td>", row == 0 ? " class=\"headline\"" : "",
                        EscapeHtml(table.rows[row].metric));
    for (const auto& value : table.rows[row].values) {
      html +=
          fmt::format("<td class=\"figure\">{}</td>", value ? evaluate::FormatFigure(*value) : "-");
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string GateHtml(const Json& gate) {
  if (!gate.is_object() || !gate.contains("rules") || gate["rules"].empty()) return {};
  std::string html = "<h3>Gate</h3>\n<ul>\n";
  for (const Json& rule : gate["rules"]) {
    std::string bound;
    if (rule.contains("at_least"))
      bound += fmt::format(" at least {}", rule["at_least"].get<double>());
    if (rule.contains("at_most"))
      bound += fmt::format(" at most {}", rule["at_most"].get<double>());
    const bool passed = rule.value("passed", false);
    html += fmt::format("<li class=\"{}\">{}: {} of {} is {}, wanted{}</li>\n",
                        passed ? "good" : "bad", passed ? "passed" : "failed",
                        EscapeHtml(rule.value("metric", "")), EscapeHtml(rule.value("model", "")),
                        evaluate::FormatFigure(rule.value("found", 0.0)), bound);
  }
  return html + "</ul>\n";
}

std::string TextOf(const Json& message, const char* key) {
  return message.contains(key) && message[key].is_string() ? message[key].get<std::string>()
                                                           : std::string();
}

// What a message says, tool calls as the model would write their essence.
std::string MessageText(const Json& message) {
  std::string text = TextOf(message, "content");
  if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) return text;
  for (const Json& call : message["tool_calls"]) {
    const Json function = call.is_object() && call.contains("function") ? call["function"] : call;
    const Json arguments = function.contains("arguments") ? function["arguments"] : Json();
    text +=
        fmt::format("{}{} {}", text.empty() ? "" : "\n", TextOf(function, "name"),
                    arguments.is_string() ? arguments.get<std::string>() : DumpCompact(arguments));
  }
  return text;
}

std::string SampleHtml(const Json& sample, std::size_t number) {
  std::string turns;
  std::size_t right = 0;
  for (const Json& reply : sample["replies"]) right += reply.value("right", false) ? 1 : 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < sample["messages"].size(); ++i) {
    const Json& message = sample["messages"][i];
    const std::string role = TextOf(message, "role");
    if (role == "system") continue;
    turns += fmt::format("<div class=\"turn {}\"><div class=\"who\">{}</div><pre>{}</pre>",
                         EscapeHtml(role), role == "assistant" ? "should be" : EscapeHtml(role),
                         EscapeHtml(MessageText(message)));
    if (next < sample["replies"].size() &&
        sample["replies"][next].value("turn", std::size_t{0}) == i) {
      const Json& reply = sample["replies"][next++];
      const bool good = reply.value("right", false);
      turns += fmt::format("<div class=\"who {}\">{}</div><pre>{}</pre>", good ? "good" : "bad",
                           good ? "written, right" : "written, wrong",
                           EscapeHtml(TextOf(reply, "found")));
    }
    turns += "</div>\n";
  }
  return fmt::format(
      "<details{}><summary>Conversation {}: {} of {} turns right</summary>\n{}</details>\n",
      number == 1 ? " open" : "", number, right, sample["replies"].size(), turns);
}

std::string Section(const StageRecord& record) {
  const auto results = ReadJsonFile(record.folder + "/results.json");
  if (!results.ok())
    return fmt::format("<p class=\"bad\">{}</p>\n", EscapeHtml(results.error().message()));
  std::vector<std::string> headline;
  for (const auto& [metric, ignored] : (*results)["headline"].items()) headline.push_back(metric);
  std::string html = "<h2>Before and after</h2>\n" +
                     TableHtml(evaluate::Compare(*results, headline)) +
                     GateHtml((*results)["gate"]);
  for (const auto& [model, suites] : (*results)["models"].items()) {
    for (const auto& [suite, values] : suites.items()) {
      if (!values.contains("samples") || values["samples"].empty()) continue;
      html += fmt::format("<h3>Held-out conversations: {}, {}</h3>\n", EscapeHtml(model),
                          EscapeHtml(suite));
      std::size_t number = 0;
      for (const Json& sample : values["samples"]) html += SampleHtml(sample, ++number);
    }
  }
  return html;
}

}  // namespace

const StageKind kEvaluateStage = {"evaluate",
                                  "measure models side by side and apply the gate",
                                  StageKind::Leftovers::kClear,
                                  &CheckSettings<EvaluateSettings>,
                                  &Run,
                                  &Section,
                                  &SettingsSchema<EvaluateSettings>};

}  // namespace metier::specialist
