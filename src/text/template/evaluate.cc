// Expressions.
#include <fmt/format.h>

#include "text/template/filters.h"
#include "text/template/interpreter.h"
#include "text/template/operators.h"
#include "text/template/tests.h"

namespace metier::text::jinja {
namespace {

// How an expression is named in errors.
std::string Construct(const Expression& expression) {
  using Kind = Expression::Kind;
  switch (expression.kind) {
    case Kind::kName: return fmt::format("name '{}'", expression.name);
    case Kind::kAttribute: return fmt::format("attribute '.{}'", expression.name);
    case Kind::kItem: return "subscript [ ]";
    case Kind::kFilter: return fmt::format("filter '{}'", expression.name);
    case Kind::kTest: return fmt::format("test 'is {}'", expression.name);
    case Kind::kBinary: return fmt::format("operator '{}'", expression.name);
    case Kind::kConcat: return "operator '~'";
    case Kind::kCompare: return fmt::format("comparison '{}'", expression.operators.front());
    case Kind::kNegate:
    case Kind::kPlus: return "sign";
    case Kind::kDict: return "dict { }";
    case Kind::kCall: {
      const Expression& callee = *expression.parts[0];
      return callee.name.empty() ? "call ( )" : fmt::format("call of '{}'", callee.name);
    }
    default: return "expression";
  }
}

}  // namespace

Result<Value> Interpreter::Evaluate(const Expression& expression) {
  if (auto step = machine_.Step(); !step.ok())
    return Located(std::move(step).error(), expression.line, Construct(expression));
  if (++depth_ > kMaxDepth) {
    return Located(Error(ErrorCode::kResourceExhausted,
                         fmt::format("nested deeper than {} levels; does a macro call itself "
                                     "without end?",
                                     kMaxDepth)),
                   expression.line, Construct(expression));
  }
  auto value = EvaluateKind(expression);
  --depth_;
  if (!value.ok()) return Located(std::move(value).error(), expression.line, Construct(expression));
  return value;
}

Result<Value> Interpreter::EvaluateKind(const Expression& expression) {
  using Kind = Expression::Kind;
  switch (expression.kind) {
    case Kind::kConstant: return expression.constant;
    case Kind::kName: return Name(expression);
    case Kind::kList:
    case Kind::kTuple: return Literal(expression);
    case Kind::kDict: return DictLiteral(expression);
    case Kind::kAttribute: {
      METIER_ASSIGN(const Value object, Evaluate(*expression.parts[0]));
      return GetAttribute(machine_, object, expression.name);
    }
    case Kind::kItem: return Item(expression);
    case Kind::kSlice: break;  // only inside kItem
    case Kind::kCall: return CallExpression(expression, nullptr);
    case Kind::kFilter: return Filtered(expression, nullptr);
    case Kind::kTest: return Tested(expression);
    case Kind::kNot: {
      METIER_ASSIGN(const Value value, Evaluate(*expression.parts[0]));
      return Value(!Truth(value));
    }
    case Kind::kNegate: {
      METIER_ASSIGN(const Value value, Evaluate(*expression.parts[0]));
      return Negate(value);
    }
    case Kind::kPlus: {
      METIER_ASSIGN(const Value value, Evaluate(*expression.parts[0]));
      if (value.boolean() != nullptr) return Value(std::int64_t{*value.boolean() ? 1 : 0});
      if (value.is_number()) return value;
      return Wrong(fmt::format("a {} takes no sign", TypeName(value)));
    }
    case Kind::kBinary: {
      METIER_ASSIGN(const Value a, Evaluate(*expression.parts[0]));
      METIER_ASSIGN(const Value b, Evaluate(*expression.parts[1]));
      return Binary(machine_, expression.name, a, b);
    }
    case Kind::kConcat: return Concat(expression);
    case Kind::kCompare: return Compare(expression);
    case Kind::kAnd:
    case Kind::kOr: return AndOr(expression);
    case Kind::kIf: return InlineIf(expression);
  }
  return Wrong("a slice stands outside of [ ]");
}

Result<Value> Interpreter::Name(const Expression& expression) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->names)
      if (name == expression.name) return value;
  }
  if (IsFunction(expression.name)) {
    auto function = std::make_shared<Callable>();
    function->name = expression.name;
    return Value(CallablePtr(std::move(function)));
  }
  return Value::Missing(fmt::format("'{}' is undefined", expression.name));
}

Result<Value> Interpreter::Literal(const Expression& expression) {
  std::vector<Value> items;
  items.reserve(expression.parts.size());
  METIER_TRY(machine_.Charge(expression.parts.size() * sizeof(Value)));
  for (const ExpressionPtr& part : expression.parts) {
    METIER_ASSIGN(Value item, Evaluate(*part));
    items.push_back(std::move(item));
  }
  return MakeSequence(
      expression.kind == Expression::Kind::kTuple ? Sequence::Kind::kTuple : Sequence::Kind::kList,
      std::move(items));
}

Result<Value> Interpreter::DictLiteral(const Expression& expression) {
  std::vector<std::pair<Value, Value>> items;
  METIER_TRY(machine_.Charge(expression.parts.size() * sizeof(Value)));
  for (std::size_t i = 0; i < expression.parts.size(); i += 2) {
    METIER_ASSIGN(Value key, Evaluate(*expression.parts[i]));
    METIER_ASSIGN(Value value, Evaluate(*expression.parts[i + 1]));
    if (key.dict() != nullptr ||
        (key.sequence() != nullptr && key.sequence()->kind != Sequence::Kind::kTuple))
      return Wrong(fmt::format("a {} cannot be a key", TypeName(key)));
    METIER_TRY(machine_.Step(items.size()));
    bool known = false;
    for (auto& [other, old] : items) {
      if (!Equal(other, key)) continue;
      old = value;
      known = true;
    }
    if (!known) items.emplace_back(std::move(key), std::move(value));
  }
  return MakeDict(std::move(items));
}

