#include "text/template/string_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

using Call = Result<Value> (*)(Machine&, const MarkedText& self, const Arguments&);
struct StringMethod {
  std::string_view name;
  Call call;
};

template <std::string (*kChange)(std::string_view)>
Result<Value> Case(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return machine.Made(self.Rewritten(kChange(self.bytes)));
}

template <StripEnds kEnds>
Result<Value> StripOf(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"chars"}));
  std::optional<std::string_view> chars;
  if (bound[0] != nullptr && !bound[0]->is_none()) {
    METIER_ASSIGN(const MarkedText* text, TextOf(*bound[0], "the argument of strip()"));
    chars = text->bytes;
    METIER_TRY(machine.Step(chars->size()));
  }
  const ByteRange left = Strip(self.bytes, kEnds, chars);
  return machine.Made(self.Slice(left.begin, left.end));
}

template <CharacterClass kClass>
Result<Value> IsAll(Machine&, const MarkedText& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return Value(AllOf(self.bytes, kClass));
}

enum class End { kStart, kEnd };

// startswith and endswith: one text, or a tuple of them.
template <End kEnd>
Result<Value> Touches(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"prefix"}, 1));
  std::vector<Value> wanted{*bound[0]};
  if (bound[0]->sequence() != nullptr && bound[0]->sequence()->kind == Sequence::Kind::kTuple)
    wanted = bound[0]->sequence()->items;
  METIER_TRY(machine.Step(wanted.size()));
  for (const Value& one : wanted) {
    METIER_ASSIGN(const MarkedText* text,
                  TextOf(one, "the argument of startswith() or endswith()"));
    const std::string_view bytes = self.bytes;
    if (kEnd == End::kStart ? bytes.starts_with(text->bytes) : bytes.ends_with(text->bytes))
      return Value(true);
  }
  return Value(false);
}

template <End kEnd>
Result<Value> Remove(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"affix"}, 1));
  METIER_ASSIGN(const MarkedText* text, TextOf(*bound[0], "the prefix or suffix"));
  const std::string_view bytes = self.bytes;
  const std::size_t size = text->bytes.size();
  if (kEnd == End::kStart && bytes.starts_with(text->bytes))
    return machine.Made(self.Slice(size, bytes.size()));
  if (kEnd == End::kEnd && bytes.ends_with(text->bytes))
    return machine.Made(self.Slice(0, bytes.size() - size));
  return machine.Made(self);
}

Result<Value> ListOf(Machine& machine, const MarkedText& self,
                     const std::vector<ByteRange>& ranges) {
  std::vector<Value> parts;
  METIER_TRY(machine.Step(ranges.size() * (self.marks.size() + 1)));
  for (const ByteRange& range : ranges) {
    METIER_ASSIGN(Value part, machine.Made(self.Slice(range.begin, range.end)));
    parts.push_back(std::move(part));
  }
  return MakeSequence(Sequence::Kind::kList, std::move(parts));
}

// Words between whitespace; at most `limit` cuts (< 0: no limit), the rest in one piece.
std::vector<ByteRange> SplitWords(std::string_view text, std::int64_t limit) {
  std::vector<ByteRange> words;
  std::size_t at = 0;
  while (true) {
    at += Strip(text.substr(at), StripEnds::kLeft).begin;
    if (at == text.size()) return words;
    if (limit >= 0 && static_cast<std::int64_t>(words.size()) == limit) {
      words.push_back({at, text.size()});
      return words;
    }
    const std::size_t begin = at;
    while (at < text.size() && !IsSpace(DecodeAt(text, at).value)) at += DecodeAt(text, at).bytes;
    words.push_back({begin, at});
  }
}

std::vector<ByteRange> SplitWordsFromRight(std::string_view text, std::int64_t limit) {
  std::vector<ByteRange> words;
  std::size_t end = text.size();
  while (true) {
    end = Strip(text.substr(0, end), StripEnds::kRight).end;
    if (end == 0) break;
    if (limit >= 0 && static_cast<std::int64_t>(words.size()) == limit) {
      words.push_back({0, end});
      break;
    }
    std::size_t begin = end;
    while (begin > 0 && !IsSpace(DecodeBefore(text, begin).value))
      begin -= DecodeBefore(text, begin).bytes;
    words.push_back({begin, end});
    end = begin;
  }
  std::reverse(words.begin(), words.end());
  return words;
}

