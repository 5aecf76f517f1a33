#include "specialist/stages/evaluation_section.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "evaluate/results.h"
#include "specialist/report.h"

namespace metier::specialist {
namespace {

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
  if (!gate.is_object() || !gate.contains("rules") || gate.at("rules").empty()) return {};
  std::string html = "<h3>Gate</h3>\n<ul>\n";
  for (const Json& rule : gate.at("rules")) {
    std::string bound;
    if (rule.contains("at_least"))
      bound += fmt::format(" at least {}", rule.at("at_least").get<double>());
    if (rule.contains("at_most"))
      bound += fmt::format(" at most {}", rule.at("at_most").get<double>());
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

// In words for readers: of a turn without a call nothing but that is judged.
std::string_view Verdict(const Json& reply) {
  const bool right = reply.value("right", false);
  if (!reply.at("expected").empty()) return right ? "called, right" : "called, wrong";
  return right ? "written, no call as it should be" : "written, a call where none belongs";
}

std::size_t RightTurns(const Json& sample) {
  std::size_t right = 0;
  for (const Json& reply : sample.at("replies")) right += reply.value("right", false) ? 1 : 0;
  return right;
}

std::string SampleHtml(const Json& sample, std::size_t number, bool open) {
  std::string turns;
  std::size_t next = 0;
  for (std::size_t i = 0; i < sample.at("messages").size(); ++i) {
    const Json& message = sample.at("messages").at(i);
    const std::string role = TextOf(message, "role");
    if (role == "system") continue;
    turns += fmt::format("<div class=\"turn {}\"><div class=\"who\">{}</div><pre>{}</pre>",
                         EscapeHtml(role), role == "assistant" ? "should be" : EscapeHtml(role),
                         EscapeHtml(MessageText(message)));
    if (next < sample.at("replies").size() &&
        sample.at("replies").at(next).value("turn", std::size_t{0}) == i) {
      const Json& reply = sample.at("replies").at(next++);
      turns += fmt::format("<div class=\"who {}\">{}</div><pre>{}</pre>",
                           reply.value("right", false) ? "good" : "bad", Verdict(reply),
                           EscapeHtml(TextOf(reply, "found")));
    }
    turns += "</div>\n";
  }
  return fmt::format(
      "<details{}><summary>Conversation {}: {} of {} turns right</summary>\n{}</details>\n",
      open ? " open" : "", number, RightTurns(sample), sample.at("replies").size(), turns);
}

struct SampleList {
  std::string title;
  const Json* samples;
  std::size_t right = 0;
};

std::string SamplesHtml(const Json& models) {
  std::vector<SampleList> lists;
  for (const auto& [model, suites] : models.items()) {
    for (const auto& [suite, values] : suites.items()) {
      if (!values.contains("samples") || values.at("samples").empty()) continue;
      SampleList list{fmt::format("{}, {}", model, suite), &values.at("samples")};
      for (const Json& sample : *list.samples) list.right += RightTurns(sample);
      lists.push_back(std::move(list));
    }
  }
  std::stable_sort(lists.begin(), lists.end(), [](const SampleList& left, const SampleList& right) {
    return left.right > right.right;
  });
  std::string html;
  for (const SampleList& list : lists) {
    html += fmt::format("<h3>Held-out conversations: {}</h3>\n", EscapeHtml(list.title));
    std::size_t number = 0;
    for (const Json& sample : *list.samples) {
      html += SampleHtml(sample, number + 1, number == 0 && &list == &lists.front());
      ++number;
    }
  }
  return html;
}

}  // namespace

std::string EvaluationSection(const StageRecord& record) {
  const std::string path = record.folder + "/results.json";
  const auto results = ReadJsonFile(path);
  if (!results.ok()) {
    return fmt::format("<p class=\"bad\">{}</p>\n", EscapeHtml(results.error().message()));
  }
  try {
    std::vector<std::string> headline;
    for (const auto& [metric, ignored] : results->at("headline").items())
      headline.push_back(metric);
    return "<h2>Before and after</h2>\n" + TableHtml(evaluate::Compare(*results, headline)) +
           GateHtml(results->value("gate", Json())) + SamplesHtml(results->at("models"));
  } catch (const Json::exception& problem) {  // a file that somebody changed, or of another version
    return fmt::format("<p class=\"bad\">'{}' is not what an evaluation writes: {}</p>\n",
                       EscapeHtml(path), EscapeHtml(problem.what()));
  }
}

}  // namespace metier::specialist
