#include "proof/check_proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "proof/proof_checker.h"
#include "proof/source.h"
#include "proof/statements.h"

namespace metier::proof {
namespace {

// The statement of a goal has no label of its own.
constexpr std::string_view kGoalLabel = "goal";

// Words of a text of ours: what is between white space and comments.
Result<std::vector<std::string_view>> WordsOf(std::string_view name, std::string_view text,
                                              const ProofLimits& limits) {
  const SourceLimits source_limits{.max_file_bytes = limits.max_proof_bytes,
                                   .max_total_bytes = limits.max_proof_bytes,
                                   .max_token_bytes = limits.max_proof_bytes};
  METIER_ASSIGN(Source source, Source::Create(std::string(name), text, nullptr, source_limits));
  std::vector<std::string_view> words;
  for (;;) {
    METIER_ASSIGN(const Token token, source.Next());
    if (token.text.empty()) return words;
    words.push_back(token.text);
  }
}

ProofReport Rejected(const Target& target, Verdict verdict, std::string found,
                     std::string expected) {
  return {.verdict = verdict,
          .finding = {
              .theorem = target.label, .found = std::move(found), .expected = std::move(expected)}};
}

ProofReport CheckAgainst(const Statements& statements, const Target& target, std::string_view proof,
                         const ProofLimits& limits) {
  const auto words = WordsOf("proof", proof, limits);
  if (!words.ok()) {
    const bool limit = words.error().code() == ErrorCode::kResourceExhausted;
    return Rejected(target, limit ? Verdict::kUndecided : Verdict::kWrong,
                    "a text that is no proof (" + words.error().message() + ")",
                    "labels, or a compressed proof");
  }
  const auto keyword = std::ranges::find_if(
      *words, [](std::string_view word) { return word.find('$') != std::string_view::npos; });
  if (keyword != words->end()) {
    return Rejected(target, Verdict::kWrong, fmt::format("'{}' in the proof", Excerpt(*keyword)),
                    "a proof alone, which declares nothing");
  }
  ProofChecker checker(statements);
  Outcome outcome = checker.Check(target, *words, limits);
  ProofReport report{
      .verdict = outcome.verdict, .finding = std::move(outcome.finding), .steps = checker.steps()};
  if (report.verdict == Verdict::kProved || report.verdict == Verdict::kOpen)
    report.axioms = statements.AxiomsBehind(checker.Uses());
  return report;
}

// A goal in the symbols of a database.
struct ReadGoal {
  std::vector<OwnHypothesis> own;
  std::vector<Symbol> conclusion;
  std::vector<std::vector<std::int32_t>> disjoint;
  std::vector<StatementId> hypotheses;
};

class GoalReader {
 public:
  explicit GoalReader(const Statements& statements) : statements_(statements) {}

  Result<ReadGoal> Read(const Goal& goal, const ProofLimits& limits) {
    ReadGoal read;
    METIER_ASSIGN(read.conclusion, Expression(goal.conclusion, "the conclusion", limits));
    for (const auto& hypothesis : goal.hypotheses) {
      METIER_TRY(CheckFree(hypothesis.label, read.own));
      const std::string what = fmt::format("the hypothesis '{}'", Excerpt(hypothesis.label));
      METIER_ASSIGN(std::vector<Symbol> expression, Expression(hypothesis.text, what, limits));
      read.own.push_back({.label = hypothesis.label, .expression = std::move(expression)});
    }
    for (const std::string& group : goal.disjoint) {
      METIER_ASSIGN(std::vector<std::int32_t> variables, Group(group, limits));
      read.disjoint.push_back(std::move(variables));
    }
    // Floating hypotheses first: those of the database come before the goal.
    std::ranges::sort(floating_);
    floating_.erase(std::unique(floating_.begin(), floating_.end()), floating_.end());
    read.hypotheses = floating_;
    for (std::size_t i = 0; i < read.own.size(); ++i)
      read.hypotheses.push_back(static_cast<StatementId>(statements_.statements.size() + i));
    return read;
  }