template <End kFrom>
Result<Value> Split(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"sep", "maxsplit"}));
  METIER_ASSIGN(const std::int64_t limit, IntegerOf(bound[1], -1, "maxsplit"));
  const std::string_view text = self.bytes;
  if (bound[0] == nullptr || bound[0]->is_none()) {
    return ListOf(
        machine, self,
        kFrom == End::kStart ? SplitWords(text, limit) : SplitWordsFromRight(text, limit));
  }
  METIER_ASSIGN(const MarkedText* separator, TextOf(*bound[0], "the separator of split()"));
  const std::size_t size = separator->bytes.size();
  if (size == 0) return Wrong("the separator of split() is empty");
  std::vector<ByteRange> parts;
  const auto more = [&] { return limit < 0 || static_cast<std::int64_t>(parts.size()) < limit; };
  if (kFrom == End::kStart) {
    std::size_t begin = 0;
    for (std::size_t found = text.find(separator->bytes); found != text.npos && more();
         found = text.find(separator->bytes, begin)) {
      parts.push_back({begin, found});
      begin = found + size;
    }
    parts.push_back({begin, text.size()});
  } else {
    std::size_t end = text.size();
    while (end >= size && more()) {
      const std::size_t found = text.rfind(separator->bytes, end - size);
      if (found == text.npos) break;
      parts.push_back({found + size, end});
      end = found;
    }
    parts.push_back({0, end});
    std::reverse(parts.begin(), parts.end());
  }
  return ListOf(machine, self, parts);
}

template <End kFrom>
Result<Value> Partition(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"sep"}, 1));
  METIER_ASSIGN(const MarkedText* separator, TextOf(*bound[0], "the separator of partition()"));
  if (separator->bytes.empty()) return Wrong("the separator of partition() is empty");
  const std::string& text = self.bytes;
  const std::size_t found =
      kFrom == End::kStart ? text.find(separator->bytes) : text.rfind(separator->bytes);
  std::size_t cut = found;
  std::size_t next = found + separator->bytes.size();
  if (found == std::string::npos) cut = next = kFrom == End::kStart ? text.size() : 0;
  METIER_TRY(machine.Charge(2 * text.size()));
  return MakeSequence(Sequence::Kind::kTuple,
                      {self.Slice(0, cut), self.Slice(cut, next), self.Slice(next, text.size())});
}

Result<Value> Lines(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_TRY(Bind(arguments, {}));
  return ListOf(machine, self, SplitLines(self.bytes));
}

Result<Value> ReplaceOf(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"old", "new", "count"}, 2));
  METIER_ASSIGN(const MarkedText* from, TextOf(*bound[0], "the first argument of replace()"));
  METIER_ASSIGN(const MarkedText* to, TextOf(*bound[1], "the second argument of replace()"));
  METIER_ASSIGN(const std::int64_t count, IntegerOf(bound[2], -1, "the count of replace()"));
  METIER_TRY(ChargeReplace(machine, self, *from, *to));
  return machine.Made(Replace(self, *from, *to, count));
}

Result<Value> Join(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"iterable"}, 1));
  if (bound[0]->undefined() != nullptr) return Value(MarkedText{});
  METIER_ASSIGN(const std::vector<Value> items, Items(machine, *bound[0]));
  METIER_TRY(machine.Charge(items.size() * self.bytes.size()));
  MarkedText out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    METIER_ASSIGN(const MarkedText* item, TextOf(items[i], "an item of join()"));
    METIER_TRY(machine.Charge(item->bytes.size()));
    if (i != 0) out.Append(self);
    out.Append(*item);
  }
  return machine.Made(std::move(out));
}

template <End kFrom>
std::size_t FindBytes(const MarkedText& self, const MarkedText& wanted) {
  return kFrom == End::kStart ? self.bytes.find(wanted.bytes) : self.bytes.rfind(wanted.bytes);
}

template <End kFrom>
Result<Value> Find(Machine&, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"sub"}, 1));
  METIER_ASSIGN(const MarkedText* wanted, TextOf(*bound[0], "the argument of find()"));
  const std::size_t at = FindBytes<kFrom>(self, *wanted);
  if (at == std::string::npos) return Value(std::int64_t{-1});
  return Value(static_cast<std::int64_t>(CountCodePoints(self.bytes.substr(0, at))));
}

template <End kFrom>
Result<Value> Index(Machine& machine, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const Value found, Find<kFrom>(machine, self, arguments));
  if (*found.integer() < 0) return Wrong("index(): the text is not found");
  return found;
}

