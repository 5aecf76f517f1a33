#include "text/template/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "text/template/methods.h"
#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

Error TooLarge() { return Error(ErrorCode::kUnsupported, "the result is an integer over 64 bits"); }

// Python rounds quotients down, so that the remainder has the divisor's sign.
Result<Value> DivideIntegers(std::string_view spelling, std::int64_t a, std::int64_t b) {
  if (b == 0) return Wrong("division by zero");
  if (a == std::numeric_limits<std::int64_t>::min() && b == -1) {
    if (spelling == "%") return Value(std::int64_t{0});
    return TooLarge();
  }
  const std::int64_t remainder = a % b;
  const bool down = remainder != 0 && (remainder < 0) != (b < 0);
  if (spelling == "%") return Value(down ? remainder + b : remainder);
  return Value(down ? a / b - 1 : a / b);
}

Result<Value> PowerOfIntegers(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return Wrong("0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return TooLarge();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return TooLarge();
  }
  return Value(result);
}

Result<Value> IntegerArithmetic(std::string_view spelling, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (spelling == "+") {
    if (__builtin_add_overflow(a, b, &result)) return TooLarge();
    return Value(result);
  }
  if (spelling == "-") {
    if (__builtin_sub_overflow(a, b, &result)) return TooLarge();
    return Value(result);
  }
  if (spelling == "*") {
    if (__builtin_mul_overflow(a, b, &result)) return TooLarge();
    return Value(result);
  }
  if (spelling == "/") {
    if (b == 0) return Wrong("division by zero");
    return Value(static_cast<double>(a) / static_cast<double>(b));
  }
  if (spelling == "**") return PowerOfIntegers(a, b);
  return DivideIntegers(spelling, a, b);
}

Result<Value> FloatArithmetic(std::string_view spelling, double a, double b) {
  if (spelling == "+") return Value(a + b);
  if (spelling == "-") return Value(a - b);
  if (spelling == "*") return Value(a * b);
  if (spelling == "**") {
    if (a == 0 && b < 0) return Wrong("0 cannot be raised to a negative power");
    if (a < 0 && b != std::floor(b))
      return Error(ErrorCode::kUnsupported, "the result is a complex number");
    const double power = std::pow(a, b);
    if (std::isinf(power) && !std::isinf(a) && !std::isinf(b))
      return Wrong("the result is too large for a float");
    return Value(power);
  }
  if (b == 0) return Wrong("division by zero");
  if (spelling == "/") return Value(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (spelling == "%") return Value(remainder == 0 ? std::copysign(0.0, b) : remainder);
  const double quotient = (a - remainder) / b;
  const double floored = std::floor(quotient);
  return Value(quotient - floored > 0.5 ? floored + 1 : floored);
}

Result<Value> Joined(Machine& machine, const MarkedText& a, const MarkedText& b) {
  MarkedText joined;
  joined.markup = a.markup || b.markup;
  joined.Append(joined.markup && !a.markup ? EscapeHtml(a) : a);
  joined.Append(joined.markup && !b.markup ? EscapeHtml(b) : b);
  return machine.Made(std::move(joined));
}

Result<Value> Repeated(Machine& machine, const Value& value, std::int64_t times) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  const std::uint64_t size = value.text() != nullptr
                                 ? value.text()->bytes.size() + value.text()->marks.size()
                                 : value.sequence()->items.size();
  const auto total = CheckedMul(size, count);
  if (!total || *total > machine.limits().max_string_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("{} times a {} of {} is too much", times, TypeName(value), size));
  }
  METIER_TRY(machine.Charge(*total * (value.text() != nullptr ? 1 : sizeof(Value))));
  // Nothing repeated often is nothing.
  const std::uint64_t rounds = size == 0 ? 0 : count;
  if (const MarkedText* text = value.text(); text != nullptr) {
    MarkedText result;
    result.markup = text->markup;
    for (std::uint64_t i = 0; i < rounds; ++i) result.Append(*text);
    return machine.Made(std::move(result));
  }
  std::vector<Value> items;
  for (std::uint64_t i = 0; i < rounds; ++i)
    items.insert(items.end(), value.sequence()->items.begin(), value.sequence()->items.end());
  return MakeSequence(value.sequence()->kind, std::move(items));
}

