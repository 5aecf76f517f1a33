#include "specialist/forgetting.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/file.h"
#include "specialist/report.h"

namespace metier::specialist {
namespace {

constexpr std::uint64_t kMostLogBytes = 64ULL << 20;

// What a training stage's log says of its evaluations.
struct Evaluated {
  std::vector<double> before;  // empty: not evaluated before the first step
  std::vector<double> after;
};

std::vector<std::string> DomainsOf(const StageRecord& stage) {
  std::vector<std::string> names;
  const auto files = stage.config.find("eval_files");
  if (files == stage.config.end() || !files->is_array()) return names;
  for (const Json& file : *files) names.push_back(file.value("name", ""));
  return names;
}

std::optional<std::vector<double>> LossesOf(const Json& line,
                                            const std::vector<std::string>& domains) {
  std::vector<double> losses;
  for (const std::string& domain : domains) {
    const auto loss = line.find("eval_loss_" + domain);
    if (loss == line.end() || !loss->is_number()) return std::nullopt;
    losses.push_back(loss->get<double>());
  }
  return losses;
}

std::optional<Evaluated> ReadEvaluations(const StageRecord& stage,
                                         const std::vector<std::string>& domains) {
  const Result<std::string> log = ReadFile(stage.folder + "/trainer_log.jsonl", kMostLogBytes);
  if (!log.ok()) return std::nullopt;
  Evaluated found;
  for (std::size_t begin = 0; begin < log->size();) {
    const std::size_t end = std::min(log->find('\n', begin), log->size());
    const Result<Json> line = ParseJson(log->substr(begin, end - begin));
    begin = end + 1;
    if (!line.ok() || !line->is_object()) continue;
    std::optional<std::vector<double>> losses = LossesOf(*line, domains);
    if (!losses) continue;
    if (line->value("current_steps", std::int64_t{-1}) == 0) found.before = *losses;
    found.after = *std::move(losses);
  }
  if (found.after.empty()) return std::nullopt;
  return found;
}

bool StartsFrom(const StageRecord& stage, const StageRecord& before) {
  const std::string model = stage.config.value("model", "");
  return model == before.folder || model.starts_with(before.folder + "/");
}

std::string FiguresRow(const std::string& name, const std::vector<double>& losses) {
  std::string row = fmt::format("<tr><td>{}</td>", EscapeHtml(name));
  for (const double loss : losses) row += fmt::format("<td class=\"figure\">{:.4f}</td>", loss);
  return row + "</tr>\n";
}

}  // namespace

double ForgettingMatrix::MeanForgetting() const {
  double sum = 0;
  for (std::size_t domain = 0; domain < domains.size(); ++domain) {
    double least = after.back()[domain];
    for (const std::vector<double>& losses : after) least = std::min(least, losses[domain]);
    sum += after.back()[domain] - least;
  }
  return sum / static_cast<double>(domains.size());
}

std::vector<ForgettingMatrix> ForgettingMatrices(const std::vector<StageRecord>& stages) {
  struct Chain {
    ForgettingMatrix matrix;
    const StageRecord* last = nullptr;
  };
  std::vector<Chain> chains;
  for (const StageRecord& stage : stages) {
    if (stage.kind != "train" || !stage.config.is_object()) continue;
    std::vector<std::string> domains = DomainsOf(stage);
    if (domains.size() < 2) continue;
    std::optional<Evaluated> evaluated = ReadEvaluations(stage, domains);
    if (!evaluated) continue;
    const auto chain = std::ranges::find_if(chains, [&](const Chain& other) {
      return other.matrix.domains == domains && StartsFrom(stage, *other.last);
    });
    if (chain == chains.end()) {
      chains.push_back({{.stages = {stage.name},
                         .domains = std::move(domains),
                         .before = std::move(evaluated->before),
                         .after = {std::move(evaluated->after)}},
                        &stage});
      continue;
    }
    chain->matrix.stages.push_back(stage.name);
    chain->matrix.after.push_back(std::move(evaluated->after));
    chain->last = &stage;
  }
  std::vector<ForgettingMatrix> matrices;
  for (Chain& chain : chains) {
    if (chain.matrix.stages.size() > 1) matrices.push_back(std::move(chain.matrix));
  }
  return matrices;
}

std::string ForgettingSection(const ForgettingMatrix& matrix) {
  std::string head = "<tr><th>after</th>";
  for (const std::string& domain : matrix.domains)
    head += fmt::format("<th class=\"figure\">{}</th>", EscapeHtml(domain));
  std::string rows;
  if (!matrix.before.empty()) rows += FiguresRow("(before)", matrix.before);
  for (std::size_t i = 0; i < matrix.stages.size(); ++i)
    rows += FiguresRow(matrix.stages[i], matrix.after[i]);
  return fmt::format(
      "<h2>Forgetting</h2>\n<p class=\"lead\">Loss on held-out texts of each domain after each "
      "stage of training. A domain's loss is now {:.4f} above the least that it was, on "
      "average.</p>\n<div class=\"wide\"><table>{}</tr>\n{}</table></div>\n",
      matrix.MeanForgetting(), head, rows);
}

}  // namespace metier::specialist
