// proof/database.h - Metamath databases: read, every proof in them verified on the way.
//
// The language is that of the book "Metamath: A Computer Language for Mathematical Proofs" (Megill
// and Wheeler, 2nd edition, chapter 4 and appendices B and E), with every rule of it: what breaks
// one is refused with file and line, also where nothing would depend on it.
//
//   METIER_ASSIGN(const Database database, Database::Read(text, {.name = "demo0.mm"}));
//   for (const TheoremReport& theorem : database.Theorems()) ...  // proved, open, wrong
//
// check_proof.h checks a proof that somebody proposes.
//
// Non-goals: the comments (typesetting, $t and $j), parsing expressions by their grammar, writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proof/source.h"
#include "proof/verdict.h"

namespace metier::proof {

struct Statements;

struct ReadOptions {
  std::string name = "database";  // of the text, for messages
  IncludeResolver includes;       // none: a text that includes another is refused
  SourceLimits source;
  // Entries of frames: hypotheses and pairs of variables that statements have in scope. About 4
  // bytes each; set.mm has a tenth of it.
  std::int64_t max_frame_entries = 1LL << 28;
  ProofLimits proof;                           // of each proof
  std::int64_t max_proof_symbols = 1LL << 36;  // of all proofs together, as ProofLimits counts them
};

// What became of the proof that a theorem has in its database.
struct TheoremReport {
  std::string label;
  Verdict verdict = Verdict::kOpen;
  Finding finding;  // unless proved
};

// What is to be proved, as text: symbols with white space between them.
struct Goal {
  struct Hypothesis {
    std::string label;
    std::string text;  // "|- ph"
  };
  std::vector<Hypothesis> hypotheses;  // essential ones; the floating ones are the database's
  std::vector<std::string> disjoint;   // of each group the variables, "x y ph"
  std::string conclusion;              // "|- ( ph -> ps )"
};

// Copies are cheap and share what was read.
// Threads: nothing changes after Read.
class Database {
 public:
  // kDataCorrupt: a text that breaks a rule of the language, with file and line. A proof that is
  // wrong is none: it is reported. kResourceExhausted: over a limit. kUnsupported: an include, and
  // no resolver. An error of the resolver is passed on.
  static Result<Database> Read(std::string_view text, const ReadOptions& options = {});

  // Every $p, in the order of the text. Proved: its proof is right, and so are those of all
  // theorems that it rests on.
  std::vector<TheoremReport> Theorems() const;
  // kNotFound: no theorem has the label.
  Result<TheoremReport> Theorem(std::string_view label) const;

  // The axioms, in the order of the text: every $a but those that only say what is an expression,
  // that is, whose typecode is one that variables have (`wff`, `class`). Definitions are among
  // them. |- is never one of those.
  std::vector<std::string> Axioms() const;
  // Those that a theorem rests on, directly or by way of others; of an axiom, itself.
  // kNotFound: no assertion has the label.
  Result<std::vector<std::string>> AxiomsBehind(std::string_view label) const;

  // A statement as a goal: with every $d of its scope. kNotFound: no assertion has the label.
  Result<Goal> StatementOf(std::string_view label) const;

  std::size_t StatementCount() const;
  const Statements& statements() const { return *statements_; }

 private:
  explicit Database(std::shared_ptr<const Statements> statements);

  std::shared_ptr<const Statements> statements_;
};

}  // namespace metier::proof
