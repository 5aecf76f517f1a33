#include "text/template/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

constexpr std::array<std::string_view, 9> kKnownRoles = {
    "system", "user", "assistant", "tool", "developer", "function", "ipython", "model", "tools"};

Result<int> Nested(int depth) {
  if (depth > kMaxValueDepth) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("a value is nested deeper than {} levels", kMaxValueDepth));
  }
  return depth;
}

template <class T>
int Sign(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return PythonFloat(value);
}

Status AppendRepr(const Value& value, MarkedText& out);

Status AppendItems(const std::vector<Value>& items, MarkedText& out) {
  bool first = true;
  for (const Value& item : items) {
    if (!std::exchange(first, false)) out.Append(", ");
    METIER_TRY(AppendRepr(item, out));
  }
  return Ok();
}

Status AppendSequence(const Sequence& sequence, MarkedText& out) {
  using Kind = Sequence::Kind;
  switch (sequence.kind) {
    case Kind::kList: out.Append("["); break;
    case Kind::kTuple: out.Append("("); break;
    case Kind::kKeys: out.Append("dict_keys(["); break;
    case Kind::kValues: out.Append("dict_values(["); break;
    case Kind::kItems: out.Append("dict_items(["); break;
    case Kind::kGenerator:
      return Error(ErrorCode::kInvalidArgument,
                   "a generator has no text; add the filter 'list' or 'join'");
  }
  METIER_TRY(AppendItems(sequence.items, out));
  if (sequence.kind == Kind::kList) {
    out.Append("]");
  } else if (sequence.kind == Kind::kTuple) {
    out.Append(sequence.items.size() == 1 ? ",)" : ")");
  } else {
    out.Append("])");
  }
  return Ok();
}

Status AppendDict(const Dict& dict, MarkedText& out) {
  out.Append("{");
  bool first = true;
  for (const auto& [key, item] : dict.items) {
    if (!std::exchange(first, false)) out.Append(", ");
    METIER_TRY(AppendRepr(key, out));
    out.Append(": ");
    METIER_TRY(AppendRepr(item, out));
  }
  out.Append("}");
  return Ok();
}

Status AppendRepr(const Value& value, MarkedText& out) {
  const std::size_t begin = out.bytes.size();
  const std::size_t marks = out.marks.size();
  if (const MarkedText* text = value.text(); text != nullptr) {
    if (text->markup) out.Append("Markup(");
    out.Append(text->Rewritten(PythonRepr(text->bytes)));
    if (text->markup) out.Append(")");
  } else if (const Sequence* sequence = value.sequence(); sequence != nullptr) {
    if (sequence->source == kNoSource) return AppendSequence(*sequence, out);
    METIER_TRY(AppendSequence(*sequence, out));
    out.marks.resize(marks);  // one mark over all of it instead
    out.MarkFrom(begin, sequence->source, MarkKind::kData);
  } else if (const Dict* dict = value.dict(); dict != nullptr) {
    if (dict->source == kNoSource) return AppendDict(*dict, out);
    METIER_TRY(AppendDict(*dict, out));
    out.marks.resize(marks);  // one mark over all of it instead
    out.MarkFrom(begin, dict->source, MarkKind::kData);
  } else if (value.undefined() != nullptr) {
    out.Append("Undefined");
  } else {
    METIER_ASSIGN(const MarkedText scalar, ToText(value));
    out.Append(scalar);
  }
  return Ok();
}

Result<int> OrderSequences(const Sequence& a, const Sequence& b) {
  for (std::size_t i = 0; i < std::min(a.items.size(), b.items.size()); ++i) {
    if (!Equal(a.items[i], b.items[i])) return Order(a.items[i], b.items[i]);
  }
  return Sign(a.items.size(), b.items.size());
}

bool EqualSequences(const Sequence& a, const Sequence& b) {
  return a.kind == b.kind && a.items.size() == b.items.size() &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), Equal);
}

bool EqualDicts(const Dict& a, const Dict& b) {
  return a.items.size() == b.items.size() &&
         std::all_of(a.items.begin(), a.items.end(), [&b](const auto& item) {
           const Value* other = FindKey(b, item.first);
           return other != nullptr && Equal(item.second, *other);
         });
}

}  // namespace

Value::Value(MarkedText text) : data_(std::make_shared<const MarkedText>(std::move(text))) {}

