#include "grammar/cfg/calls.h"

#include <utility>

#include "base/check.h"

namespace metier::grammar {
namespace {

constexpr int kDigitBits = 3;
constexpr int kDigits = 1 << kDigitBits;

void CollectCalls(const Dfa& dfa, std::int32_t state, int digits, std::int32_t number,
                  std::vector<CfgCall>& calls) {
  if (digits == kCallDigits) {
    calls.push_back({number, state});
    return;
  }
  for (int digit = 0; digit < kDigits; ++digit) {
    const std::int32_t next = dfa.Next(state, static_cast<std::uint8_t>(kFirstCallByte + digit));
    if (next != Dfa::kNone) CollectCalls(dfa, next, digits + 1, number * kDigits + digit, calls);
  }
}

}  // namespace

void AddCall(Nfa& nfa, std::int32_t part, std::int32_t from, std::int32_t to) {
  METIER_DCHECK(part >= 0 && part < kMostParts, "a part that can be called");
  for (int digit = kCallDigits - 1; digit >= 0; --digit) {
    const std::int32_t value = part >> (kDigitBits * digit) & (kDigits - 1);
    const auto byte = static_cast<std::uint8_t>(kFirstCallByte + value);
    const std::int32_t next = digit == 0 ? to : nfa.AddState();
    nfa.AddEdge(from, byte, byte, next);
    from = next;
  }
}

std::vector<CfgCall> CallsAt(const Dfa& dfa, std::int32_t state) {
  std::vector<CfgCall> calls;
  CollectCalls(dfa, state, 0, 0, calls);
  return calls;
}

Dfa BeginsWithCall(std::int32_t part) {
  Nfa nfa(Spelling::kText);
  const std::int32_t start = nfa.AddState();
  const std::int32_t behind = nfa.AddState();
  AddCall(nfa, part, start, behind);
  nfa.AddEdge(behind, 0, 0xFF, behind);
  nfa.Accept(behind, 0);
  Result<Dfa> dfa = nfa.Determinise(start, {});
  METIER_CHECK(dfa.ok(), "a call has an automaton of few states");
  return std::move(*dfa);
}

}  // namespace metier::grammar
