// Metamath databases and proposed proofs: no text crashes, hangs or leaks, and a proof with a
// missing step is never proved.
//
// Input: a database, and behind a line `%%` a proof that is proposed for every theorem of it. An
// include gives a short text that is always the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "proof/check_proof.h"
#include "proof/database.h"
#include "proof/minif2f.h"

namespace {

using metier::Error;
using metier::Result;
using metier::proof::Database;
using metier::proof::Goal;
using metier::proof::ProofLimits;
using metier::proof::Verdict;

constexpr std::size_t kLongestMessage = 2000;
constexpr ProofLimits kLimits{.max_steps = 2000, .max_symbols = 20'000};

Result<std::string> Included(const std::string& name) {
  if (name == "gone") return Error(metier::ErrorCode::kNotFound, "no such file");
  return std::string("$c inc $. $[ ") + name + "x $]";
}

void Propose(const Database& database, std::string_view proof) {
  int tried = 0;
  for (const auto& theorem : database.Theorems()) {
    METIER_CHECK(theorem.finding.Text().size() < kLongestMessage, "messages stay short");
    METIER_CHECK(database.AxiomsBehind(theorem.label).ok(), "every theorem has its axioms");
    if (++tried > 8) continue;
    const auto report = CheckProof(database, theorem.label, proof, kLimits);
    METIER_CHECK(report.ok(), "every text gets a verdict");
    METIER_CHECK(report->finding.Text().size() < kLongestMessage, "messages stay short");
    METIER_CHECK(report->verdict != Verdict::kProved || report->steps > 0, "a proof has steps");
    const auto goal = database.StatementOf(theorem.label);
    METIER_CHECK(goal.ok(), "every theorem has a statement");
    const Goal alone{.conclusion = goal->conclusion};
    const auto of_goal = CheckProof(database, alone, proof, kLimits);
    METIER_CHECK(of_goal.ok() || of_goal.error().message().size() < kLongestMessage,
                 "messages stay short");
    // Without comments, where it may stand as it likes, a ? is a missing step or a part of nothing.
    const bool missing =
        proof.find('?') != std::string_view::npos && proof.find("$(") == std::string_view::npos;
    METIER_CHECK(!missing || report->verdict != Verdict::kProved, "a missing step is missing");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t split = text.find("\n%%\n");
  const std::string_view statements = text.substr(0, split);
  const std::string_view proof =
      split == std::string_view::npos ? std::string_view() : text.substr(split + 4);
  const auto translated = metier::proof::Minif2fTheorem(statements);
  METIER_CHECK(translated.ok() || translated.error().message().size() < kLongestMessage,
               "messages stay short");
  const auto database = Database::Read(statements, {.includes = Included,
                                                    .source = {.max_include_depth = 3},
                                                    .max_frame_entries = 50'000,
                                                    .proof = kLimits,
                                                    .max_proof_symbols = 200'000});
  if (!database.ok()) {
    METIER_CHECK(database.error().message().size() < kLongestMessage, "messages stay short");
    return 0;
  }
  Propose(*database, proof);
  return 0;
}
