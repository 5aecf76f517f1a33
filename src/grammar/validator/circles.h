// grammar/validator/circles.h - schemas that apply themselves to the value they were given.
//
// {"$ref": "#"} has no meaning: to know whether a value fits one would have to know it already. Any
// way round through keywords that stay at the same value (references, allOf, if, ...) is one; a way
// that steps into an item or a property is recursion, which ends with the instance.
#pragma once

#include "base/result.h"
#include "grammar/validator/program.h"

namespace metier::grammar::validator {

// kInvalidArgument: names the schemas of a circle. Circles that only close through a $dynamicRef
// depend on the way and are left to the depth limit of Evaluation.  Cost: linear, not recursive.
Status RefuseCircles(const Program& program);

// "https://example.com/a.json#/items".
std::string NameOf(const Program& program, const Node& node);

}  // namespace metier::grammar::validator
