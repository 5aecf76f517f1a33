// text/template/tests.h - the tests of Jinja: what may follow `is`.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/template/machine.h"

namespace metier::text::jinja {

struct Test {
  std::string_view name;
  Result<bool> (*apply)(Machine& machine, const Value& input, const Arguments& arguments);
};

// Null: not one of ours.
const Test* FindTest(std::string_view name);
std::span<const std::string> TestNames();

}  // namespace metier::text::jinja
