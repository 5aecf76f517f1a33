// grammar/cfg/left_recursion.h - parts that begin with themselves, made to begin with something
// else.
//
// What is A or begins with A, A = A T | R, is R and then any number of T. Of a circle of several
// parts each one's beginning is first put in place of its call, until it calls itself alone
// (Paull's way, over automata instead of sequences).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "grammar/cfg/part_maker.h"

namespace metier::grammar {

// The parts in an order in which each stands behind all that begin with it. kUnsupported: a circle
// through a counted repetition. kResourceExhausted: many parts in circles, or large ones.
Result<std::vector<std::int32_t>> RemoveLeftRecursion(std::vector<RawPart>& parts,
                                                      const CfgLimits& limits, std::int64_t& work);

}  // namespace metier::grammar
