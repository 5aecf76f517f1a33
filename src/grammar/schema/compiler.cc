#include "grammar/schema/compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "grammar/automata/language.h"
#include "grammar/schema/distinct_items.h"
#include "grammar/schema/heights.h"
#include "grammar/schema/member_names.h"
#include "grammar/schema/text_language.h"

namespace metier::grammar {
namespace {

class SchemaCompiler {
 public:
  SchemaCompiler(SchemaTree& tree, const SchemaLimits& limits)
      : tree_(tree), limits_(limits), expander_(tree, limits.expander) {}

  Result<Shapes> Compile() {
    shapes_.root = NodeOf({{tree_.root(), false}});
    while (!waiting_.empty()) {
      const auto [node, conjunction] = std::move(waiting_.front());
      waiting_.pop_front();
      METIER_ASSIGN(const std::vector<Rules> alternatives, expander_.Expand(conjunction));
      for (const Rules& rules : alternatives) METIER_TRY(AddAlternatives(node, rules, conjunction));
      if (node >= limits_.max_nodes || states_ > limits_.max_states) {
        return Error(
            ErrorCode::kResourceExhausted,
            fmt::format("schema: found {} different parts with {} states, the limits are "
                        "{} and {}",
                        shapes_.nodes.size(), states_, limits_.max_nodes, limits_.max_states));
      }
    }
    FindHeights(shapes_);
    if (shapes_.heights[static_cast<std::size_t>(shapes_.root)] == kNoHeight) {
      return Error(ErrorCode::kDataCorrupt,
                   "schema: no value is valid; its keywords contradict each other");
    }
    return std::move(shapes_);
  }

 private:
  NodeId NodeOf(Conjunction conjunction) {
    std::ranges::sort(conjunction);
    conjunction.erase(std::unique(conjunction.begin(), conjunction.end()), conjunction.end());
    const auto next = static_cast<NodeId>(shapes_.nodes.size());
    const auto [found, fresh] = nodes_.try_emplace(std::move(conjunction), next);
    if (fresh) {
      shapes_.nodes.emplace_back();
      waiting_.emplace_back(next, found->first);
    }
    return found->second;
  }

  template <class Shape>
  void Add(NodeId node, ShapeKind kind, std::vector<Shape>& shapes, Shape shape) {
    shapes_.nodes[static_cast<std::size_t>(node)].push_back(
        {kind, static_cast<std::int32_t>(shapes.size()), 0});
    shapes.push_back(std::move(shape));
  }

  Status AddAlternatives(NodeId node, const Rules& rules, const Conjunction& conjunction) {
    for (const Rules::Unknown& unknown : rules.unknown)
      if ((unknown.types & rules.types) != 0) return Error(ErrorCode::kUnsupported, unknown.what);
    const Status added = AddShapes(node, rules);
    if (added.ok() || conjunction.empty()) return added;
    return Error(added.error())
        .With(fmt::format("schema '{}'", tree_.PathOf(conjunction.front().schema)));
  }

  Status AddShapes(NodeId node, const Rules& rules) {
    METIER_TRY(AddWords(node, rules));
    if ((rules.types & kStringType) != 0) METIER_TRY(AddString(node, rules.strings));
    if ((rules.types & kArrayType) != 0) METIER_TRY(AddArray(node, rules.arrays));
    return (rules.types & kObjectType) != 0 ? AddObject(node, rules.objects) : Ok();
  }

  Status AddWords(NodeId node, const Rules& rules) {
    std::vector<Pattern> words;
    for (const auto& [type, word] : {std::pair(kNullType, "null"), std::pair(kFalseType, "false"),
                                     std::pair(kTrueType, "true")})
      if ((rules.types & type) != 0) words.push_back(Pattern::Literal(word));
    if (!words.empty()) {
      METIER_ASSIGN(Dfa bytes, LanguageOf(Pattern::Choice(std::move(words)), Match::kWhole,
                                          Spelling::kText, limits_.expander.automata));
      Add(node, ShapeKind::kWord, shapes_.words, {std::move(bytes)});
    }
    if ((rules.types & kNumberType) == 0) return Ok();
    METIER_ASSIGN(Dfa numbers, LanguageOf(rules.numbers, limits_.expander.automata));
    if (numbers.empty()) return Ok();
    states_ += numbers.states();
    Add(node, ShapeKind::kWord, shapes_.words, {std::move(numbers)});
    return Ok();
  }

  Status AddString(NodeId node, const StringRules& rules) {
    METIER_ASSIGN(std::optional<StringShape> shape, ShapeOfText(rules, limits_.expander.automata));
    if (!shape) return Ok();
    states_ += shape->content.states();
    Add(node, ShapeKind::kString, shapes_.strings, std::move(*shape));
    return Ok();
  }

  // The item that must come is one of the first, or another one.
  Status AddArray(NodeId node, const ArrayRules& rules) {
    if (rules.some.empty()) return AddArrayShape(node, rules, std::nullopt);
    ArrayRules without = rules;
    const SomeItem some = without.some.back();
    without.some.pop_back();
    std::size_t first = some.from;
    for (const ArrayPart& part : rules.parts) first = std::max(first, part.first.size());
    for (std::size_t i = some.from; i < first; ++i) {
      ArrayRules placed = without;
      placed.least = std::max(placed.least, static_cast<std::int64_t>(i) + 1);
      ArrayPart& part = placed.parts.emplace_back();
      part.first.assign(i, expander_.Never().Not());
      part.first.push_back(some.value);
      METIER_TRY(AddArray(node, placed));
    }
    if (!without.some.empty() || rules.distinct) {
      return Error(ErrorCode::kUnsupported,
                   "two items that must come (by `contains`, or for `not`, `oneOf` or "
                   "`if`), or one beside uniqueItems, are not compiled");
    }
    without.parts.emplace_back().first.assign(first, expander_.Never().Not());
    return AddArrayShape(node, without, some.value);
  }