Value Value::Missing(std::string why) {
  Value value;
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

bool Value::is_list_or_tuple() const {
  return sequence() != nullptr &&
         (sequence()->kind == Sequence::Kind::kList || sequence()->kind == Sequence::Kind::kTuple);
}

int Value::depth() const {
  if (sequence() != nullptr) return sequence()->depth;
  if (dict() != nullptr) return dict()->depth;
  if (loop() != nullptr) return loop()->depth;
  if (callable() != nullptr) return callable()->self.depth() + 1;
  return 0;
}

Result<Value> MakeSequence(Sequence::Kind kind, std::vector<Value> items, std::int32_t source) {
  auto sequence = std::make_shared<Sequence>();
  for (const Value& item : items) sequence->depth = std::max(sequence->depth, item.depth() + 1);
  METIER_TRY(Nested(sequence->depth));
  sequence->kind = kind;
  sequence->items = std::move(items);
  sequence->source = source;
  return Value(SequencePtr(std::move(sequence)));
}

Result<Value> MakeDict(std::vector<std::pair<Value, Value>> items) {
  auto dict = std::make_shared<Dict>();
  for (const auto& [key, item] : items)
    dict->depth = std::max({dict->depth, key.depth() + 1, item.depth() + 1});
  METIER_TRY(Nested(dict->depth));
  dict->items = std::move(items);
  return Value(DictPtr(std::move(dict)));
}

namespace {

Result<Value> JsonAtDepth(const Json& json, std::int32_t source, int depth) {
  METIER_TRY(Nested(depth));
  if (json.is_null()) return Value(None{});
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_unsigned() &&
      json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return Error(ErrorCode::kUnsupported,
                 "the integer " + json.dump() + " in the data is larger than 64 bits with sign");
  }
  if (json.is_number_integer()) return Value(json.get<std::int64_t>());
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_string()) return Value(MarkedText::From(json.get_ref<const std::string&>(), source));
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.size());
    for (const Json& item : json) {
      METIER_ASSIGN(Value value, JsonAtDepth(item, source, depth + 1));
      items.push_back(std::move(value));
    }
    return MakeSequence(Sequence::Kind::kList, std::move(items), source);
  }
  if (!json.is_object())
    return Error(ErrorCode::kInvalidArgument, "the data holds something that is not JSON");
  auto dict = std::make_shared<Dict>();
  dict->source = source;
  for (const auto& [key, item] : json.items()) {
    METIER_ASSIGN(Value value, JsonAtDepth(item, source, depth + 1));
    dict->depth = std::max(dict->depth, value.depth() + 1);
    dict->items.emplace_back(MarkedText::From(key, source), std::move(value));
  }
  METIER_TRY(Nested(dict->depth));
  return Value(DictPtr(std::move(dict)));
}

}  // namespace

Result<Value> FromJson(const Json& json, std::int32_t source) {
  return JsonAtDepth(json, source, 1);
}

Result<Value> MessageFromJson(const Json& message, std::int32_t index) {
  METIER_ASSIGN(const Value parsed, FromJson(message, index));
  auto dict = std::make_shared<Dict>(*parsed.dict());
  dict->is_message = true;
  for (auto& [key, item] : dict->items) {
    if (key.text()->bytes != "role" || item.text() == nullptr) continue;
    const std::string& role = item.text()->bytes;
    if (std::find(kKnownRoles.begin(), kKnownRoles.end(), role) != kKnownRoles.end())
      item = Value::Plain(role);
  }
  return Value(DictPtr(std::move(dict)));
}

std::string_view TypeName(const Value& value) {
  if (value.undefined() != nullptr) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.boolean() != nullptr) return "bool";
  if (value.integer() != nullptr) return "int";
  if (value.real() != nullptr) return "float";
  if (value.text() != nullptr) return "str";
  if (value.dict() != nullptr) return "dict";
  if (value.name_space() != nullptr) return "Namespace";
  if (value.loop() != nullptr) return "LoopContext";
  if (value.callable() != nullptr) return "function";
  switch (value.sequence()->kind) {
    case Sequence::Kind::kList: return "list";
    case Sequence::Kind::kTuple: return "tuple";
    case Sequence::Kind::kGenerator: return "generator";
    case Sequence::Kind::kKeys: return "dict_keys";
    case Sequence::Kind::kValues: return "dict_values";
    case Sequence::Kind::kItems: return "dict_items";
  }
  return "object";
}

