#include "proof/proof_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/utf8.h"

namespace metier::proof {
namespace {

// How often the clock is read: a step of everyday size takes less than a microsecond.
constexpr std::int64_t kStepsBetweenClocks = 64;

// Places in the arena have 32 bits.
constexpr std::int64_t kMostSymbols = 1LL << 31;

// Names come from the text: any length.
std::string InQuotes(const std::string& name) { return fmt::format("'{}'", Excerpt(name)); }

}  // namespace

Outcome ProofChecker::Check(const Target& target, std::span<const std::string_view> words,
                            const ProofLimits& limits) {
  target_ = &target;
  limits_ = limits;
  limits_.max_symbols = std::min(limits.max_symbols, kMostSymbols);
  spent_before_ += spent_;
  spent_ = 0;
  at_step_ = 0;
  first_open_ = 0;
  arena_.clear();
  stack_.clear();
  tagged_.clear();
  scope_collected_ = false;
  deadline_.reset();
  if (limits.max_time) deadline_ = std::chrono::steady_clock::now() + *limits.max_time;
  const std::size_t variables = database_.variables.size();
  bound_.resize(variables);
  occurrences_.resize(variables);
  occurrences_of_.resize(variables, -1);
  seen_.resize(variables, -1);

  outcome_ = ParseProof(database_, target, words, limits, steps_);
  if (outcome_.verdict == Verdict::kProved && Run() && CheckEnd()) CheckSupport();
  return std::move(outcome_);
}

std::vector<StatementId> ProofChecker::Uses() const {
  std::vector<StatementId> uses;
  for (const Step& step : steps_) {
    if (step.kind == StepKind::kStatement &&
        static_cast<std::size_t>(step.index) < database_.statements.size() &&
        IsAssertion(database_.at(step.index).kind)) {
      uses.push_back(step.index);
    }
  }
  std::ranges::sort(uses);
  uses.erase(std::unique(uses.begin(), uses.end()), uses.end());
  return uses;
}

bool ProofChecker::Fail(std::string found, std::string expected, Verdict verdict) {
  outcome_.verdict = verdict;
  outcome_.finding = {.theorem = target_->label,
                      .step = at_step_,
                      .found = std::move(found),
                      .expected = std::move(expected)};
  if (at_step_ == 0) return false;
  const Step& step = steps_[static_cast<std::size_t>(at_step_ - 1)];
  if (step.kind == StepKind::kStatement) {
    const std::size_t known = database_.statements.size();
    const auto index = static_cast<std::size_t>(step.index);
    outcome_.finding.label = index < known ? database_.LabelOf(step.index)
                                           : target_->own_hypotheses[index - known].label;
  }
  return false;
}

bool ProofChecker::Spend(std::int64_t symbols) {
  spent_ += symbols;
  if (spent_ <= limits_.max_symbols) return true;
  return Fail("more symbols to look at than the limit",
              fmt::format("at most {} in one proof", limits_.max_symbols), Verdict::kUndecided);
}

bool ProofChecker::Run() {
  for (const Step& step : steps_) {
    if (deadline_ && at_step_ % kStepsBetweenClocks == 0 &&
        std::chrono::steady_clock::now() >= *deadline_) {
      return Fail("no end in the time given", fmt::format("{} ms", limits_.max_time->count()),
                  Verdict::kUndecided);
    }
    ++at_step_;
    if (!RunStep(step)) return false;
    if (step.tagged) tagged_.push_back(stack_.back());
  }
  at_step_ = 0;
  return true;
}

std::span<const Symbol> ProofChecker::HypothesisAt(StatementId id) const {
  const std::size_t known = database_.statements.size();
  const auto index = static_cast<std::size_t>(id);
  if (index < known) return database_.ExpressionOf(id);
  return target_->own_hypotheses[index - known].expression;
}

bool ProofChecker::RunStep(const Step& step) {
  switch (step.kind) {
    case StepKind::kUnknown:
      if (first_open_ == 0) first_open_ = at_step_;
      stack_.push_back({.unknown = true});
      return true;
    case StepKind::kRepeat:
      stack_.push_back(tagged_[static_cast<std::size_t>(step.index)]);
      return true;
    case StepKind::kStatement: break;
  }
  const bool of_database = static_cast<std::size_t>(step.index) < database_.statements.size();
  if (of_database && IsAssertion(database_.at(step.index).kind)) return Apply(step.index);
  const std::span<const Symbol> expression = HypothesisAt(step.index);
  if (!Spend(static_cast<std::int64_t>(expression.size()))) return false;
  stack_.push_back({.begin = static_cast<std::uint32_t>(arena_.size()),
                    .count = static_cast<std::uint32_t>(expression.size())});
  arena_.insert(arena_.end(), expression.begin(), expression.end());
  return true;
}

// Every variable of an essential hypothesis has its floating one before it, and the conclusion all
// of its own: one walk binds whatever it needs in time.
bool ProofChecker::Apply(StatementId id) {
  ++applications_;
  const Frame& frame = database_.FrameOf(id);
  const std::span<const StatementId> hypotheses = PartOf(database_.hypotheses, frame.hypotheses);
  if (!Spend(static_cast<std::int64_t>(hypotheses.size()))) return false;
  if (stack_.size() < hypotheses.size()) {
    return Fail(fmt::format("{} expressions on the stack", stack_.size()),
                fmt::format("{}, one for each hypothesis", hypotheses.size()));
  }
  const std::size_t first = stack_.size() - hypotheses.size();
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    const Entry& entry = stack_[first + i];
    const bool floating = database_.at(hypotheses[i]).kind == StatementKind::kFloating;
    if (!(floating ? Bind(hypotheses[i], entry) : MatchEssential(hypotheses[i], entry)))
      return false;
  }
  if (!CheckDisjoint(PartOf(database_.pairs, frame.disjoint))) return false;
  stack_.resize(first);
  return Substitute(database_.ExpressionOf(id));
}

