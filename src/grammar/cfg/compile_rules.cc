// Rules to parts, and what a machine asks of them: calls, heights, first bytes.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

#include "grammar/cfg/calls.h"
#include "grammar/cfg/cfg.h"
#include "grammar/cfg/left_recursion.h"
#include "grammar/cfg/part_maker.h"

namespace metier::grammar {
namespace {

constexpr std::uint16_t kNever = std::numeric_limits<std::uint16_t>::max();

std::size_t IndexOf(std::int32_t part) { return static_cast<std::size_t>(part); }

// The bytes of text that lead from a state, one of each class.
template <class Visitor>
void EachStep(const Dfa& dfa, std::int32_t state, Visitor&& visit) {
  int before = -1;
  for (int byte = 0; byte < kFirstCallByte; ++byte) {
    const int of_class = dfa.ClassOf(static_cast<std::uint8_t>(byte));
    if (of_class == before) continue;
    before = of_class;
    const std::int32_t next = dfa.Next(state, static_cast<std::uint8_t>(byte));
    if (next != Dfa::kNone) visit(next);
  }
}

void FillCalls(CfgPart& part) {
  const auto states = static_cast<std::size_t>(part.body.states());
  part.calls.resize(states);
  part.heights.assign(states, kNever);
  std::vector<bool> known(states);
  std::vector<std::int32_t> open;
  const auto reach = [&](std::int32_t state) {
    if (known[IndexOf(state)]) return;
    known[IndexOf(state)] = true;
    open.push_back(state);
  };
  if (!part.body.empty()) reach(Dfa::kStart);
  while (!open.empty()) {
    const std::int32_t state = open.back();
    open.pop_back();
    part.calls[IndexOf(state)] = CallsAt(part.body, state);
    for (const CfgCall& call : part.calls[IndexOf(state)]) reach(call.behind);
    EachStep(part.body, state, reach);
  }
}

// Lowest first: what is known of a state becomes known of those before it (Knuth's generalisation
// of Dijkstra's algorithm).
class Heights {
 public:
  explicit Heights(std::vector<CfgPart>& parts) : parts_(parts), uses_(parts.size()) {
    offsets_.push_back(0);
    for (const CfgPart& part : parts)
      offsets_.push_back(offsets_.back() + std::max<std::size_t>(1, part.calls.size()));
    steps_.resize(offsets_.back());
    calls_.resize(offsets_.back());
    heights_.assign(offsets_.back(), kNever);
    for (std::size_t part = 0; part < parts.size(); ++part) AddPart(part);
  }

  void Run() {
    while (!open_.empty()) {
      const auto [height, place] = open_.top();
      open_.pop();
      if (height != heights_[place]) continue;
      for (const std::size_t before : steps_[place]) Lower(before, height);
      for (const Use& use : calls_[place]) LowerCall(use, place);
      const auto part = static_cast<std::size_t>(std::ranges::upper_bound(offsets_, place) -
                                                 offsets_.begin() - 1);
      if (place != offsets_[part]) continue;
      for (const auto& [use, behind] : uses_[part])
        if (behind == kItem || heights_[behind] != kNever) LowerCall(use, behind);
    }
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      parts_[part].height = heights_[offsets_[part]];
      for (std::size_t state = 0; state < parts_[part].heights.size(); ++state)
        parts_[part].heights[state] = heights_[offsets_[part] + state];
    }
  }

 private:
  // A state, among those of all parts.
  using Place = std::size_t;
  static constexpr Place kItem = std::numeric_limits<Place>::max();
  struct Use {  // a call: from where, of what
    Place from = 0;
    std::size_t part = 0;
  };

  void AddPart(std::size_t index) {
    const CfgPart& part = parts_[index];
    const Place first = offsets_[index];
    if (part.item >= 0) {
      uses_[IndexOf(part.item)].push_back({{first, IndexOf(part.item)}, kItem});
      return;
    }
    for (std::size_t state = 0; state < part.calls.size(); ++state) {
      const Place here = first + state;
      const auto number = static_cast<std::int32_t>(state);
      EachStep(part.body, number,
               [&](std::int32_t next) { steps_[first + IndexOf(next)].push_back(here); });
      for (const CfgCall& call : part.calls[state]) {
        const Place behind = first + IndexOf(call.behind);
        calls_[behind].push_back({here, IndexOf(call.part)});
        uses_[IndexOf(call.part)].push_back({{here, IndexOf(call.part)}, behind});
      }
      if (part.body.Accepts(number)) Lower(here, 0);
    }
  }

