// text/template/ast.h - a parsed template.
//
// Everything is immutable after parsing, so one template may be rendered by many threads at once.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/template/value.h"

namespace metier::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Filter;  // machine.h
struct Test;    // machine.h

struct Expression {
  enum class Kind {
    kConstant,
    kName,       // name
    kList,       // parts
    kTuple,      // parts
    kDict,       // parts: key, value, key, value, ...
    kAttribute,  // parts[0].name
    kItem,       // parts[0][parts[1]]
    kSlice,      // only as the second part of kItem: parts are start, stop, step, each may be null
    kCall,       // parts[0](arguments)
    kFilter,     // parts[0] | filter(arguments); parts[0] is null in {% filter %} and {% set %}
    kTest,       // parts[0] is test(arguments)
    kNot,
    kNegate,
    kPlus,
    kBinary,   // name is the operator
    kConcat,   // parts joined by ~
    kCompare,  // parts[0] operators[0] parts[1] operators[1] parts[2] ...
    kAnd,
    kOr,
    kIf,  // parts[0] if parts[1] else parts[2], which may be null
  };
  Kind kind = Kind::kConstant;
  int line = 1;
  int depth = 1;  // of nesting, for the parser's limit
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> operators;
  std::vector<ExpressionPtr> positional;  // arguments
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  const Filter* filter = nullptr;
  const Test* test = nullptr;
};

// What {% set %}, {% for %} and {% with %} assign to.
struct Target {
  enum class Kind { kName, kAttribute, kTuple };
  Kind kind = Kind::kName;
  std::string name;
  std::string attribute;  // kAttribute: name.attribute, of a namespace
  std::vector<Target> parts;
};

struct Statement;
using StatementPtr = std::unique_ptr<Statement>;
using Body = std::vector<StatementPtr>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // null: none
};

// A macro, or the body of a {% call %} block, which is called through the name `caller`.
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
};

struct Statement {
  enum class Kind {
    kText,         // text
    kPrint,        // {{ value }}
    kIf,           // branches; a branch without condition is the else
    kFor,          // for target in value [if filter]: body, else otherwise
    kSet,          // target = value
    kSetBlock,     // {% set target | value %} body {% endset %}; value may be null
    kMacro,        // macro
    kCallBlock,    // {% call(macro.parameters) value %} macro.body
    kFilterBlock,  // body through value
    kWith,         // assignments, body
    kGeneration,   // body
    kBreak,
    kContinue,
  };
  struct Branch {
    ExpressionPtr condition;
    Body body;
  };
  struct Assignment {
    Target target;
    ExpressionPtr value;
  };
  Kind kind = Kind::kText;
  int line = 1;
  std::string text;
  ExpressionPtr value;
  ExpressionPtr filter;
  Target target;
  Body body;
  Body otherwise;
  std::vector<Branch> branches;
  std::vector<Assignment> assignments;
  std::unique_ptr<Macro> macro;
};

}  // namespace metier::text::jinja