  Status AddArrayShape(NodeId node, const ArrayRules& rules, const std::optional<Literal>& some) {
    ArrayShape shape;
    std::size_t first = 0;
    bool closed = false;
    for (const ArrayPart& part : rules.parts) first = std::max(first, part.first.size());
    for (std::size_t i = 0; i <= first; ++i) {
      Conjunction item;
      for (const ArrayPart& part : rules.parts) {
        if (i < part.first.size()) {
          item.push_back(part.first[i]);
        } else if (part.rest) {
          item.push_back(*part.rest);
        }
      }
      if (i < first) {
        shape.first.push_back(NodeOf(std::move(item)));
        continue;
      }
      closed = std::ranges::any_of(
          item, [&](const Literal& literal) { return expander_.IsNever(literal); });
      if (closed) continue;
      if (some) {
        Conjunction both = item;
        both.push_back(*some);
        shape.some = NodeOf(std::move(both));
      }
      shape.rest = NodeOf(std::move(item));
    }
    std::int64_t most = rules.most.value_or(kUnlimited);
    if (closed && (most == kUnlimited || most > static_cast<std::int64_t>(first)))
      most = static_cast<std::int64_t>(first);
    const auto least = std::max(rules.least, some ? static_cast<std::int64_t>(first) + 1 : 0);
    if (most != kUnlimited && least > most) return Ok();
    if (rules.distinct && most != 0 && most != 1) METIER_TRY(MakeDistinct(rules, first, shape));
    shape.least = static_cast<std::int32_t>(least);
    shape.most = static_cast<std::int32_t>(most);
    Add(node, ShapeKind::kArray, shapes_.arrays, std::move(shape));
    return Ok();
  }

  // Items that are all asked the same, and scalars.
  Status MakeDistinct(const ArrayRules& rules, std::size_t first, ArrayShape& shape) {
    if (first > 0) {
      return Error(ErrorCode::kUnsupported, "uniqueItems: beside prefixItems it is not compiled");
    }
    Conjunction item;
    for (const ArrayPart& part : rules.parts)
      if (part.rest) item.push_back(*part.rest);
    if (item.empty()) item.push_back(expander_.Never().Not());
    METIER_ASSIGN(const std::vector<Rules> alternatives, expander_.Expand(item));
    METIER_ASSIGN(DistinctShape distinct, DistinctItems(alternatives, limits_.expander.automata));
    states_ += distinct.items.states();
    if (distinct.items.empty()) {
      shape.rest = kUnlimited;
      return Ok();
    }
    shape.distinct = static_cast<std::int32_t>(shapes_.distinct.size());
    shapes_.distinct.push_back(std::move(distinct));
    return Ok();
  }

  Status AddObject(NodeId node, const ObjectRules& rules) {
    if (!rules.some.empty()) return AddObjectWithSome(node, rules);
    return AddObjectShape(node, rules, std::nullopt);
  }

  // A member that must come has a name that is written out, or another one.
  Status AddObjectWithSome(NodeId node, const ObjectRules& rules) {
    ObjectRules without = rules;
    const SomeMember some = without.some.back();
    without.some.pop_back();
    std::set<std::string> names = rules.required;
    for (const ObjectPart& part : rules.parts)
      for (const auto& [name, value] : part.properties) names.insert(name);
    for (const std::string& name : names) {
      if (some.other_than.contains(name)) continue;
      ObjectRules named = without;
      named.required.insert(name);
      named.parts.emplace_back();
      named.parts.back().properties.emplace_back(name, some.value);
      METIER_TRY(AddObject(node, named));
    }
    if (!without.some.empty()) {
      ObjectRules closed = without;
      closed.some.clear();
      METIER_ASSIGN(const bool possible, TakesOthers(closed, some.value));
      if (!possible) return Ok();
      return Error(ErrorCode::kUnsupported,
                   "two members that must break additionalProperties (for `not`, `oneOf` "
                   "or `if`) are not compiled");
    }
    return AddObjectShape(node, without, some.value);
  }

  // Whether there can be a member with a name that is not written out.
  Result<bool> TakesOthers(const ObjectRules& rules, const std::optional<Literal>& value) {
    MemberNames names(rules, value, expander_, limits_.expander.automata);
    METIER_ASSIGN(const std::optional<ObjectShape> shape,
                  names.Shape([this](Conjunction other) { return NodeOf(std::move(other)); }));
    return shape.has_value();
  }

  Status AddObjectShape(NodeId node, const ObjectRules& rules,
                        const std::optional<Literal>& extra) {
    MemberNames names(rules, extra, expander_, limits_.expander.automata);
    METIER_ASSIGN(std::optional<ObjectShape> shape,
                  names.Shape([this](Conjunction value) { return NodeOf(std::move(value)); }));
    if (!shape) return Ok();
    states_ += shape->names.states();
    Add(node, ShapeKind::kObject, shapes_.objects, std::move(*shape));
    return Ok();
  }

  SchemaTree& tree_;
  const SchemaLimits& limits_;
  Expander expander_;
  Shapes shapes_;
  std::map<Conjunction, NodeId> nodes_;
  std::deque<std::pair<NodeId, Conjunction>> waiting_;
  std::int64_t states_ = 0;
};

}  // namespace

Result<Shapes> CompileSchema(const Json& schema, const SchemaLimits& limits) {
  METIER_ASSIGN(SchemaTree tree, SchemaTree::Open(schema));
  return SchemaCompiler(tree, limits).Compile();
}

}  // namespace metier::grammar
