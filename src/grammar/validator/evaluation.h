// grammar/validator/evaluation.h - one walk of one instance through a Program.
//
//   quiet   stops at the first failure, says nothing; what most calls and all branches need
//   loud    goes on and records violations, up to a limit
//
// Annotations are not collected: all that a keyword ever asks of another is which items or
// properties it has looked at (Evaluated), kept only where an unevaluated* keyword will ask.
//
// Limits, each an error and not a verdict: schemas applied (max_steps), schemas inside each other
// (kMaxDepth), backtracking of patterns. Without help a schema can ask the same question of the
// same value exponentially often (definitions that each refer twice to the next): answers of
// referenced schemas are remembered once a walk has become long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/schema_validator.h"
#include "grammar/validator/program.h"

namespace metier::grammar::validator {

// Which items or properties, by position, a keyword has applied a schema to.
class Evaluated {
 public:
  void MarkAll() { all_ = true; }
  void Mark(std::size_t index);
  void Merge(const Evaluated& other);
  bool Has(std::size_t index) const { return all_ || (index < marks_.size() && marks_[index]); }

 private:
  bool all_ = false;
  std::vector<bool> marks_;
};

class Evaluation {
 public:
  // Both are borrowed. `max_violations` 0: quiet.
  Evaluation(const Program& program, std::size_t max_violations);

  // The verdict. kResourceExhausted: gave up; kDataCorrupt: text that is not UTF-8.
  Result<bool> Run(const Json& instance);
  // What a loud run found; at least one where its verdict is false.
  std::vector<SchemaViolation> TakeViolations() { return std::move(violations_); }

  // Of schemas inside each other; a level of an instance takes a few of them.
  static constexpr int kMaxDepth = 2000;

 private:
  // evaluation_scopes.h: a step into the instance, and a node being applied, while they last.
  class Inside;
  class Applying;

  // What was asked: a node about a value, with the resources on the way where those matter.
  struct Question {
    const Node* node;
    const Json* value;
    int scope;
    bool operator==(const Question&) const = default;
  };
  struct QuestionHash {
    std::size_t operator()(const Question& question) const;
  };

  // Whether `value` fits `node`. `seen`: where to note what was evaluated of it, for an
  // unevaluated* keyword outside; null when nobody asks. What a failing node notes is of no use.
  bool Apply(const Node& node, const Json& value, Evaluated* seen);
  bool ApplyKeywords(const Node& node, const Json& value, Evaluated* seen);
  // Apply for nodes that many edges may lead to, with answers remembered.
  bool ApplyShared(const Node& node, const Json& value, Evaluated* seen);
  // Apply that records nothing.
  bool ApplyQuietly(const Node& node, const Json& value, Evaluated* seen);

  // Keywords on the value itself. All return whether it fits.
  bool CheckValue(const Node& node, const Json& value, TypeSet types);
  bool CheckNumber(const Node& node, const Json& value);
  bool CheckString(const Node& node, const std::string& text);
  bool CheckFormat(const Node& node, const Json& value);

  // evaluation_logic.cc
  // References first, then what selects among schemas; `not` last.
  bool CheckSameValue(const Node& node, const Json& value, Evaluated* seen);
  bool CheckReferences(const Node& node, const Json& value, Evaluated* seen);
  bool CheckAnyOf(const Node& node, const Json& value, Evaluated* seen);
  bool CheckOneOf(const Node& node, const Json& value, Evaluated* seen);
  bool CheckCondition(const Node& node, const Json& value, Evaluated* seen);
  // The schema with the edge's anchor in the outermost resource on the way that has it.
  const Node& TargetOf(const DynamicEdge& edge) const;
  // "nearest: ...": the branch that fails deepest in the value, in words; for messages.
  std::string NearestMiss(const std::vector<const Node*>& branches, const Json& value);

  // evaluation_containers.cc
  bool CheckArray(const Node& node, const Json& array, Evaluated* seen);
  bool CheckItems(const ArrayRules& rules, const Json& array, Evaluated* seen);
  bool CheckContains(const Node& node, const Json& array, Evaluated* seen);
  bool CheckUnevaluatedItems(const Node& rest, const Json& array, Evaluated& seen);
  bool CheckObject(const Node& node, const Json& object, Evaluated* seen);
  bool CheckProperties(const Node& node, const Json& object, Evaluated* seen);
  // `evaluated`: whether any keyword applied to it.
  bool CheckProperty(const ObjectRules& rules, const PropertyRule* rule, const std::string& name,
                     const Json& value, bool& evaluated);
  bool CheckRequired(const Node& node, const Json& object);
  bool CheckDependencies(const Node& node, const Json& object, Evaluated* seen);
  bool CheckUnevaluatedProperties(const Node& rest, const Json& object, Evaluated& seen);

  // Counts a step, or as many as what follows may cost. False when the walk has to end.
  bool Step(std::uint64_t steps = 1);
  // False also where the pattern gave up: then the walk has ended.
  bool Matches(const EcmaRegex& pattern, const std::string& text);
  // Ends the walk without a verdict. Keeps the first error.
  void GiveUp(Error error);
  // The walk is over: it gave up, or found as many violations as were asked for.
  bool Ended() const { return gave_up_ || full_; }
  // Whether to go on behind a failure, for further violations.
  bool GoesOn() const { return loud_ && !Ended(); }

  // Records a violation where the walk is loud; always false.
  bool Fail(const Node& node, std::string_view keyword, std::string found, std::string expected);
  std::string InstancePath() const;

  const Program& program_;
  std::size_t max_violations_;
  bool loud_;
  bool full_ = false;
  bool probing_ = false;  // inside NearestMiss: its violations are not kept
  std::optional<Error> error_;
  bool gave_up_ = false;
  std::uint64_t steps_ = 0;
  int depth_ = 0;
  std::vector<SchemaViolation> violations_;

  struct PathStep {
    const std::string* name;  // null: an item
    std::size_t index;
  };
  std::vector<PathStep> path_;

  std::unordered_map<Question, bool, QuestionHash> answers_;
  // Above 0 the value at hand is a copy of ours (a property's name), whose address means nothing.
  int copies_ = 0;

  // The schema resources on the way, each once, outermost first. Scope i is scope `parent` with one
  // more; scope 0 is the root's.
  struct Scope {
    int parent;
    int resource;
  };
  // The scope one is in after entering `resource`.
  int Enter(int scope, int resource);
  std::vector<Scope> scopes_;
  std::unordered_map<std::uint64_t, int> entered_;  // scope and resource -> scope
  int scope_ = -1;
  int resource_ = -1;  // entered last
};

}  // namespace metier::grammar::validator
