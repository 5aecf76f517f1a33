// proof/verdict.h - what is said of a proof, and why.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace metier::proof {

enum class Verdict {
  kProved,     // every step holds, and all that it rests on is proved or an axiom
  kOpen,       // nothing wrong was found, but something is missing: a step `?`, a lemma's proof
  kWrong,      // it is no proof of the statement
  kUndecided,  // a limit was reached before anything could be said
};

// "proved", "open", "wrong", "undecided".
std::string_view VerdictName(Verdict verdict);

// What stands between a proof and kProved.
struct Finding {
  std::string theorem;
  std::int64_t step = 0;  // counted from 1, tags apart; 0: the proof as a whole
  std::string label;      // of that step, where it has one
  std::string found;      // in words, shortened
  std::string expected;

  // "'th1', step 3, 'ax-mp': found ..., expected ...".
  std::string Text() const;
};

// What one proof may cost. Steps and symbols are counted, so that a verdict does not depend on the
// machine; the time is for those who have to answer by then.
struct ProofLimits {
  std::uint64_t max_proof_bytes = 16ULL << 20;
  std::int64_t max_steps = 1'000'000;
  // Symbols copied, compared or looked through: what stops expressions that double with every
  // step. 4 bytes of memory each at most.
  std::int64_t max_symbols = 1LL << 25;
  std::optional<std::chrono::milliseconds> max_time;
};

}  // namespace metier::proof
