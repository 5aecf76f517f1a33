// retail/desk.h - the tools without a customer: calls come in, results go out.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "retail/schema.h"
#include "retail/world.h"

namespace metier::retail {

// Held-out customers to play, one a line: one whose order is placed, one on its way, one delivered
// that can be returned. "Mira Holt, mira@mail.example, postcode 12345, order W48213 (placed): Wren
// kettle".
std::vector<std::string> PeopleToPlay(const World& world);

// Answers calls until the input ends: a line is {"name": ..., "arguments": {...}}, or holds one (as
// models write it, between tags). What was verified and changed by one line holds for the next; the
// line "new" begins another conversation. A line without a call is answered {"error": ...}.
// kIo: the output does not take what is written.
Status RunDesk(const World& world, const ToolSet& tools, std::FILE* in, std::FILE* out);

}  // namespace metier::retail
