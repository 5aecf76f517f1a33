#include "specialist/report.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/progress.h"
#include "specialist/forgetting.h"

namespace metier::specialist {
namespace {

// Colours as variables with a dark set; tables scroll inside their own box so that a phone never
// scrolls the page.
constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --page: #ffffff; --card: #f6f8fa;
        --accent: #0b6bcb; --good: #1a7f37; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #30363d; --page: #0d1117; --card: #161b22; --accent: #6cb2ff;
          --good: #56d364; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--page); color: var(--ink);
       font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; }
h3 { margin: 1.2rem 0 .4rem; font-size: 1rem; }
p.lead { margin: .3rem 0 1rem; color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; } td.figure, th.figure { text-align: right; white-space: nowrap; }
tr.headline td { font-weight: 700; } .good { color: var(--good); } .bad { color: var(--bad); }
code, pre { font: .85em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
details { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; margin: .6rem 0; }
summary { cursor: pointer; }
.turn { background: var(--card); border-radius: .6rem; padding: .5rem .8rem; margin: .4rem 0; max-width: 90%; }
.turn.assistant { margin-left: auto; border-right: 3px solid var(--accent); }
.turn.tool { border-left: 3px solid var(--line); color: var(--soft); }
.turn .who { font-size: .75rem; color: var(--soft); text-transform: uppercase; letter-spacing: .04em; }
.turn .who.good { color: var(--good); } .turn .who.bad { color: var(--bad); }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .85rem; }
@media (max-width: 30rem) {
  th, td { padding: .4rem .25rem; } .turn { max-width: 96%; } }
)css";

std::string Lineage(const std::vector<StageRecord>& stages) {
  std::string rows;
  for (const StageRecord& stage : stages) {
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td><code>{}</code></td><td class=\"figure\">{}</td></tr>\n",
        EscapeHtml(stage.name), EscapeHtml(stage.kind), stage.key.substr(0, 12),
        stage.cached ? fmt::format("{} (earlier)", FormatDuration(stage.seconds))
                     : FormatDuration(stage.seconds));
  }
  return "<h2>Lineage</h2>\n<p class=\"lead\">Each stage is named by the hash of everything that "
         "went into it: its "
         "settings, the seed, and the content of the files and stages it builds on.</p>\n<div "
         "class=\"wide\"><table>"
         "<tr><th>stage</th><th>kind</th><th>key</th><th class=\"figure\">time</th></tr>\n" +
         rows + "</table></div>\n";
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string ReportHtml(const Recipe& recipe, const std::vector<StageRecord>& stages) {
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", EscapeHtml(recipe.name),
                                 EscapeHtml(recipe.description));
  // What people open the report for comes first: whether it is better, then how it came about.
  for (const bool evaluations : {true, false}) {
    for (const StageRecord& stage : stages) {
      if ((stage.kind == "evaluate") == evaluations)
        body += FindStageKind(stage.kind)->section(stage);
    }
  }
  for (const ForgettingMatrix& matrix : ForgettingMatrices(stages))
    body += ForgettingSection(matrix);
  body += Lineage(stages);
  body += fmt::format("<h2>Recipe</h2>\n<details><summary>{}</summary><pre>{}</pre></details>\n",
                      EscapeHtml(std::filesystem::path(recipe.path).filename().string()),
                      EscapeHtml(DumpYaml(recipe.document)));
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>{} - Metier "
      "report</title>\n<style>{}</style>\n</head>\n"
      "<body>\n{}</body>\n</html>\n",
      EscapeHtml(recipe.name), kStyle, body);
}

}  // namespace metier::specialist
