#include "text/template/parse_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/nearest.h"
#include "text/template/filters.h"
#include "text/template/parser.h"
#include "text/template/tests.h"

namespace metier::text::jinja {

using Kind = Expression::Kind;

ExpressionPtr ExpressionParser::Make(Kind kind, int line) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  return node;
}

void ExpressionParser::AddPart(Expression& node, ExpressionPtr part) {
  if (part != nullptr) node.depth = std::max(node.depth, part->depth + 1);
  node.parts.push_back(std::move(part));
}

Result<ExpressionPtr> ExpressionParser::Checked(ExpressionPtr node) const {
  if (node->depth > kMaxSyntaxDepth) {
    return tokens_.Fail(
        fmt::format("an expression is nested deeper than {} levels", kMaxSyntaxDepth),
        ErrorCode::kResourceExhausted);
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::Any(InlineIf inline_if) {
  if (++recursion_ > kMaxSyntaxDepth) {
    return tokens_.Fail(
        fmt::format("an expression is nested deeper than {} levels", kMaxSyntaxDepth),
        ErrorCode::kResourceExhausted);
  }
  auto parsed = inline_if == InlineIf::kAllowed ? InlineIfElse() : Or();
  --recursion_;
  return parsed;
}

Result<ExpressionPtr> ExpressionParser::Tuple(InlineIf inline_if, std::string_view stop) {
  const int line = tokens_.line();
  const auto at_end = [&] {
    return tokens_.Is(Token::Kind::kVariableEnd) || tokens_.Is(Token::Kind::kBlockEnd) ||
           tokens_.IsOperator(")") || (!stop.empty() && tokens_.IsName(stop));
  };
  if (at_end()) return tokens_.Unexpected("an expression");
  METIER_ASSIGN(ExpressionPtr first, Any(inline_if));
  if (!tokens_.IsOperator(",")) return first;
  ExpressionPtr tuple = Make(Kind::kTuple, line);
  AddPart(*tuple, std::move(first));
  while (tokens_.SkipOperator(",")) {
    if (at_end()) break;
    METIER_ASSIGN(ExpressionPtr item, Any(inline_if));
    AddPart(*tuple, std::move(item));
  }
  return Checked(std::move(tuple));
}

Result<ExpressionPtr> ExpressionParser::InlineIfElse() {
  int line = tokens_.line();
  METIER_ASSIGN(ExpressionPtr node, Or());
  while (tokens_.SkipName("if")) {
    METIER_ASSIGN(ExpressionPtr condition, Or());
    ExpressionPtr otherwise;
    if (tokens_.SkipName("else")) {
      METIER_ASSIGN(otherwise, Any());
    }
    ExpressionPtr choice = Make(Kind::kIf, line);
    AddPart(*choice, std::move(node));
    AddPart(*choice, std::move(condition));
    AddPart(*choice, std::move(otherwise));
    METIER_ASSIGN(node, Checked(std::move(choice)));
    line = tokens_.line();
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::LeftAssociative(Parse operand,
                                                        std::vector<std::string_view> operators) {
  int line = tokens_.line();
  METIER_ASSIGN(ExpressionPtr left, (this->*operand)());
  while (true) {
    const auto found = std::find_if(operators.begin(), operators.end(),
                                    [this](auto spelling) { return tokens_.IsOperator(spelling); });
    if (found == operators.end()) return left;
    tokens_.Next();
    METIER_ASSIGN(ExpressionPtr right, (this->*operand)());
    ExpressionPtr node = Make(Kind::kBinary, line);
    node->name = *found;
    AddPart(*node, std::move(left));
    AddPart(*node, std::move(right));
    METIER_ASSIGN(left, Checked(std::move(node)));
    line = tokens_.line();
  }
}

Result<ExpressionPtr> ExpressionParser::Or() {
  METIER_ASSIGN(ExpressionPtr node, And());
  if (!tokens_.IsName("or")) return node;
  ExpressionPtr all = Make(Kind::kOr, node->line);
  AddPart(*all, std::move(node));
  while (tokens_.SkipName("or")) {
    METIER_ASSIGN(ExpressionPtr next, And());
    AddPart(*all, std::move(next));
  }
  return Checked(std::move(all));
}

Result<ExpressionPtr> ExpressionParser::And() {
  METIER_ASSIGN(ExpressionPtr node, Not());
  if (!tokens_.IsName("and")) return node;
  ExpressionPtr all = Make(Kind::kAnd, node->line);
  AddPart(*all, std::move(node));
  while (tokens_.SkipName("and")) {
    METIER_ASSIGN(ExpressionPtr next, Not());
    AddPart(*all, std::move(next));
  }
  return Checked(std::move(all));
}

Result<ExpressionPtr> ExpressionParser::Not() {
  int negations = 0;
  const int line = tokens_.line();
  while (tokens_.SkipName("not")) ++negations;
  METIER_ASSIGN(ExpressionPtr node, Compare());
  for (int i = 0; i < negations; ++i) {
    ExpressionPtr negated = Make(Kind::kNot, line);
    AddPart(*negated, std::move(node));
    METIER_ASSIGN(node, Checked(std::move(negated)));
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::Compare() {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<=", ">=", "<", ">"};
  METIER_ASSIGN(ExpressionPtr node, Sum());
  ExpressionPtr chain;
  while (true) {
    std::string spelling;
    for (const std::string_view known : kOperators)
      if (tokens_.IsOperator(known)) spelling = known;
    if (tokens_.IsName("in")) spelling = "in";
    if (tokens_.IsName("not") && tokens_.IsName("in", 1)) {
      tokens_.Next();
      spelling = "not in";
    }
    if (spelling.empty()) break;
    tokens_.Next();
    METIER_ASSIGN(ExpressionPtr right, Sum());
    if (chain == nullptr) {
      chain = Make(Kind::kCompare, node->line);
      AddPart(*chain, std::move(node));
    }
    chain->operators.push_back(std::move(spelling));
    AddPart(*chain, std::move(right));
  }
  return chain == nullptr ? std::move(node) : Checked(std::move(chain));
}

Result<ExpressionPtr> ExpressionParser::Sum() {
  return LeftAssociative(&ExpressionParser::Concat, {"+", "-"});
}

Result<ExpressionPtr> ExpressionParser::Concat() {
  METIER_ASSIGN(ExpressionPtr node, Product());
  if (!tokens_.IsOperator("~")) return node;
  ExpressionPtr all = Make(Kind::kConcat, node->line);
  AddPart(*all, std::move(node));
  while (tokens_.SkipOperator("~")) {
    METIER_ASSIGN(ExpressionPtr next, Product());
    AddPart(*all, std::move(next));
  }
  return Checked(std::move(all));
}

Result<ExpressionPtr> ExpressionParser::Product() {
  return LeftAssociative(&ExpressionParser::Power, {"*", "/", "//", "%"});
}

Result<ExpressionPtr> ExpressionParser::Power() {
  return LeftAssociative(&ExpressionParser::Unary, {"**"});
}

Result<ExpressionPtr> ExpressionParser::Unary() { return UnaryOperand(WithFilters::kYes); }

Result<ExpressionPtr> ExpressionParser::UnaryOperand(WithFilters filters) {
  const int line = tokens_.line();
  ExpressionPtr node;
  if (tokens_.IsOperator("-") || tokens_.IsOperator("+")) {
    const Kind kind = tokens_.Next().text == "-" ? Kind::kNegate : Kind::kPlus;
    if (++recursion_ > kMaxSyntaxDepth)
      return tokens_.Fail("too many signs in a row", ErrorCode::kResourceExhausted);
    METIER_ASSIGN(ExpressionPtr operand, UnaryOperand(WithFilters::kNo));
    --recursion_;
    node = Make(kind, line);
    AddPart(*node, std::move(operand));
  } else {
    METIER_ASSIGN(node, Primary());
  }
  METIER_ASSIGN(node, Postfix(std::move(node)));
  if (filters == WithFilters::kYes) return FiltersAndTests(std::move(node));
  return Checked(std::move(node));
}

Result<ExpressionPtr> ExpressionParser::Primary() {
  const Token& token = tokens_.Peek();
  ExpressionPtr node = Make(Kind::kConstant, token.line);
  switch (token.kind) {
    case Token::Kind::kName: return PrimaryName();
    case Token::Kind::kString: {
      std::string text;
      while (tokens_.Is(Token::Kind::kString)) text += tokens_.Next().text;
      node->constant = Value::Plain(text);
      return node;
    }
    case Token::Kind::kInteger: node->constant = tokens_.Next().integer; return node;
    case Token::Kind::kFloat: node->constant = tokens_.Next().real; return node;
    default: break;
  }
  if (tokens_.IsOperator("(")) return Parenthesised();
  if (tokens_.IsOperator("[")) return ListLiteral();
  if (tokens_.IsOperator("{")) return DictLiteral();
  return tokens_.Unexpected("an expression");
}

Result<ExpressionPtr> ExpressionParser::PrimaryName() {
  const Token& token = tokens_.Next();
  ExpressionPtr node = Make(Kind::kConstant, token.line);
  if (token.text == "true" || token.text == "True") {
    node->constant = true;
  } else if (token.text == "false" || token.text == "False") {
    node->constant = false;
  } else if (token.text == "none" || token.text == "None") {
    node->constant = None{};
  } else {
    node->kind = Kind::kName;
    node->name = token.text;
  }
  return node;
}

Result<ExpressionPtr> ExpressionParser::Parenthesised() {
  const int line = tokens_.Next().line;
  if (tokens_.SkipOperator(")")) return Make(Kind::kTuple, line);
  METIER_ASSIGN(ExpressionPtr node, Tuple());
  METIER_TRY(tokens_.ExpectOperator(")"));
  return node;
}

Result<ExpressionPtr> ExpressionParser::ListLiteral() {
  ExpressionPtr list = Make(Kind::kList, tokens_.Next().line);
  while (!tokens_.IsOperator("]")) {
    if (!list->parts.empty()) METIER_TRY(tokens_.ExpectOperator(","));
    if (tokens_.IsOperator("]")) break;
    METIER_ASSIGN(ExpressionPtr item, Any());
    AddPart(*list, std::move(item));
  }
  METIER_TRY(tokens_.ExpectOperator("]"));
  return Checked(std::move(list));
}

Result<ExpressionPtr> ExpressionParser::DictLiteral() {
  ExpressionPtr dict = Make(Kind::kDict, tokens_.Next().line);
  while (!tokens_.IsOperator("}")) {
    if (!dict->parts.empty()) METIER_TRY(tokens_.ExpectOperator(","));
    if (tokens_.IsOperator("}")) break;
    METIER_ASSIGN(ExpressionPtr key, Any());
    METIER_TRY(tokens_.ExpectOperator(":"));
    METIER_ASSIGN(ExpressionPtr value, Any());
    AddPart(*dict, std::move(key));
    AddPart(*dict, std::move(value));
  }
  METIER_TRY(tokens_.ExpectOperator("}"));
  return Checked(std::move(dict));
}

Result<ExpressionPtr> ExpressionParser::Postfix(ExpressionPtr node) {
  while (true) {
    if (tokens_.IsOperator(".") || tokens_.IsOperator("[")) {
      METIER_ASSIGN(node, Subscript(std::move(node)));
    } else if (tokens_.IsOperator("(")) {
      METIER_ASSIGN(node, CallOf(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::FiltersAndTests(ExpressionPtr node) {
  while (true) {
    if (tokens_.IsOperator("|")) {
      METIER_ASSIGN(node, Filters(std::move(node), First::kAfterPipe));
    } else if (tokens_.IsName("is")) {
      METIER_ASSIGN(node, TestOf(std::move(node)));
    } else if (tokens_.IsOperator("(")) {
      METIER_ASSIGN(node, CallOf(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::Subscript(ExpressionPtr node) {
  const Token& opener = tokens_.Next();
  ExpressionPtr result = Make(Kind::kItem, opener.line);
  AddPart(*result, std::move(node));
  if (opener.text == ".") {
    if (tokens_.Is(Token::Kind::kName)) {
      result->kind = Kind::kAttribute;
      result->name = tokens_.Next().text;
      return Checked(std::move(result));
    }
    if (!tokens_.Is(Token::Kind::kInteger)) return tokens_.Unexpected("a name or number");
    ExpressionPtr index = Make(Kind::kConstant, opener.line);
    index->constant = tokens_.Next().integer;
    AddPart(*result, std::move(index));
    return Checked(std::move(result));
  }
  std::vector<ExpressionPtr> indices;
  while (!tokens_.IsOperator("]")) {
    if (!indices.empty()) METIER_TRY(tokens_.ExpectOperator(","));
    METIER_ASSIGN(ExpressionPtr index, Subscribed());
    indices.push_back(std::move(index));
  }
  tokens_.Next();
  if (indices.size() != 1)
    return tokens_.Fail("an index of several parts [a, b] is not supported",
                        ErrorCode::kUnsupported);
  AddPart(*result, std::move(indices[0]));
  return Checked(std::move(result));
}

Result<ExpressionPtr> ExpressionParser::Subscribed() {
  const int line = tokens_.line();
  const auto absent = [this] {
    return tokens_.IsOperator(":") || tokens_.IsOperator("]") || tokens_.IsOperator(",");
  };
  ExpressionPtr bounds[3];
  if (!tokens_.IsOperator(":")) {
    METIER_ASSIGN(bounds[0], Any());
    if (!tokens_.IsOperator(":")) return std::move(bounds[0]);
  }
  for (int i = 1; i < 3 && tokens_.SkipOperator(":"); ++i) {
    if (absent()) continue;
    METIER_ASSIGN(bounds[i], Any());
  }
  ExpressionPtr slice = Make(Kind::kSlice, line);
  for (ExpressionPtr& bound : bounds) AddPart(*slice, std::move(bound));
  return Checked(std::move(slice));
}

Result<ExpressionPtr> ExpressionParser::CallOf(ExpressionPtr node) {
  ExpressionPtr call = Make(Kind::kCall, tokens_.line());
  AddPart(*call, std::move(node));
  METIER_TRY(CallArguments(*call));
  return Checked(std::move(call));
}

Status ExpressionParser::CallArguments(Expression& call) {
  METIER_TRY(tokens_.ExpectOperator("("));
  bool first = true;
  while (!tokens_.IsOperator(")")) {
    if (!std::exchange(first, false)) {
      METIER_TRY(tokens_.ExpectOperator(","));
      if (tokens_.IsOperator(")")) break;
    }
    if (tokens_.IsOperator("*") || tokens_.IsOperator("**"))
      return tokens_.Fail("*args and **kwargs in a call are not supported",
                          ErrorCode::kUnsupported);
    std::string name;
    if (tokens_.Is(Token::Kind::kName) && tokens_.IsOperator("=", 1)) {
      name = tokens_.Next().text;
      tokens_.Next();
    } else if (!call.named.empty()) {
      return tokens_.Fail("a positional argument follows a named one");
    }
    METIER_ASSIGN(ExpressionPtr value, Any());
    call.depth = std::max(call.depth, value->depth + 1);
    if (name.empty()) {
      call.positional.push_back(std::move(value));
      continue;
    }
    for (const auto& [known, ignored] : call.named)
      if (known == name) return tokens_.Fail(fmt::format("argument '{}' is given twice", name));
    call.named.emplace_back(std::move(name), std::move(value));
  }
  return tokens_.ExpectOperator(")");
}

Result<ExpressionPtr> ExpressionParser::Filters(ExpressionPtr input, First first) {
  bool here = first == First::kHere;
  while (here || tokens_.SkipOperator("|")) {
    here = false;
    const int line = tokens_.line();
    METIER_ASSIGN(const std::string name, tokens_.ExpectName("the name of a filter"));
    const Filter* filter = FindFilter(name);
    if (filter == nullptr) {
      const std::string nearest = NearestName(name, FilterNames());
      return tokens_.Fail(fmt::format("filter '{}' is not supported{}", name,
                                      nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                          ErrorCode::kUnsupported);
    }
    ExpressionPtr node = Make(Kind::kFilter, line);
    node->name = name;
    node->filter = filter;
    AddPart(*node, std::move(input));
    if (tokens_.IsOperator("(")) METIER_TRY(CallArguments(*node));
    METIER_ASSIGN(input, Checked(std::move(node)));
  }
  return input;
}

Result<ExpressionPtr> ExpressionParser::TestOf(ExpressionPtr node) {
  const int line = tokens_.Next().line;  // "is"
  const bool negated = tokens_.SkipName("not");
  METIER_ASSIGN(const std::string name, tokens_.ExpectName("the name of a test"));
  const Test* test = FindTest(name);
  if (test == nullptr) {
    const std::string nearest = NearestName(name, TestNames());
    return tokens_.Fail(fmt::format("test '{}' is not supported{}", name,
                                    nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
                        ErrorCode::kUnsupported);
  }
  ExpressionPtr result = Make(Kind::kTest, line);
  result->name = name;
  result->test = test;
  AddPart(*result, std::move(node));
  const Token::Kind next = tokens_.Peek().kind;
  if (tokens_.IsOperator("(")) {
    METIER_TRY(CallArguments(*result));
  } else if ((next == Token::Kind::kName || next == Token::Kind::kString ||
              next == Token::Kind::kInteger || next == Token::Kind::kFloat ||
              tokens_.IsOperator("[") || tokens_.IsOperator("{")) &&
             !tokens_.IsName("else") && !tokens_.IsName("or") && !tokens_.IsName("and")) {
    if (tokens_.IsName("is")) return tokens_.Fail("tests cannot be chained: `is a is b`");
    METIER_ASSIGN(ExpressionPtr primary, Primary());
    METIER_ASSIGN(ExpressionPtr argument, Postfix(std::move(primary)));
    result->depth = std::max(result->depth, argument->depth + 1);
    result->positional.push_back(std::move(argument));
  }
  if (!negated) return Checked(std::move(result));
  ExpressionPtr inverse = Make(Kind::kNot, line);
  AddPart(*inverse, std::move(result));
  return Checked(std::move(inverse));
}

}  // namespace metier::text::jinja
