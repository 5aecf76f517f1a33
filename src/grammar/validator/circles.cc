#include "grammar/validator/circles.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/utf8.h"

namespace metier::grammar::validator {
namespace {

std::vector<const Node*> SameValueEdges(const Node& node) {
  std::vector<const Node*> edges;
  const auto add = [&edges](const Node* target) {
    if (target != nullptr) edges.push_back(target);
  };
  if (node.same_value != nullptr) {
    const SameValueRules& rules = *node.same_value;
    for (const auto* group : {&rules.references, &rules.all_of, &rules.any_of, &rules.one_of}) {
      for (const Node* target : *group) add(target);
    }
    for (const Node* target : {rules.negated, rules.condition, rules.then, rules.otherwise}) {
      add(target);
    }
  }
  if (node.object != nullptr) {
    for (const DependencyRule& rule : node.object->dependencies) add(rule.schema);
  }
  return edges;
}

struct OpenNode {
  const Node* node = nullptr;
  std::vector<const Node*> edges;
  std::size_t next = 0;
};

enum class Visit { kNew, kOpen, kDone };

Error CircleError(const Program& program, const std::vector<OpenNode>& way, const Node* back_to) {
  constexpr std::size_t kShown = 8;
  const auto begin = std::find_if(way.begin(), way.end(),
                                  [back_to](const OpenNode& open) { return open.node == back_to; });
  std::string names;
  std::size_t shown = 0;
  for (auto at = begin; at != way.end(); ++at) {
    if (++shown > kShown) {
      names += "... -> ";
      break;
    }
    names += Excerpt(NameOf(program, *at->node)) + " -> ";
  }
  names += Excerpt(NameOf(program, *back_to));
  return {
      ErrorCode::kInvalidArgument,
      fmt::format("schema '{}': leads back to itself at the same value ({}); a recursive schema "
                  "has to step into items or properties",
                  Excerpt(NameOf(program, *back_to)), names)};
}

}  // namespace

std::string NameOf(const Program& program, const Node& node) {
  return program.resource_uris[static_cast<std::size_t>(node.resource)] + "#" + node.pointer;
}

Status RefuseCircles(const Program& program) {
  std::unordered_map<const Node*, Visit> visits;
  visits.reserve(program.nodes.size());
  std::vector<OpenNode> way;
  const auto open = [&](const Node* node) {
    visits[node] = Visit::kOpen;
    way.push_back({node, SameValueEdges(*node)});
  };
  for (const auto& start : program.nodes) {
    if (visits[start.get()] == Visit::kNew) open(start.get());
    while (!way.empty()) {
      OpenNode& here = way.back();
      if (here.next == here.edges.size()) {
        visits[here.node] = Visit::kDone;
        way.pop_back();
        continue;
      }
      const Node* next = here.edges[here.next++];
      const Visit visit = visits[next];
      if (visit == Visit::kOpen) return CircleError(program, way, next);
      if (visit == Visit::kNew) open(next);
    }
  }
  return Ok();
}

}  // namespace metier::grammar::validator
