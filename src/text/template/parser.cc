#include "text/template/parser.h"

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <utility>

#include "base/nearest.h"
#include "text/template/lexer.h"
#include "text/template/parse_expression.h"
#include "text/template/token_stream.h"

namespace metier::text::jinja {
namespace {

constexpr std::array<std::string_view, 9> kRefused = {
    "extends", "block", "include", "import", "from", "autoescape", "trans", "do", "debug"};

class StatementParser {
 public:
  explicit StatementParser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Result<Body> Whole() {
    METIER_ASSIGN(Body body, Until({}));
    return body;
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  // Statements up to a tag with one of these names, which becomes the current token; to the end of
  // the template without names.
  Result<Body> Until(Names ends) {
    if (++depth_ > kMaxSyntaxDepth) {
      return tokens_.Fail(
          fmt::format("statements are nested deeper than {} levels", kMaxSyntaxDepth),
          ErrorCode::kResourceExhausted);
    }
    Body body;
    while (!tokens_.Is(Token::Kind::kEnd)) {
      const Token& token = tokens_.Next();
      StatementPtr statement = Make(Statement::Kind::kText, token.line);
      if (token.kind == Token::Kind::kData) {
        statement->text = token.text;
      } else if (token.kind == Token::Kind::kVariableBegin) {
        statement->kind = Statement::Kind::kPrint;
        METIER_ASSIGN(statement->value, expressions_.Tuple());
        METIER_TRY(tokens_.Expect(Token::Kind::kVariableEnd));
      } else {
        for (const std::string_view end : ends) {
          if (tokens_.IsName(end)) {
            --depth_;
            return body;
          }
        }
        METIER_ASSIGN(statement, Tag());
        METIER_TRY(tokens_.Expect(Token::Kind::kBlockEnd));
      }
      body.push_back(std::move(statement));
    }
    --depth_;
    if (ends.size() != 0)
      return tokens_.Fail(
          fmt::format("found the end of the template, expected {{% {} %}}", *(ends.end() - 1)));
    return body;
  }

  static StatementPtr Make(Statement::Kind kind, int line) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  // The body of a tag: past its %}, to the end tag, whose name is left behind.
  Result<Body> BodyUntil(Names ends) {
    tokens_.SkipOperator(":");
    METIER_TRY(tokens_.Expect(Token::Kind::kBlockEnd));
    return Until(ends);
  }
  Result<Body> BodyAndEnd(std::string_view end) {
    METIER_ASSIGN(Body body, BodyUntil({end}));
    tokens_.Next();
    return body;
  }

  Result<StatementPtr> Tag() {
    using Handler = Result<StatementPtr> (StatementParser::*)(int);
    static constexpr std::array<std::pair<std::string_view, Handler>, 11> kTags = {{
        {"if", &StatementParser::If},
        {"for", &StatementParser::For},
        {"set", &StatementParser::Set},
        {"macro", &StatementParser::MacroTag},
        {"call", &StatementParser::Call},
        {"filter", &StatementParser::FilterTag},
        {"with", &StatementParser::With},
        {"generation", &StatementParser::Generation},
        {"print", &StatementParser::Print},
        {"break", &StatementParser::Break},
        {"continue", &StatementParser::Continue},
    }};
    const int line = tokens_.line();
    if (!tokens_.Is(Token::Kind::kName)) return tokens_.Unexpected("the name of a tag");
    const std::string name = tokens_.Peek().text;
    for (const auto& [known, handler] : kTags) {
      if (known != name) continue;
      tokens_.Next();
      return (this->*handler)(line);
    }
    for (const std::string_view refused : kRefused) {
      if (refused == name)
        return tokens_.Fail(fmt::format("{{% {} %}} is not supported", name),
                            ErrorCode::kUnsupported);
    }
    std::vector<std::string> names;
    for (const auto& [known, handler] : kTags) names.emplace_back(known);
    const std::string nearest = NearestName(name, names);
    return tokens_.Fail(fmt::format("{{% {} %}} closes nothing and opens nothing known{}", name,
                                    nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
  }

  Result<StatementPtr> If(int line) {
    StatementPtr result = Make(Statement::Kind::kIf, line);
    while (true) {
      Statement::Branch branch;
      METIER_ASSIGN(branch.condition, expressions_.Tuple(ExpressionParser::InlineIf::kNot));
      METIER_ASSIGN(branch.body, BodyUntil({"elif", "else", "endif"}));
      result->branches.push_back(std::move(branch));
      if (tokens_.SkipName("elif")) continue;
      if (tokens_.SkipName("else")) {
        Statement::Branch otherwise;
        METIER_ASSIGN(otherwise.body, BodyAndEnd("endif"));
        result->branches.push_back(std::move(otherwise));
      } else {
        tokens_.Next();
      }
      return result;
    }
  }

  Result<StatementPtr> For(int line) {
    StatementPtr result = Make(Statement::Kind::kFor, line);
    METIER_ASSIGN(result->target, TargetTuple(Attributes::kNo));
    if (!tokens_.SkipName("in")) return tokens_.Unexpected("'in'");
    METIER_ASSIGN(result->value, expressions_.Tuple(ExpressionParser::InlineIf::kNot, "recursive"));
    if (tokens_.SkipName("if")) {
      METIER_ASSIGN(result->filter, expressions_.Any());
    }
    if (tokens_.IsName("recursive"))
      return tokens_.Fail("a recursive {% for %} is not supported; use a macro",
                          ErrorCode::kUnsupported);
    ++loops_;
    METIER_ASSIGN(result->body, BodyUntil({"else", "endfor"}));
    --loops_;
    if (tokens_.SkipName("else")) {
      METIER_ASSIGN(result->otherwise, BodyAndEnd("endfor"));
    } else {
      tokens_.Next();
    }
    return result;
  }

  Result<StatementPtr> Set(int line) {
    StatementPtr result = Make(Statement::Kind::kSet, line);
    METIER_ASSIGN(result->target, TargetTuple(Attributes::kYes));
    if (tokens_.SkipOperator("=")) {
      METIER_ASSIGN(result->value, expressions_.Tuple());
      return result;
    }
    result->kind = Statement::Kind::kSetBlock;
    METIER_ASSIGN(result->value,
                  expressions_.Filters(nullptr, ExpressionParser::First::kAfterPipe));
    METIER_ASSIGN(result->body, BodyOfOwn("endset"));
    return result;
  }

  // A body that becomes text on its own: {% break %} cannot leave it.
  Result<Body> BodyOfOwn(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    auto body = BodyAndEnd(end);
    loops_ = loops;
    return body;
  }

  Status Parameters(Macro& macro) {
    METIER_TRY(tokens_.ExpectOperator("("));
    while (!tokens_.IsOperator(")")) {
      if (!macro.parameters.empty()) METIER_TRY(tokens_.ExpectOperator(","));
      Parameter parameter;
      METIER_ASSIGN(parameter.name, tokens_.ExpectName("the name of a parameter"));
      for (const Parameter& other : macro.parameters) {
        if (other.name == parameter.name)
          return tokens_.Fail(fmt::format("parameter '{}' stands twice", other.name));
      }
      if (tokens_.SkipOperator("=")) {
        METIER_ASSIGN(parameter.fallback, expressions_.Any());
      } else if (!macro.parameters.empty() && macro.parameters.back().fallback != nullptr) {
        return tokens_.Fail(
            fmt::format("parameter '{}' without a default follows one with", parameter.name));
      }
      macro.parameters.push_back(std::move(parameter));
    }
    tokens_.Next();
    return Ok();
  }

  Result<StatementPtr> MacroTag(int line) {
    StatementPtr result = Make(Statement::Kind::kMacro, line);
    result->macro = std::make_unique<Macro>();
    METIER_ASSIGN(result->macro->name, tokens_.ExpectName("the name of the macro"));
    METIER_TRY(Parameters(*result->macro));
    METIER_ASSIGN(result->macro->body, BodyOfOwn("endmacro"));
    return result;
  }

  Result<StatementPtr> Call(int line) {
    StatementPtr result = Make(Statement::Kind::kCallBlock, line);
    result->macro = std::make_unique<Macro>();
    result->macro->name = "caller";
    if (tokens_.IsOperator("(")) METIER_TRY(Parameters(*result->macro));
    METIER_ASSIGN(result->value, expressions_.Any());
    if (result->value->kind != Expression::Kind::kCall)
      return tokens_.Fail("{% call %} needs the call of a macro, like {% call name() %}");
    METIER_ASSIGN(result->macro->body, BodyOfOwn("endcall"));
    return result;
  }

  Result<StatementPtr> FilterTag(int line) {
    StatementPtr result = Make(Statement::Kind::kFilterBlock, line);
    METIER_ASSIGN(result->value, expressions_.Filters(nullptr, ExpressionParser::First::kHere));
    METIER_ASSIGN(result->body, BodyOfOwn("endfilter"));
    return result;
  }

  Result<StatementPtr> With(int line) {
    StatementPtr result = Make(Statement::Kind::kWith, line);
    while (!tokens_.Is(Token::Kind::kBlockEnd)) {
      if (!result->assignments.empty()) METIER_TRY(tokens_.ExpectOperator(","));
      Statement::Assignment assignment;
      METIER_ASSIGN(assignment.target, OneTarget(Attributes::kNo));
      METIER_TRY(tokens_.ExpectOperator("="));
      METIER_ASSIGN(assignment.value, expressions_.Any());
      result->assignments.push_back(std::move(assignment));
    }
    METIER_ASSIGN(result->body, BodyAndEnd("endwith"));
    return result;
  }

  Result<StatementPtr> Generation(int line) {
    StatementPtr result = Make(Statement::Kind::kGeneration, line);
    METIER_ASSIGN(result->body, BodyOfOwn("endgeneration"));
    return result;
  }

  Result<StatementPtr> Print(int line) {
    StatementPtr result = Make(Statement::Kind::kPrint, line);
    METIER_ASSIGN(result->value, expressions_.Any());
    return result;
  }

  Result<StatementPtr> Break(int line) { return Leave(Statement::Kind::kBreak, line); }
  Result<StatementPtr> Continue(int line) { return Leave(Statement::Kind::kContinue, line); }
  Result<StatementPtr> Leave(Statement::Kind kind, int line) {
    if (loops_ == 0) return tokens_.Fail("{% break %} or {% continue %} outside of a loop");
    return Make(kind, line);
  }

  enum class Attributes { kNo, kYes };

  Result<Target> OneTarget(Attributes attributes) {
    if (tokens_.SkipOperator("(")) {
      METIER_ASSIGN(Target target, TargetTuple(attributes));
      METIER_TRY(tokens_.ExpectOperator(")"));
      return target;
    }
    Target target;
    METIER_ASSIGN(target.name, tokens_.ExpectName("the name of a variable"));
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
      if (target.name == constant)
        return tokens_.Fail(fmt::format("'{}' is a constant and cannot be set", target.name));
    }
    if (attributes == Attributes::kYes && tokens_.SkipOperator(".")) {
      target.kind = Target::Kind::kAttribute;
      METIER_ASSIGN(target.attribute, tokens_.ExpectName("the name of an attribute"));
    }
    return target;
  }

  Result<Target> TargetTuple(Attributes attributes) {
    if (++depth_ > kMaxSyntaxDepth)
      return tokens_.Fail("a target is nested too deeply", ErrorCode::kResourceExhausted);
    METIER_ASSIGN(Target first, OneTarget(attributes));
    --depth_;
    if (!tokens_.IsOperator(",")) return first;
    Target tuple;
    tuple.kind = Target::Kind::kTuple;
    tuple.parts.push_back(std::move(first));
    while (tokens_.SkipOperator(",")) {
      if (!tokens_.Is(Token::Kind::kName) && !tokens_.IsOperator("(")) break;
      if (tokens_.IsName("in")) break;
      METIER_ASSIGN(Target next, OneTarget(attributes));
      tuple.parts.push_back(std::move(next));
    }
    return tuple;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;  // that {% break %} could leave
};

}  // namespace

Result<Body> ParseTemplate(std::string_view source, const Limits& limits) {
  METIER_ASSIGN(std::vector<Token> tokens, Tokenize(source, limits));
  return StatementParser(std::move(tokens)).Whole();
}

}  // namespace metier::text::jinja
