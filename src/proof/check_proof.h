// proof/check_proof.h - is this text a proof of that statement?
//
// The text is somebody else's proposal, a model's for instance. It is read as a proof and as
// nothing else: labels, or a compressed proof. It declares nothing, so that it cannot bring an
// axiom with it, includes nothing, and may use only what the database has before the statement.
//
//   METIER_ASSIGN(const ProofReport report, CheckProof(database, "id", "wph wph ..."));
//   report.verdict == Verdict::kProved and report.axioms are among those that may be used
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proof/database.h"
#include "proof/verdict.h"

namespace metier::proof {

struct ProofReport {
  Verdict verdict = Verdict::kOpen;
  Finding finding;         // unless proved
  std::int64_t steps = 0;  // of the proof as it was read, up to an unknown label
  // What the proof rests on, directly or by way of theorems (Database::Axioms says what counts),
  // in the order of the database; empty where it is wrong or undecided. A caller refuses what is
  // not on its list: a database is free to have an axiom that says too much.
  std::vector<std::string> axioms;
};

// Whether `proof` proves the theorem of that label; it may use what stands before it. Any text gets
// a verdict. The proof that the theorem has in the database plays no part.
// kNotFound: no theorem has the label.
Result<ProofReport> CheckProof(const Database& database, std::string_view label,
                               std::string_view proof, const ProofLimits& limits = {});

// The same for a statement that no database has, behind all that this one has: variables are those
// active at its end. kInvalidArgument: a symbol of the goal that is unknown, a variable without a
// type, a label that is taken.
Result<ProofReport> CheckProof(const Database& database, const Goal& goal, std::string_view proof,
                               const ProofLimits& limits = {});

}  // namespace metier::proof