// "%s and %d" % (a, b). The common conversions without width or precision.
Result<Value> Formatted(Machine& machine, const MarkedText& format, const Value& value) {
  std::vector<Value> values{value};
  if (value.sequence() != nullptr && value.sequence()->kind == Sequence::Kind::kTuple)
    values = value.sequence()->items;
  MarkedText out;
  std::size_t used = 0;
  std::size_t at = 0;
  while (true) {
    const std::size_t percent = format.bytes.find('%', at);
    out.Append(format.Slice(at, std::min(percent, format.bytes.size())));
    if (percent == std::string::npos) break;
    const char kind = percent + 1 < format.bytes.size() ? format.bytes[percent + 1] : '\0';
    at = percent + 2;
    if (kind == '%') {
      out.Append("%");
      continue;
    }
    if (kind != 's' && kind != 'd' && kind != 'i' && kind != 'r') {
      return Error(ErrorCode::kUnsupported,
                   "a text format other than %s, %d, %r and %% is not supported");
    }
    if (used == values.size()) return Wrong("not enough values for the text format");
    const Value& next = values[used++];
    if ((kind == 'd' || kind == 'i') && !next.is_number())
      return Wrong(fmt::format("%d needs a number, found a {}", TypeName(next)));
    if ((kind == 'd' || kind == 'i') && next.real() != nullptr)
      return Error(ErrorCode::kUnsupported, "%d of a float is not supported; use the filter 'int'");
    if ((kind == 'd' || kind == 'i') && next.boolean() != nullptr) {
      out.Append(*next.boolean() ? "1" : "0");
      continue;
    }
    METIER_ASSIGN(const MarkedText text, kind == 'r' ? Repr(next) : ToText(next));
    out.Append(text);
  }
  if (used != values.size() && value.dict() == nullptr)
    return Wrong("not all values were used by the text format");
  return machine.Made(std::move(out));
}

Error NoOperator(std::string_view spelling, const Value& a, const Value& b) {
  return Wrong(
      fmt::format("'{}' is not defined between '{}' and '{}'", spelling, TypeName(a), TypeName(b)));
}

Result<Value> SequenceArithmetic(Machine& machine, std::string_view spelling, const Value& a,
                                 const Value& b) {
  if (spelling == "+" && a.is_list_or_tuple() && b.is_list_or_tuple() &&
      a.sequence()->kind == b.sequence()->kind) {
    std::vector<Value> items = a.sequence()->items;
    items.insert(items.end(), b.sequence()->items.begin(), b.sequence()->items.end());
    METIER_TRY(machine.Charge(items.size() * sizeof(Value)));
    return MakeSequence(a.sequence()->kind, std::move(items));
  }
  if (spelling == "*") {
    const bool left = a.text() != nullptr || a.is_list_or_tuple();
    const auto times = AsInteger(left ? b : a);
    const Value& value = left ? a : b;
    if (times && (value.text() != nullptr || value.is_list_or_tuple()))
      return Repeated(machine, value, *times);
  }
  return NoOperator(spelling, a, b);
}

}  // namespace

Result<Value> Binary(Machine& machine, std::string_view spelling, const Value& a, const Value& b) {
  if (a.undefined() != nullptr) return MissingError(a);
  if (a.text() != nullptr && spelling == "%") return Formatted(machine, *a.text(), b);
  if (b.undefined() != nullptr) return MissingError(b);
  if (a.text() != nullptr && b.text() != nullptr && spelling == "+")
    return Joined(machine, *a.text(), *b.text());
  if (!a.is_number() || !b.is_number()) return SequenceArithmetic(machine, spelling, a, b);
  const auto integer_a = AsInteger(a);
  const auto integer_b = AsInteger(b);
  if (integer_a && integer_b) return IntegerArithmetic(spelling, *integer_a, *integer_b);
  return FloatArithmetic(spelling, AsDouble(a), AsDouble(b));
}

Result<Value> Negate(const Value& value) {
  if (value.undefined() != nullptr) return MissingError(value);
  if (value.real() != nullptr) return Value(-*value.real());
  if (const auto integer = AsInteger(value)) {
    if (*integer == std::numeric_limits<std::int64_t>::min()) return TooLarge();
    return Value(-*integer);
  }
  return Wrong(fmt::format("a {} has no negative", TypeName(value)));
}

Result<bool> Contains(const Value& container, const Value& item) {
  if (container.undefined() != nullptr) return false;
  if (container.text() != nullptr) {
    if (item.text() == nullptr && item.undefined() != nullptr) return MissingError(item);
    METIER_ASSIGN(const MarkedText* wanted, TextOf(item, "what is looked for `in` a str"));
    return container.text()->bytes.find(wanted->bytes) != std::string::npos;
  }
  if (container.dict() != nullptr) {
    if (item.dict() != nullptr ||
        (item.sequence() != nullptr && item.sequence()->kind == Sequence::Kind::kList))
      return Wrong(fmt::format("a {} cannot be a key", TypeName(item)));
    return FindKey(*container.dict(), item) != nullptr;
  }
  if (const Sequence* sequence = container.sequence(); sequence != nullptr) {
    if (sequence->kind == Sequence::Kind::kGenerator && std::exchange(sequence->consumed, true))
      return false;
    return std::any_of(sequence->items.begin(), sequence->items.end(),
                       [&item](const Value& other) { return Equal(item, other); });
  }
  return Wrong(fmt::format("`in` needs a container, found a {}", TypeName(container)));
}

namespace {

Value NoElement(const Value& container, const Value& index) {
  auto name = Repr(index);
  return Value::Missing(fmt::format("'{} object' has no element {}", TypeName(container),
                                    name.ok() ? name->bytes : "of that kind"));
}

std::optional<std::size_t> Position(std::int64_t index, std::size_t size) {
  const auto count = static_cast<std::int64_t>(size);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return std::nullopt;
  return static_cast<std::size_t>(index);
}

}  // namespace

