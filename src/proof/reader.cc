#include "proof/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace metier::proof {
namespace {

bool IsLabelCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

}  // namespace

Error Reader::Broken(Place place, const std::string& found, const std::string& expected) const {
  return {ErrorCode::kDataCorrupt,
          fmt::format("{}: found {}, expected {}", source_.Where(place), found, expected)};
}

std::string Reader::Quoted(std::string_view word) { return fmt::format("'{}'", Excerpt(word)); }

Status Reader::Read() {
  for (;;) {
    METIER_ASSIGN(const Token token, source_.Next());
    if (token.text.empty()) break;
    METIER_TRY(ReadStatement(token));
  }
  if (!scopes_.empty()) {
    return Broken(scopes_.back().place, "a ${ without its end", "a $} before the end of the text");
  }
  out_.outermost_disjoint = disjoint_;
  return Ok();
}

Status Reader::ReadStatement(const Token& first) {
  const Place place = first.place;
  if (first.text.front() != '$') return ReadLabelled(first);
  if (first.text == "$[") return ReadInclude(place);
  if (first.text == "${") return OpenScope(place);
  if (first.text == "$}") return CloseScope(place);
  if (first.text == "$c") return ReadConstants(place);
  if (first.text == "$v") return ReadVariables(place);
  if (first.text == "$d") return ReadDisjoint(place);
  const bool labelled =
      first.text == "$f" || first.text == "$e" || first.text == "$a" || first.text == "$p";
  return Broken(place, Quoted(first.text),
                labelled ? "a label before it" : "the beginning of a statement");
}

Status Reader::ReadInclude(Place place) {
  METIER_TRY(ReadWords(place, "$[", "$]"));
  if (!scopes_.empty()) {
    return Broken(place, "an include in a block", "includes in the outermost scope only");
  }
  if (words_.size() != 1) {
    return Broken(place, fmt::format("{} words between $[ and $]", words_.size()),
                  "the name of one file, without white space");
  }
  const std::string_view name = words_.front().text;
  if (name.find('$') != std::string_view::npos) {
    return Broken(place, fmt::format("the file name {}", Quoted(name)), "one without $");
  }
  return source_.Include(std::string(name), place);
}

Status Reader::OpenScope(Place place) {
  scopes_.push_back({.place = place,
                     .variables = active_variables_.size(),
                     .hypotheses = active_hypotheses_.size(),
                     .disjoint = disjoint_});
  return Ok();
}

Status Reader::CloseScope(Place place) {
  if (scopes_.empty()) return Broken(place, "a $} that closes nothing", "a ${ before it");
  const Scope scope = scopes_.back();
  if (scope.place.file != place.file) {
    return Broken(place, fmt::format("the end of the block of {}", source_.Where(scope.place)),
                  "it in the file where it began");
  }
  scopes_.pop_back();
  const auto ends = static_cast<StatementId>(out_.statements.size());
  for (std::size_t i = scope.hypotheses; i < active_hypotheses_.size(); ++i) {
    Statement& hypothesis = out_.statements[static_cast<std::size_t>(active_hypotheses_[i])];
    hypothesis.ends = ends;
    if (hypothesis.kind != StatementKind::kFloating) continue;
    const Symbol variable = out_.symbols[hypothesis.expression.begin + 1];
    out_.variables[static_cast<std::size_t>(VariableOf(variable))].floating = -1;
  }
  for (std::size_t i = scope.variables; i < active_variables_.size(); ++i)
    out_.variables[static_cast<std::size_t>(active_variables_[i])].active = false;
  active_hypotheses_.resize(scope.hypotheses);
  active_variables_.resize(scope.variables);
  disjoint_ = scope.disjoint;
  return Ok();
}

Status Reader::ReadWords(Place begin, std::string_view keyword, std::string_view end) {
  words_.clear();
  for (;;) {
    METIER_ASSIGN(const Token token, source_.Next());
    const bool keyword_inside =
        token.text.size() > 1 && token.text.front() == '$' && token.text != end && keyword != "$[";
    if (token.text.empty() || token.place.file != begin.file || keyword_inside) {
      return Broken(
          begin,
          fmt::format("a {} that is not finished before {}", keyword,
                      token.text.empty() ? "the end of the text"
                      : keyword_inside   ? fmt::format("the '{}' of {}", Excerpt(token.text),
                                                       source_.Where(token.place))
                                         : "the end of its file"),
          fmt::format("{} at its end", end));
    }
    if (token.text == end) return Ok();
    words_.push_back(token);
  }
}

Status Reader::CheckSymbol(const Token& symbol) const {
  if (symbol.text.find('$') == std::string_view::npos) return Ok();
  return Broken(symbol.place, fmt::format("the symbol {}", Quoted(symbol.text)), "one without $");
}

Status Reader::CheckLabel(const Token& label) const {
  if (std::ranges::all_of(label.text, IsLabelCharacter)) return Ok();
  return Broken(label.place, fmt::format("the label {}", Quoted(label.text)),
                "letters, digits, '-', '_' and '.' in it");
}

