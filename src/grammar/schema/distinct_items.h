// grammar/schema/distinct_items.h - items that must not be equal (uniqueItems).
#pragma once

#include <vector>

#include "base/result.h"
#include "grammar/json/shapes.h"
#include "grammar/schema/rules.h"

namespace metier::grammar {

// Of items of these rules, each value in one spelling: numbers without an exponent and without
// zeros behind the last digit, -0 as 0. kUnsupported: arrays and objects may be items, whose values
// have many spellings.
Result<DistinctShape> DistinctItems(const std::vector<Rules>& alternatives,
                                    const AutomatonLimits& limits);

}  // namespace metier::grammar
