#include "text/template/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/template/string_methods.h"

namespace metier::text::jinja {
namespace {

struct Method {
  std::string_view name;
  Result<Value> (*call)(Machine&, const Value& self, const Arguments&);
};

Result<Value> Refused(Machine&, const Value& self, const Arguments&) {
  return Error(ErrorCode::kUnsupported,
               fmt::format("templates cannot change a {}; build a new one", TypeName(self)));
}

Result<Value> Missing(Machine&, const Value& self, const Arguments&) {
  return Error(ErrorCode::kUnsupported,
               fmt::format("this method of {} is not supported in templates", TypeName(self)));
}

Result<Value> DictGet(Machine&, const Value& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"key", "default"}, 1));
  const Value* found = FindKey(*self.dict(), *bound[0]);
  if (found != nullptr) return *found;
  return bound[1] == nullptr ? Value(None{}) : *bound[1];
}

Result<Value> DictItems(Machine& machine, const Value& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  std::vector<Value> pairs;
  METIER_TRY(machine.Charge(self.dict()->items.size() * 4 * sizeof(Value)));
  for (const auto& [key, item] : self.dict()->items) {
    METIER_ASSIGN(Value pair, MakeSequence(Sequence::Kind::kTuple, {key, item}));
    pairs.push_back(std::move(pair));
  }
  return MakeSequence(Sequence::Kind::kItems, std::move(pairs));
}

Result<Value> DictKeys(Machine& machine, const Value& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_TRY(machine.Charge(self.dict()->items.size() * sizeof(Value)));
  std::vector<Value> keys;
  for (const auto& [key, item] : self.dict()->items) keys.push_back(key);
  return MakeSequence(Sequence::Kind::kKeys, std::move(keys));
}

Result<Value> DictValues(Machine& machine, const Value& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_TRY(machine.Charge(self.dict()->items.size() * sizeof(Value)));
  std::vector<Value> values;
  for (const auto& [key, item] : self.dict()->items) values.push_back(item);
  return MakeSequence(Sequence::Kind::kValues, std::move(values));
}

Result<Value> Copy(Machine&, const Value& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return self;  // values never change
}

Result<Value> ListCount(Machine&, const Value& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"value"}, 1));
  std::int64_t count = 0;
  for (const Value& item : self.sequence()->items) count += Equal(item, *bound[0]) ? 1 : 0;
  return Value(count);
}

Result<Value> ListIndex(Machine&, const Value& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"value"}, 1));
  const auto& items = self.sequence()->items;
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&bound](const Value& item) { return Equal(item, *bound[0]); });
  if (found == items.end()) return Wrong("index(): the value is not in the list");
  return Value(static_cast<std::int64_t>(found - items.begin()));
}

constexpr std::array<Method, 11> kDictMethods = {{{"get", DictGet},
                                                  {"items", DictItems},
                                                  {"keys", DictKeys},
                                                  {"values", DictValues},
                                                  {"copy", Copy},
                                                  {"clear", Refused},
                                                  {"pop", Refused},
                                                  {"popitem", Refused},
                                                  {"setdefault", Refused},
                                                  {"update", Refused},
                                                  {"fromkeys", Missing}}};
constexpr std::array<Method, 11> kListMethods = {{{"count", ListCount},
                                                  {"index", ListIndex},
                                                  {"copy", Copy},
                                                  {"append", Refused},
                                                  {"clear", Refused},
                                                  {"extend", Refused},
                                                  {"insert", Refused},
                                                  {"pop", Refused},
                                                  {"remove", Refused},
                                                  {"reverse", Refused},
                                                  {"sort", Refused}}};

const Method* Lookup(const Value& object, std::string_view name) {
  const auto in = [name](const auto& methods) -> const Method* {
    for (const Method& method : methods)
      if (method.name == name) return &method;
    return nullptr;
  };
  if (object.dict() != nullptr) return in(kDictMethods);
  if (object.sequence() == nullptr) return nullptr;
  const Method* method = in(kListMethods);
  if (object.sequence()->kind == Sequence::Kind::kList) return method;
  if (object.sequence()->kind == Sequence::Kind::kTuple && (name == "count" || name == "index"))
    return method;
  return nullptr;
}

Result<Value> LoopCycle(const LoopState& loop, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    return Wrong("loop.cycle() needs the values to cycle through");
  return arguments.positional[loop.index % arguments.positional.size()];
}

Result<Value> LoopChanged(const LoopState& loop, const Arguments& arguments) {
  METIER_ASSIGN(Value seen, MakeSequence(Sequence::Kind::kTuple, arguments.positional));
  if (seen.depth() > 8) return Wrong("loop.changed() of deeply nested values is not supported");
  const bool changed = !Equal(seen, loop.changed);
  loop.changed = std::move(seen);
  return Value(changed);
}

}  // namespace

bool FindMethod(const Value& object, std::string_view name) {
  if (object.text() != nullptr) return FindStringMethod(name);
  return Lookup(object, name) != nullptr;
}

Value MethodOf(const Value& object, std::string_view name) {
  auto method = std::make_shared<Callable>();
  method->kind = Callable::Kind::kMethod;
  method->name = name;
  method->self = object;
  return CallablePtr(std::move(method));
}

Result<Value> CallMethod(Machine& machine, const Callable& method, const Arguments& arguments) {
  const Value& self = method.self;
  if (self.text() != nullptr)
    return CallStringMethod(machine, *self.text(), method.name, arguments);
  if (self.loop() != nullptr) {
    return method.name == "cycle" ? LoopCycle(*self.loop(), arguments)
                                  : LoopChanged(*self.loop(), arguments);
  }
  const Method* found = Lookup(self, method.name);
  METIER_CHECK(found != nullptr, "a bound method exists");
  if (self.sequence() != nullptr) METIER_TRY(machine.Step(self.sequence()->items.size()));
  return found->call(machine, self, arguments);
}

Result<Value> LoopAttribute(const Value& value, std::string_view name) {
  const LoopState& loop = *value.loop();
  const auto index = static_cast<std::int64_t>(loop.index);
  const auto length = static_cast<std::int64_t>(loop.items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == length);
  if (name == "length") return Value(length);
  if (name == "depth") return Value(loop.nesting);
  if (name == "depth0") return Value(loop.nesting - 1);
  if (name == "previtem")
    return index == 0 ? Value::Missing("there is no previous item") : loop.items[loop.index - 1];
  if (name == "nextitem")
    return index + 1 >= length ? Value::Missing("there is no next item")
                               : loop.items[loop.index + 1];
  if (name == "cycle" || name == "changed") return MethodOf(value, name);
  return Value::Missing(fmt::format("'loop' has no attribute '{}'", name));
}

}  // namespace metier::text::jinja
