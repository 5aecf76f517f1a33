// text/template/methods.h - methods of str, dict and list, and the attributes of `loop`.
//
// A method that Python has and we do not is found here all the same, so that it cannot pass for an
// undefined attribute; calling it is kUnsupported. Methods that would change a list or dict are
// refused, as the sandbox of the reference does.
#pragma once

#include <string_view>

#include "text/template/machine.h"

namespace metier::text::jinja {

// Does the type of `object` have a method of this name?
bool FindMethod(const Value& object, std::string_view name);
Value MethodOf(const Value& object, std::string_view name);
// Requires method.kind == kMethod.
Result<Value> CallMethod(Machine& machine, const Callable& method, const Arguments& arguments);

// loop.index and its kin, loop.cycle and loop.changed. Requires loop.loop() != nullptr.
Result<Value> LoopAttribute(const Value& loop, std::string_view name);

}  // namespace metier::text::jinja
