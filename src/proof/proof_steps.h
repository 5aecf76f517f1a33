// proof/proof_steps.h - the words of a proof as steps, and what they are to prove.
//
//   uncompressed:  label label ? label
//   compressed:    ( label label ) AABCZD?E     Z tags the step before it, which later letters
//   repeat
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proof/statements.h"

namespace metier::proof {

// A hypothesis of a goal that no database holds.
struct OwnHypothesis {
  std::string label;
  std::vector<Symbol> expression;
};

// What a proof is to prove, and from what. Statements from number `before` on are not to be used:
// of a theorem, that is itself and what follows it. Its own hypotheses have the numbers from the
// database's last on.
struct Target {
  std::string label;
  StatementId before = 0;
  std::span<const StatementId> hypotheses;  // mandatory
  std::span<const Symbol> expression;
  std::int32_t scope_disjoint = -1;
  std::span<const OwnHypothesis> own_hypotheses;
  std::span<const std::vector<std::int32_t>> own_disjoint;  // groups of variables

  bool InScope(const Statements& database, StatementId id) const;
};

// The target of a theorem of the database.
Target TargetOf(const Statements& database, StatementId theorem);

enum class StepKind : std::uint8_t { kStatement, kRepeat, kUnknown };

struct Step {
  StepKind kind = StepKind::kUnknown;
  bool tagged = false;     // by a Z
  std::int32_t index = 0;  // the statement, or which of the tagged steps
};

struct Outcome {
  Verdict verdict = Verdict::kProved;
  Finding finding;  // unless proved
};

// Fills `steps`. kProved: the words are steps, nothing more has been looked at. kWrong: a label
// that is not there or may not be used here, a letter that refers to nothing. kUndecided: too many.
Outcome ParseProof(const Statements& database, const Target& target,
                   std::span<const std::string_view> words, const ProofLimits& limits,
                   std::vector<Step>& steps);

}  // namespace metier::proof
