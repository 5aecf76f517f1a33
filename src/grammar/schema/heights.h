// grammar/schema/heights.h - how high the lowest value of each node is, which some nodes do not
// have.
#pragma once

#include "grammar/json/shapes.h"

namespace metier::grammar {

// Fills in heights everywhere; alternatives without a value go. `others` and `reachable` of objects
// follow from them.
void FindHeights(Shapes& shapes);

}  // namespace metier::grammar