Result<Value> Count(Machine&, const MarkedText& self, const Arguments& arguments) {
  METIER_ASSIGN(const auto bound, Bind(arguments, {"sub"}, 1));
  METIER_ASSIGN(const MarkedText* wanted, TextOf(*bound[0], "the argument of count()"));
  if (wanted->bytes.empty())
    return Value(static_cast<std::int64_t>(CountCodePoints(self.bytes)) + 1);
  std::int64_t count = 0;
  for (std::size_t at = self.bytes.find(wanted->bytes); at != std::string::npos;
       at = self.bytes.find(wanted->bytes, at + wanted->bytes.size()))
    ++count;
  return Value(count);
}

constexpr std::array<StringMethod, 29> kMethods = {{
    {"capitalize", Case<Capitalize>},
    {"count", Count},
    {"endswith", Touches<End::kEnd>},
    {"find", Find<End::kStart>},
    {"index", Index<End::kStart>},
    {"isalnum", IsAll<CharacterClass::kAlnum>},
    {"isalpha", IsAll<CharacterClass::kAlpha>},
    {"isdigit", IsAll<CharacterClass::kDigit>},
    {"islower", IsAll<CharacterClass::kLower>},
    {"isspace", IsAll<CharacterClass::kSpace>},
    {"isupper", IsAll<CharacterClass::kUpper>},
    {"join", Join},
    {"lower", Case<Lower>},
    {"lstrip", StripOf<StripEnds::kLeft>},
    {"partition", Partition<End::kStart>},
    {"removeprefix", Remove<End::kStart>},
    {"removesuffix", Remove<End::kEnd>},
    {"replace", ReplaceOf},
    {"rfind", Find<End::kEnd>},
    {"rindex", Index<End::kEnd>},
    {"rpartition", Partition<End::kEnd>},
    {"rsplit", Split<End::kEnd>},
    {"rstrip", StripOf<StripEnds::kRight>},
    {"split", Split<End::kStart>},
    {"splitlines", Lines},
    {"startswith", Touches<End::kStart>},
    {"strip", StripOf<StripEnds::kBoth>},
    {"title", Case<Title>},
    {"upper", Case<Upper>},
}};

constexpr std::array<std::string_view, 18> kMissing = {
    "casefold", "center",    "encode",       "expandtabs", "format",    "format_map",
    "isascii",  "isdecimal", "isidentifier", "isnumeric",  "istitle",   "isprintable",
    "ljust",    "maketrans", "rjust",        "swapcase",   "translate", "zfill"};

const StringMethod* LookupString(std::string_view name) {
  for (const StringMethod& method : kMethods)
    if (method.name == name) return &method;
  return nullptr;
}

}  // namespace

bool FindStringMethod(std::string_view name) {
  return LookupString(name) != nullptr ||
         std::find(kMissing.begin(), kMissing.end(), name) != kMissing.end();
}

Result<Value> CallStringMethod(Machine& machine, const MarkedText& self, std::string_view name,
                               const Arguments& arguments) {
  const StringMethod* method = LookupString(name);
  if (method == nullptr) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("the method '{}' of str is not supported in templates", name));
  }
  METIER_TRY(machine.Charge(self.bytes.size()));
  return method->call(machine, self, arguments);
}

Status ChargeReplace(Machine& machine, const MarkedText& text, const MarkedText& from,
                     const MarkedText& to) {
  std::uint64_t found = text.bytes.size() + 1;
  if (!from.bytes.empty()) {
    found = 0;
    for (std::size_t at = text.bytes.find(from.bytes); at != std::string::npos;
         at = text.bytes.find(from.bytes, at + from.bytes.size()))
      ++found;
  }
  METIER_TRY(machine.Step(found * (text.marks.size() + to.marks.size() + 1)));
  return machine.Charge(found * to.bytes.size());
}

MarkedText Replace(const MarkedText& text, const MarkedText& from, const MarkedText& to,
                   std::int64_t count) {
  MarkedText out;
  out.markup = text.markup;
  std::size_t done = 0;
  const auto more = [&count] { return count < 0 || count-- > 0; };
  if (from.bytes.empty()) {  // between all characters, and at both ends
    const std::vector<std::size_t> starts = CodePointStarts(text.bytes);
    for (std::size_t i = 0; i < starts.size() && more(); ++i) {
      out.Append(text.Slice(done, starts[i]));
      out.Append(to);
      done = starts[i];
    }
  } else {
    for (std::size_t at = text.bytes.find(from.bytes); at != std::string::npos && more();
         at = text.bytes.find(from.bytes, done)) {
      out.Append(text.Slice(done, at));
      out.Append(to);
      done = at + from.bytes.size();
    }
  }
  out.Append(text.Slice(done, text.bytes.size()));
  return out;
}

}  // namespace metier::text::jinja
