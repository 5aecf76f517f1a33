// text/template/token_stream.h - the parser's place among the tokens, shared by expressions and
// statements.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/template/lexer.h"

namespace metier::text::jinja {

class TokenStream {
 public:
  // Requires that the last token is kEnd.
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  // The current token, which is left behind; the end is never left.
  const Token& Next() {
    const Token& token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  int line() const { return Peek().line; }

  bool Is(Token::Kind kind) const { return Peek().kind == kind; }
  bool IsName(std::string_view name, std::size_t ahead = 0) const {
    return Peek(ahead).kind == Token::Kind::kName && Peek(ahead).text == name;
  }
  bool IsOperator(std::string_view spelling, std::size_t ahead = 0) const {
    return Peek(ahead).kind == Token::Kind::kOperator && Peek(ahead).text == spelling;
  }
  bool SkipName(std::string_view name) { return IsName(name) && (Next(), true); }
  bool SkipOperator(std::string_view spelling) { return IsOperator(spelling) && (Next(), true); }

  Result<std::string> ExpectName(std::string_view what) {
    if (!Is(Token::Kind::kName)) return Unexpected(what);
    return Next().text;
  }
  Status ExpectOperator(std::string_view spelling) {
    if (!SkipOperator(spelling)) return Unexpected(fmt::format("'{}'", spelling));
    return Ok();
  }
  Status Expect(Token::Kind kind) {
    if (!Is(kind)) return Unexpected(Describe(kind));
    Next();
    return Ok();
  }

  // Errors at the current token.
  Error Unexpected(std::string_view expected) const {
    return Fail(fmt::format("found {}, expected {}", Describe(Peek()), expected));
  }
  Error Fail(std::string_view what, ErrorCode code = ErrorCode::kDataCorrupt) const {
    return Error(code, fmt::format("chat template, line {}: {}", line(), what));
  }

 private:
  static std::string Describe(Token::Kind kind) {
    switch (kind) {
      case Token::Kind::kData: return "text";
      case Token::Kind::kVariableBegin: return "'{{'";
      case Token::Kind::kVariableEnd: return "'}}'";
      case Token::Kind::kBlockBegin: return "'{%'";
      case Token::Kind::kBlockEnd: return "'%}'";
      case Token::Kind::kName: return "a name";
      case Token::Kind::kString: return "a string";
      case Token::Kind::kInteger:
      case Token::Kind::kFloat: return "a number";
      case Token::Kind::kOperator: return "an operator";
      case Token::Kind::kEnd: return "the end of the template";
    }
    return "a token";
  }
  static std::string Describe(const Token& token) {
    if (token.kind == Token::Kind::kName || token.kind == Token::Kind::kOperator ||
        token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kFloat)
      return fmt::format("'{}'", token.text);
    return Describe(token.kind);
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace metier::text::jinja
