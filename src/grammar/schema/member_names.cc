#include "grammar/schema/member_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "grammar/automata/language.h"
#include "grammar/json/json_machine.h"
#include "grammar/schema/text_language.h"

namespace metier::grammar {
namespace {

using NamedLiteral = std::pair<std::string, Literal>;

// A name's bytes between the quotes.
Result<std::string> Spelled(const std::string& name, const AutomatonLimits& limits) {
  METIER_ASSIGN(const Dfa dfa,
                LanguageOf(Pattern::Literal(name), Match::kWhole, Spelling::kJsonString, limits));
  std::string bytes;
  for (std::int32_t state = dfa.start(); !dfa.Ends(state);) {
    int byte = 0;
    while (dfa.Next(state, static_cast<std::uint8_t>(byte)) == Dfa::kNone) ++byte;
    bytes += static_cast<char>(byte);
    state = dfa.Next(state, static_cast<std::uint8_t>(byte));
  }
  return bytes;
}

Pattern AnyName() { return Pattern::Repeat(Pattern::Set(CodePoints::All()), 0); }

}  // namespace

Status MemberNames::FindPatterns() {
  for (const ObjectPart& part : rules_.parts) {
    for (const NamedLiteral& pattern : part.patterns) {
      Result<SharedDfa> language = expander_.PatternLanguage(pattern.first);
      if (!language.ok()) return std::move(language).error().With("patternProperties");
      patterns_.push_back(*language);
    }
  }
  return Ok();
}

Status MemberNames::FindAllowed() {
  for (const Literal& literal : rules_.names) {
    METIER_ASSIGN(const std::vector<Rules> alternatives, expander_.Expand({literal}));
    Nfa any(Spelling::kText);
    const std::int32_t start = any.AddState();
    const std::int32_t end = any.AddState();
    any.Accept(end, 0);
    for (const Rules& rules : alternatives) {
      if ((rules.types & kStringType) == 0) continue;
      for (const Rules::Unknown& unknown : rules.unknown)
        if ((unknown.types & kStringType) != 0) return Error(ErrorCode::kUnsupported, unknown.what);
      METIER_ASSIGN(const std::optional<StringShape> shape, ShapeOfText(rules.strings, limits_));
      if (!shape) continue;
      METIER_ASSIGN(const Dfa texts, LanguageOf(*shape, limits_));
      any.AddDfa(texts, start, end);
    }
    METIER_ASSIGN(Dfa names, any.Determinise(start, limits_));
    if (allowed_) {
      METIER_ASSIGN(names, Intersect(*allowed_, names, limits_));
    }
    allowed_ = std::move(names);
  }
  return Ok();
}

// `name`: written out somewhere, or null.
Conjunction MemberNames::ValueOf(const std::string* name, const std::vector<bool>& matched) const {
  Conjunction value;
  std::size_t pattern = 0;
  for (const ObjectPart& part : rules_.parts) {
    bool spoken_of = false;
    for (const NamedLiteral& property : part.properties) {
      if (name == nullptr || property.first != *name) continue;
      value.push_back(property.second);
      spoken_of = true;
    }
    for (const NamedLiteral& one : part.patterns) {
      if (!matched[pattern++]) continue;
      value.push_back(one.second);
      spoken_of = true;
    }
    if (!spoken_of && part.others) value.push_back(*part.others);
  }
  return value;
}

// The names that are written out anywhere, each with what it asks of its value.
Status MemberNames::AddNames(const MakeNode& node, ObjectShape& shape) {
  std::vector<std::string> names;
  std::set<std::string> known;
  const auto add = [&](const std::string& name) {
    if (known.insert(name).second) names.push_back(name);
  };
  for (const ObjectPart& part : rules_.parts)
    for (const NamedLiteral& property : part.properties) add(property.first);
  for (const std::string& name : rules_.required) add(name);
  for (const auto& [name, asked] : rules_.dependent) {
    add(name);
    add(asked);
  }
  for (const std::string& name : names) {
    METIER_ASSIGN(std::string bytes, Spelled(name, limits_));
    std::vector<bool> matched;
    for (const SharedDfa& pattern : patterns_)
      matched.push_back(!pattern->empty() && pattern->Accepts(bytes));
    Conjunction value = ValueOf(&name, matched);
    if (allowed_ && !allowed_->Accepts(bytes)) value.push_back(expander_.Never());
    const auto number = static_cast<std::int32_t>(shape.properties.size());
    shape.values.push_back(node(std::move(value)));
    shape.classes.push_back({shape.values.back(), number});
    shape.required.push_back(rules_.required.contains(name));
    shape.properties.push_back(std::move(bytes));
  }
  for (const auto& [name, asked] : rules_.dependent) {
    const auto number = [&](const std::string& wanted) {
      return static_cast<std::int32_t>(std::ranges::find(names, wanted) - names.begin());
    };
    shape.dependent.emplace_back(number(name), number(asked));
  }
  return Ok();
}

// Labels: numbers of the names written out, then the patterns, then any name.
Result<Dfa> MemberNames::Automaton(const ObjectShape& shape) const {
  Nfa nfa(Spelling::kJsonString);
  const std::int32_t start = nfa.AddState();
  Dfa::Label label = 0;
  for (const std::string& bytes : shape.properties) {
    std::int32_t state = start;
    for (const char byte : bytes) {
      const std::int32_t next = nfa.AddState();
      nfa.AddEdge(state, static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(byte), next);
      state = next;
    }
    const std::int32_t end = nfa.AddState();
    nfa.AddFree(state, end);
    nfa.Accept(end, label++);
  }
  if (!others_) return nfa.Determinise(start, limits_);
  for (const SharedDfa& pattern : patterns_) {
    const std::int32_t end = nfa.AddState();
    nfa.Accept(end, label++);
    nfa.AddDfa(*pattern, start, end);
  }
  const std::int32_t end = nfa.AddState();
  nfa.Accept(end, label);
  if (allowed_) {
    nfa.AddDfa(*allowed_, start, end);
  } else {
    METIER_TRY(nfa.AddPattern(AnyName(), start, end, limits_));
  }
  return nfa.Determinise(start, limits_);
}

// Of each state that accepts: the name's own class, or one for the patterns that match.
void MemberNames::AddClasses(const Dfa& names, const MakeNode& node, ObjectShape& shape) {
  const auto properties = static_cast<Dfa::Label>(shape.properties.size());
  const auto any = properties + static_cast<Dfa::Label>(patterns_.size());
  std::map<std::vector<Dfa::Label>, std::int32_t> known;
  shape.class_at.assign(static_cast<std::size_t>(names.states()), -1);
  for (std::int32_t state = 0; state < names.states(); ++state) {
    const std::vector<Dfa::Label>& labels = names.LabelsOf(state);
    if (labels.empty()) continue;
    std::int32_t& here = shape.class_at[static_cast<std::size_t>(state)];
    if (labels.front() < properties) {
      here = labels.front();
      continue;
    }
    if (labels.back() != any) continue;  // a name that propertyNames does not allow
    const auto [found, fresh] =
        known.try_emplace(labels, static_cast<std::int32_t>(shape.classes.size()));
    if (fresh) {
      std::vector<bool> matched(patterns_.size());
      for (const Dfa::Label label : labels)
        if (label < any) matched[static_cast<std::size_t>(label - properties)] = true;
      shape.classes.push_back({node(ValueOf(nullptr, matched)), -1});
    }
    here = found->second;
  }
}

// What follows from what follows.
void MemberNames::CloseDependencies(ObjectShape& shape) const {
  for (std::size_t i = 0; i < shape.dependent.size(); ++i) {
    for (std::size_t j = 0; j < shape.dependent.size(); ++j) {
      if (shape.dependent[i].second != shape.dependent[j].first) continue;
      const std::pair more(shape.dependent[i].first, shape.dependent[j].second);
      if (std::ranges::find(shape.dependent, more) == shape.dependent.end())
        shape.dependent.push_back(more);
    }
  }
  for (const auto& [name, asked] : shape.dependent)
    if (shape.required[static_cast<std::size_t>(name)])
      shape.required[static_cast<std::size_t>(asked)] = true;
}

// Names that are not written out are not told apart, so they could come twice: two of one name
// would count as two.
Status MemberNames::CheckCounts(const ObjectShape& shape) const {
  const auto required = std::ranges::count(shape.required, true);
  if (others_ && rules_.least > required + 1) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("minProperties: {} of names that are not written out in the "
                             "schema are not compiled",
                             rules_.least));
  }
  if (rules_.most && !shape.dependent.empty()) {
    return Error(ErrorCode::kUnsupported,
                 "maxProperties together with dependentRequired is not compiled");
  }
  return Ok();
}

