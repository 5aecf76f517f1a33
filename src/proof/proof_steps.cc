#include "proof/proof_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/utf8.h"

namespace metier::proof {
namespace {

// Far beyond what anything refers to, and far from an overflow.
constexpr std::int64_t kLargestNumber = 1LL << 40;

class StepParser {
 public:
  StepParser(const Statements& database, const Target& target, const ProofLimits& limits,
             std::vector<Step>& steps)
      : database_(database), target_(target), limits_(limits), steps_(steps) {}

  Outcome Parse(std::span<const std::string_view> words) {
    steps_.clear();
    if (words.empty()) {
      Fail({.found = "an empty proof", .expected = "labels, or ? where it is not known"});
    } else if (words.front() == "(") {
      Compressed(words.subspan(1));
    } else {
      Labels(words);
    }
    outcome_.finding.theorem = target_.label;
    return std::move(outcome_);
  }

 private:
  bool Fail(Finding finding, Verdict verdict = Verdict::kWrong) {
    outcome_ = {.verdict = verdict, .finding = std::move(finding)};
    return false;
  }

  std::int64_t NextStep() const { return static_cast<std::int64_t>(steps_.size()) + 1; }

  bool Add(Step step) {
    if (NextStep() > limits_.max_steps) {
      return Fail({.step = NextStep(),
                   .found = "more steps than the limit",
                   .expected = fmt::format("at most {}", limits_.max_steps)},
                  Verdict::kUndecided);
    }
    steps_.push_back(step);
    return true;
  }

  // The statement of a label that this proof may use.
  std::optional<StatementId> Lookup(std::string_view label, std::int64_t step) {
    for (std::size_t i = 0; i < target_.own_hypotheses.size(); ++i)
      if (target_.own_hypotheses[i].label == label)
        return static_cast<StatementId>(database_.statements.size() + i);
    const auto refuse = [&](const char* found, const char* expected) {
      Fail({.step = step, .label = std::string(label), .found = found, .expected = expected});
      return std::nullopt;
    };
    const auto id = database_.FindStatement(label);
    if (!id) return refuse("a label that no statement has", "one of a statement before this one");
    if (*id >= target_.before) {
      return refuse(*id == target_.before ? "the theorem itself" : "a later statement",
                    "one of a statement before this one");
    }
    if (!target_.InScope(database_, *id)) {
      return refuse("a hypothesis of another scope", "a hypothesis of the scope of the theorem");
    }
    return id;
  }

  void Labels(std::span<const std::string_view> words) {
    for (const std::string_view word : words) {
      if (word == "?") {
        if (!Add({.kind = StepKind::kUnknown})) return;
        continue;
      }
      const auto id = Lookup(word, NextStep());
      if (!id || !Add({.kind = StepKind::kStatement, .index = *id})) return;
    }
  }

  void Compressed(std::span<const std::string_view> words) {
    const auto end = std::ranges::find(words, ")");
    if (end == words.end()) {
      Fail({.found = "no ) behind the labels of a compressed proof", .expected = "( labels )"});
      return;
    }
    numbered_.assign(target_.hypotheses.begin(), target_.hypotheses.end());
    for (auto word = words.begin(); word != end; ++word) {
      const auto id = Lookup(*word, 0);
      if (!id) return;
      if (std::ranges::binary_search(target_.hypotheses, *id)) {  // ascending, like the text
        Fail({.label = std::string(*word),
              .found = "a mandatory hypothesis in the list of labels",
              .expected = "only others there: the first letters stand for it"});
        return;
      }
      numbered_.push_back(*id);
    }
    for (auto word = end + 1; word != words.end(); ++word)
      for (const char letter : *word)
        if (!Letter(letter)) return;
    if (number_ > 0) {
      Fail({.step = NextStep(),
            .found = "the end of the proof in a number",
            .expected = "a letter from A to T behind those from U to Y"});
    } else if (steps_.empty()) {
      Fail({.found = "a compressed proof without letters", .expected = "at least one"});
    }
  }

  // Numbers have a last digit of base 20, A to T, behind digits of base 5, U to Y.
  bool Letter(char letter) {
    if (letter >= 'U' && letter <= 'Y') {
      number_ = std::min(number_ * 5 + (letter - 'U' + 1), kLargestNumber);
      return true;
    }
    if (letter >= 'A' && letter <= 'T') {
      const std::int64_t number = number_ * 20 + (letter - 'A' + 1);
      number_ = 0;
      return Refer(number);
    }
    if (number_ > 0 || (letter != '?' && letter != 'Z')) {
      return Fail({.step = NextStep(),
                   .found = fmt::format("'{}' in the letters", Excerpt(std::string(1, letter))),
                   .expected = number_ > 0 ? "a letter from A to T behind those from U to Y"
                                           : "letters from A to Z, or ?"});
    }
    if (letter == '?') return Add({.kind = StepKind::kUnknown});
    return Tag();
  }

  bool Refer(std::int64_t number) {
    const auto statements = static_cast<std::int64_t>(numbered_.size());
    if (number <= statements) {
      return Add(
          {.kind = StepKind::kStatement, .index = numbered_[static_cast<std::size_t>(number - 1)]});
    }
    if (number - statements > tags_) {
      return Fail({.step = NextStep(),
                   .found = fmt::format("a reference to number {}", number),
                   .expected = fmt::format("at most {}: {} mandatory hypotheses, {} labels, {} "
                                           "steps tagged with Z",
                                           statements + tags_, target_.hypotheses.size(),
                                           numbered_.size() - target_.hypotheses.size(), tags_)});
    }
    return Add(
        {.kind = StepKind::kRepeat, .index = static_cast<std::int32_t>(number - statements - 1)});
  }

  bool Tag() {
    if (steps_.empty() || steps_.back().tagged || steps_.back().kind == StepKind::kUnknown) {
      return Fail({.step = NextStep(),
                   .found = steps_.empty()         ? "Z before the first step"
                            : steps_.back().tagged ? "Z behind Z"
                                                   : "Z behind ?",
                   .expected = "Z behind a step, once"});
    }
    steps_.back().tagged = true;
    ++tags_;
    return true;
  }

  const Statements& database_;
  const Target& target_;
  const ProofLimits& limits_;
  std::vector<Step>& steps_;
  std::vector<StatementId> numbered_;  // what numbers stand for, tags apart
  std::int64_t number_ = 0;            // the digits read so far
  std::int64_t tags_ = 0;
  Outcome outcome_;
};

}  // namespace

bool Target::InScope(const Statements& database, StatementId id) const {
  const Statement& statement = database.at(id);
  return IsAssertion(statement.kind) || before < statement.ends;
}

Target TargetOf(const Statements& database, StatementId theorem) {
  const Frame& frame = database.FrameOf(theorem);
  return {.label = database.LabelOf(theorem),
          .before = theorem,
          .hypotheses = PartOf(database.hypotheses, frame.hypotheses),
          .expression = database.ExpressionOf(theorem),
          .scope_disjoint = frame.scope_disjoint};
}

Outcome ParseProof(const Statements& database, const Target& target,
                   std::span<const std::string_view> words, const ProofLimits& limits,
                   std::vector<Step>& steps) {
  return StepParser(database, target, limits, steps).Parse(words);
}

}  // namespace metier::proof
