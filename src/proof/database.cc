#include "proof/database.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "proof/reader.h"
#include "proof/statements.h"

namespace metier::proof {
namespace {

// Places in the lists of `Statements` have 32 bits.
constexpr std::int64_t kMostEntries = 1LL << 31;

Status CheckReadOptions(const ReadOptions& options) {
  if (options.source.max_total_bytes <= static_cast<std::uint64_t>(kMostEntries) &&
      options.max_frame_entries <= kMostEntries) {
    return Ok();
  }
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("found limits of {} bytes and {} frame entries, expected at most {} each",
                  options.source.max_total_bytes, options.max_frame_entries, kMostEntries));
}

TheoremReport ReportOf(const Statements& statements, StatementId theorem) {
  TheoremReport report{.label = statements.LabelOf(theorem),
                       .verdict = statements.FrameOf(theorem).verdict};
  const auto finding = statements.findings.find(theorem);
  if (finding != statements.findings.end()) report.finding = finding->second;
  return report;
}

Result<StatementId> FindAssertion(const Statements& statements, std::string_view label) {
  const auto id = statements.FindStatement(label);
  if (id && IsAssertion(statements.at(*id).kind)) return *id;
  return Error(ErrorCode::kNotFound,
               fmt::format("found {} '{}', expected the label of an axiom or theorem",
                           id ? "the hypothesis" : "no statement", Excerpt(label)));
}

}  // namespace

Database::Database(std::shared_ptr<const Statements> statements)
    : statements_(std::move(statements)) {}

Result<Database> Database::Read(std::string_view text, const ReadOptions& options) {
  METIER_TRY(CheckReadOptions(options));
  METIER_ASSIGN(Source source,
                Source::Create(options.name, text, options.includes, options.source));
  auto statements = std::make_shared<Statements>();
  METIER_TRY(Reader(std::move(source), options, *statements).Read());
  return Database(std::move(statements));
}

std::vector<TheoremReport> Database::Theorems() const {
  std::vector<TheoremReport> reports;
  for (std::size_t i = 0; i < statements_->statements.size(); ++i)
    if (statements_->statements[i].kind == StatementKind::kTheorem)
      reports.push_back(ReportOf(*statements_, static_cast<StatementId>(i)));
  return reports;
}

Result<TheoremReport> Database::Theorem(std::string_view label) const {
  METIER_ASSIGN(const StatementId id, FindAssertion(*statements_, label));
  if (statements_->at(id).kind == StatementKind::kTheorem) return ReportOf(*statements_, id);
  return Error(ErrorCode::kNotFound, fmt::format("'{}' is an axiom, no theorem", Excerpt(label)));
}

std::vector<std::string> Database::Axioms() const {
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < statements_->statements.size(); ++i) {
    const auto id = static_cast<StatementId>(i);
    if (statements_->IsPostulate(id)) labels.push_back(statements_->LabelOf(id));
  }
  return labels;
}

Result<std::vector<std::string>> Database::AxiomsBehind(std::string_view label) const {
  METIER_ASSIGN(const StatementId id, FindAssertion(*statements_, label));
  return statements_->AxiomsBehind({&id, 1});
}

Result<Goal> Database::StatementOf(std::string_view label) const {
  METIER_ASSIGN(const StatementId id, FindAssertion(*statements_, label));
  const Statements& all = *statements_;
  const Frame& frame = all.FrameOf(id);
  Goal goal{.conclusion = all.Spell(all.ExpressionOf(id))};
  for (const StatementId hypothesis : PartOf(all.hypotheses, frame.hypotheses)) {
    if (all.at(hypothesis).kind == StatementKind::kFloating) continue;
    goal.hypotheses.push_back(
        {.label = all.LabelOf(hypothesis), .text = all.Spell(all.ExpressionOf(hypothesis))});
  }
  for (std::int32_t at = frame.scope_disjoint; at >= 0;) {
    const DisjointGroup& group = all.disjoint_groups[static_cast<std::size_t>(at)];
    std::vector<Symbol> symbols;
    for (const std::int32_t variable : PartOf(all.group_variables, group.variables))
      symbols.push_back(~variable);
    goal.disjoint.push_back(all.Spell(symbols));
    at = group.previous;
  }
  std::ranges::reverse(goal.disjoint);  // as they stand in the text
  return goal;
}

std::size_t Database::StatementCount() const { return statements_->statements.size(); }

}  // namespace metier::proof
