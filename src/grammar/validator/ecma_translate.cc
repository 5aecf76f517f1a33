#include "grammar/validator/ecma_translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "grammar/validator/ecma_escape.h"

namespace metier::grammar::validator {
namespace {

constexpr std::uint64_t kMaxRepeat = 65535;  // PCRE2's
// ECMA-262's line terminators, inside a class.
constexpr std::string_view kLineEnds = R"(\x{a}\x{d}\x{2028}\x{2029})";
constexpr std::string_view kNothing = "(?:(?!))";
constexpr std::string_view kAnything = "(?s:.)";

struct PatternFlags {
  bool multiline = false;
  bool dot_all = false;
};

struct OpenGroup {
  bool is_assertion = false;
  std::size_t begin = 0;
  PatternFlags outer;
};

class EcmaTranslator {
 public:
  explicit EcmaTranslator(std::string_view pattern) : pattern_(pattern), cursor_(pattern) {}

  Result<std::string> Run();

 private:
  // Groups are counted and named beforehand: a reference may precede its group.
  Status CountGroups();
  Status Term();
  Status Open();
  Status OpenModified();
  Status Close();
  Status Escape();
  Status Reference();
  Status Class();
  // One side of a range, or a single item, of a class.
  Result<EscapedAtom> ClassAtom();
  Status Repeat();
  // Reads "{2,5}"; false, and the cursor where it was, when it is none.
  bool TakeBraces(std::uint64_t& least, std::optional<std::uint64_t>& most);
  void EmitAtom(const EscapedAtom& atom);
  void Push(bool is_assertion, std::size_t begin);

  std::string_view pattern_;
  PatternCursor cursor_;
  std::string out_;
  std::vector<OpenGroup> open_;
  PatternFlags flags_;
  bool can_repeat_ = false;  // what was written last is an atom
  std::uint64_t groups_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> group_names_;
};

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

bool IsGroupName(std::string_view name) {
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), IsNameByte);
}

Result<std::string> EcmaTranslator::Run() {
  if (const auto bad = FirstInvalidUtf8(pattern_)) return cursor_.Bad(*bad, "not UTF-8");
  METIER_TRY(CountGroups());
  while (!cursor_.AtEnd()) METIER_TRY(Term());
  if (!open_.empty()) return cursor_.Bad(open_.back().begin, "a group that does not end");
  return std::move(out_);
}

Status EcmaTranslator::CountGroups() {
  PatternCursor cursor(pattern_);
  bool in_class = false;
  while (!cursor.AtEnd()) {
    const std::size_t begin = cursor.at();
    const std::uint32_t c = cursor.Take();
    if (c == '\\' && !cursor.AtEnd()) {
      cursor.Take();
    } else if (c == '[') {
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    } else if (c == '(' && !in_class) {
      const bool named =
          cursor.StartsWith("?<") && !cursor.StartsWith("?<=") && !cursor.StartsWith("?<!");
      if (!named && cursor.Peek() == '?') continue;
      ++groups_;
      if (!named) continue;
      cursor.Accept("?<");
      const auto name = cursor.TakeUntil('>');
      if (!name || !IsGroupName(*name)) return cursor.Bad(begin, "a group's name is no identifier");
      if (!group_names_.emplace(*name, groups_).second) {
        return cursor.Bad(begin, fmt::format("two groups are named '{}'", Excerpt(*name)));
      }
    }
  }
  return Ok();
}

Status EcmaTranslator::Term() {
  switch (cursor_.Peek()) {
    case '^':
      cursor_.Take();
      out_ += flags_.multiline ? fmt::format("(?<![^{}])", kLineEnds) : "\\A";
      can_repeat_ = false;
      return Ok();
    case '$':
      cursor_.Take();
      out_ += flags_.multiline ? fmt::format("(?![^{}])", kLineEnds) : "\\z";
      can_repeat_ = false;
      return Ok();
    case '|':
      cursor_.Take();
      out_ += '|';
      can_repeat_ = false;
      return Ok();
    case '.':
      cursor_.Take();
      out_ += flags_.dot_all ? std::string(kAnything) : fmt::format("[^{}]", kLineEnds);
      can_repeat_ = true;
      return Ok();
    case '(': return Open();
    case ')': return Close();
    case '[': return Class();
    case '\\': return Escape();
    case '*':
    case '+':
    case '?':
    case '{': return Repeat();
    default: EmitAtom({.code = cursor_.Take()}); return Ok();
  }
}

