// Filters that make text: case, trimming, joining, JSON.
#include <fmt/format.h>

#include <array>

#include "text/template/filters.h"
#include "text/template/json_text.h"
#include "text/template/operators.h"
#include "text/template/python_text.h"
#include "text/template/string_methods.h"

namespace metier::text::jinja {
namespace {

// Filters of text take anything and turn it into text first.
template <std::string (*kChange)(std::string_view)>
Result<Value> CaseFilter(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(const MarkedText text, ToText(input));
  return machine.Made(text.Rewritten(kChange(text.bytes)));
}

// Jinja's filter `title` is not str.title(): words begin after blanks, hyphens and opening
// brackets.
std::string TitleWords(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  const auto finish = [&](std::size_t end) {
    if (end == begin) return;
    const CodePoint first = DecodeAt(text, begin);
    out += Upper(text.substr(begin, first.bytes));
    out += Lower(text.substr(begin + first.bytes, end - begin - first.bytes));
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeAt(text, at);
    const bool separator = IsSpace(c.value) || c.value == '-' || c.value == '(' || c.value == '{' ||
                           c.value == '[' || c.value == '<';
    if (separator) {
      finish(at);
      out.append(text.substr(at, c.bytes));
      begin = at + c.bytes;
    }
    at += c.bytes;
  }
  finish(text.size());
  return out;
}

Result<Value> Trim(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"chars"}));
  METIER_ASSIGN(const MarkedText text, ToText(input));
  std::optional<std::string_view> chars;
  if (bound[0] != nullptr && !bound[0]->is_none()) {
    METIER_ASSIGN(const MarkedText* given, TextOf(*bound[0], "the argument 'chars'"));
    chars = given->bytes;
    METIER_TRY(machine.Step(chars->size() * (text.bytes.size() + 1)));
  }
  const ByteRange left = Strip(text.bytes, StripEnds::kBoth, chars);
  return machine.Made(text.Slice(left.begin, left.end));
}

Result<Value> String(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(MarkedText text, ToText(input));
  return machine.Made(std::move(text));
}

Result<Value> Safe(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(MarkedText text, ToText(input));
  text.markup = true;
  return machine.Made(std::move(text));
}

Result<Value> Escape(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  METIER_ASSIGN(const MarkedText text, ToText(input));
  METIER_TRY(machine.Step(text.bytes.size() * (text.marks.size() + 1)));
  return machine.Made(text.markup ? text : EscapeHtml(text));
}

Result<Value> ReplaceFilter(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"old", "new", "count"}, 2));
  METIER_ASSIGN(MarkedText text, ToText(input));
  METIER_ASSIGN(const MarkedText from, ToText(*bound[0]));
  METIER_ASSIGN(const MarkedText to, ToText(*bound[1]));
  METIER_ASSIGN(const std::int64_t count, IntegerOf(bound[2], -1, "the argument 'count'"));
  text.markup = false;
  METIER_TRY(ChargeReplace(machine, text, from, to));
  return machine.Made(Replace(text, from, to, count));
}

Result<Value> JoinFilter(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"d", "attribute"}));
  MarkedText separator;
  if (bound[0] != nullptr) {
    METIER_ASSIGN(separator, ToText(*bound[0]));
  }
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, input));
  MarkedText out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (bound[1] != nullptr && !bound[1]->is_none()) {
      METIER_ASSIGN(item, AttributePath(machine, item, *bound[1]));
    }
    METIER_ASSIGN(const MarkedText text, ToText(item));
    METIER_TRY(machine.Charge(text.bytes.size() + separator.bytes.size()));
    if (i != 0) out.Append(separator);
    out.Append(text);
  }
  return machine.Made(std::move(out));
}

Result<Value> Indent(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"width", "first", "blank"}));
  METIER_ASSIGN(const MarkedText* given, TextOf(input, "what is indented"));
  const MarkedText& text = *given;
  std::string pad(4, ' ');
  if (bound[0] != nullptr && bound[0]->text() != nullptr) {
    pad = bound[0]->text()->bytes;
  } else {
    METIER_ASSIGN(const std::int64_t width, IntegerOf(bound[0], 4, "the argument 'width'"));
    if (width > 1000) return Wrong(fmt::format("an indent of {} is too wide", width));
    pad.assign(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
  }
  const bool first = bound[1] != nullptr && Truth(*bound[1]);
  const bool blank = bound[2] != nullptr && Truth(*bound[2]);
  MarkedText ended = text;  // Jinja adds a newline before it splits, so that a last one survives
  ended.Append("\n");
  const std::vector<ByteRange> lines = SplitLines(ended.bytes);
  METIER_TRY(machine.Step(lines.size() * (text.marks.size() + 1)));
  METIER_TRY(machine.Charge(lines.size() * pad.size()));
  MarkedText out;
  out.markup = text.markup;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool empty = lines[i].begin == lines[i].end;
    if (i != 0) out.Append("\n");
    if (i == 0 ? first : !empty || blank) out.Append(pad);
    out.Append(ended.Slice(lines[i].begin, lines[i].end));
  }
  return machine.Made(std::move(out));
}

Result<Value> Format(Machine& machine, const Value& input, const Arguments& arguments) {
  if (!arguments.named.empty())
    return Error(ErrorCode::kUnsupported, "named values for a text format are not supported");
  METIER_ASSIGN(MarkedText text, ToText(input));
  METIER_ASSIGN(const Value values, MakeSequence(Sequence::Kind::kTuple, arguments.positional));
  return Binary(machine, "%", Value(std::move(text)), values);
}

Result<Value> ToJson(Machine& machine, const Value& input, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound,
                Bind(arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  if (bound[0] != nullptr && Truth(*bound[0])) style.characters = JsonStyle::Characters::kAsciiOnly;
  if (bound[3] != nullptr && Truth(*bound[3])) style.keys = JsonStyle::Keys::kSorted;
  if (bound[1] != nullptr && bound[1]->text() != nullptr) {
    style.indent = bound[1]->text()->bytes;
  } else if (bound[1] != nullptr && !bound[1]->is_none()) {
    METIER_ASSIGN(const std::int64_t width, IntegerOf(bound[1], 0, "the argument 'indent'"));
    if (width > 1000) return Wrong(fmt::format("an indent of {} is too wide", width));
    style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
  }
  if (style.indent) style.item_separator = ",";
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const Sequence* pair = bound[2]->sequence();
    if (pair == nullptr || pair->items.size() != 2 || pair->items[0].text() == nullptr ||
        pair->items[1].text() == nullptr)
      return Wrong("the argument 'separators' must be a pair of texts");
    style.item_separator = pair->items[0].text()->bytes;
    style.key_separator = pair->items[1].text()->bytes;
  }
  METIER_ASSIGN(MarkedText text, DumpJson(machine, input, style));
  return machine.Made(std::move(text));
}

constexpr std::array<Filter, 14> kTextFilters = {{{"capitalize", CaseFilter<Capitalize>},
                                                  {"e", Escape},
                                                  {"escape", Escape},
                                                  {"format", Format},
                                                  {"indent", Indent},
                                                  {"join", JoinFilter},
                                                  {"lower", CaseFilter<Lower>},
                                                  {"replace", ReplaceFilter},
                                                  {"safe", Safe},
                                                  {"string", String},
                                                  {"title", CaseFilter<TitleWords>},
                                                  {"tojson", ToJson},
                                                  {"trim", Trim},
                                                  {"upper", CaseFilter<Upper>}}};

}  // namespace

std::span<const Filter> TextFilters() { return kTextFilters; }

}  // namespace metier::text::jinja
