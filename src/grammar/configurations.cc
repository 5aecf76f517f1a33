#include "grammar/configurations.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace metier::grammar {
namespace {

constexpr std::uint64_t kMix = 0x9E3779B97F4A7C15ULL;

std::uint64_t Mixed(std::uint64_t sum, std::uint64_t value) {
  sum = (sum ^ value) * kMix;
  return sum ^ (sum >> 32);
}

}  // namespace

std::size_t Configurations::FrameHash::operator()(const Frame& frame) const {
  const std::uint64_t place = frame.kind | std::uint64_t{frame.phase} << 8 |
                              std::uint64_t{frame.gap} << 16 | std::uint64_t{frame.room} << 24;
  std::uint64_t sum = Mixed(place, static_cast<std::uint32_t>(frame.of));
  for (const std::int32_t value : {frame.a, frame.b, frame.c, frame.d})
    sum = Mixed(sum, static_cast<std::uint32_t>(value));
  return sum;
}

std::size_t Configurations::SetHash::operator()(const std::vector<Element>& elements) const {
  std::uint64_t sum = elements.size();
  for (const Element& element : elements) {
    sum = Mixed(sum, static_cast<std::uint64_t>(static_cast<std::uint32_t>(element.frame)) << 32 |
                         static_cast<std::uint32_t>(element.below));
  }
  return sum;
}

Configurations::Configurations(Machine& machine) : machine_(machine) {
  std::vector<Frame> frames;
  machine.Begin(machine.root(), machine.room(), frames);
  Step step;
  for (const Frame& frame : frames) Arrive(frame, kNone, step);
  start_ = Intern(std::move(step.found));
}

std::int32_t Configurations::FrameId(const Frame& frame) {
  const auto next = static_cast<std::int32_t>(frames_.size());
  const auto [found, fresh] = frame_ids_.try_emplace(frame, next);
  if (fresh) frames_.push_back(frame);
  return found->second;
}

// Elements of one frame become one, whose below is all of theirs.
Configurations::Id Configurations::Intern(Found found) {
  if (found.elements.empty() && !found.complete) return kNone;
  std::ranges::sort(found.elements);
  std::vector<Element> merged;
  for (std::size_t at = 0; at < found.elements.size();) {
    std::size_t end = at + 1;
    while (end < found.elements.size() && found.elements[end].frame == found.elements[at].frame)
      ++end;
    Element one = found.elements[at];
    Found below;
    for (std::size_t i = at; i < end; ++i) {
      const Id of_this = found.elements[i].below;
      if (i > at && of_this == found.elements[i - 1].below) continue;
      if (of_this == kNone) {
        below.complete = true;
        continue;
      }
      const std::span<const Element> elements = ElementsOf(of_this);
      below.elements.insert(below.elements.end(), elements.begin(), elements.end());
      below.complete = below.complete || Complete(of_this);
    }
    const bool alike =
        std::all_of(found.elements.begin() + static_cast<std::ptrdiff_t>(at),
                    found.elements.begin() + static_cast<std::ptrdiff_t>(end),
                    [&](const Element& element) { return element.below == one.below; });
    if (!alike) one.below = Intern(std::move(below));
    merged.push_back(one);
    at = end;
  }
  const auto next = static_cast<Id>(sets_.size());
  const auto [known, fresh] = set_ids_[found.complete ? 1 : 0].try_emplace(std::move(merged), next);
  if (fresh) {
    sets_.push_back(known->first);
    complete_.push_back(found.complete);
    rows_.emplace_back();
  }
  return known->second;
}

Configurations::Id Configurations::Of(std::vector<Element> elements) {
  return Intern({std::move(elements), false});
}

void Configurations::Arrive(const Frame& frame, Id below, Step& step) {
  if (!machine_.Ends(frame)) step.found.elements.push_back({FrameId(frame), below});
  if (!machine_.Complete(frame)) return;
  if (below == kNone || Complete(below)) step.found.complete = true;
  if (below == kNone || std::ranges::find(step.resumed, below) != step.resumed.end()) return;
  step.resumed.push_back(below);
  const std::vector<Element> under = sets_[static_cast<std::size_t>(below)];
  for (const Element& element : under)
    Arrive(machine_.Resume(FrameOf(element)), element.below, step);
}

void Configurations::Read(const Frame& frame, Id below, Step& step) {
  std::vector<Machine::Move> moves;
  machine_.Read(frame, step.byte, moves);
  for (const Machine::Move& move : moves) {
    if (move.inside == Machine::kNoNode) {
      Arrive(move.frame, below, step);
      continue;
    }
    // What will have nothing more to do when it goes on need not wait: its place and its room are
    // free.
    const Frame after = machine_.Resume(move.frame);
    const bool last = machine_.Ends(after) && machine_.Complete(after);
    const auto room = static_cast<std::uint16_t>(move.frame.room - (last ? 0 : 1));
    Found& under = step.inside[{move.inside, room}];
    if (!last) {
      under.elements.push_back({FrameId(move.frame), below});
      continue;
    }
    under.complete = under.complete || below == kNone || Complete(below);
    if (below == kNone) continue;
    const std::span<const Element> elements = ElementsOf(below);
    under.elements.insert(under.elements.end(), elements.begin(), elements.end());
  }
}

Configurations::Id Configurations::Compute(Id from, std::uint8_t byte) {
  Step step;
  step.byte = byte;
  const std::vector<Element> elements = sets_[static_cast<std::size_t>(from)];
  for (const Element& element : elements) {
    const Frame frame = FrameOf(element);
    Read(frame, element.below, step);
  }
  // In the order of their numbers: all that one comes on top of is known by then.
  while (!step.inside.empty()) {
    auto next = step.inside.extract(step.inside.begin());
    const auto [node, room] = next.key();
    Found& under = next.mapped();
    const Id below = under.elements.empty() ? kNone : Intern(std::move(under));
    std::vector<Frame> frames;
    machine_.Begin(node, room, frames);
    for (const Frame& frame : frames) Read(frame, below, step);
  }
  const Id next = Intern(std::move(step.found));
  std::unique_ptr<Row>& row = rows_[static_cast<std::size_t>(from)];
  if (row == nullptr) {
    row = std::make_unique<Row>();
    row->fill(kUnknown);
  }
  (*row)[byte] = next;
  return next;
}

Configurations::Id Configurations::Near(Id id, std::int32_t bytes) {
  if (id == kNone) return kNone;
  const auto known = near_.find(id);
  if (known != near_.end()) return known->second;
  Found found;
  found.complete = Complete(id);
  const std::vector<Element> elements = sets_[static_cast<std::size_t>(id)];
  for (const Element& element : elements) {
    const Frame frame = machine_.Near(FrameOf(element), bytes);
    found.elements.push_back({FrameId(frame), Near(element.below, bytes)});
  }
  const Id near = Intern(std::move(found));
  near_.emplace(id, near);
  near_.emplace(near, near);
  return near;
}

}  // namespace metier::grammar