bool Truth(const Value& value) {
  if (value.undefined() != nullptr || value.is_none()) return false;
  if (value.boolean() != nullptr) return *value.boolean();
  if (value.integer() != nullptr) return *value.integer() != 0;
  if (value.real() != nullptr) return *value.real() != 0;
  if (value.text() != nullptr) return !value.text()->bytes.empty();
  if (value.dict() != nullptr) return !value.dict()->items.empty();
  if (const Sequence* sequence = value.sequence(); sequence != nullptr)
    return sequence->kind == Sequence::Kind::kGenerator || !sequence->items.empty();
  return true;
}

double AsDouble(const Value& value) {
  if (value.boolean() != nullptr) return *value.boolean() ? 1 : 0;
  if (value.integer() != nullptr) return static_cast<double>(*value.integer());
  return *value.real();
}

std::optional<std::int64_t> AsInteger(const Value& value) {
  if (value.boolean() != nullptr) return *value.boolean() ? 1 : 0;
  if (value.integer() != nullptr) return *value.integer();
  return std::nullopt;
}

bool Equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const std::optional<std::int64_t> integer_a = AsInteger(a);
    const std::optional<std::int64_t> integer_b = AsInteger(b);
    if (integer_a && integer_b) return *integer_a == *integer_b;
    return AsDouble(a) == AsDouble(b);
  }
  if (a.undefined() != nullptr || a.is_none())
    return (a.undefined() != nullptr && b.undefined() != nullptr) || (a.is_none() && b.is_none());
  if (a.text() != nullptr && b.text() != nullptr) return a.text()->bytes == b.text()->bytes;
  if (a.sequence() != nullptr && b.sequence() != nullptr)
    return a.sequence() == b.sequence() || EqualSequences(*a.sequence(), *b.sequence());
  if (a.dict() != nullptr && b.dict() != nullptr)
    return a.dict() == b.dict() || EqualDicts(*a.dict(), *b.dict());
  if (a.name_space() != nullptr) return a.name_space() == b.name_space();
  if (a.loop() != nullptr) return a.loop() == b.loop();
  return a.callable() != nullptr && a.callable() == b.callable();
}

Result<int> Order(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const std::optional<std::int64_t> integer_a = AsInteger(a);
    const std::optional<std::int64_t> integer_b = AsInteger(b);
    if (integer_a && integer_b) return Sign(*integer_a, *integer_b);
    return Sign(AsDouble(a), AsDouble(b));
  }
  // UTF-8 sorts by bytes as it does by code point.
  if (a.text() != nullptr && b.text() != nullptr) return Sign(a.text()->bytes, b.text()->bytes);
  if (a.is_list_or_tuple() && b.is_list_or_tuple() && a.sequence()->kind == b.sequence()->kind)
    return OrderSequences(*a.sequence(), *b.sequence());
  if (a.undefined() != nullptr || b.undefined() != nullptr) {
    const Undefined& missing = *(a.undefined() != nullptr ? a : b).undefined();
    return Error(ErrorCode::kInvalidArgument,
                 missing.why != nullptr ? *missing.why : "an undefined value is compared");
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("'{}' and '{}' have no order between them", TypeName(a), TypeName(b)));
}

const Value* FindKey(const Dict& dict, const Value& key) {
  for (const auto& [name, item] : dict.items)
    if (Equal(name, key)) return &item;
  return nullptr;
}

const Value* FindKey(const Dict& dict, std::string_view key) {
  for (const auto& [name, item] : dict.items)
    if (name.text() != nullptr && name.text()->bytes == key) return &item;
  return nullptr;
}

Result<MarkedText> ToText(const Value& value) {
  if (value.text() != nullptr) return *value.text();
  if (value.undefined() != nullptr) return MarkedText{};
  if (value.is_none()) return MarkedText::Plain("None");
  if (value.boolean() != nullptr) return MarkedText::Plain(*value.boolean() ? "True" : "False");
  if (value.integer() != nullptr) return MarkedText::Plain(std::to_string(*value.integer()));
  if (value.real() != nullptr) return MarkedText::Plain(FloatText(*value.real()));
  if (value.sequence() != nullptr || value.dict() != nullptr) return Repr(value);
  return Error(ErrorCode::kInvalidArgument, fmt::format("a {} has no text", TypeName(value)));
}

Result<MarkedText> Repr(const Value& value) {
  MarkedText out;
  METIER_TRY(AppendRepr(value, out));
  return out;
}

}  // namespace metier::text::jinja
