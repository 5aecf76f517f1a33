// The part of the reader that is about statements with labels: hypotheses and assertions, the
// frames of these, and their proofs.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "proof/reader.h"

namespace metier::proof {

Result<Symbol> Reader::ActiveConstant(const Token& token, std::string_view what) const {
  const Name* name = out_.Find(token.text);
  if (name != nullptr && name->role == NameRole::kConstant) return name->index;
  return Broken(token.place, fmt::format("{} as the typecode of {}", Quoted(token.text), what),
                "a constant that has been declared");
}

Result<StatementId> Reader::AddStatement(const Token& label, StatementKind kind, Range expression) {
  const auto id = static_cast<StatementId>(out_.statements.size());
  METIER_TRY(AddName(label, NameRole::kLabel, id));
  out_.statements.push_back({.label = static_cast<NameId>(out_.names.size() - 1),
                             .kind = kind,
                             .expression = expression});
  if (!IsAssertion(kind)) active_hypotheses_.push_back(id);
  return id;
}

// A variable has at most one active $f, and the same type in all of them, whatever their scopes.
Status Reader::ReadFloating(const Token& label, Place place) {
  METIER_TRY(ReadWords(place, "$f", "$."));
  if (words_.size() != 2) {
    return Broken(place, fmt::format("a $f of {} symbols", words_.size()),
                  "a typecode and a variable");
  }
  METIER_ASSIGN(const Symbol type, ActiveConstant(words_[0], "a $f"));
  const Name* name = out_.Find(words_[1].text);
  if (name == nullptr || name->role != NameRole::kVariable ||
      !out_.variables[static_cast<std::size_t>(name->index)].active) {
    return Broken(words_[1].place, fmt::format("{} in a $f", Quoted(words_[1].text)),
                  "an active variable");
  }
  const std::int32_t index = name->index;
  const Variable before = out_.variables[static_cast<std::size_t>(index)];
  if (before.floating >= 0) {
    return Broken(place,
                  fmt::format("a second $f of {}, behind '{}'", Quoted(words_[1].text),
                              Excerpt(out_.LabelOf(before.floating))),
                  "one active $f of a variable");
  }
  if (before.type >= 0 && before.type != type) {
    return Broken(
        place,
        fmt::format("the type {} for {}, which had the type '{}' before", Quoted(words_[0].text),
                    Quoted(words_[1].text), Excerpt(out_.SpellingOf(before.type))),
        "one type of a variable throughout");
  }
  const std::size_t begin = out_.symbols.size();
  out_.symbols.push_back(type);
  out_.symbols.push_back(~index);
  METIER_ASSIGN(const StatementId id,
                AddStatement(label, StatementKind::kFloating, AddedSince(out_.symbols, begin)));
  Variable& variable = out_.variables[static_cast<std::size_t>(index)];
  variable.floating = id;
  variable.type = type;
  out_.constants[static_cast<std::size_t>(type)].is_type = true;
  return Ok();
}

Result<Range> Reader::AddExpression(std::string_view keyword, Place place) {
  if (words_.empty()) return Broken(place, fmt::format("an empty {}", keyword), "a typecode");
  METIER_ASSIGN(const Symbol type, ActiveConstant(words_.front(), fmt::format("a {}", keyword)));
  const std::size_t begin = out_.symbols.size();
  out_.symbols.push_back(type);
  for (std::size_t i = 1; i < words_.size(); ++i) {
    const Token& word = words_[i];
    const Name* name = out_.Find(word.text);
    if (name == nullptr || name->role == NameRole::kLabel) {
      return Broken(word.place, fmt::format("the symbol {}", Quoted(word.text)),
                    "one that has been declared");
    }
    if (name->role == NameRole::kConstant) {
      out_.symbols.push_back(name->index);
      continue;
    }
    const Variable& variable = out_.variables[static_cast<std::size_t>(name->index)];
    if (!variable.active || variable.floating < 0) {
      return Broken(word.place,
                    fmt::format("the variable {}, which {}", Quoted(word.text),
                                variable.active ? "has no active $f" : "is not active"),
                    "variables that are declared and typed in scope");
    }
    out_.symbols.push_back(~name->index);
  }
  return AddedSince(out_.symbols, begin);
}

Status Reader::ReadExpressionStatement(const Token& label, StatementKind kind, Place place) {
  constexpr std::string_view kKeywords[] = {"$f", "$e", "$a", "$p"};
  const std::string_view keyword = kKeywords[static_cast<int>(kind)];
  METIER_TRY(ReadWords(place, keyword, kind == StatementKind::kTheorem ? "$=" : "$."));
  METIER_ASSIGN(const Range expression, AddExpression(keyword, place));
  METIER_ASSIGN(const StatementId id, AddStatement(label, kind, expression));
  if (!IsAssertion(kind)) return Ok();
  METIER_TRY(AddFrame(id));
  if (kind == StatementKind::kTheorem) return ReadProof(id, place);
  return Ok();
}

Status Reader::SpendFrameEntries(std::int64_t entries) {
  frame_entries_ += entries;
  if (frame_entries_ <= options_.max_frame_entries) return Ok();
  return Error(ErrorCode::kResourceExhausted,
               fmt::format("the statements have more than {} hypotheses and disjoint variables in "
                           "scope together, the limit",
                           options_.max_frame_entries));
}

void Reader::Mark(std::span<const Symbol> expression) {
  for (const Symbol symbol : expression)
    if (IsVariable(symbol)) marks_[static_cast<std::size_t>(VariableOf(symbol))] = mark_;
}

// Mandatory are all essential hypotheses in scope, and the floating ones of the variables that
// occur in them or in the assertion.
Status Reader::AddFrame(StatementId assertion) {
  ++mark_;
  Mark(out_.ExpressionOf(assertion));
  METIER_TRY(SpendFrameEntries(static_cast<std::int64_t>(active_hypotheses_.size())));
  for (const StatementId id : active_hypotheses_) {
    const Statement& hypothesis = out_.at(id);
    if (hypothesis.kind != StatementKind::kEssential) continue;
    METIER_TRY(SpendFrameEntries(hypothesis.expression.count));
    Mark(out_.ExpressionOf(id));
  }
  Frame frame{.scope_disjoint = disjoint_};
  frame.hypotheses.begin = static_cast<std::uint32_t>(out_.hypotheses.size());
  for (const StatementId id : active_hypotheses_) {
    if (out_.at(id).kind == StatementKind::kEssential ||
        IsMarked(VariableOf(out_.ExpressionOf(id)[1]))) {
      out_.hypotheses.push_back(id);
    }
  }
  frame.hypotheses.count =
      static_cast<std::uint32_t>(out_.hypotheses.size()) - frame.hypotheses.begin;
  METIER_TRY(AddMandatoryDisjoint(frame.disjoint));
  out_.statements[static_cast<std::size_t>(assertion)].frame =
      static_cast<std::int32_t>(out_.frames.size());
  out_.frames.push_back(frame);
  return Ok();
}

Status Reader::AddMandatoryDisjoint(Range& pairs) {
  const std::size_t begin = out_.pairs.size();
  std::vector<std::int32_t> mandatory;
  for (std::int32_t at = disjoint_; at >= 0;) {
    const DisjointGroup& group = out_.disjoint_groups[static_cast<std::size_t>(at)];
    METIER_TRY(SpendFrameEntries(group.variables.count));
    mandatory.clear();
    for (const std::int32_t variable : PartOf(out_.group_variables, group.variables))
      if (IsMarked(variable)) mandatory.push_back(variable);
    const auto size = static_cast<std::int64_t>(mandatory.size());
    METIER_TRY(SpendFrameEntries(size * size));
    for (std::size_t i = 0; i < mandatory.size(); ++i)
      for (std::size_t j = i + 1; j < mandatory.size(); ++j)
        out_.pairs.emplace_back(std::minmax(mandatory[i], mandatory[j]));
    at = group.previous;
  }
  const auto first = out_.pairs.begin() + static_cast<std::ptrdiff_t>(begin);
  std::sort(first, out_.pairs.end());
  out_.pairs.erase(std::unique(first, out_.pairs.end()), out_.pairs.end());
  pairs = {.begin = static_cast<std::uint32_t>(begin),
           .count = static_cast<std::uint32_t>(out_.pairs.size() - begin)};
  return Ok();
}

Status Reader::ReadProof(StatementId theorem, Place place) {
  METIER_TRY(ReadWords(place, "$p", "$."));
  proof_words_.clear();
  for (const Token& word : words_) proof_words_.push_back(word.text);
  Outcome outcome = checker_.Check(TargetOf(out_, theorem), proof_words_, options_.proof);
  if (checker_.symbols_spent() > options_.max_proof_symbols) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("{}: the proofs up to here cost more than {} symbols, the limit",
                             source_.Where(place), options_.max_proof_symbols));
  }
  Frame& frame = out_.frames.back();
  const std::vector<StatementId> uses = checker_.Uses();
  frame.uses = {.begin = static_cast<std::uint32_t>(out_.uses.size()),
                .count = static_cast<std::uint32_t>(uses.size())};
  out_.uses.insert(out_.uses.end(), uses.begin(), uses.end());
  frame.verdict = outcome.verdict;
  if (outcome.verdict != Verdict::kProved) {
    out_.findings.emplace(theorem, std::move(outcome.finding));
  }
  return Ok();
}

}  // namespace metier::proof
