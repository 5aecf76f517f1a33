// text/template/interpreter.h - runs a parsed template over variables.
//
// Names are looked up where they stand in the template: a loop, macro, {% with %}, {% filter %},
// {% call %}, {% generation %} or block {% set %} is a scope of its own and a loop's is new in each
// iteration, {% if %} is none. That is why a template needs a namespace to carry anything out of a
// loop.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/template/ast.h"
#include "text/template/machine.h"

namespace metier::text::jinja {

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string, Value>> names;
  bool captured = false;  // a macro was defined here and may outlive the block
};

// Of statements, expressions and macro calls inside each other while running; the stack's limit.
constexpr int kMaxDepth = 800;

class Interpreter {
 public:
  // Borrows the machine.
  explicit Interpreter(Machine& machine);

  void SetVariable(std::string name, Value value);
  // kInvalidArgument: the template raised an exception, or used a value in a way that Python would
  // not allow. kUnsupported, kResourceExhausted. Every error names the line and what stands there.
  Result<MarkedText> Run(const Body& body);

 private:
  enum class Flow { kOn, kBreak, kContinue };

  // Statements (interpreter.cc).
  Result<Flow> Execute(const Body& body);
  Result<Flow> ExecuteOne(const Statement& statement);
  Result<Flow> If(const Statement& statement);
  Result<Flow> For(const Statement& statement);
  Result<Flow> Iterate(const Statement& statement, const std::shared_ptr<LoopState>& loop);
  Result<std::vector<Value>> LoopItems(const Statement& statement);
  Status SetBlock(const Statement& statement);
  Status CallBlock(const Statement& statement);
  Status FilterBlock(const Statement& statement);
  Result<Flow> With(const Statement& statement);
  Status Generation(const Statement& statement);
  void DefineMacro(const Statement& statement);
  Status Print(const Value& value, const Statement& statement);
  // The body as text instead of output, in a scope of its own.
  Result<Value> Captured(const Body& body);
  Status Assign(const Target& target, const Value& value, int line);
  Status AssignTuple(const Target& target, const Value& value, int line);
  void MarkIteration(const Value& item, std::size_t begin, std::size_t first_mark);

  // Expressions (evaluate.cc).
  Result<Value> Evaluate(const Expression& expression);
  Result<Value> EvaluateKind(const Expression& expression);
  Result<Value> Name(const Expression& expression);
  Result<Value> Literal(const Expression& expression);
  Result<Value> DictLiteral(const Expression& expression);
  Result<Value> Item(const Expression& expression);
  Result<Value> Compare(const Expression& expression);
  Result<Value> AndOr(const Expression& expression);
  Result<Value> InlineIf(const Expression& expression);
  Result<Value> Concat(const Expression& expression);
  Result<Value> Filtered(const Expression& expression, const Value* block);
  Result<Value> Tested(const Expression& expression);
  Result<Value> CallExpression(const Expression& expression, const Value* caller);
  Result<Arguments> ArgumentsOf(const Expression& expression);

  // Calls (calls.cc).
  Result<Value> Call(const Value& callee, Arguments arguments);
  Result<Value> CallMacro(const Callable& macro, Arguments arguments);
  Result<Value> CallFunction(const std::string& name, const Arguments& arguments);
  Value MacroValue(const Macro& macro);
  static bool IsFunction(std::string_view name);

  // Scopes. PushScope makes a child of `parent` current; PopScope returns to `previous`.
  Scope* PushScope(Scope* parent);
  void PopScope(Scope* previous);
  static void SetIn(Scope& scope, const std::string& name, Value value);

  Machine& machine_;
  std::vector<std::unique_ptr<Scope>> scopes_;
  std::vector<Scope*> free_scopes_;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  Scope* scope_ = nullptr;
  MarkedText* out_ = nullptr;
  int depth_ = 0;
  std::int64_t loop_nesting_ = 0;
};

// The error with line and construct in front, unless an inner construct has already named itself.
Error Located(Error error, int line, const std::string& construct);

}  // namespace metier::text::jinja
