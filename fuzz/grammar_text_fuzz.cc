// Grammars as text: GBNF, Lark and regular expressions either compile or say why not, and no text
// costs more than its length allows; what a grammar accepts it accepts byte by byte.
//
// Input: the grammar, and behind the first byte 0 a text for it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "grammar/grammar.h"

namespace {

using metier::Result;
using metier::grammar::Configurations;
using metier::grammar::Grammar;
using metier::grammar::Machine;

void Try(const Result<Grammar>& grammar, std::string_view text) {
  constexpr std::size_t kLongestMessage = 4000;
  if (!grammar.ok()) {
    METIER_CHECK(grammar.error().message().size() < kLongestMessage, "messages stay short");
    return;
  }
  const Grammar::Verdict verdict = grammar->Judge(text);
  const std::unique_ptr<Machine> machine = grammar->NewMachine();
  Configurations configurations(*machine);
  Configurations::Id at = configurations.start();
  for (const char byte : text.substr(0, verdict.bytes))
    at = configurations.Next(at, static_cast<std::uint8_t>(byte));
  METIER_CHECK(at != Configurations::kNone, "as far as it was judged it is a beginning");
  const bool whole = verdict.bytes == text.size();
  METIER_CHECK(verdict.accepted == (whole && configurations.Complete(at)), "one verdict");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = input.find('\0');
  const std::string_view grammar = input.substr(0, end);
  constexpr std::size_t kLongestText = 64;
  const std::string_view text =
      end == input.npos ? std::string_view() : input.substr(end + 1, kLongestText);
  const metier::grammar::CfgLimits limits = {
      .automaton = {.max_states = 1 << 10, .max_work = 1 << 18},
      .max_states = 1 << 12,
      .most_nested = 40};
  Try(Grammar::OfGbnf(grammar, limits), text);
  Try(Grammar::OfLark(grammar, limits), text);
  if (grammar.size() < 200) Try(Grammar::OfRegex(grammar, limits), text);
  return 0;
}