bool ProofChecker::Bind(StatementId floating, const Entry& entry) {
  const std::span<const Symbol> hypothesis =
      database_.ExpressionOf(floating);  // a type, a variable
  Entry& bound = bound_[static_cast<std::size_t>(VariableOf(hypothesis[1]))];
  if (entry.unknown) {
    bound = entry;
    return true;
  }
  if (arena_[entry.begin] != hypothesis[0]) {
    return Fail(fmt::format("'{}'", database_.SpellShort(At(entry))),
                fmt::format("an expression of the type {} for {}",
                            InQuotes(database_.SpellingOf(hypothesis[0])),
                            InQuotes(database_.SpellingOf(hypothesis[1]))));
  }
  bound = {.begin = entry.begin + 1, .count = entry.count - 1};
  return true;
}

bool ProofChecker::DependsOnUnknown(std::span<const Symbol> expression) const {
  return std::ranges::any_of(expression, [&](Symbol symbol) {
    return IsVariable(symbol) && bound_[static_cast<std::size_t>(VariableOf(symbol))].unknown;
  });
}

bool ProofChecker::MatchEssential(StatementId essential, const Entry& entry) {
  const std::span<const Symbol> hypothesis = database_.ExpressionOf(essential);
  if (entry.unknown) return true;
  if (!Spend(static_cast<std::int64_t>(hypothesis.size()) + entry.count)) return false;
  const std::span<const Symbol> found = At(entry);
  bool fits = hypothesis.front() == found.front();  // a constant, also where more is not known
  if (fits && first_open_ > 0 && DependsOnUnknown(hypothesis)) return true;
  std::size_t at = 0;
  for (const Symbol symbol : hypothesis) {
    if (!fits) break;
    if (!IsVariable(symbol)) {
      fits = at < found.size() && found[at] == symbol;
      ++at;
      continue;
    }
    const std::span<const Symbol> bound = At(bound_[static_cast<std::size_t>(VariableOf(symbol))]);
    fits = bound.size() <= found.size() - at &&
           std::equal(bound.begin(), bound.end(), found.begin() + static_cast<std::ptrdiff_t>(at));
    at += bound.size();
  }
  if (fits && at == found.size()) return true;
  return Fail(fmt::format("'{}' for the hypothesis {}", database_.SpellShort(found),
                          InQuotes(database_.LabelOf(essential))),
              fmt::format("'{}'", SpellSubstituted(hypothesis)));
}

