// worlds/shape.h - what a JSON value has to look like, written as an example of one.
//
//   ""      a string          "yes|no"  one of these strings     true  a boolean
//   0       a whole number    0.5       any number               null  anything
//   [s]     an array of s     {"*": s}  an object, whatever its names, of s
//   {"a": s, "b?": s}         an object with "a", and with or without "b"
//
// Records are checked once, when they are read, and arguments at every call. Tools rely on it: they
// read fields without asking whether they are there.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace metier::worlds {

// What becomes of names of an object that its shape does not list.
enum class UnknownNames { kKept, kRefused };

// kInvalidArgument: the first place where the value is not of the shape. `what` says what the
// places are: "argument" gives "argument 'flights/0/date' is a whole number, expected a string".
Status CheckShape(const Json& shape, const Json& value, UnknownNames unknown,
                  const std::string& what);

}  // namespace metier::worlds