  void Lower(Place place, std::uint16_t height) {
    if (height >= heights_[place]) return;
    heights_[place] = height;
    open_.emplace(height, place);
  }

  void LowerCall(const Use& use, Place behind) {
    const std::uint16_t inside = heights_[offsets_[use.part]];
    if (inside >= kNever - 1) return;
    const auto call = static_cast<std::uint16_t>(inside + 1);
    Lower(use.from, behind == kItem ? call : std::max(call, heights_[behind]));
  }

  std::vector<CfgPart>& parts_;
  std::vector<Place> offsets_;                            // of each part
  std::vector<std::vector<Place>> steps_;                 // from where a byte leads here
  std::vector<std::vector<Use>> calls_;                   // from where a call leads here
  std::vector<std::vector<std::pair<Use, Place>>> uses_;  // of each part: its calls, to where
  std::vector<std::uint16_t> heights_;
  std::priority_queue<std::pair<std::uint16_t, Place>, std::vector<std::pair<std::uint16_t, Place>>,
                      std::greater<>>
      open_;
};

void FillFirst(std::vector<CfgPart>& parts, CfgPart& part) {
  if (part.item >= 0) {
    part.first = parts[IndexOf(part.item)].first;
    return;
  }
  for (int byte = 0; byte < kFirstCallByte; ++byte) {
    if (part.body.Next(Dfa::kStart, static_cast<std::uint8_t>(byte)) != Dfa::kNone)
      part.first.set(static_cast<std::size_t>(byte));
  }
  for (const CfgCall& call : part.calls[Dfa::kStart]) part.first |= parts[IndexOf(call.part)].first;
}

// A part without a text that calls itself, by calls of such parts alone.
std::size_t PartWithoutEnd(const std::vector<CfgPart>& parts, std::size_t from) {
  std::vector<bool> seen(parts.size());
  for (std::size_t at = from;;) {
    seen[at] = true;
    std::size_t next = at;
    const auto follow = [&](std::int32_t part) {
      if (parts[IndexOf(part)].height == kNever) next = IndexOf(part);
    };
    if (parts[at].item >= 0) follow(parts[at].item);
    for (const std::vector<CfgCall>& calls : parts[at].calls)
      for (const CfgCall& call : calls) follow(call.part);
    if (seen[next]) return next;
    at = next;
  }
}

}  // namespace

Result<Cfg> CompileRules(const RuleSet& rules, const CfgLimits& limits) {
  std::int64_t work = limits.automaton.max_work;
  METIER_ASSIGN(std::vector<RawPart> raw, PartMaker(rules, limits, work).Run());
  METIER_ASSIGN(const std::vector<std::int32_t> order, RemoveLeftRecursion(raw, limits, work));
  std::vector<std::int32_t> number(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    number[IndexOf(order[i])] = static_cast<std::int32_t>(i);
  Cfg cfg{.root = number[0], .most_nested = limits.most_nested};
  for (const std::int32_t old : order) {
    RawPart& from = raw[IndexOf(old)];
    CfgPart part{.body = std::move(from.body), .least = from.least, .most = from.most};
    if (from.item >= 0) part.item = number[IndexOf(from.item)];
    FillCalls(part);
    for (std::vector<CfgCall>& calls : part.calls)
      for (CfgCall& call : calls) call.part = number[IndexOf(call.part)];
    cfg.parts.push_back(std::move(part));
  }
  Heights(cfg.parts).Run();
  for (std::size_t i = 0; i < cfg.parts.size(); ++i) {
    if (cfg.parts[i].height != kNever) continue;
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("rule '{}': no text is one of it, because it has no end; give it a way "
                    "that does not come back to it",
                    raw[IndexOf(order[PartWithoutEnd(cfg.parts, i)])].name));
  }
  if (cfg.parts[IndexOf(cfg.root)].height > limits.most_nested) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("the shortest nesting of a text is {} rules deep, the limit is {}",
                             cfg.parts[IndexOf(cfg.root)].height, limits.most_nested));
  }
  for (std::size_t i = cfg.parts.size(); i-- > 0;) FillFirst(cfg.parts, cfg.parts[i]);
  return cfg;
}

}  // namespace metier::grammar
