#include "grammar/cfg/cfg_machine.h"

#include <algorithm>
#include <limits>

#include "grammar/cfg/calls.h"

namespace metier::grammar {
namespace {

constexpr std::uint16_t kNoWay = std::numeric_limits<std::uint16_t>::max();

}  // namespace

// What a part begins with has a higher number, so the last ones are known first.
CfgMachine::CfgMachine(const Cfg& cfg) : cfg_(cfg) {
  std::int32_t highest = 0;
  std::vector<std::int32_t> chains(cfg.parts.size(), 1);
  for (std::size_t i = cfg.parts.size(); i-- > 0;) {
    const CfgPart& part = cfg.parts[i];
    const auto begins_with = [&](std::int32_t called) {
      chains[i] = std::max(chains[i], 1 + chains[static_cast<std::size_t>(called)]);
    };
    if (part.item >= 0) begins_with(part.item);
    if (!part.calls.empty())
      for (const CfgCall& call : part.calls.front()) begins_with(call.part);
    most_at_once_ = std::max(most_at_once_, chains[i]);
    highest = std::max<std::int32_t>(highest, part.height);
    for (const std::uint16_t height : part.heights)
      if (height != kNoWay) highest = std::max<std::int32_t>(highest, height);
  }
  enough_room_ =
      static_cast<std::uint16_t>(std::min<std::int32_t>(kNoWay, highest + most_at_once_ + 1));
}

void CfgMachine::Begin(Node node, std::uint16_t room, std::vector<Frame>& frames) const {
  Frame frame;
  frame.room = room;
  frame.of = node;
  frame.c = PartAt(node).least;
  frame.d = PartAt(node).most;
  frames.push_back(frame);
}

void CfgMachine::Read(const Frame& frame, std::uint8_t byte, std::vector<Move>& moves) {
  const CfgPart& part = PartOf(frame);
  Frame next = frame;
  if (part.item >= 0) {
    if (frame.d == 0 || !Fits(part.item, frame, byte)) return;
    next.c = std::max(0, frame.c - 1);
    --next.d;
    moves.push_back({next, part.item});
    return;
  }
  if (byte >= kFirstCallByte) return;
  next.a = part.body.Next(frame.a, byte);
  const auto leads = [&] { return part.heights[static_cast<std::size_t>(next.a)] <= frame.room; };
  if (next.a != Dfa::kNone && leads()) moves.push_back({next});
  for (const CfgCall& call : part.calls[static_cast<std::size_t>(frame.a)]) {
    next.a = call.behind;
    if (Fits(call.part, frame, byte) && leads()) moves.push_back({next, call.part});
  }
}

bool CfgMachine::Complete(const Frame& frame) const {
  const CfgPart& part = PartOf(frame);
  return part.item >= 0 ? frame.c == 0 : part.body.Accepts(frame.a);
}

bool CfgMachine::Ends(const Frame& frame) const {
  const CfgPart& part = PartOf(frame);
  return part.item >= 0 ? frame.d == 0 : part.body.Ends(frame.a);
}

// A byte begins one text of a repetition, and puts at most `most_at_once_` parts on one another.
Frame CfgMachine::Near(const Frame& frame, std::int32_t bytes) const {
  Frame near = frame;
  near.c = std::min(frame.c, bytes);
  near.d = std::min(frame.d, bytes + 1);
  const std::int64_t room = std::int64_t{most_at_once_} * bytes + enough_room_;
  near.room = static_cast<std::uint16_t>(std::min<std::int64_t>(frame.room, room));
  return near;
}

std::optional<Machine::AnyCharacters> CfgMachine::InAnyString(const Frame& /*frame*/) const {
  return std::nullopt;
}

}  // namespace metier::grammar
