// grammar/cfg/calls.h - calls of parts as bytes, so that automata over bytes can have them.
//
// A call of part n is five bytes of 0xF8 to 0xFF: its digits to base eight. No text in UTF-8 has
// such bytes, so no text is taken for a call, and what automata can do (automata/) they do with
// calls as well. They are gone when the calls stand in tables (cfg.h).
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/automata/dfa.h"
#include "grammar/automata/nfa.h"
#include "grammar/cfg/cfg.h"

namespace metier::grammar {

constexpr std::uint8_t kFirstCallByte = 0xF8;
constexpr int kCallDigits = 5;
constexpr std::int32_t kMostParts = 1 << (3 * kCallDigits);

void AddCall(Nfa& nfa, std::int32_t part, std::int32_t from, std::int32_t to);
// The calls at a state, by part; a part once.
std::vector<CfgCall> CallsAt(const Dfa& dfa, std::int32_t state);
// Texts that begin with a call of the part.
Dfa BeginsWithCall(std::int32_t part);

}  // namespace metier::grammar
