// Oniguruma (Ruby syntax) -> PCRE2, by walking the pattern once. What both read alike is copied.
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace metier::text {
namespace {

constexpr int kMaxClassDepth = 32;
// What stands inside brackets for White_Space and for \w.
constexpr std::string_view kSpace = R"(\t-\r\x{85}\p{Z})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

// Long names that Oniguruma knows and PCRE2 spells otherwise.
struct PropertyName {
  std::string_view onig;
  std::string_view pcre;
};
constexpr std::array<PropertyName, 28> kProperties = {{
    {"letter", "L"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"other", "C"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"alpha", "Alphabetic"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
}};

bool Compiles(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  Result<std::string> Run() {
    while (at_ < in_.size()) METIER_TRY(Item());
    return std::move(out_);
  }

 private:
  Error Unsupported(std::string_view what) const {
    return Error(ErrorCode::kUnsupported, fmt::format("pattern '{}', byte {}: {}", in_, at_, what));
  }
  bool Next(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  // Copies one character, whole.
  void Copy() {
    const std::size_t bytes =
        std::min(DecodeChar(in_, at_).bytes + std::size_t{0}, in_.size() - at_);
    out_ += in_.substr(at_, bytes);
    at_ += bytes;
  }

  Status Item() {
    const char c = in_[at_];
    if (c == '(') return Open();
    if (c == ')') {
      if (groups_.empty())
        return Error(ErrorCode::kDataCorrupt,
                     fmt::format("pattern '{}', byte {}: ')' without '('", in_, at_));
      atom_ = groups_.back();
      groups_.pop_back();
      Copy();
      return Ok();
    }
    if (c == '{') return Repeat();
    if (c == '*' || c == '+' || c == '?' || c == '|') {
      Copy();
      return Ok();
    }
    atom_ = out_.size();
    if (c == '[') {
      METIER_ASSIGN(const std::string text, Class(0));
      out_ += text;
      return Ok();
    }
    if (c == '\\') return Escape();
    Copy();
    return Ok();
  }

  Status Open() {
    groups_.push_back(out_.size());
    Copy();
    if (Next("?#")) {  // a comment: copied to its end
      const std::size_t end = in_.find(')', at_);
      if (end == std::string_view::npos) return Unsupported("a comment without ')'");
      out_ += in_.substr(at_, end - at_);
      at_ = end;
      return Ok();
    }
    if (!Next("?") || Next("?<") || Next("?P")) return Ok();
    // Option letters: Ruby's m is the others' s.
    Copy();
    while (at_ < in_.size() &&
           (std::isalpha(static_cast<unsigned char>(in_[at_])) != 0 || in_[at_] == '-')) {
      const char option = in_[at_];
      if (option == 'x') return Unsupported("the option x (free spacing)");
      if (std::string_view("im-").find(option) == std::string_view::npos) {
        return Unsupported(fmt::format("the option '{}'", option));
      }
      out_ += option == 'm' ? 's' : option;
      ++at_;
    }
    return Ok();
  }

  // "{n,m}" and what follows; a brace that is no repeat is a literal for both.
  Status Repeat() {
    std::size_t end = at_ + 1;
    while (end < in_.size() &&
           (std::isdigit(static_cast<unsigned char>(in_[end])) != 0 || in_[end] == ',')) {
      ++end;
    }
    const bool repeat = end < in_.size() && in_[end] == '}' && end > at_ + 1;
    if (!repeat) {
      atom_ = out_.size();
      out_ += "\\{";
      ++at_;
      return Ok();
    }
    std::string bounds(in_.substr(at_, end + 1 - at_));
    if (bounds[1] == ',') bounds.insert(1, "0");  // {,n}: PCRE2 10.42 takes it literally
    at_ = end + 1;
    out_ += bounds;
    if (Next("+")) {
      out_.insert(atom_, "(?:");
      out_ += ")+";
      ++at_;
    }
    return Ok();
  }

  Status Escape() {
    if (at_ + 1 >= in_.size()) return Unsupported("a backslash at the end");
    const char c = in_[at_ + 1];
    switch (c) {
      case 's': out_ += fmt::format("[{}]", kSpace); break;
      case 'S': out_ += fmt::format("[^{}]", kSpace); break;
      case 'w': out_ += fmt::format("[{}]", kWord); break;
      case 'W': out_ += fmt::format("[^{}]", kWord); break;
      case 'b': out_ += fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord); break;
      case 'B': out_ += fmt::format("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", kWord); break;
      case 'h': out_ += "[0-9a-fA-F]"; break;
      case 'H': out_ += "[^0-9a-fA-F]"; break;
      case 'p':
      case 'P': {
        METIER_ASSIGN(const std::string property, Property());
        out_ += property;
        return Ok();
      }
      default: return CommonEscape(out_);
    }
    at_ += 2;
    return Ok();
  }

  // An escape that both read alike, inside and outside of brackets.
  Status CommonEscape(std::string& out) {
    const char c = in_[at_ + 1];
    if (std::string_view("QEgKRXNO").find(c) != std::string_view::npos) {
      return Unsupported(fmt::format("the escape \\{}", c));
    }
    if (c == 'u') {  // \uHHHH
      const std::string_view digits = in_.substr(at_ + 2, 4);
      if (digits.size() != 4) return Unsupported("\\u needs four hexadecimal digits");
      out += fmt::format("\\x{{{}}}", digits);
      at_ += 6;
      return Ok();
    }
    out += '\\';
    ++at_;
    const std::size_t bytes = std::min<std::size_t>(DecodeChar(in_, at_).bytes, in_.size() - at_);
    out += in_.substr(at_, bytes);
    at_ += bytes;
    return Ok();
  }

  // \p{Name}, \p{^Name}, \P{Name}, \pL.
  Result<std::string> Property() {
    const bool upper = in_[at_ + 1] == 'P';
    at_ += 2;
    if (at_ >= in_.size()) return Unsupported("\\p at the end");
    std::string name;
    if (in_[at_] == '{') {
      const std::size_t end = in_.find('}', at_);
      if (end == std::string_view::npos) return Unsupported("\\p{ without }");
      name = in_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      name = in_.substr(at_, 1);
      ++at_;
    }
    bool negated = upper;
    if (name.starts_with('^')) {
      negated = !negated;
      name.erase(0, 1);
    }
    const std::string open = negated ? "\\P{" : "\\p{";
    if (name.size() <= 2) return open + name + "}";
    std::string plain;
    for (const char c : name) {
      if (c != '_' && c != ' ' && c != '-') {
        plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      }
    }
    for (const PropertyName& known : kProperties) {
      if (known.onig == plain) return open + std::string(known.pcre) + "}";
    }
    if (Compiles("\\p{sc:" + name + "}")) return open + "sc:" + name + "}";
    if (Compiles("\\p{" + name + "}")) return open + name + "}";
    return Unsupported(fmt::format("the property '{}'", name));
  }

  // A class from '[' to its ']'. A union of nested classes is flattened; "[A&&B]" becomes a
  // look-ahead and a class.
  Result<std::string> Class(int depth) {
    if (depth > kMaxClassDepth) return Unsupported("classes nested too deeply");
    ++at_;
    const bool negated = Next("^");
    if (negated) ++at_;
    std::vector<std::string> operands(1);
    bool nested_negation = false;
    if (Next("]")) {  // a bracket in first place is a literal
      operands[0] += "\\]";
      ++at_;
    }
    while (!Next("]")) {
      if (at_ >= in_.size()) return Unsupported("a class without ']'");
      std::string& operand = operands.back();
      if (Next("&&")) {
        operands.emplace_back();
        at_ += 2;
      } else if (Next("[:")) {
        METIER_TRY(PosixClass(operand));
      } else if (Next("[")) {
        METIER_ASSIGN(const std::string inner, Class(depth + 1));
        if (inner.starts_with("[^") || inner.starts_with("(?")) {
          if (!operand.empty()) return Unsupported("a union with a negated class");
          operand = inner;
          nested_negation = true;
        } else {
          operand += inner.substr(1, inner.size() - 2);
        }
      } else if (Next("\\")) {
        METIER_TRY(ClassEscape(operand));
      } else {
        if (operand.starts_with("[^") || operand.starts_with("(?")) {
          return Unsupported("a union with a negated class");
        }
        const std::size_t bytes =
            std::min<std::size_t>(DecodeChar(in_, at_).bytes, in_.size() - at_);
        operand += in_.substr(at_, bytes);
        at_ += bytes;
      }
    }
    ++at_;
    if (operands.size() == 1 && !nested_negation) {
      return (negated ? "[^" : "[") + operands[0] + "]";
    }
    return Intersection(operands, negated);
  }

  Result<std::string> Intersection(const std::vector<std::string>& operands, bool negated) {
    std::string all;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (operands[i].empty()) return Unsupported("an empty side of &&");
      const bool whole = operands[i].starts_with("[^") || operands[i].starts_with("(?");
      const std::string one = whole ? operands[i] : "[" + operands[i] + "]";
      all += i + 1 < operands.size() ? "(?=" + one + ")" : one;
    }
    if (negated) return "(?:(?!" + all + ")(?s:.))";
    return "(?:" + all + ")";
  }

  Status PosixClass(std::string& out) {
    const std::size_t end = in_.find(":]", at_);
    if (end == std::string_view::npos) return Unsupported("[: without :]");
    const std::string_view name = in_.substr(at_, end + 2 - at_);
    if (name == "[:space:]") {
      out += kSpace;
    } else if (name == "[:word:]") {
      out += kWord;
    } else {
      out += name;
    }
    at_ = end + 2;
    return Ok();
  }

  Status ClassEscape(std::string& out) {
    if (at_ + 1 >= in_.size()) return Unsupported("a backslash at the end");
    const char c = in_[at_ + 1];
    if (c == 'p' || c == 'P') {
      METIER_ASSIGN(const std::string property, Property());
      out += property;
      return Ok();
    }
    if (c == 's' || c == 'w' || c == 'h') {
      out += c == 's' ? kSpace : c == 'w' ? kWord : std::string_view("0-9a-fA-F");
    } else if (c == 'S') {
      out += "\\S";  // differs from White_Space at U+180E only
    } else if (c == 'W' || c == 'H') {
      return Unsupported(fmt::format("\\{} inside of brackets", c));
    } else {
      return CommonEscape(out);
    }
    at_ += 2;
    return Ok();
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = 0;             // where the last atom starts in out_
  std::vector<std::size_t> groups_;  // where the open groups start in out_
};

}  // namespace

Result<std::string> TranslatePattern(std::string_view onig) {
  METIER_TRY(CheckUtf8(onig, "pattern"));
  return Translator(onig).Run();
}

}  // namespace metier::text
