// text/template/string_methods.h - the methods of Python's str.
#pragma once

#include <string_view>

#include "text/template/machine.h"

namespace metier::text::jinja {

bool FindStringMethod(std::string_view name);
// Requires FindStringMethod(name). kUnsupported: a method that Python has and we do not.
Result<Value> CallStringMethod(Machine& machine, const MarkedText& self, std::string_view name,
                               const Arguments& arguments);

// Pays for what Replace with the same arguments will do at most.
Status ChargeReplace(Machine& machine, const MarkedText& text, const MarkedText& from,
                     const MarkedText& to);
// text.replace(from, to, count); count < 0: all.
MarkedText Replace(const MarkedText& text, const MarkedText& from, const MarkedText& to,
                   std::int64_t count);

}  // namespace metier::text::jinja
