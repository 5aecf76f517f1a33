#include "text/template/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

class Writer {
 public:
  Writer(Machine& machine, const JsonStyle& style) : machine_(machine), style_(style) {}

  Status Write(const Value& value, int level) {
    METIER_TRY(machine_.Step());
    const std::size_t begin = out.bytes.size();
    const std::size_t marks = out.marks.size();
    std::int32_t source = kNoSource;
    if (const Dict* dict = value.dict(); dict != nullptr) {
      source = dict->source;
      METIER_TRY(WriteDict(*dict, level));
    } else if (value.is_list_or_tuple()) {
      source = value.sequence()->source;
      METIER_TRY(WriteList(*value.sequence(), level));
    } else {
      METIER_TRY(WriteScalar(value));
    }
    METIER_TRY(machine_.Charge(out.bytes.size() - begin));
    if (source == kNoSource) return Ok();
    out.marks.resize(marks);  // one mark over all of it instead
    out.MarkFrom(begin, source, MarkKind::kData);
    return Ok();
  }

  MarkedText out;

 private:
  Status WriteScalar(const Value& value) {
    if (const MarkedText* text = value.text(); text != nullptr) {
      out.Append("\"");
      out.Append(text->Rewritten(Escaped(text->bytes)));
      out.Append("\"");
    } else if (value.is_none()) {
      out.Append("null");
    } else if (value.boolean() != nullptr) {
      out.Append(*value.boolean() ? "true" : "false");
    } else if (value.integer() != nullptr) {
      out.Append(std::to_string(*value.integer()));
    } else if (value.real() != nullptr) {
      out.Append(DumpPython(Json(*value.real())));
    } else if (value.undefined() != nullptr) {
      return Wrong("an undefined value has no JSON form: " + MissingError(value).message());
    } else {
      return Wrong(fmt::format("a {} has no JSON form", TypeName(value)));
    }
    return Ok();
  }

  std::string Escaped(std::string_view text) const {
    std::string escaped;
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint c = DecodeAt(text, at);
      switch (c.value) {
        case '"': escaped += "\\\""; break;
        case '\\': escaped += "\\\\"; break;
        case '\n': escaped += "\\n"; break;
        case '\r': escaped += "\\r"; break;
        case '\t': escaped += "\\t"; break;
        case '\f': escaped += "\\f"; break;
        case '\b': escaped += "\\b"; break;
        default:
          if (c.value < 0x20) {
            escaped += fmt::format("\\u{:04x}", c.value);
          } else if (c.value < 0x7F || style_.characters == JsonStyle::Characters::kAll) {
            escaped.append(text.substr(at, c.bytes));
          } else if (c.value < 0x10000) {
            if (c.value == 0x7F)
              escaped += '\x7f';
            else
              escaped += fmt::format("\\u{:04x}", c.value);
          } else {
            const std::uint32_t rest = c.value - 0x10000;
            escaped +=
                fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
          }
      }
      at += c.bytes;
    }
    return escaped;
  }

  void NewLine(int level) {
    if (!style_.indent) return;
    out.Append("\n");
    for (int i = 0; i < level; ++i) out.Append(*style_.indent);
  }

  Status WriteList(const Sequence& list, int level) {
    if (list.items.empty()) {
      out.Append("[]");
      return Ok();
    }
    out.Append("[");
    bool first = true;
    for (const Value& item : list.items) {
      if (!std::exchange(first, false)) out.Append(style_.item_separator);
      NewLine(level + 1);
      METIER_TRY(Write(item, level + 1));
    }
    NewLine(level);
    out.Append("]");
    return Ok();
  }

  // Keys that JSON does not have become text, as json.dumps does it.
  static Result<MarkedText> KeyText(const Value& key) {
    if (key.text() != nullptr) return *key.text();
    if (key.is_none()) return MarkedText::Plain("null");
    if (key.boolean() != nullptr) return MarkedText::Plain(*key.boolean() ? "true" : "false");
    if (key.is_number()) return ToText(key);
    return Wrong(fmt::format("a {} cannot be a key of JSON", TypeName(key)));
  }

  Status WriteDict(const Dict& dict, int level) {
    if (dict.items.empty()) {
      out.Append("{}");
      return Ok();
    }
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style_.keys == JsonStyle::Keys::kSorted) {
      for (const auto* item : items) METIER_TRY(Order(dict.items.front().first, item->first));
      std::stable_sort(items.begin(), items.end(), [](const auto* a, const auto* b) {
        const auto order = Order(a->first, b->first);
        return order.ok() && *order < 0;
      });
    }
    out.Append("{");
    bool first = true;
    for (const auto* item : items) {
      if (!std::exchange(first, false)) out.Append(style_.item_separator);
      NewLine(level + 1);
      METIER_ASSIGN(const MarkedText key, KeyText(item->first));
      METIER_TRY(WriteScalar(Value(key)));
      out.Append(style_.key_separator);
      METIER_TRY(Write(item->second, level + 1));
    }
    NewLine(level);
    out.Append("}");
    return Ok();
  }

  Machine& machine_;
  const JsonStyle& style_;
};

}  // namespace

Result<MarkedText> DumpJson(Machine& machine, const Value& value, const JsonStyle& style) {
  Writer writer(machine, style);
  METIER_TRY(writer.Write(value, 0));
  return std::move(writer.out);
}

}  // namespace metier::text::jinja
