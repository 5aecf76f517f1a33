#include "grammar/schema/heights.h"

#include <algorithm>

namespace metier::grammar {
namespace {

std::uint16_t HeightOf(const Shapes& shapes, NodeId node) {
  return shapes.heights[static_cast<std::size_t>(node)];
}

std::uint16_t Above(std::uint16_t height) {
  return height >= kNoHeight - 1 ? kNoHeight : static_cast<std::uint16_t>(height + 1);
}

std::uint16_t HeightOfArray(const Shapes& shapes, const ArrayShape& shape) {
  std::uint16_t height = 0;
  if (shape.distinct >= 0) {
    const DistinctShape& items = shapes.distinct[static_cast<std::size_t>(shape.distinct)];
    const std::int64_t ways = items.items.empty() ? 0 : items.ways.front();
    return ways == DistinctShape::kEndless || ways >= shape.least ? height : kNoHeight;
  }
  if (shape.some != kUnlimited) height = Above(HeightOf(shapes, shape.some));
  for (std::int32_t i = 0; i < shape.least; ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (index >= shape.first.size()) {
      if (shape.some != kUnlimited && i + 1 == shape.least) return height;  // that one alone
      if (shape.rest == kUnlimited) return kNoHeight;
      return std::max(height, Above(HeightOf(shapes, shape.rest)));
    }
    height = std::max(height, Above(HeightOf(shapes, shape.first[index])));
  }
  return height;
}

std::uint16_t HeightOfObject(const Shapes& shapes, const ObjectShape& shape) {
  std::uint16_t height = 0;
  std::vector<std::uint16_t> free;  // heights of members that need not come
  for (std::size_t i = 0; i < shape.values.size(); ++i) {
    const std::uint16_t value = Above(HeightOf(shapes, shape.values[i]));
    if (shape.required[i]) {
      height = std::max(height, value);
    } else {
      free.push_back(value);
    }
  }
  const auto required = static_cast<std::int32_t>(shape.values.size() - free.size());
  for (const MemberClass& member : shape.classes)
    if (member.property < 0) free.push_back(Above(HeightOf(shapes, member.value)));
  std::ranges::sort(free);
  const auto more = static_cast<std::size_t>(std::max(0, shape.least - required));
  if (more > free.size()) return kNoHeight;
  return more == 0 ? height : std::max(height, free[more - 1]);
}

std::uint16_t HeightOf(const Shapes& shapes, const Alternative& one) {
  const auto at = static_cast<std::size_t>(one.shape);
  if (one.kind == ShapeKind::kArray) return HeightOfArray(shapes, shapes.arrays[at]);
  if (one.kind == ShapeKind::kObject) return HeightOfObject(shapes, shapes.objects[at]);
  return 0;
}

// Backwards from the states that accept.
void FindNames(const Shapes& shapes, ObjectShape& shape) {
  const std::int32_t states = shape.names.states();
  std::vector<std::vector<std::int32_t>> from(static_cast<std::size_t>(states));
  for (std::int32_t state = 0; state < states; ++state) {
    std::int32_t before = Dfa::kNone;
    for (int byte = 0; byte < 256; ++byte) {
      const std::int32_t next = shape.names.Next(state, static_cast<std::uint8_t>(byte));
      if (next == Dfa::kNone || next == before) continue;
      before = next;
      from[static_cast<std::size_t>(next)].push_back(state);
    }
  }
  shape.others.assign(static_cast<std::size_t>(states), kNoHeight);
  shape.reachable.assign(static_cast<std::size_t>(states), {});
  std::vector<std::int32_t> seen(static_cast<std::size_t>(states), -1);
  for (std::int32_t end = 0; end < states; ++end) {
    const std::int32_t of_class = shape.class_at[static_cast<std::size_t>(end)];
    if (of_class < 0) continue;
    const MemberClass& member = shape.classes[static_cast<std::size_t>(of_class)];
    const std::uint16_t height = HeightOf(shapes, member.value);
    if (height == kNoHeight) continue;
    std::vector<std::int32_t> open = {end};
    while (!open.empty()) {
      const auto state = static_cast<std::size_t>(open.back());
      open.pop_back();
      if (member.property < 0) {
        if (shape.others[state] <= height) continue;
        shape.others[state] = height;
      } else {
        if (std::exchange(seen[state], end) == end) continue;
        shape.reachable[state].push_back(member.property);
      }
      open.insert(open.end(), from[state].begin(), from[state].end());
    }
  }
}

}  // namespace

void FindHeights(Shapes& shapes) {
  shapes.heights.assign(shapes.nodes.size(), kNoHeight);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t node = 0; node < shapes.nodes.size(); ++node) {
      for (Alternative& one : shapes.nodes[node]) {
        one.height = HeightOf(shapes, one);
        if (one.height >= shapes.heights[node]) continue;
        shapes.heights[node] = one.height;
        changed = true;
      }
    }
  }
  for (std::vector<Alternative>& node : shapes.nodes)
    std::erase_if(node, [](const Alternative& one) { return one.height == kNoHeight; });
  for (ObjectShape& shape : shapes.objects) FindNames(shapes, shape);
}

}  // namespace metier::grammar