Status Reader::AddName(const Token& token, NameRole role, std::int32_t index) {
  const auto id = static_cast<NameId>(out_.names.size());
  const auto [entry, fresh] = out_.name_ids.try_emplace(std::string(token.text), id);
  if (!fresh) {
    constexpr const char* kRoles[] = {"constant", "variable", "label"};
    const Name& other = out_.names[static_cast<std::size_t>(entry->second)];
    return Broken(token.place,
                  fmt::format("the {} {}, which is a {} already", kRoles[static_cast<int>(role)],
                              Quoted(token.text), kRoles[static_cast<int>(other.role)]),
                  "a name that nothing else has");
  }
  out_.names.push_back({.text = &entry->first, .role = role, .index = index});
  return Ok();
}

Status Reader::ReadConstants(Place place) {
  METIER_TRY(ReadWords(place, "$c", "$."));
  if (!scopes_.empty()) {
    return Broken(place, "a $c in a block", "constants in the outermost scope only");
  }
  if (words_.empty()) return Broken(place, "a $c without symbols", "at least one");
  for (const Token& word : words_) {
    METIER_TRY(CheckSymbol(word));
    const auto index = static_cast<std::int32_t>(out_.constants.size());
    METIER_TRY(AddName(word, NameRole::kConstant, index));
    out_.constants.push_back({.name = static_cast<NameId>(out_.names.size() - 1)});
  }
  return Ok();
}

// A variable may be declared again once the scope of its declaration is over.
Status Reader::ReadVariables(Place place) {
  METIER_TRY(ReadWords(place, "$v", "$."));
  if (words_.empty()) return Broken(place, "a $v without symbols", "at least one");
  for (const Token& word : words_) {
    METIER_TRY(CheckSymbol(word));
    const Name* known = out_.Find(word.text);
    auto index = static_cast<std::int32_t>(out_.variables.size());
    if (known != nullptr && known->role == NameRole::kVariable) {
      index = known->index;
    } else {
      METIER_TRY(AddName(word, NameRole::kVariable, index));
      out_.variables.push_back({.name = static_cast<NameId>(out_.names.size() - 1)});
      marks_.push_back(0);
    }
    Variable& variable = out_.variables[static_cast<std::size_t>(index)];
    if (variable.active) {
      return Broken(word.place,
                    fmt::format("the variable {}, which is active already", Quoted(word.text)),
                    "one that is not");
    }
    variable.active = true;
    active_variables_.push_back(index);
  }
  return Ok();
}

Status Reader::ReadDisjoint(Place place) {
  METIER_TRY(ReadWords(place, "$d", "$."));
  if (words_.size() < 2) {
    return Broken(place, fmt::format("a $d of {} variables", words_.size()), "at least two");
  }
  const std::size_t begin = out_.group_variables.size();
  for (const Token& word : words_) {
    const Name* name = out_.Find(word.text);
    if (name == nullptr || name->role != NameRole::kVariable ||
        !out_.variables[static_cast<std::size_t>(name->index)].active) {
      return Broken(word.place, fmt::format("{} in a $d", Quoted(word.text)), "an active variable");
    }
    out_.group_variables.push_back(name->index);
  }
  std::vector<std::int32_t> group(out_.group_variables.begin() + static_cast<std::ptrdiff_t>(begin),
                                  out_.group_variables.end());
  std::ranges::sort(group);
  const auto twice = std::ranges::adjacent_find(group);
  if (twice != group.end()) {
    return Broken(place, fmt::format("'{}' twice in a $d", Excerpt(out_.SpellingOf(~*twice))),
                  "variables that differ");
  }
  out_.disjoint_groups.push_back(
      {.variables = AddedSince(out_.group_variables, begin), .previous = disjoint_});
  disjoint_ = static_cast<std::int32_t>(out_.disjoint_groups.size()) - 1;
  return Ok();
}

Status Reader::ReadLabelled(const Token& label) {
  METIER_TRY(CheckLabel(label));
  METIER_ASSIGN(const Token keyword, source_.Next());
  if (keyword.place.file != label.place.file || keyword.text.empty()) {
    return Broken(label.place,
                  fmt::format("the label {} at the end of its file", Quoted(label.text)),
                  "its statement in the same file");
  }
  if (keyword.text == "$f") return ReadFloating(label, keyword.place);
  if (keyword.text == "$e")
    return ReadExpressionStatement(label, StatementKind::kEssential, keyword.place);
  if (keyword.text == "$a")
    return ReadExpressionStatement(label, StatementKind::kAxiom, keyword.place);
  if (keyword.text == "$p")
    return ReadExpressionStatement(label, StatementKind::kTheorem, keyword.place);
  return Broken(keyword.place,
                fmt::format("{} behind {}", Quoted(keyword.text), Quoted(label.text)),
                "$f, $e, $a or $p behind a label");
}

}  // namespace metier::proof
