#include "proof/statements.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"

namespace metier::proof {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kProved: return "proved";
    case Verdict::kOpen: return "open";
    case Verdict::kWrong: return "wrong";
    case Verdict::kUndecided: return "undecided";
  }
  return "undecided";
}

std::string Finding::Text() const {
  std::string text = fmt::format("'{}'", Excerpt(theorem));
  if (step > 0) text += fmt::format(", step {}", step);
  if (!label.empty()) text += fmt::format(", '{}'", Excerpt(label));
  return text + fmt::format(": found {}, expected {}", found, expected);
}

const Name* Statements::Find(std::string_view text) const {
  const auto found = name_ids.find(text);
  return found == name_ids.end() ? nullptr : &names[static_cast<std::size_t>(found->second)];
}

std::optional<StatementId> Statements::FindStatement(std::string_view label) const {
  const Name* name = Find(label);
  if (name == nullptr || name->role != NameRole::kLabel) return std::nullopt;
  return name->index;
}

// By the types of variables and not by the one name `|-`, so that a database which spells it
// otherwise, or has two kinds of assertions, does not pass for one without axioms.
bool Statements::IsPostulate(StatementId id) const {
  if (at(id).kind != StatementKind::kAxiom) return false;
  const Symbol type = ExpressionOf(id).front();
  return !constants[static_cast<std::size_t>(type)].is_type || SpellingOf(type) == "|-";
}

std::vector<std::string> Statements::AxiomsBehind(std::span<const StatementId> assertions) const {
  std::vector<bool> reached(statements.size());
  std::vector<StatementId> open(assertions.begin(), assertions.end());
  std::vector<StatementId> postulates;
  while (!open.empty()) {
    const StatementId id = open.back();
    open.pop_back();
    if (reached[static_cast<std::size_t>(id)]) continue;
    reached[static_cast<std::size_t>(id)] = true;
    if (IsPostulate(id)) postulates.push_back(id);
    const auto used = PartOf(uses, FrameOf(id).uses);
    open.insert(open.end(), used.begin(), used.end());
  }
  std::ranges::sort(postulates);
  std::vector<std::string> labels;
  labels.reserve(postulates.size());
  for (const StatementId id : postulates) labels.push_back(LabelOf(id));
  return labels;
}

std::string Statements::Spell(std::span<const Symbol> expression) const {
  std::string text;
  for (const Symbol symbol : expression) {
    if (!text.empty()) text += ' ';
    text += SpellingOf(symbol);
  }
  return text;
}

std::string Statements::SpellShort(std::span<const Symbol> expression) const {
  constexpr std::size_t kSymbols = 60;
  constexpr std::size_t kBytes = 160;
  const bool all = expression.size() <= kSymbols;
  return Excerpt(Spell(all ? expression : expression.first(kSymbols)) + (all ? "" : " ..."),
                 kBytes);
}

}  // namespace metier::proof
