// text/template/operators.h - Python's operators and subscripts on values.
#pragma once

#include <string_view>

#include "text/template/machine.h"

namespace metier::text::jinja {

// + - * / // % **.  kInvalidArgument: not defined for these types, division by zero.
// kUnsupported: an integer result over 64 bits.
Result<Value> Binary(Machine& machine, std::string_view spelling, const Value& a, const Value& b);
Result<Value> Negate(const Value& value);

// `item in container`.
Result<bool> Contains(const Value& container, const Value& item);

// container[index]: undefined when there is no such item, as in Jinja; kInvalidArgument: container
// is itself undefined.
Result<Value> GetItem(Machine& machine, const Value& container, const Value& index);
// object.name: a method or attribute, else the item of that name, else undefined.
Result<Value> GetAttribute(Machine& machine, const Value& object, std::string_view name);
// container[start:stop:step]; null: not given.
struct SliceBounds {
  const Value* start = nullptr;
  const Value* stop = nullptr;
  const Value* step = nullptr;
};
Result<Value> GetSlice(Machine& machine, const Value& container, const SliceBounds& bounds);

// & < > " ' as HTML entities.
MarkedText EscapeHtml(const MarkedText& text);

}  // namespace metier::text::jinja
