// Calls: macros, methods and the functions that templates are given.
#include <fmt/format.h>

#include <array>
#include <ctime>

#include "text/template/interpreter.h"
#include "text/template/methods.h"

namespace metier::text::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // as Jinja's sandbox

constexpr std::array<std::string_view, 5> kFunctions = {"namespace", "raise_exception", "range",
                                                        "strftime_now", "dict"};

Result<Value> Range(Machine& machine, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"start", "stop", "step"}, 1));
  METIER_ASSIGN(std::int64_t start, IntegerOf(bound[0], 0, "the argument of range()"));
  METIER_ASSIGN(std::int64_t stop, IntegerOf(bound[1], 0, "the argument of range()"));
  METIER_ASSIGN(const std::int64_t step, IntegerOf(bound[2], 1, "the step of range()"));
  if (bound[1] == nullptr) {
    stop = start;
    start = 0;
  }
  if (step == 0) return Wrong("the step of range() is 0");
  std::vector<Value> items;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<std::int64_t>(items.size()) == kMaxRange) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("range() is longer than {}", kMaxRange));
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  METIER_TRY(machine.Charge(items.size() * sizeof(Value)));
  return MakeSequence(Sequence::Kind::kList, std::move(items));
}

Result<Value> StrftimeNow(Machine& machine, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"format"}, 1));
  METIER_ASSIGN(const MarkedText* format, TextOf(*bound[0], "the format of strftime_now()"));
  if (format->bytes.size() > 256) return Wrong("the format of strftime_now() is over 256 bytes");
  if (format->bytes.empty()) return Value::Plain("");
  std::array<char, 16384> buffer{};
  const std::tm now = machine.now();
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), format->bytes.c_str(), &now);
  return machine.Made(MarkedText::Plain(std::string_view(buffer.data(), size)));
}

Result<Value> RaiseException(const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"message"}, 1));
  METIER_ASSIGN(const MarkedText message, ToText(*bound[0]));
  return Wrong("the template refuses this conversation: " + message.bytes);
}

Result<Value> DictFunction(const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> items;
  if (arguments.positional.size() > 1) return Wrong("dict() takes one positional argument at most");
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.dict() == nullptr)
      return Error(ErrorCode::kUnsupported, "dict() of something that is not a dict");
    items = from.dict()->items;
  }
  for (const auto& [name, value] : arguments.named) {
    bool known = false;
    for (auto& [key, old] : items) {
      if (key.text() == nullptr || key.text()->bytes != name) continue;
      old = value;
      known = true;
    }
    if (!known) items.emplace_back(Value::Plain(name), value);
  }
  return MakeDict(std::move(items));
}

}  // namespace

bool Interpreter::IsFunction(std::string_view name) {
  for (const std::string_view known : kFunctions)
    if (known == name) return true;
  return false;
}

Result<Value> Interpreter::Call(const Value& callee, Arguments arguments) {
  if (callee.undefined() != nullptr) return MissingError(callee);
  const Callable* callable = callee.callable();
  if (callable == nullptr) {
    return Wrong(fmt::format("a {} cannot be called", TypeName(callee)));
  }
  switch (callable->kind) {
    case Callable::Kind::kFunction: return CallFunction(callable->name, arguments);
    case Callable::Kind::kMethod: return CallMethod(machine_, *callable, arguments);
    case Callable::Kind::kMacro: return CallMacro(*callable, std::move(arguments));
  }
  return Wrong("not callable");
}

Result<Value> Interpreter::CallFunction(const std::string& name, const Arguments& arguments) {
  if (name == "range") return Range(machine_, arguments);
  if (name == "raise_exception") return RaiseException(arguments);
  if (name == "strftime_now") return StrftimeNow(machine_, arguments);
  if (name == "dict") return DictFunction(arguments);
  METIER_TRY(machine_.Charge(sizeof(Namespace)));
  namespaces_.push_back(std::make_unique<Namespace>());
  Namespace* const names = namespaces_.back().get();
  METIER_ASSIGN(const Value start, DictFunction(arguments));
  for (const auto& [key, value] : start.dict()->items) {
    METIER_ASSIGN(const MarkedText* text, TextOf(key, "the name of an attribute"));
    names->items.emplace_back(text->bytes, value);
  }
  return Value(names);
}

Result<Value> Interpreter::CallMacro(const Callable& callable, Arguments arguments) {
  const Macro& macro = *callable.macro;
  const std::size_t count = macro.parameters.size();
  if (arguments.positional.size() > count) {
    return Wrong(fmt::format("'{}' takes {} arguments, found {}", macro.name, count,
                             arguments.positional.size()));
  }
  std::vector<const Value*> bound(count, nullptr);
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  Value caller = Value::Missing("no caller: the macro was not called by {% call %}");
  for (const auto& [name, value] : arguments.named) {
    std::size_t place = 0;
    while (place < count && macro.parameters[place].name != name) ++place;
    if (place == count && name == "caller") {
      caller = value;
      continue;
    }
    if (place == count) return Wrong(fmt::format("'{}' has no parameter '{}'", macro.name, name));
    if (bound[place] != nullptr)
      return Wrong(fmt::format("parameter '{}' of '{}' is given twice", name, macro.name));
    bound[place] = &value;
  }

  Scope* const previous = scope_;
  MarkedText* const outer = out_;
  MarkedText text;
  PushScope(callable.scope);
  out_ = &text;
  SetIn(*scope_, "caller", std::move(caller));
  for (std::size_t i = 0; i < count; ++i) {
    const Parameter& parameter = macro.parameters[i];
    Value value = Value::Missing(fmt::format("parameter '{}' was not provided", parameter.name));
    if (bound[i] != nullptr) {
      value = *bound[i];
    } else if (parameter.fallback != nullptr) {
      METIER_ASSIGN(value, Evaluate(*parameter.fallback));
    }
    SetIn(*scope_, parameter.name, std::move(value));
  }
  auto flow = Execute(macro.body);
  out_ = outer;
  PopScope(previous);
  if (!flow.ok()) return std::move(flow).error();
  return machine_.Made(std::move(text));
}

}  // namespace metier::text::jinja
