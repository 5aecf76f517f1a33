// proof/proof_checker.h - runs the steps of a proof: the stack, substitution, disjoint variables.
//
// An expression that a step makes is written once, behind those before it, and stands on the stack
// as a place and a length; a step that repeats a tagged one copies these two numbers. Variables are
// bound to places in the same list. Nothing in the loops is a string.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proof/proof_steps.h"
#include "proof/statements.h"

namespace metier::proof {

// May be used for many proofs one after the other: keeps its memory. One thread at a time.
class ProofChecker {
 public:
  // The database may grow between two proofs, by its reader.
  explicit ProofChecker(const Statements& database) : database_(database) {}

  // Parses and runs. A proof that is right but uses a theorem that is not proved is open.
  Outcome Check(const Target& target, std::span<const std::string_view> words,
                const ProofLimits& limits);

  // Of the last proof: the assertions that its steps apply, ascending, each once; its steps.
  std::vector<StatementId> Uses() const;
  std::int64_t steps() const { return static_cast<std::int64_t>(steps_.size()); }
  // Symbols that all proofs so far have cost.
  std::int64_t symbols_spent() const { return spent_before_ + spent_; }

 private:
  // An expression in arena_; of a missing step, nothing is known.
  struct Entry {
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
    bool unknown = false;
  };

  // They return false when the proof ends there: outcome_ says how.
  bool Fail(std::string found, std::string expected, Verdict verdict = Verdict::kWrong);
  bool Spend(std::int64_t symbols);
  bool Run();
  bool RunStep(const Step& step);
  bool Apply(StatementId id);
  bool Bind(StatementId floating, const Entry& entry);
  bool MatchEssential(StatementId essential, const Entry& entry);
  bool Substitute(std::span<const Symbol> expression);
  bool CheckDisjoint(std::span<const VariablePair> pairs);
  bool CheckPair(const VariablePair& pair);
  bool FailDisjoint(const VariablePair& pair, std::int32_t a, std::int32_t b);
  bool Occurrences(std::int32_t variable, Range& range);
  bool CollectScope();
  bool CheckEnd();
  bool CheckSupport();

  std::span<const Symbol> At(const Entry& entry) const {
    return std::span<const Symbol>(arena_).subspan(entry.begin, entry.count);
  }
  std::span<const Symbol> HypothesisAt(StatementId id) const;
  // Whether some variable of the expression is bound to what is not known.
  bool DependsOnUnknown(std::span<const Symbol> expression) const;
  std::string SpellSubstituted(std::span<const Symbol> expression) const;

  const Statements& database_;
  const Target* target_ = nullptr;
  ProofLimits limits_;
  Outcome outcome_;
  std::int64_t spent_ = 0;
  std::int64_t spent_before_ = 0;
  std::optional<std::chrono::steady_clock::time_point> deadline_;

  std::vector<Step> steps_;
  std::int64_t at_step_ = 0;     // counted from 1
  std::int64_t first_open_ = 0;  // the first step that is missing
  std::vector<Symbol> arena_;
  std::vector<Entry> stack_;
  std::vector<Entry> tagged_;
  std::vector<Entry> bound_;  // by variable

  // For disjoint variables: those that occur in what a variable is bound to, found once a step.
  std::vector<std::int32_t> occurring_;
  std::vector<Range> occurrences_;            // of occurring_, by variable
  std::vector<std::int64_t> occurrences_of_;  // by variable: the step for which they are right
  std::vector<std::int64_t> seen_;            // by variable: the search that saw it last
  std::int64_t searches_ = 0;
  std::int64_t applications_ = 0;  // never starts again, so that no mark of another proof counts
  bool scope_collected_ = false;
  std::vector<VariablePair> scope_pairs_;  // ascending
};

}  // namespace metier::proof