Result<Value> Interpreter::Item(const Expression& expression) {
  METIER_ASSIGN(const Value container, Evaluate(*expression.parts[0]));
  const Expression& index = *expression.parts[1];
  if (index.kind != Expression::Kind::kSlice) {
    METIER_ASSIGN(const Value key, Evaluate(index));
    return GetItem(machine_, container, key);
  }
  Value values[3];
  const Value* given[3] = {nullptr, nullptr, nullptr};
  for (std::size_t i = 0; i < 3; ++i) {
    if (index.parts[i] == nullptr) continue;
    METIER_ASSIGN(values[i], Evaluate(*index.parts[i]));
    given[i] = &values[i];
  }
  return GetSlice(machine_, container, {given[0], given[1], given[2]});
}

Result<Value> Interpreter::Compare(const Expression& expression) {
  METIER_ASSIGN(Value left, Evaluate(*expression.parts[0]));
  for (std::size_t i = 0; i < expression.operators.size(); ++i) {
    METIER_ASSIGN(Value right, Evaluate(*expression.parts[i + 1]));
    const std::string& spelling = expression.operators[i];
    bool holds = false;
    if (spelling == "==" || spelling == "!=") {
      holds = Equal(left, right) == (spelling == "==");
    } else if (spelling == "in" || spelling == "not in") {
      METIER_ASSIGN(const bool found, Contains(right, left));
      holds = found == (spelling == "in");
    } else {
      METIER_ASSIGN(const int order, Order(left, right));
      holds = spelling == "<"    ? order < 0
              : spelling == "<=" ? order <= 0
              : spelling == ">"  ? order > 0
                                 : order >= 0;
    }
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::AndOr(const Expression& expression) {
  const bool stop_at = expression.kind == Expression::Kind::kOr;
  Value value;
  for (const ExpressionPtr& part : expression.parts) {
    METIER_ASSIGN(value, Evaluate(*part));
    if (Truth(value) == stop_at) break;
  }
  return value;
}

Result<Value> Interpreter::InlineIf(const Expression& expression) {
  METIER_ASSIGN(const Value condition, Evaluate(*expression.parts[1]));
  if (Truth(condition)) return Evaluate(*expression.parts[0]);
  if (expression.parts[2] != nullptr) return Evaluate(*expression.parts[2]);
  return Value::Missing(
      fmt::format("the inline if on line {} was false and has no else", expression.line));
}

Result<Value> Interpreter::Concat(const Expression& expression) {
  MarkedText joined;
  for (const ExpressionPtr& part : expression.parts) {
    METIER_ASSIGN(const Value value, Evaluate(*part));
    METIER_ASSIGN(const MarkedText text, ToText(value));
    METIER_TRY(machine_.Charge(text.bytes.size()));
    joined.Append(text);
  }
  return machine_.Made(std::move(joined));
}

Result<Arguments> Interpreter::ArgumentsOf(const Expression& expression) {
  Arguments arguments;
  for (const ExpressionPtr& part : expression.positional) {
    METIER_ASSIGN(Value value, Evaluate(*part));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, part] : expression.named) {
    METIER_ASSIGN(Value value, Evaluate(*part));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

// `block` is the text of a {% filter %} or {% set %} block, which the innermost filter receives.
Result<Value> Interpreter::Filtered(const Expression& expression, const Value* block) {
  Value input;
  if (expression.parts[0] == nullptr) {
    METIER_CHECK(block != nullptr, "only blocks have filters without an input");
    input = *block;
  } else if (block != nullptr) {
    METIER_ASSIGN(input, Filtered(*expression.parts[0], block));
  } else {
    METIER_ASSIGN(input, Evaluate(*expression.parts[0]));
  }
  METIER_ASSIGN(const Arguments arguments, ArgumentsOf(expression));
  auto value = expression.filter->apply(machine_, input, arguments);
  if (!value.ok()) return Located(std::move(value).error(), expression.line, Construct(expression));
  return value;
}

Result<Value> Interpreter::Tested(const Expression& expression) {
  METIER_ASSIGN(const Value input, Evaluate(*expression.parts[0]));
  METIER_ASSIGN(const Arguments arguments, ArgumentsOf(expression));
  METIER_ASSIGN(const bool passes, expression.test->apply(machine_, input, arguments));
  return Value(passes);
}

Result<Value> Interpreter::CallExpression(const Expression& expression, const Value* caller) {
  METIER_ASSIGN(const Value callee, Evaluate(*expression.parts[0]));
  METIER_ASSIGN(Arguments arguments, ArgumentsOf(expression));
  if (caller != nullptr) {
    if (callee.callable() == nullptr || callee.callable()->kind != Callable::Kind::kMacro)
      return Located(Wrong("{% call %} needs a macro"), expression.line, Construct(expression));
    arguments.named.emplace_back("caller", *caller);
  }
  auto value = Call(callee, std::move(arguments));
  if (!value.ok()) return Located(std::move(value).error(), expression.line, Construct(expression));
  return value;
}

}  // namespace metier::text::jinja
