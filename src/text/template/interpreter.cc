#include "text/template/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/template/operators.h"

namespace metier::text::jinja {
namespace {

constexpr std::string_view kPrefix = "chat template, line ";

class DepthGuard {
 public:
  explicit DepthGuard(int& depth) : depth_(depth) { ++depth_; }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

}  // namespace

Error Located(Error error, int line, const std::string& construct) {
  if (std::string_view(error.message()).starts_with(kPrefix)) return error;
  return std::move(error).With(fmt::format("{}{}, {}", kPrefix, line, construct));
}

Interpreter::Interpreter(Machine& machine) : machine_(machine) { scope_ = PushScope(nullptr); }

void Interpreter::SetVariable(std::string name, Value value) {
  SetIn(*scope_, name, std::move(value));
}

Result<MarkedText> Interpreter::Run(const Body& body) {
  // The template's own names shadow the variables, and stand apart from them.
  PushScope(scope_);
  MarkedText out;
  out_ = &out;
  METIER_TRY(Execute(body));
  out_ = nullptr;
  return out;
}

Scope* Interpreter::PushScope(Scope* parent) {
  if (free_scopes_.empty()) {
    scopes_.push_back(std::make_unique<Scope>());
    free_scopes_.push_back(scopes_.back().get());
  }
  scope_ = free_scopes_.back();
  free_scopes_.pop_back();
  scope_->parent = parent;
  return scope_;
}

void Interpreter::PopScope(Scope* previous) {
  if (!scope_->captured) {
    scope_->names.clear();
    free_scopes_.push_back(scope_);
  }
  scope_ = previous;
}

void Interpreter::SetIn(Scope& scope, const std::string& name, Value value) {
  for (auto& [known, old] : scope.names) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  scope.names.emplace_back(name, std::move(value));
}

Result<Interpreter::Flow> Interpreter::Execute(const Body& body) {
  const DepthGuard guard(depth_);
  for (const StatementPtr& statement : body) {
    if (depth_ > kMaxDepth) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("{}{}: nested deeper than {} levels; does a macro call itself "
                               "without end?",
                               kPrefix, statement->line, kMaxDepth));
    }
    if (auto step = machine_.Step(); !step.ok())
      return Located(std::move(step).error(), statement->line, "statement");
    METIER_ASSIGN(const Flow flow, ExecuteOne(*statement));
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Result<Interpreter::Flow> Interpreter::ExecuteOne(const Statement& statement) {
  using Kind = Statement::Kind;
  switch (statement.kind) {
    case Kind::kText:
      METIER_TRY(machine_.Charge(statement.text.size()));
      out_->Append(statement.text);
      return Flow::kOn;
    case Kind::kPrint: {
      METIER_ASSIGN(const Value value, Evaluate(*statement.value));
      METIER_TRY(Print(value, statement));
      return Flow::kOn;
    }
    case Kind::kIf: return If(statement);
    case Kind::kFor: return For(statement);
    case Kind::kSet: {
      METIER_ASSIGN(const Value value, Evaluate(*statement.value));
      METIER_TRY(Assign(statement.target, value, statement.line));
      return Flow::kOn;
    }
    case Kind::kSetBlock: METIER_TRY(SetBlock(statement)); return Flow::kOn;
    case Kind::kMacro: DefineMacro(statement); return Flow::kOn;
    case Kind::kCallBlock: METIER_TRY(CallBlock(statement)); return Flow::kOn;
    case Kind::kFilterBlock: METIER_TRY(FilterBlock(statement)); return Flow::kOn;
    case Kind::kWith: return With(statement);
    case Kind::kGeneration: METIER_TRY(Generation(statement)); return Flow::kOn;
    case Kind::kBreak: return Flow::kBreak;
    case Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kOn;
}

Status Interpreter::Print(const Value& value, const Statement& statement) {
  auto text = ToText(value);
  if (!text.ok()) return Located(std::move(text).error(), statement.line, "{{ ... }}");
  auto paid = machine_.Charge(text->bytes.size() + text->marks.size() * sizeof(Mark));
  if (paid.ok() && out_->bytes.size() + text->bytes.size() > machine_.limits().max_string_bytes) {
    paid = Error(ErrorCode::kResourceExhausted, fmt::format("the rendered text is over {} bytes",
                                                            machine_.limits().max_string_bytes));
  }
  if (!paid.ok()) return Located(std::move(paid).error(), statement.line, "{{ ... }}");
  out_->Append(*text);
  return Ok();
}

Result<Interpreter::Flow> Interpreter::If(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    if (branch.condition != nullptr) {
      METIER_ASSIGN(const Value condition, Evaluate(*branch.condition));
      if (!Truth(condition)) continue;
    }
    return Execute(branch.body);
  }
  return Flow::kOn;
}

// What the loop goes over: with its filter applied first, so that loop.length counts what is left.
Result<std::vector<Value>> Interpreter::LoopItems(const Statement& statement) {
  METIER_ASSIGN(const Value iterable, Evaluate(*statement.value));
  auto items = Items(machine_, iterable);
  if (!items.ok()) return Located(std::move(items).error(), statement.line, "{% for %}");
  if (statement.filter == nullptr) return items;
  std::vector<Value> kept;
  Scope* const previous = scope_;
  for (const Value& item : *items) {
    PushScope(previous);
    METIER_TRY(Assign(statement.target, item, statement.line));
    METIER_ASSIGN(const Value passes, Evaluate(*statement.filter));
    PopScope(previous);
    if (Truth(passes)) kept.push_back(item);
  }
  return kept;
}

Result<Interpreter::Flow> Interpreter::For(const Statement& statement) {
  METIER_ASSIGN(std::vector<Value> items, LoopItems(statement));
  if (items.empty()) {
    Scope* const previous = scope_;
    PushScope(previous);
    METIER_ASSIGN(const Flow flow, Execute(statement.otherwise));
    PopScope(previous);
    return flow;
  }
  auto loop = std::make_shared<LoopState>();
  for (const Value& item : items) loop->depth = std::max(loop->depth, item.depth() + 1);
  if (loop->depth > kMaxValueDepth) {
    return Located(Error(ErrorCode::kResourceExhausted, "a value is nested too deeply"),
                   statement.line, "{% for %}");
  }
  loop->items = std::move(items);
  loop->nesting = ++loop_nesting_;
  auto flow = Iterate(statement, loop);
  --loop_nesting_;
  return flow;
}

Result<Interpreter::Flow> Interpreter::Iterate(const Statement& statement,
                                               const std::shared_ptr<LoopState>& loop) {
  Scope* const previous = scope_;
  for (; loop->index < loop->items.size(); ++loop->index) {
    const Value& item = loop->items[loop->index];
    if (auto step = machine_.Step(); !step.ok())
      return Located(std::move(step).error(), statement.line, "{% for %}");
    Scope* const scope = PushScope(previous);
    METIER_TRY(Assign(statement.target, item, statement.line));
    SetIn(*scope, "loop", Value(LoopPtr(loop)));
    const std::size_t begin = out_->bytes.size();
    const std::size_t first_mark = out_->marks.size();
    METIER_ASSIGN(const Flow flow, Execute(statement.body));
    MarkIteration(item, begin, first_mark);
    PopScope(previous);
    if (flow == Flow::kBreak) break;
  }
  return Flow::kOn;
}

// Iterations over messages, and iterations that print data of one message only, are remembered:
// where a message's part of the text ends is where its iteration ends.
void Interpreter::MarkIteration(const Value& item, std::size_t begin, std::size_t first_mark) {
  if (out_->bytes.size() == begin) return;
  std::int32_t source = kNoSource;
  if (item.dict() != nullptr && item.dict()->is_message) {
    source = item.dict()->source;
  } else {
    for (std::size_t i = first_mark; i < out_->marks.size(); ++i) {
      const Mark& mark = out_->marks[i];
      if (mark.kind != MarkKind::kData || mark.source < 0 || mark.source == source) continue;
      if (source != kNoSource) return;
      source = mark.source;
    }
  }
  if (source >= 0) out_->MarkFrom(begin, source, MarkKind::kIteration);
}

Result<Value> Interpreter::Captured(const Body& body) {
  Scope* const previous = scope_;
  MarkedText* const outer = out_;
  MarkedText text;
  PushScope(previous);
  out_ = &text;
  auto flow = Execute(body);
  out_ = outer;
  PopScope(previous);
  if (!flow.ok()) return std::move(flow).error();
  return machine_.Made(std::move(text));
}

Status Interpreter::SetBlock(const Statement& statement) {
  METIER_ASSIGN(Value text, Captured(statement.body));
  if (statement.value != nullptr) {
    METIER_ASSIGN(text, Filtered(*statement.value, &text));
  }
  return Assign(statement.target, text, statement.line);
}

Status Interpreter::FilterBlock(const Statement& statement) {
  METIER_ASSIGN(const Value text, Captured(statement.body));
  METIER_ASSIGN(const Value filtered, Filtered(*statement.value, &text));
  return Print(filtered, statement);
}

Status Interpreter::CallBlock(const Statement& statement) {
  const Value caller = MacroValue(*statement.macro);
  METIER_ASSIGN(const Value text, CallExpression(*statement.value, &caller));
  return Print(text, statement);
}

Result<Interpreter::Flow> Interpreter::With(const Statement& statement) {
  // All values first: they see the names outside.
  std::vector<Value> values;
  for (const Statement::Assignment& assignment : statement.assignments) {
    METIER_ASSIGN(Value value, Evaluate(*assignment.value));
    values.push_back(std::move(value));
  }
  Scope* const previous = scope_;
  PushScope(previous);
  for (std::size_t i = 0; i < values.size(); ++i)
    METIER_TRY(Assign(statement.assignments[i].target, values[i], statement.line));
  METIER_ASSIGN(const Flow flow, Execute(statement.body));
  PopScope(previous);
  return flow;
}

Status Interpreter::Generation(const Statement& statement) {
  Scope* const previous = scope_;
  PushScope(previous);
  const std::size_t begin = out_->bytes.size();
  METIER_TRY(Execute(statement.body));
  out_->MarkFrom(begin, kNoSource, MarkKind::kGeneration);
  PopScope(previous);
  return Ok();
}

Value Interpreter::MacroValue(const Macro& macro) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->captured = true;
  auto callable = std::make_shared<Callable>();
  callable->kind = Callable::Kind::kMacro;
  callable->name = macro.name;
  callable->macro = &macro;
  callable->scope = scope_;
  return CallablePtr(std::move(callable));
}

void Interpreter::DefineMacro(const Statement& statement) {
  SetIn(*scope_, statement.macro->name, MacroValue(*statement.macro));
}

Status Interpreter::Assign(const Target& target, const Value& value, int line) {
  switch (target.kind) {
    case Target::Kind::kName: SetIn(*scope_, target.name, value); return Ok();
    case Target::Kind::kTuple: return AssignTuple(target, value, line);
    case Target::Kind::kAttribute: break;
  }
  Namespace* names = nullptr;
  for (const Scope* scope = scope_; scope != nullptr && names == nullptr; scope = scope->parent) {
    for (const auto& [name, held] : scope->names) {
      if (name != target.name) continue;
      names = held.name_space();
      if (names == nullptr) {
        return Located(Wrong(fmt::format("'{}' is a {}, expected a namespace to set '{}' in",
                                         target.name, TypeName(held), target.attribute)),
                       line, "{% set %}");
      }
      break;
    }
  }
  if (names == nullptr) {
    return Located(Wrong(fmt::format("'{}' is undefined, expected a namespace", target.name)), line,
                   "{% set %}");
  }
  for (auto& [name, held] : names->items) {
    if (name != target.attribute) continue;
    held = value;
    return Ok();
  }
  names->items.emplace_back(target.attribute, value);
  return Ok();
}

Status Interpreter::AssignTuple(const Target& target, const Value& value, int line) {
  auto items = value.undefined() != nullptr ? Result<std::vector<Value>>(MissingError(value))
                                            : Items(machine_, value);
  if (!items.ok()) return Located(std::move(items).error(), line, "unpacking");
  if (items->size() != target.parts.size()) {
    return Located(
        Wrong(fmt::format("found {} values, expected {}", items->size(), target.parts.size())),
        line, "unpacking");
  }
  for (std::size_t i = 0; i < items->size(); ++i)
    METIER_TRY(Assign(target.parts[i], (*items)[i], line));
  return Ok();
}

}  // namespace metier::text::jinja