Result<Value> GetItem(Machine& machine, const Value& container, const Value& index) {
  if (container.undefined() != nullptr) return MissingError(container);
  if (const Dict* dict = container.dict(); dict != nullptr) {
    if (const Value* found = FindKey(*dict, index); found != nullptr) return *found;
  } else if (const auto position = AsInteger(index)) {
    if (container.is_list_or_tuple()) {
      const Sequence& sequence = *container.sequence();
      if (const auto at = Position(*position, sequence.items.size())) return sequence.items[*at];
    } else if (const MarkedText* text = container.text(); text != nullptr) {
      const std::vector<std::size_t> starts = CodePointStarts(text->bytes);
      METIER_TRY(machine.Charge(text->bytes.size()));
      if (const auto at = Position(*position, starts.size() - 1))
        return machine.Made(text->Slice(starts[*at], starts[*at + 1]));
    }
    return NoElement(container, index);
  }
  // As Jinja: what is not an item may be an attribute.
  if (index.text() != nullptr && FindMethod(container, index.text()->bytes))
    return MethodOf(container, index.text()->bytes);
  return NoElement(container, index);
}

Result<Value> GetAttribute(Machine& machine, const Value& object, std::string_view name) {
  if (object.undefined() != nullptr) return MissingError(object);
  if (name.starts_with("__"))
    return Wrong(fmt::format("access to '{}' is not allowed in a template", name));
  if (object.loop() != nullptr) return LoopAttribute(object, name);
  if (Namespace* names = object.name_space(); names != nullptr) {
    for (const auto& [known, value] : names->items)
      if (known == name) return value;
    return Value::Missing(fmt::format("the namespace has no attribute '{}'", name));
  }
  if (FindMethod(object, name)) return MethodOf(object, name);
  if (object.dict() != nullptr) {
    if (const Value* found = FindKey(*object.dict(), name); found != nullptr) return *found;
  }
  METIER_TRY(machine.Step());
  return Value::Missing(fmt::format("'{} object' has no attribute '{}'", TypeName(object), name));
}

Result<Value> GetSlice(Machine& machine, const Value& container, const SliceBounds& bounds) {
  if (container.undefined() != nullptr) return MissingError(container);
  if (container.text() == nullptr && !container.is_list_or_tuple())
    return Wrong(fmt::format("a {} cannot be sliced", TypeName(container)));
  METIER_ASSIGN(const std::int64_t step, IntegerOf(bounds.step, 1, "the step of a slice"));
  if (step == 0) return Wrong("the step of a slice is 0");
  std::vector<std::size_t> starts;
  if (container.text() != nullptr) starts = CodePointStarts(container.text()->bytes);
  const auto size = static_cast<std::int64_t>(
      container.text() != nullptr ? starts.size() - 1 : container.sequence()->items.size());
  const std::int64_t lowest = step > 0 ? 0 : -1;
  const std::int64_t highest = step > 0 ? size : size - 1;
  const auto bound = [&](const Value* value, std::int64_t fallback) -> Result<std::int64_t> {
    if (value == nullptr || value->is_none()) return fallback;
    METIER_ASSIGN(std::int64_t at, IntegerOf(value, 0, "the bound of a slice"));
    if (at < 0) at = at < -size ? lowest : at + size;
    return std::clamp(at, lowest, highest);
  };
  METIER_ASSIGN(const std::int64_t start, bound(bounds.start, step > 0 ? lowest : highest));
  METIER_ASSIGN(const std::int64_t stop, bound(bounds.stop, step > 0 ? highest : lowest));
  METIER_TRY(machine.Charge(static_cast<std::uint64_t>(size)));
  if (container.text() != nullptr && step == 1) {
    const auto begin = starts[static_cast<std::size_t>(start)];
    const auto end = starts[static_cast<std::size_t>(std::max(start, stop))];
    return machine.Made(container.text()->Slice(begin, end));
  }
  MarkedText text;
  std::vector<Value> items;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    const auto place = static_cast<std::size_t>(at);
    if (container.text() != nullptr) {
      METIER_TRY(machine.Step(1 + container.text()->marks.size()));
      text.Append(container.text()->Slice(starts[place], starts[place + 1]));
    } else {
      items.push_back(container.sequence()->items[place]);
    }
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  if (container.text() != nullptr) {
    text.markup = container.text()->markup;
    return machine.Made(std::move(text));
  }
  METIER_TRY(machine.Charge(items.size() * sizeof(Value)));
  return MakeSequence(container.sequence()->kind, std::move(items));
}

MarkedText EscapeHtml(const MarkedText& text) {
  MarkedText out;
  out.markup = true;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.bytes.size(); ++at) {
    std::string_view entity;
    switch (text.bytes[at]) {
      case '&': entity = "&amp;"; break;
      case '<': entity = "&lt;"; break;
      case '>': entity = "&gt;"; break;
      case '"': entity = "&#34;"; break;
      case '\'': entity = "&#39;"; break;
      default: continue;
    }
    out.Append(text.Slice(done, at));
    out.Append(text.Slice(at, at + 1).Rewritten(std::string(entity)));
    done = at + 1;
  }
  out.Append(text.Slice(done, text.bytes.size()));
  return out;
}

}  // namespace metier::text::jinja
