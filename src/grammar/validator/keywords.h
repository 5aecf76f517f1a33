// grammar/validator/keywords.h - the one table of keywords: where each is known, what schemas lie
// inside it, and how it is compiled.
//
// A new keyword is a row of keywords.cc and its Build function (build_*.cc).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/function_ref.h"
#include "base/json.h"
#include "base/result.h"
#include "grammar/validator/dialect.h"

namespace metier::grammar::validator {

class NodeBuilder;

// What a keyword's value holds.
enum class Shape {
  kPlain,          // no schema
  kSchema,         // a schema
  kSchemas,        // an array of schemas
  kSchemasByName,  // an object whose values are schemas
  kOneOrMore,      // a schema or an array of them
  kDependencies,   // an object whose values are schemas or arrays of names
};

struct KeywordRow {
  std::string_view name;
  SchemaDraft first;
  SchemaDraft last;
  Vocabulary vocabulary;
  Shape shape;
  Status (*build)(NodeBuilder& node, const Json& value);
};

// The row by which `dialect` reads a keyword of this name; null where it means nothing.
const KeywordRow* FindKeyword(std::string_view name, const Dialect& dialect);

// Calls `visit` for each schema directly inside a keyword's value, with its place below the
// keyword: "" or "/0" or "/name". Values of another shape are passed over: to refuse them is the
// Build functions' business.
void VisitSchemas(Shape shape, const Json& value,
                  FunctionRef<void(const Json& schema, const std::string& place)> visit);

}  // namespace metier::grammar::validator