 private:
  static Error Refused(std::string_view what, const std::string& found,
                       const std::string& expected) {
    return {ErrorCode::kInvalidArgument,
            fmt::format("goal: {}: found {}, expected {}", what, found, expected)};
  }

  Status CheckFree(const std::string& label, const std::vector<OwnHypothesis>& own) const {
    const bool taken =
        statements_.Find(label) != nullptr ||
        std::ranges::any_of(own, [&](const auto& other) { return other.label == label; });
    if (!taken && !label.empty()) return Ok();
    return Refused("a hypothesis", fmt::format("the label '{}'", Excerpt(label)),
                   "one that nothing else has");
  }

  Result<std::vector<std::string_view>> Words(std::string_view text, std::string_view what,
                                              const ProofLimits& limits) const {
    auto words = WordsOf("goal", text, limits);
    if (words.ok()) return words;
    return Refused(what, words.error().message(), "symbols");
  }

  // The active $f of the variable; its variable must be in scope at the end of the database.
  std::optional<StatementId> FloatingOf(const Name& name) const {
    const Variable& variable = statements_.variables[static_cast<std::size_t>(name.index)];
    if (!variable.active || variable.floating < 0) return std::nullopt;
    return variable.floating;
  }

  Result<std::vector<Symbol>> Expression(std::string_view text, std::string_view what,
                                         const ProofLimits& limits) {
    METIER_ASSIGN(const auto words, Words(text, what, limits));
    std::vector<Symbol> symbols;
    for (const std::string_view word : words) {
      const Name* name = statements_.Find(word);
      if (name == nullptr || name->role == NameRole::kLabel) {
        return Refused(what, fmt::format("the symbol '{}'", Excerpt(word)),
                       "one that the database declares");
      }
      if (name->role == NameRole::kConstant) {
        symbols.push_back(name->index);
        continue;
      }
      const auto floating = FloatingOf(*name);
      if (!floating || symbols.empty()) {
        return Refused(what, fmt::format("the variable '{}'", Excerpt(word)),
                       symbols.empty() ? "a constant at the beginning, the typecode"
                                       : "one that has a $f at the end of the database");
      }
      floating_.push_back(*floating);
      symbols.push_back(~name->index);
    }
    if (symbols.empty()) return Refused(what, "no symbols", "a typecode at least");
    return symbols;
  }

  Result<std::vector<std::int32_t>> Group(std::string_view text, const ProofLimits& limits) const {
    METIER_ASSIGN(const auto words, Words(text, "disjoint variables", limits));
    std::vector<std::int32_t> variables;
    for (const std::string_view word : words) {
      const Name* name = statements_.Find(word);
      if (name == nullptr || name->role != NameRole::kVariable ||
          std::ranges::find(variables, name->index) != variables.end()) {
        return Refused("disjoint variables", fmt::format("'{}'", Excerpt(word)),
                       "variables of the database, each once in a group");
      }
      variables.push_back(name->index);
    }
    return variables;
  }

  const Statements& statements_;
  std::vector<StatementId> floating_;
};

}  // namespace

Result<ProofReport> CheckProof(const Database& database, std::string_view label,
                               std::string_view proof, const ProofLimits& limits) {
  const Statements& statements = database.statements();
  METIER_TRY(database.Theorem(label));
  const Target target = TargetOf(statements, *statements.FindStatement(label));
  return CheckAgainst(statements, target, proof, limits);
}

Result<ProofReport> CheckProof(const Database& database, const Goal& goal, std::string_view proof,
                               const ProofLimits& limits) {
  const Statements& statements = database.statements();
  METIER_ASSIGN(const ReadGoal read, GoalReader(statements).Read(goal, limits));
  const Target target{.label = std::string(kGoalLabel),
                      .before = static_cast<StatementId>(statements.statements.size()),
                      .hypotheses = read.hypotheses,
                      .expression = read.conclusion,
                      .scope_disjoint = statements.outermost_disjoint,
                      .own_hypotheses = read.own,
                      .own_disjoint = read.disjoint};
  return CheckAgainst(statements, target, proof, limits);
}

}  // namespace metier::proof
