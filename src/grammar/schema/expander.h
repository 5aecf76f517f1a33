// grammar/schema/expander.h - from schemas to rules: what a conjunction of schemas says, as
// alternatives that are free of choices.
//
// allOf and $ref are more schemas, anyOf is a choice, `not` is the negation of each keyword in
// turn, if-then-else and oneOf are choices of schemas and negations. Every literal is looked at
// once in an alternative, so references that go round come to an end.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/schema/rules.h"
#include "grammar/schema/schema_tree.h"

namespace metier::grammar {

struct ExpanderLimits {
  std::int64_t max_alternatives = 2048;  // of one conjunction
  std::int64_t max_work = 200'000;       // looked at in all
  AutomatonLimits automata;
};

class Expander {
 public:
  Expander(SchemaTree& tree, const ExpanderLimits& limits) : tree_(tree), limits_(limits) {}

  // kUnsupported: a keyword that we do not compile, with its place. kDataCorrupt, kInvalidArgument:
  // a keyword that is not as it must be. kResourceExhausted: too many choices.
  Result<std::vector<Rules>> Expand(const Conjunction& conjunction);

  Literal Never() { return {tree_.Never(), false}; }
  // A schema that is `false` or `not: true` by its looks.
  bool IsNever(const Literal& literal) const {
    const Json& schema = tree_.Schema(literal.schema);
    return schema.is_boolean() && schema.get<bool>() == literal.negated;
  }

  // The language of a pattern, made once.
  Result<SharedDfa> PatternLanguage(const std::string& pattern);

 private:
  // One way to go on; and one of several of them has to be gone.
  struct Option {
    std::vector<Literal> literals;
    Rules rules;
  };
  using Choice = std::vector<Option>;
  struct Branch {
    Rules rules;
    std::vector<Literal> open;
    std::set<Literal> done;
    std::vector<Choice> choices;
  };
  // A keyword in its schema.
  struct Site {
    SchemaId id = 0;
    const Json& schema;
    const std::string& key;
    const Json& value;
  };
  using Handler = Status (Expander::*)(const Site& site, Branch& branch);
  struct Keyword {
    Handler holds;   // what it asks for
    Handler breaks;  // adds options of `negation_`: what breaks it
  };
  static const std::map<std::string, Keyword>& Keywords();

  Status Apply(const Literal& literal, Branch& branch);
  Status ApplyNegation(SchemaId id, Branch& branch);
  Result<bool> Disjoint(const Literal& a, const Literal& b);
  // `depth`: how far inside of values is looked for contradictions.
  Result<std::vector<Rules>> ExpandTo(const Conjunction& conjunction, int depth);
  Result<bool> Impossible(const Rules& rules, int depth);
  Result<bool> NoObject(const ObjectRules& rules, int depth);
  Result<bool> NoValue(Conjunction conjunction, int depth);

  Error Wrong(const Site& site, std::string_view expected) const;
  Error Unsupported(const Site& site, std::string_view what) const;
  Literal At(const Site& site, const Json& value, const std::string& words) const;
  Result<std::int64_t> Count(const Site& site) const;
  void Breaks(Rules rules) { negation_.push_back({{}, std::move(rules)}); }
  void Breaks(std::vector<Literal> literals, Rules rules = {}) {
    negation_.push_back({std::move(literals), std::move(rules)});
  }

  // schema/keywords_*.cc
  Status Type(const Site& site, Branch& branch);
  Status NotType(const Site& site, Branch& branch);
  Status Enum(const Site& site, Branch& branch);
  Status NotEnum(const Site& site, Branch& branch);
  Status Bound(const Site& site, Branch& branch);
  Status NotBound(const Site& site, Branch& branch);
  Status MultipleOf(const Site& site, Branch& branch);
  Status Sizes(const Site& site, Branch& branch);
  Status NotSizes(const Site& site, Branch& branch);
  Status PatternKeyword(const Site& site, Branch& branch);
  Status NotPattern(const Site& site, Branch& branch);
  Status Format(const Site& site, Branch& branch);
  Status NotFormat(const Site& site, Branch& branch);
  Status Reference(const Site& site, Branch& branch);
  Status NotReference(const Site& site, Branch& branch);
  Status AllOf(const Site& site, Branch& branch);
  Status NotAllOf(const Site& site, Branch& branch);
  Status AnyOf(const Site& site, Branch& branch);
  Status NotAnyOf(const Site& site, Branch& branch);
  Status OneOf(const Site& site, Branch& branch);
  Status NotOneOf(const Site& site, Branch& branch);
  Status NotKeyword(const Site& site, Branch& branch);
  Status NotNot(const Site& site, Branch& branch);
  Status If(const Site& site, Branch& branch);
  Status NotIf(const Site& site, Branch& branch);
  Status Items(const Site& site, Branch& branch);
  Status NotItems(const Site& site, Branch& branch);
  Status Contains(const Site& site, Branch& branch);
  Status NotContains(const Site& site, Branch& branch);
  Status UniqueItems(const Site& site, Branch& branch);
  Status Members(const Site& site, Branch& branch);
  Status NotMembers(const Site& site, Branch& branch);
  Status Required(const Site& site, Branch& branch);
  Status NotRequired(const Site& site, Branch& branch);
  Status PropertyNames(const Site& site, Branch& branch);
  Status Dependencies(const Site& site, Branch& branch);
  Status NotDependencies(const Site& site, Branch& branch);
  Status NotCompiled(const Site& site, Branch& branch);
  Status NegationNotCompiled(const Site& site, Branch& branch);
  Result<std::vector<Literal>> ListOf(const Site& site) const;
  Result<Types> TypesOf(const Site& site, bool& integer) const;
  Result<ArrayPart> ArrayPartOf(const Site& site) const;
  Result<ObjectPart> ObjectPartOf(const Site& site) const;

  SchemaTree& tree_;
  ExpanderLimits limits_;
  std::int64_t work_ = 0;
  Choice negation_;  // of the schema under way
  std::map<std::string, SharedDfa> languages_;
  std::map<std::pair<Literal, Literal>, bool> disjoint_;
  std::set<std::pair<Literal, Literal>> comparing_;
  std::map<std::pair<Conjunction, int>, bool> no_value_;
};

}  // namespace metier::grammar