Result<std::optional<ObjectShape>> MemberNames::Shape(const MakeNode& node) {
  METIER_TRY(FindPatterns());
  METIER_TRY(FindAllowed());
  ObjectShape shape;
  METIER_TRY(AddNames(node, shape));
  others_ = !patterns_.empty() || std::ranges::none_of(rules_.parts, [&](const ObjectPart& part) {
    return part.others && expander_.IsNever(*part.others);
  });
  CloseDependencies(shape);
  METIER_ASSIGN(shape.names, Automaton(shape));
  AddClasses(shape.names, node, shape);
  if (others_ && patterns_.empty() && !allowed_)
    shape.free = FreeStates(shape.names, shape.names.start());
  if (extra_) {
    if (!others_) return std::optional<ObjectShape>();
    if (!patterns_.empty()) {
      return Error(ErrorCode::kUnsupported,
                   "a member that must break additionalProperties (for `not`, `oneOf` or "
                   "`if`) beside patternProperties is not compiled");
    }
    Conjunction value = ValueOf(nullptr, {});
    value.push_back(*extra_);
    shape.extra = static_cast<std::int32_t>(shape.values.size());
    shape.values.push_back(node(std::move(value)));
    shape.required.push_back(true);
  }
  METIER_TRY(CheckCounts(shape));
  const auto required = std::ranges::count(shape.required, true);
  if (rules_.most && (*rules_.most < rules_.least || *rules_.most < required))
    return std::optional<ObjectShape>();
  shape.least = static_cast<std::int32_t>(rules_.least);
  shape.most = static_cast<std::int32_t>(rules_.most.value_or(kUnlimited));
  return std::optional(std::move(shape));
}

}  // namespace metier::grammar
