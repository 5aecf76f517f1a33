// proof/statements.h - a database that has been read: symbols and statements as numbers.
//
// Internal to the module; database.h is what others see. Filled by the reader, never changed
// afterwards. A symbol that is not negative is a constant; ~s is a variable's number otherwise, so
// that the loops which substitute need no table to tell them apart.
//
// Scopes are kept as numbers too: a hypothesis can be used by the statements from its own number
// on, and before the number `ends`; the $d statements of a scope are a list that leads outwards.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proof/verdict.h"

namespace metier::proof {

using Symbol = std::int32_t;
using NameId = std::int32_t;
using StatementId = std::int32_t;

inline bool IsVariable(Symbol symbol) { return symbol < 0; }
// The same from a variable's number to its symbol.
inline std::int32_t VariableOf(Symbol symbol) { return ~symbol; }

// A part of one of the lists below.
struct Range {
  std::uint32_t begin = 0;
  std::uint32_t count = 0;
};

template <class T>
std::span<const T> PartOf(const std::vector<T>& list, Range range) {
  return std::span<const T>(list).subspan(range.begin, range.count);
}

enum class StatementKind : std::uint8_t { kFloating, kEssential, kAxiom, kTheorem };

inline bool IsAssertion(StatementKind kind) { return kind >= StatementKind::kAxiom; }

struct Statement {
  NameId label = 0;
  StatementKind kind = StatementKind::kFloating;
  Range expression;  // of `symbols`
  // Of a hypothesis: the number of the first statement behind its scope.
  StatementId ends = std::numeric_limits<StatementId>::max();
  std::int32_t frame = -1;  // of an assertion
};

struct Frame {
  Range hypotheses;  // of `hypotheses`: the mandatory ones, as they are put on the stack
  Range disjoint;    // of `pairs`: the mandatory ones
  // Of a theorem, for its own proof and for what rests on it:
  std::int32_t scope_disjoint = -1;  // of `disjoint_groups`: the newest one in scope
  Range uses;                        // of `uses`: the assertions that its proof applies
  Verdict verdict = Verdict::kProved;
};

// One $d statement.
struct DisjointGroup {
  Range variables;             // of `group_variables`
  std::int32_t previous = -1;  // the one before it in scope
};

enum class NameRole : std::uint8_t { kConstant, kVariable, kLabel };

struct Name {
  const std::string* text = nullptr;  // owned by `name_ids`
  NameRole role = NameRole::kLabel;
  std::int32_t index = 0;  // of the constant, variable or statement
};

struct Constant {
  NameId name = 0;
  bool is_type = false;  // variables of this kind were declared: it says what a thing is, not that
                         // something holds
};

struct Variable {
  NameId name = 0;
  bool active = false;
  StatementId floating = -1;  // the active $f
  Symbol type = -1;           // of every $f that it ever had; -1 before the first
};

using VariablePair = std::pair<std::int32_t, std::int32_t>;  // the smaller first

// Lets an index of strings be asked with a view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>()(text);
  }
};

struct Statements {
  std::unordered_map<std::string, NameId, TextHash, std::equal_to<>> name_ids;
  std::vector<Name> names;
  std::vector<Constant> constants;
  std::vector<Variable> variables;
  std::vector<Statement> statements;  // in the order of the text
  std::vector<Frame> frames;
  std::vector<DisjointGroup> disjoint_groups;
  std::int32_t outermost_disjoint = -1;  // the newest $d of the outermost scope
  std::map<StatementId, Finding> findings;

  std::vector<Symbol> symbols;
  std::vector<StatementId> hypotheses;
  std::vector<VariablePair> pairs;
  std::vector<std::int32_t> group_variables;
  std::vector<StatementId> uses;

  const Statement& at(StatementId id) const { return statements[static_cast<std::size_t>(id)]; }
  // Requires an assertion.
  const Frame& FrameOf(StatementId id) const {
    return frames[static_cast<std::size_t>(at(id).frame)];
  }
  std::span<const Symbol> ExpressionOf(StatementId id) const {
    return PartOf(symbols, at(id).expression);
  }
  const std::string& TextOf(NameId name) const {
    return *names[static_cast<std::size_t>(name)].text;
  }
  const std::string& LabelOf(StatementId id) const { return TextOf(at(id).label); }
  const std::string& SpellingOf(Symbol symbol) const {
    return TextOf(IsVariable(symbol) ? variables[static_cast<std::size_t>(VariableOf(symbol))].name
                                     : constants[static_cast<std::size_t>(symbol)].name);
  }
  const Name* Find(std::string_view text) const;
  std::optional<StatementId> FindStatement(std::string_view label) const;
  // Whether this axiom says that something holds, and not only what is an expression of a type.
  bool IsPostulate(StatementId id) const;

  // Labels of the postulates that these assertions rest on, themselves among them, in the order of
  // the text. Cost: each assertion behind them is looked at once.
  std::vector<std::string> AxiomsBehind(std::span<const StatementId> assertions) const;

  // The symbols with spaces between them: all of them, or so many that a message stays short.
  std::string Spell(std::span<const Symbol> expression) const;
  std::string SpellShort(std::span<const Symbol> expression) const;
};

}  // namespace metier::proof
