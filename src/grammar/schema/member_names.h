// grammar/schema/member_names.h - which names the members of an object may have, and what each name
// asks of its value.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/json/shapes.h"
#include "grammar/schema/expander.h"
#include "grammar/schema/rules.h"

namespace metier::grammar {

class MemberNames {
 public:
  // Borrows all. `extra`: what must hold of a member of a name that is not written out.
  MemberNames(const ObjectRules& rules, const std::optional<Literal>& extra, Expander& expander,
              const AutomatonLimits& limits)
      : rules_(rules), extra_(extra), expander_(expander), limits_(limits) {}

  using MakeNode = std::function<NodeId(Conjunction)>;
  // Without heights. Nothing: no object is allowed. kUnsupported, kResourceExhausted.
  Result<std::optional<ObjectShape>> Shape(const MakeNode& node);

 private:
  Status FindPatterns();
  Status FindAllowed();
  // What all parts ask of a member whose name these patterns match.
  Conjunction ValueOf(const std::string* name, const std::vector<bool>& matched) const;
  Status AddNames(const MakeNode& node, ObjectShape& shape);
  Result<Dfa> Automaton(const ObjectShape& shape) const;
  void AddClasses(const Dfa& names, const MakeNode& node, ObjectShape& shape);
  Status CheckCounts(const ObjectShape& shape) const;
  void CloseDependencies(ObjectShape& shape) const;

  const ObjectRules& rules_;
  const std::optional<Literal>& extra_;
  Expander& expander_;
  const AutomatonLimits& limits_;
  std::vector<SharedDfa> patterns_;  // of all parts, one behind the other
  std::optional<Dfa> allowed_;       // propertyNames
  bool others_ = false;              // names that are not written out are possible
};

}  // namespace metier::grammar