void EcmaTranslator::Push(bool is_assertion, std::size_t begin) {
  open_.push_back({is_assertion, begin, flags_});
  can_repeat_ = false;
}

Status EcmaTranslator::Open() {
  const std::size_t begin = cursor_.at();
  cursor_.Take();
  for (const std::string_view assertion : {"?=", "?!", "?<=", "?<!"}) {
    if (!cursor_.Accept(assertion)) continue;
    out_ += '(';
    out_ += assertion;
    Push(/*is_assertion=*/true, begin);
    return Ok();
  }
  if (cursor_.Accept("?<")) {
    cursor_.TakeUntil('>');  // CountGroups has seen the name
    out_ += '(';
  } else if (cursor_.Accept("?:")) {
    out_ += "(?:";
  } else if (cursor_.Peek() == '?') {
    Push(/*is_assertion=*/false, begin);
    return OpenModified();
  } else {
    out_ += '(';
  }
  Push(/*is_assertion=*/false, begin);
  return Ok();
}

// (?i:...), (?s-m:...): flags for a group alone.
Status EcmaTranslator::OpenModified() {
  const std::size_t begin = cursor_.at();
  cursor_.Accept("?");
  std::string ignore_case;
  std::string seen;
  bool on = true;
  for (char c = cursor_.Peek(); c != ':'; c = cursor_.Peek()) {
    const bool again = c != '-' && seen.find(c) != std::string::npos;
    if (again || (c == '-' && !on) || (c != '-' && c != 'i' && c != 'm' && c != 's')) {
      return cursor_.Bad(begin, "(? begins no group of ECMA-262");
    }
    cursor_.Take();
    if (c == '-') {
      on = false;
      continue;
    }
    seen += c;
    if (c == 'i') ignore_case = on ? "i" : "-i";
    if (c == 'm') flags_.multiline = on;
    if (c == 's') flags_.dot_all = on;
  }
  if (seen.empty()) return cursor_.Bad(begin, "(? begins no group of ECMA-262");
  cursor_.Accept(":");
  out_ += "(?" + ignore_case + ":";
  return Ok();
}

Status EcmaTranslator::Close() {
  if (open_.empty()) return cursor_.Bad("a closing parenthesis without an opening one");
  cursor_.Take();
  out_ += ')';
  can_repeat_ = !open_.back().is_assertion;
  flags_ = open_.back().outer;
  open_.pop_back();
  return Ok();
}

void EcmaTranslator::EmitAtom(const EscapedAtom& atom) {
  if (!atom.set.empty()) {
    out_ += "[" + atom.set + "]";
  } else {
    out_ += IsSurrogate(atom.code) ? std::string(kNothing) : CharacterText(atom.code);
  }
  can_repeat_ = true;
}

Status EcmaTranslator::Escape() {
  cursor_.Take();
  const char c = cursor_.Peek();
  if (c == 'b' || c == 'B') {
    cursor_.Take();
    out_ += c == 'b' ? "\\b" : "\\B";
    can_repeat_ = false;
    return Ok();
  }
  if (c == 'k' || (c >= '1' && c <= '9')) return Reference();
  METIER_ASSIGN(const EscapedAtom atom, ReadEscape(cursor_));
  EmitAtom(atom);
  return Ok();
}

Status EcmaTranslator::Reference() {
  const std::size_t begin = cursor_.at();
  std::uint64_t group = 0;
  if (cursor_.Accept("k")) {
    const auto name = cursor_.Accept("<") ? cursor_.TakeUntil('>') : std::nullopt;
    const auto known = name ? group_names_.find(*name) : group_names_.end();
    if (known == group_names_.end()) return cursor_.Bad(begin, "\\k without a group of that name");
    group = known->second;
  } else {
    group = cursor_.TakeNumber().value_or(0);
    if (group > groups_) {
      return cursor_.Bad(begin, fmt::format("a reference to group {} of {}", group, groups_));
    }
  }
  out_ += fmt::format("\\g{{{}}}", group);
  can_repeat_ = true;
  return Ok();
}

