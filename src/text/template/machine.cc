#include "text/template/machine.h"

#include <fmt/format.h>

#include "text/template/python_text.h"

namespace metier::text::jinja {

Status Machine::Step(std::uint64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.max_template_steps) return Ok();
  return Error(ErrorCode::kResourceExhausted,
               fmt::format("the template did not end within {} steps; does it loop?",
                           limits_.max_template_steps));
}

Status Machine::Charge(std::uint64_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= limits_.max_rendered_bytes) return Ok();
  return Error(
      ErrorCode::kResourceExhausted,
      fmt::format("the template made more than {} bytes of text", limits_.max_rendered_bytes));
}

Result<Value> Machine::Made(MarkedText text) {
  if (text.bytes.size() > limits_.max_string_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("the template made a text of {} bytes, limit {}", text.bytes.size(),
                             limits_.max_string_bytes));
  }
  METIER_TRY(Charge(text.bytes.size() + text.marks.size() * sizeof(Mark) + sizeof(MarkedText)));
  return Value(std::move(text));
}

Error Wrong(std::string what) { return Error(ErrorCode::kInvalidArgument, std::move(what)); }

Result<std::vector<const Value*>> Bind(const Arguments& arguments,
                                       std::initializer_list<std::string_view> names,
                                       std::size_t required) {
  if (arguments.positional.size() > names.size()) {
    return Wrong(fmt::format("{} arguments given, at most {} expected", arguments.positional.size(),
                             names.size()));
  }
  std::vector<const Value*> bound(names.size(), nullptr);
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    std::size_t place = 0;
    while (place < names.size() && names.begin()[place] != name) ++place;
    if (place == names.size()) return Wrong(fmt::format("there is no argument '{}'", name));
    if (bound[place] != nullptr) return Wrong(fmt::format("argument '{}' is given twice", name));
    bound[place] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (bound[i] == nullptr)
      return Wrong(fmt::format("argument '{}' is missing", names.begin()[i]));
  }
  return bound;
}

Result<std::int64_t> IntegerOf(const Value* value, std::int64_t fallback, std::string_view what) {
  if (value == nullptr || value->is_none()) return fallback;
  if (value->integer() != nullptr) return *value->integer();
  if (value->boolean() != nullptr) return *value->boolean() ? 1 : 0;
  if (value->undefined() != nullptr) return MissingError(*value);
  return Wrong(fmt::format("{} is a {}, expected an int", what, TypeName(*value)));
}

Result<const MarkedText*> TextOf(const Value& value, std::string_view what) {
  if (value.text() != nullptr) return value.text();
  if (value.undefined() != nullptr) return MissingError(value);
  return Wrong(fmt::format("{} is a {}, expected a str", what, TypeName(value)));
}

Result<std::vector<Value>> Items(Machine& machine, const Value& value) {
  std::vector<Value> items;
  if (value.undefined() != nullptr) return items;
  if (const Sequence* sequence = value.sequence(); sequence != nullptr) {
    METIER_TRY(machine.Charge(sequence->items.size() * sizeof(Value)));
    if (sequence->kind != Sequence::Kind::kGenerator) return sequence->items;
    if (!std::exchange(sequence->consumed, true)) items = sequence->items;
    return items;
  }
  if (const Dict* dict = value.dict(); dict != nullptr) {
    METIER_TRY(machine.Charge(dict->items.size() * sizeof(Value)));
    for (const auto& [key, item] : dict->items) items.push_back(key);
    return items;
  }
  if (const MarkedText* text = value.text(); text != nullptr) {
    METIER_TRY(machine.Charge(text->bytes.size() * (sizeof(Value) + sizeof(MarkedText))));
    const std::vector<std::size_t> starts = CodePointStarts(text->bytes);
    METIER_TRY(machine.Step(starts.size() * (text->marks.size() + 1)));
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      MarkedText character = text->Slice(starts[i], starts[i + 1]);
      character.markup = false;
      items.emplace_back(std::move(character));
    }
    return items;
  }
  return Wrong(fmt::format("a {} cannot be iterated over", TypeName(value)));
}

Result<std::int64_t> Length(const Value& value) {
  if (value.undefined() != nullptr) return std::int64_t{0};
  if (value.text() != nullptr)
    return static_cast<std::int64_t>(CountCodePoints(value.text()->bytes));
  if (value.dict() != nullptr) return static_cast<std::int64_t>(value.dict()->items.size());
  if (value.sequence() != nullptr && value.sequence()->kind != Sequence::Kind::kGenerator)
    return static_cast<std::int64_t>(value.sequence()->items.size());
  if (value.loop() != nullptr) return static_cast<std::int64_t>(value.loop()->items.size());
  return Wrong(fmt::format("a {} has no length", TypeName(value)));
}

Error MissingError(const Value& undefined) {
  const auto& why = undefined.undefined()->why;
  return Wrong(why == nullptr ? "the value is undefined" : *why);
}

}  // namespace metier::text::jinja
