#include "text/template/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "text/template/python_text.h"

namespace metier::text::jinja {
namespace {

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IsAsciiDigit(c) ||
         static_cast<unsigned char>(c) >= 0x80;
}

// \r\n and \r become \n; one final newline goes.
std::string NormalizeNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) METIER_TRY(Root());
    Add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  Error Fail(std::string_view what, ErrorCode code = ErrorCode::kDataCorrupt) const {
    return Error(code, fmt::format("chat template, line {}: {}", line_, what));
  }

  void Add(Token::Kind kind, std::string text) {
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }

  bool StandsAt(std::size_t at, std::string_view text) const {
    return std::string_view(source_).substr(std::min(at, source_.size())).starts_with(text);
  }

  // Moves on and counts lines.
  void MoveTo(std::size_t at) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    if (at > at_) line_starting_ = source_[at - 1] == '\n';
    at_ = at;
  }

  std::size_t SkipSpace(std::size_t at) const {
    while (at < source_.size()) {
      const CodePoint c = DecodeAt(source_, at);
      if (!IsSpace(c.value)) break;
      at += c.bytes;
    }
    return at;
  }

  // Text before a tag, shortened as the tag's sign says. kVariable tags do not strip the line's
  // start.
  enum class Tag { kVariable, kOther };
  std::string_view TextBefore(std::size_t begin, std::size_t end, char sign, Tag tag) const {
    const std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') return text.substr(0, Strip(text, StripEnds::kRight).end);
    if (sign == '+' || tag == Tag::kVariable) return text;
    const std::size_t newline = text.rfind('\n');
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (line == 0 && !line_starting_) return text;
    const std::string_view start = text.substr(line);
    return Strip(start, StripEnds::kRight).end == 0 ? text.substr(0, line) : text;
  }

  char SignAt(std::size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }

  // The next tag of any kind from at_ on.
  std::size_t FindTag() const {
    for (std::size_t at = source_.find('{', at_); at != std::string::npos;
         at = source_.find('{', at + 1)) {
      if (at + 1 < source_.size() &&
          (source_[at + 1] == '{' || source_[at + 1] == '%' || source_[at + 1] == '#'))
        return at;
    }
    return std::string::npos;
  }

  Status Root() {
    const std::size_t tag = FindTag();
    if (tag == std::string::npos) {
      Add(Token::Kind::kData, source_.substr(at_));
      MoveTo(source_.size());
      return Ok();
    }
    const char opener = source_[tag + 1];
    const char sign = SignAt(tag + 2);
    const std::string_view text =
        TextBefore(at_, tag, sign, opener == '{' ? Tag::kVariable : Tag::kOther);
    if (!text.empty()) Add(Token::Kind::kData, std::string(text));
    MoveTo(tag);
    const std::size_t inside = tag + 2 + (sign == '\0' ? 0 : 1);
    if (opener == '#') return Comment(inside);
    if (opener == '%') {
      if (const auto body = RawBegin(inside)) return Raw(*body);
    }
    Add(opener == '{' ? Token::Kind::kVariableBegin : Token::Kind::kBlockBegin, "");
    MoveTo(inside);
    return Tokens(opener == '{' ? '}' : '%');
  }

  // After the characters of an end tag that may begin with a sign: what trim_blocks and "-" eat.
  // `close` is "%}" or "#}". Nothing when no end tag stands at `at`.
  std::optional<std::size_t> EndTag(std::size_t at, std::string_view close) const {
    const char sign = SignAt(at);
    const std::size_t body = at + (sign == '\0' ? 0 : 1);
    if (!StandsAt(body, close)) return std::nullopt;
    const std::size_t after = body + close.size();
    if (sign == '-') return SkipSpace(after);
    if (sign != '+' && after < source_.size() && source_[after] == '\n') return after + 1;
    return after;
  }

  Status Comment(std::size_t inside) {
    const std::size_t close = source_.find("#}", inside);
    if (close == std::string::npos) return Fail("a comment {# is never closed; expected #}");
    // A sign belongs to the end tag when it is not the one that opened the comment.
    const std::size_t end = close > inside && SignAt(close - 1) != '\0' ? close - 1 : close;
    MoveTo(*EndTag(end, "#}"));
    return Ok();
  }

  // Where the text of {% raw %} begins, if that is the tag here.
  std::optional<std::size_t> RawBegin(std::size_t inside) const {
    std::size_t at = SkipSpace(inside);
    if (!StandsAt(at, "raw")) return std::nullopt;
    at = SkipSpace(at + 3);
    if (StandsAt(at, "-%}")) return SkipSpace(at + 3);
    if (StandsAt(at, "%}")) return at + 2;
    return std::nullopt;
  }

  Status Raw(std::size_t body) {
    MoveTo(body);
    for (std::size_t tag = source_.find("{%", body); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      const char sign = SignAt(tag + 2);
      std::size_t at = SkipSpace(tag + 2 + (sign == '\0' ? 0 : 1));
      if (!StandsAt(at, "endraw")) continue;
      const auto end = EndTag(SkipSpace(at + 6), "%}");
      if (!end) continue;
      const std::string_view text = TextBefore(body, tag, sign, Tag::kOther);
      if (!text.empty()) Add(Token::Kind::kData, std::string(text));
      MoveTo(*end);
      return Ok();
    }
    return Fail("{% raw %} is never closed; expected {% endraw %}");
  }

  // Tokens up to the end tag; `closer` is '}' for {{ and '%' for {%.
  Status Tokens(char closer) {
    const int opened = line_;
    std::vector<char> brackets;
    while (at_ < source_.size()) {
      const std::size_t after_space = SkipSpace(at_);
      if (after_space != at_) {
        MoveTo(after_space);
        continue;
      }
      if (brackets.empty()) {
        if (const auto end = closer == '%' ? EndTag(at_, "%}") : EndVariable()) {
          Add(closer == '%' ? Token::Kind::kBlockEnd : Token::Kind::kVariableEnd, "");
          MoveTo(*end);
          return Ok();
        }
      }
      METIER_TRY(One(brackets));
    }
    line_ = opened;
    return Fail(closer == '%' ? "a block {% is never closed; expected %}"
                              : "an expression {{ is never closed; expected }}");
  }

  std::optional<std::size_t> EndVariable() const {
    if (StandsAt(at_, "-}}")) return SkipSpace(at_ + 3);
    if (StandsAt(at_, "}}")) return at_ + 2;
    return std::nullopt;
  }

  Status One(std::vector<char>& brackets) {
    const char c = source_[at_];
    if (IsAsciiDigit(c)) return Number();
    if (IsNameByte(c)) {
      std::size_t end = at_;
      while (end < source_.size() && IsNameByte(source_[end])) ++end;
      Add(Token::Kind::kName, source_.substr(at_, end - at_));
      MoveTo(end);
      return Ok();
    }
    if (c == '\'' || c == '"') return String(c);
    return Operator(brackets);
  }

  Status Operator(std::vector<char>& brackets) {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (const std::string_view spelling : kOperators) {
      if (!StandsAt(at_, spelling)) continue;
      const char c = spelling[0];
      if (c == '(' || c == '[' || c == '{') {
        brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
      } else if (c == ')' || c == ']' || c == '}') {
        if (brackets.empty()) return Fail(fmt::format("'{}' closes nothing", c));
        if (brackets.back() != c)
          return Fail(fmt::format("found '{}', expected '{}'", c, brackets.back()));
        brackets.pop_back();
      }
      Add(Token::Kind::kOperator, std::string(spelling));
      MoveTo(at_ + spelling.size());
      return Ok();
    }
    return Fail(fmt::format("character '{}' starts no expression", source_[at_]));
  }

  // Digits with single underscores between them.
  std::size_t SkipDigits(std::size_t at) const {
    while (at < source_.size() &&
           (IsAsciiDigit(source_[at]) ||
            (source_[at] == '_' && at + 1 < source_.size() && IsAsciiDigit(source_[at + 1]) &&
             IsAsciiDigit(source_[at - 1]))))
      ++at;
    return at;
  }

  Status Number() {
    std::size_t end = SkipDigits(at_);
    bool is_float = false;
    if (end + 1 < source_.size() && source_[end] == '.' && IsAsciiDigit(source_[end + 1])) {
      is_float = true;
      end = SkipDigits(end + 1);
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const std::size_t digits = end + 1 + (SignAt(end + 1) == '\0' ? 0 : 1);
      if (digits < source_.size() && IsAsciiDigit(source_[digits])) {
        is_float = true;
        end = SkipDigits(digits);
      }
    }
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    Token token;
    token.kind = is_float ? Token::Kind::kFloat : Token::Kind::kInteger;
    token.line = line_;
    const auto* first = text.data();
    const auto* last = text.data() + text.size();
    const auto read = is_float ? std::from_chars(first, last, token.real)
                               : std::from_chars(first, last, token.integer);
    if (read.ec != std::errc() && is_float)
      return Fail(fmt::format("the number {} is out of range", text), ErrorCode::kUnsupported);
    if (read.ec != std::errc())
      return Fail(fmt::format("the integer {} is over 64 bits", text), ErrorCode::kUnsupported);
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
    MoveTo(end);
    return Ok();
  }

  Status String(char quote) {
    std::string text;
    std::size_t at = at_ + 1;
    while (true) {
      if (at >= source_.size()) return Fail("a string is never closed");
      if (source_[at] == quote) break;
      if (source_[at] != '\\') {
        text += source_[at++];
        continue;
      }
      METIER_ASSIGN(at, Escape(at + 1, text));
    }
    Add(Token::Kind::kString, std::move(text));
    MoveTo(at + 1);
    return Ok();
  }

  // `at` is behind a backslash. Appends what the escape means; returns where it ends.
  Result<std::size_t> Escape(std::size_t at, std::string& text) const {
    if (at >= source_.size()) return Fail("a string is never closed");
    const char c = source_[at];
    static constexpr std::string_view kPlain = "\\'\"abfnrtv";
    static constexpr std::string_view kMeaning = "\\'\"\a\b\f\n\r\t\v";
    if (const auto known = kPlain.find(c); known != std::string_view::npos) {
      text += kMeaning[known];
      return at + 1;
    }
    if (c == '\n') return at + 1;  // the line goes on
    if (c == 'N')
      return Fail("the escape \\N{...} is not supported; write the character itself",
                  ErrorCode::kUnsupported);
    if (c >= '0' && c <= '7') {
      std::uint32_t value = 0;
      std::size_t end = at;
      while (end < source_.size() && end < at + 3 && source_[end] >= '0' && source_[end] <= '7')
        value = value * 8 + static_cast<std::uint32_t>(source_[end++] - '0');
      AppendUtf8(value, text);
      return end;
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {  // Python keeps what it does not know
      text += '\\';
      return at;
    }
    std::uint32_t value = 0;
    const char* first = source_.data() + at + 1;
    const char* last = source_.data() + std::min(source_.size(), at + 1 + digits);
    const auto read = std::from_chars(first, last, value, 16);
    if (read.ptr != first + digits || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
      return Fail(fmt::format("\\{} needs {} hexadecimal digits of a character", c, digits));
    AppendUtf8(value, text);
    return at + 1 + digits;
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // a newline, or nothing, stands right before at_
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source, const Limits& limits) {
  if (source.size() > limits.max_template_bytes) {
    return Error(
        ErrorCode::kResourceExhausted,
        fmt::format("chat template: {} bytes, limit {}", source.size(), limits.max_template_bytes));
  }
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace metier::text::jinja
