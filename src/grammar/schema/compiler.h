// grammar/schema/compiler.h - JSON Schema to shapes (json/shapes.h).
//
// What a schema says of a value is expanded into alternatives (expander.h); what several of its
// parts say of one item or member is one conjunction again, a node. A conjunction has one node, so
// schemas that contain themselves come to an end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/json/shapes.h"
#include "grammar/schema/expander.h"
#include "grammar/schema/schema_tree.h"

namespace metier::grammar {

struct SchemaLimits {
  std::int64_t max_nodes = 20'000;
  std::int64_t max_states = 1 << 20;  // of all automata together
  ExpanderLimits expander;
};

// Drafts 4 to 2020-12. `format` is taken as asked for, where it is known (formats.h).
// kUnsupported: a keyword that cannot be compiled, with its place. kInvalidArgument, kNotFound: no
// schema. kResourceExhausted: over the limits. kDataCorrupt: no value is of this schema.
Result<Shapes> CompileSchema(const Json& schema, const SchemaLimits& limits = {});

}  // namespace metier::grammar