Result<EscapedAtom> EcmaTranslator::ClassAtom() {
  if (!cursor_.Accept("\\")) return EscapedAtom{.code = cursor_.Take()};
  if (cursor_.Accept("b")) return EscapedAtom{.code = 8};
  return ReadEscape(cursor_);
}

Status EcmaTranslator::Class() {
  const std::size_t begin = cursor_.at();
  cursor_.Take();
  const bool negated = cursor_.Accept("^");
  std::string items;
  const auto add_range = [&items](std::uint32_t first, std::uint32_t last) {
    // Surrogates are in no text, and PCRE2 refuses them as ends.
    if (IsSurrogate(first)) first = 0xE000;
    if (IsSurrogate(last)) last = 0xD7FF;
    if (first > last) return;
    items += CharacterText(first);
    if (first != last) items += "-" + CharacterText(last);
  };
  while (!cursor_.Accept("]")) {
    if (cursor_.AtEnd()) return cursor_.Bad(begin, "a class that does not end");
    METIER_ASSIGN(const EscapedAtom first, ClassAtom());
    const bool dash = cursor_.Peek() == '-' && !cursor_.StartsWith("-]");
    if (!first.set.empty()) {
      items += first.set;
      if (dash && cursor_.Accept("-")) add_range('-', '-');  // a dash beside \w is itself
      continue;
    }
    if (!dash) {
      add_range(first.code, first.code);
      continue;
    }
    cursor_.Accept("-");
    if (cursor_.AtEnd()) return cursor_.Bad(begin, "a class that does not end");
    METIER_ASSIGN(const EscapedAtom last, ClassAtom());
    if (!last.set.empty()) {
      add_range(first.code, first.code);
      add_range('-', '-');
      items += last.set;
    } else if (last.code < first.code) {
      return cursor_.Bad("a range of a class whose end precedes its beginning");
    } else {
      add_range(first.code, last.code);
    }
  }
  if (items.empty()) {
    out_ += negated ? kAnything : kNothing;
  } else {
    out_ += (negated ? "[^" : "[") + items + "]";
  }
  can_repeat_ = true;
  return Ok();
}

bool EcmaTranslator::TakeBraces(std::uint64_t& least, std::optional<std::uint64_t>& most) {
  const std::size_t begin = cursor_.at();
  cursor_.Accept("{");
  const auto first = cursor_.TakeNumber();
  if (first) {
    least = *first;
    most = first;
    if (cursor_.Accept(",")) most = cursor_.TakeNumber();
    if (cursor_.Accept("}")) return true;
  }
  cursor_.set_at(begin);
  return false;
}

Status EcmaTranslator::Repeat() {
  const std::size_t begin = cursor_.at();
  const char kind = cursor_.Peek();
  std::uint64_t least = 0;
  std::optional<std::uint64_t> most;
  if (kind == '{' && !TakeBraces(least, most)) {
    EmitAtom({.code = cursor_.Take()});  // a brace that opens no repeat is itself
    return Ok();
  }
  if (!can_repeat_) return cursor_.Bad(begin, "nothing to repeat");
  if (kind != '{') {
    cursor_.Take();
    out_ += kind;
  } else {
    if (most && *most < least) return cursor_.Bad(begin, "a repeat of at most less than at least");
    if (std::max(least, most.value_or(0)) > kMaxRepeat) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("byte {}: a repeat of more than {}", begin, kMaxRepeat));
    }
    out_ += most && *most == least ? fmt::format("{{{}}}", least)
            : most                 ? fmt::format("{{{},{}}}", least, *most)
                                   : fmt::format("{{{},}}", least);
  }
  if (cursor_.Accept("?")) out_ += '?';
  can_repeat_ = false;
  return Ok();
}

}  // namespace

Result<std::string> TranslateEcmaPattern(std::string_view pattern) {
  return EcmaTranslator(pattern).Run();
}

bool IsEcmaPattern(std::string_view pattern) {
  const auto translated = TranslateEcmaPattern(pattern);
  return translated.ok() || translated.error().code() == ErrorCode::kUnsupported;
}

}  // namespace metier::grammar::validator
