#include "grammar/validator/evaluation.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "base/utf8.h"
#include "grammar/validator/circles.h"
#include "grammar/validator/evaluation_scopes.h"

namespace metier::grammar::validator {
namespace {

// From here on answers are remembered: a walk that ends sooner pays nothing for it.
constexpr std::uint64_t kRememberAfter = 20'000;
// Then all are forgotten, and the walk goes on.
constexpr std::size_t kMaxAnswers = 1'000'000;
// Text read in about the time of a step.
constexpr std::size_t kBytesPerStep = 64;

}  // namespace

void Evaluated::Mark(std::size_t index) {
  if (all_) return;
  if (index >= marks_.size()) marks_.resize(index + 1);
  marks_[index] = true;
}

void Evaluated::Merge(const Evaluated& other) {
  if (other.all_) all_ = true;
  if (all_) return;
  for (std::size_t i = 0; i < other.marks_.size(); ++i) {
    if (other.marks_[i]) Mark(i);
  }
}

std::size_t Evaluation::QuestionHash::operator()(const Question& question) const {
  const std::size_t node = std::hash<const void*>()(question.node);
  const std::size_t value = std::hash<const void*>()(question.value);
  return (node * 31 + value) * 31 + static_cast<std::size_t>(question.scope);
}

Evaluation::Evaluation(const Program& program, std::size_t max_violations)
    : program_(program), max_violations_(max_violations), loud_(max_violations > 0) {}

Result<bool> Evaluation::Run(const Json& instance) {
  if (!NestsWithin(instance, program_.max_depth)) {
    return Error(
        ErrorCode::kResourceExhausted,
        fmt::format("instance: nested deeper than {} levels, the limit", program_.max_depth));
  }
  const bool fits = Apply(*program_.root, instance, nullptr);
  if (error_) return *error_;
  return fits;
}

void Evaluation::GiveUp(Error error) {
  if (!error_)
    error_ = std::move(error).With(fmt::format("instance '{}'", Excerpt(InstancePath())));
  gave_up_ = true;
}

bool Evaluation::Step(std::uint64_t steps) {
  if (Ended()) return false;
  steps_ += steps;
  if (steps_ <= program_.max_steps) return true;
  GiveUp({ErrorCode::kResourceExhausted,
          fmt::format("gave up after {} steps, the limit: the schema applies its parts to the "
                      "same values over and over, or the instance is too large",
                      program_.max_steps)});
  return false;
}

std::string Evaluation::InstancePath() const {
  std::string path;
  for (const PathStep& step : path_) {
    path += step.name != nullptr ? PointerStep(*step.name) : "/" + std::to_string(step.index);
  }
  return path;
}

bool Evaluation::Fail(const Node& node, std::string_view keyword, std::string found,
                      std::string expected) {
  if (!loud_ || Ended()) return false;
  std::string schema_path = NameOf(program_, node);
  if (!keyword.empty()) schema_path += fmt::format("/{}", keyword);
  violations_.push_back(
      {InstancePath(), std::move(schema_path), std::move(found), std::move(expected)});
  full_ = violations_.size() >= max_violations_;
  return false;
}

bool Evaluation::Matches(const EcmaRegex& pattern, const std::string& text) {
  if (!Step(1 + text.size() / kBytesPerStep)) return false;
  auto matches = pattern.Matches(text);
  if (matches.ok()) return *matches;
  GiveUp(std::move(matches).error());
  return false;
}

bool Evaluation::Apply(const Node& node, const Json& value, Evaluated* seen) {
  if (node.kind == Node::Kind::kTrue) return !Ended();
  if (!Step()) return false;
  if (node.kind == Node::Kind::kFalse) {
    return loud_ && Fail(node, "", Describe(value), "no value here");
  }
  const Applying applying(*this, node);
  if (depth_ > kMaxDepth) {
    GiveUp({ErrorCode::kResourceExhausted,
            fmt::format("schemas inside each other more than {} deep, the limit, at '{}': a long "
                        "chain of references, or a $dynamicRef that leads back to itself",
                        kMaxDepth, Excerpt(NameOf(program_, node)))});
    return false;
  }
  const bool tracks = (node.unevaluated_items != nullptr && value.is_array()) ||
                      (node.unevaluated_properties != nullptr && value.is_object());
  if (!tracks) return ApplyKeywords(node, value, seen);
  // These keywords see what this schema's own parts have evaluated, not what lies outside.
  Evaluated own;
  if (!ApplyKeywords(node, value, &own)) return false;
  const bool fits = value.is_array()
                        ? CheckUnevaluatedItems(*node.unevaluated_items, value, own)
                        : CheckUnevaluatedProperties(*node.unevaluated_properties, value, own);
  if (fits && seen != nullptr) seen->Merge(own);
  return fits;
}

bool Evaluation::ApplyKeywords(const Node& node, const Json& value, Evaluated* seen) {
  const TypeSet types = TypesOf(value);
  bool fits = CheckValue(node, value, types);
  if (!fits && !GoesOn()) return false;
  if (node.array != nullptr && types == kArrayType) {
    fits = CheckArray(node, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (node.object != nullptr && types == kObjectType) {
    fits = CheckObject(node, value, seen) && fits;
    if (!fits && !GoesOn()) return false;
  }
  if (node.same_value != nullptr) fits = CheckSameValue(node, value, seen) && fits;
  return fits && !Ended();
}

bool Evaluation::ApplyQuietly(const Node& node, const Json& value, Evaluated* seen) {
  const bool was_loud = std::exchange(loud_, false);
  const bool fits = ApplyShared(node, value, seen);
  loud_ = was_loud;
  return fits;
}

bool Evaluation::ApplyShared(const Node& node, const Json& value, Evaluated* seen) {
  const bool remembers = node.shared && node.kind == Node::Kind::kKeywords && seen == nullptr &&
                         copies_ == 0 && steps_ >= kRememberAfter;
  if (!remembers) return Apply(node, value, seen);
  // Loud: ask quietly first, and walk again only where there is something to report.
  if (loud_) return ApplyQuietly(node, value, seen) || Apply(node, value, seen);
  const Question question = {&node, &value, scope_};
  const auto known = answers_.find(question);
  if (known != answers_.end()) return known->second;
  const bool fits = Apply(node, value, seen);
  if (Ended()) return false;
  if (answers_.size() >= kMaxAnswers) answers_.clear();
  answers_.emplace(question, fits);
  return fits;
}

bool Evaluation::CheckValue(const Node& node, const Json& value, TypeSet types) {
  bool fits = true;
  if ((types & node.types) == 0) {
    if (!loud_) return false;
    fits = loud_ && Fail(node, "type", Describe(value), TypeNames(node.types));
    if (!GoesOn()) return false;
  }
  const bool compares = node.constant != nullptr || node.choices != nullptr;
  if (compares && value.is_structured() && !Step(value.size())) return false;
  if (node.constant != nullptr && !EqualJson(value, *node.constant)) {
    fits = loud_ && Fail(node, "const", Describe(value), Excerpt(DumpCompact(*node.constant)));
  }
  if (node.choices != nullptr && !node.choice_set->Contains(value)) {
    fits = loud_ && Fail(node, "enum", Describe(value),
                         fmt::format("one of {}", Excerpt(DumpCompact(*node.choices), 200)));
  }
  if (!fits && !GoesOn()) return false;
  if (node.number != nullptr && (types & kNumberType) != 0) fits = CheckNumber(node, value) && fits;
  if (types != kStringType) return fits;
  if (node.string != nullptr) {
    fits = CheckString(node, value.get_ref<const std::string&>()) && fits;
  }
  if (node.format != nullptr && !node.format->fits(value.get_ref<const std::string&>())) {
    fits = loud_ && Fail(node, "format", Describe(value), std::string(node.format->expected));
  }
  return fits;
}

bool Evaluation::CheckNumber(const Node& node, const Json& value) {
  const NumberRules& rules = *node.number;
  const Number number = *Number::From(value);
  bool fits = true;
  const auto fail = [&](std::string_view keyword, std::string_view relation, const Number& bound) {
    fits =
        loud_ && Fail(node, keyword, number.Text(), fmt::format("{} {}", relation, bound.Text()));
  };
  if (rules.minimum && number.Compare(*rules.minimum) < 0) {
    fail("minimum", "at least", *rules.minimum);
  }
  if (rules.exclusive_minimum && number.Compare(*rules.exclusive_minimum) <= 0) {
    fail("exclusiveMinimum", "more than", *rules.exclusive_minimum);
  }
  if (rules.maximum && number.Compare(*rules.maximum) > 0) {
    fail("maximum", "at most", *rules.maximum);
  }
  if (rules.exclusive_maximum && number.Compare(*rules.exclusive_maximum) >= 0) {
    fail("exclusiveMaximum", "less than", *rules.exclusive_maximum);
  }
  if (rules.multiple_of && !number.IsMultipleOf(*rules.multiple_of)) {
    fail("multipleOf", "a multiple of", *rules.multiple_of);
  }
  return fits;
}

bool Evaluation::CheckString(const Node& node, const std::string& text) {
  const StringRules& rules = *node.string;
  bool fits = true;
  if (rules.min_length > 0 || rules.max_length != kNoMaximum) {
    const std::size_t length = CountCharacters(text);
    const auto fail = [&](std::string_view keyword, std::string_view relation,
                          std::uint64_t bound) {
      fits = loud_ &&
             Fail(node, keyword,
                  fmt::format("{} ({})", Quoted(text), Counted(length, "character", "characters")),
                  fmt::format("{} {}", relation, Counted(bound, "character", "characters")));
    };
    if (length < rules.min_length) fail("minLength", "at least", rules.min_length);
    if (length > rules.max_length) fail("maxLength", "at most", rules.max_length);
  }
  if (!fits && !GoesOn()) return false;
  if (rules.pattern && !Matches(*rules.pattern, text)) {
    fits =
        loud_ && Fail(node, "pattern", Quoted(text),
                      fmt::format("text that matches '{}'", Excerpt(rules.pattern->source(), 200)));
  }
  return fits;
}

}  // namespace metier::grammar::validator
