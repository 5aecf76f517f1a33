// text/template/parse_expression.h - the expressions of Jinja's grammar, loosest binding first:
//
//   if/else   or   and   not   comparisons, in, not in   + -   ~   * / // %   **   unary + -
//   postfix .name [item] (call)   then filters |name and tests `is name`
//
// ("~" binds tighter than "+", and a filter tighter than any operator: -1 | abs is -(1 | abs).)
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/template/ast.h"
#include "text/template/token_stream.h"

namespace metier::text::jinja {

class ExpressionParser {
 public:
  // Borrows the stream.
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  enum class InlineIf { kAllowed, kNot };
  Result<ExpressionPtr> Any(InlineIf inline_if = InlineIf::kAllowed);
  // One expression, or several with commas between them as a tuple. `stop` is a name that ends it.
  Result<ExpressionPtr> Tuple(InlineIf inline_if = InlineIf::kAllowed, std::string_view stop = "");
  // What follows "{% filter" or stands between "|": a chain of filters applied to `input`, which
  // may be null.
  enum class First { kAfterPipe, kHere };
  Result<ExpressionPtr> Filters(ExpressionPtr input, First first);

 private:
  using Parse = Result<ExpressionPtr> (ExpressionParser::*)();

  Result<ExpressionPtr> InlineIfElse();
  Result<ExpressionPtr> Or();
  Result<ExpressionPtr> And();
  Result<ExpressionPtr> Not();
  Result<ExpressionPtr> Compare();
  Result<ExpressionPtr> Sum();
  Result<ExpressionPtr> Concat();
  Result<ExpressionPtr> Product();
  Result<ExpressionPtr> Power();
  Result<ExpressionPtr> Unary();
  enum class WithFilters { kNo, kYes };
  Result<ExpressionPtr> UnaryOperand(WithFilters filters);
  Result<ExpressionPtr> Primary();
  Result<ExpressionPtr> PrimaryName();
  Result<ExpressionPtr> Parenthesised();
  Result<ExpressionPtr> ListLiteral();
  Result<ExpressionPtr> DictLiteral();
  Result<ExpressionPtr> Postfix(ExpressionPtr node);
  Result<ExpressionPtr> FiltersAndTests(ExpressionPtr node);
  Result<ExpressionPtr> Subscript(ExpressionPtr node);
  Result<ExpressionPtr> Subscribed();
  Result<ExpressionPtr> TestOf(ExpressionPtr node);
  Result<ExpressionPtr> CallOf(ExpressionPtr node);
  Status CallArguments(Expression& call);
  Result<ExpressionPtr> LeftAssociative(Parse operand, std::vector<std::string_view> operators);

  ExpressionPtr Make(Expression::Kind kind, int line) const;
  // Adds a part and keeps count of the depth.
  static void AddPart(Expression& node, ExpressionPtr part);
  // kResourceExhausted when the node, or the recursion, is too deep.
  Result<ExpressionPtr> Checked(ExpressionPtr node) const;

  TokenStream& tokens_;
  int recursion_ = 0;
};

}  // namespace metier::text::jinja