// Pushes the expression with every variable replaced.
bool ProofChecker::Substitute(std::span<const Symbol> expression) {
  if (first_open_ > 0 && DependsOnUnknown(expression)) {
    stack_.push_back({.unknown = true});
    return Spend(static_cast<std::int64_t>(expression.size()));
  }
  std::int64_t count = 0;
  for (const Symbol symbol : expression)
    count += IsVariable(symbol) ? bound_[static_cast<std::size_t>(VariableOf(symbol))].count : 1;
  // Bounds the arena too: what is written was spent.
  if (!Spend(count + static_cast<std::int64_t>(expression.size()))) return false;
  std::size_t at = arena_.size();
  stack_.push_back(
      {.begin = static_cast<std::uint32_t>(at), .count = static_cast<std::uint32_t>(count)});
  arena_.resize(at + static_cast<std::size_t>(count));
  for (const Symbol symbol : expression) {
    if (!IsVariable(symbol)) {
      arena_[at++] = symbol;
      continue;
    }
    const Entry& bound = bound_[static_cast<std::size_t>(VariableOf(symbol))];
    if (bound.count > 0)
      std::memcpy(&arena_[at], &arena_[bound.begin], bound.count * sizeof(Symbol));
    at += bound.count;
  }
  return true;
}

bool ProofChecker::CheckEnd() {
  if (stack_.size() != 1) {
    return Fail(fmt::format("{} expressions on the stack at the end", stack_.size()),
                "one, the statement");
  }
  const Entry& last = stack_.front();
  if (!last.unknown && !std::ranges::equal(At(last), target_->expression)) {
    return Fail(fmt::format("'{}' at the end", database_.SpellShort(At(last))),
                fmt::format("'{}'", database_.SpellShort(target_->expression)));
  }
  if (first_open_ == 0) return true;
  at_step_ = first_open_;
  return Fail("? for a step", "a proof without missing steps", Verdict::kOpen);
}

bool ProofChecker::CheckSupport() {
  for (const Step& step : steps_) {
    ++at_step_;
    if (step.kind != StepKind::kStatement ||
        static_cast<std::size_t>(step.index) >= database_.statements.size() ||
        database_.at(step.index).kind != StatementKind::kTheorem) {
      continue;
    }
    const Verdict verdict = database_.FrameOf(step.index).verdict;
    if (verdict == Verdict::kProved) continue;
    return Fail(fmt::format("a theorem that is {}", VerdictName(verdict)), "one that is proved",
                Verdict::kOpen);
  }
  return true;
}

std::string ProofChecker::SpellSubstituted(std::span<const Symbol> expression) const {
  constexpr std::size_t kEnough = 61;  // more than a message shows
  std::vector<Symbol> text;
  for (const Symbol symbol : expression) {
    if (text.size() >= kEnough) break;
    if (!IsVariable(symbol)) {
      text.push_back(symbol);
      continue;
    }
    const std::span<const Symbol> bound = At(bound_[static_cast<std::size_t>(VariableOf(symbol))]);
    const std::span<const Symbol> part = bound.first(std::min(bound.size(), kEnough));
    text.insert(text.end(), part.begin(), part.end());
  }
  return database_.SpellShort(text);
}

}  // namespace metier::proof
