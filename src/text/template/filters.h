// text/template/filters.h - the filters of Jinja that chat templates use, and their close
// relatives.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/template/machine.h"

namespace metier::text::jinja {

struct Filter {
  std::string_view name;
  Result<Value> (*apply)(Machine& machine, const Value& input, const Arguments& arguments);
};

// Null: not one of ours.
const Filter* FindFilter(std::string_view name);
std::span<const std::string> FilterNames();

// The groups that make up the table, one per file.
std::span<const Filter> TextFilters();
std::span<const Filter> NumberFilters();
std::span<const Filter> SequenceFilters();
std::span<const Filter> SelectionFilters();

// value.a.b for the path "a.b", value.0 for 0: what `attribute=` and selectattr mean.
Result<Value> AttributePath(Machine& machine, const Value& value, const Value& path);

}  // namespace metier::text::jinja
