#include "grammar/cfg/left_recursion.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "grammar/cfg/calls.h"

namespace metier::grammar {
namespace {

constexpr std::size_t kMostInCircles = 32;

// The parts that a part can begin with.
std::vector<std::int32_t> Beginnings(const RawPart& part) {
  if (part.item >= 0) return {part.item};
  std::vector<std::int32_t> beginnings;
  if (part.body.empty()) return beginnings;
  for (const CfgCall& call : CallsAt(part.body, Dfa::kStart)) beginnings.push_back(call.part);
  return beginnings;
}

struct BeginningOrder {
  std::vector<std::int32_t> order;      // what begins with a part stands before it
  std::vector<std::int32_t> unordered;  // in circles, or between them
};

// Takes away what nothing begins with, over and over; of what is left, what begins with nothing.
BeginningOrder OrderBeginnings(const std::vector<RawPart>& parts) {
  const std::size_t count = parts.size();
  std::vector<std::vector<std::int32_t>> out(count);
  std::vector<std::vector<std::int32_t>> in(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = Beginnings(parts[i]);
    for (const std::int32_t to : out[i])
      in[static_cast<std::size_t>(to)].push_back(static_cast<std::int32_t>(i));
  }
  std::vector<bool> gone(count);
  const auto peel = [&](const std::vector<std::vector<std::int32_t>>& towards,
                        const std::vector<std::vector<std::int32_t>>& back) {
    std::vector<std::size_t> left(count);
    std::vector<std::int32_t> taken;
    for (std::size_t i = 0; i < count; ++i) {
      if (gone[i]) continue;
      left[i] = static_cast<std::size_t>(std::ranges::count_if(
          back[i], [&](std::int32_t from) { return !gone[static_cast<std::size_t>(from)]; }));
      if (left[i] == 0) taken.push_back(static_cast<std::int32_t>(i));
    }
    for (std::size_t at = 0; at < taken.size(); ++at) {
      const auto from = static_cast<std::size_t>(taken[at]);
      gone[from] = true;
      for (const std::int32_t to : towards[from]) {
        const auto index = static_cast<std::size_t>(to);
        if (!gone[index] && --left[index] == 0) taken.push_back(to);
      }
    }
    return taken;
  };
  BeginningOrder result;
  result.order = peel(out, in);
  if (result.order.size() == count) return result;
  peel(in, out);
  for (std::size_t i = 0; i < count; ++i)
    if (!gone[i]) result.unordered.push_back(static_cast<std::int32_t>(i));
  return result;
}

// The names on a way from the first part through others of the circles until one comes again.
std::string CircleOf(const std::vector<RawPart>& parts, const std::vector<std::int32_t>& among) {
  std::vector<std::int32_t> way = {among.front()};
  for (;;) {
    const std::vector<std::int32_t> next = Beginnings(parts[static_cast<std::size_t>(way.back())]);
    const auto found = std::ranges::find_if(
        next, [&](std::int32_t part) { return std::ranges::find(among, part) != among.end(); });
    const auto before = std::ranges::find(way, *found);
    const bool again = before != way.end();
    if (again) way.erase(way.begin(), before);
    way.push_back(*found);
    if (again) break;
  }
  std::string names;
  std::string_view last;
  for (const std::int32_t part : way) {
    const std::string& name = parts[static_cast<std::size_t>(part)].name;
    if (name != last || part == way.back()) names += (names.empty() ? "'" : " -> '") + name + "'";
    last = name;
  }
  return names;
}

// Without the empty text.
Result<Dfa> NotEmpty(const Dfa& dfa, const AutomatonLimits& limits) {
  Nfa empty(Spelling::kText);
  const std::int32_t start = empty.AddState();
  empty.Accept(start, 0);
  METIER_ASSIGN(const Dfa none, empty.Determinise(start, limits));
  return Subtract(dfa, none, limits);
}

class Eliminator {
 public:
  Eliminator(std::vector<RawPart>& parts, const CfgLimits& limits, std::int64_t& work)
      : parts_(parts), limits_(limits), work_(work) {}

  Status Run(const std::vector<std::int32_t>& among) {
    for (std::size_t i = 0; i < among.size(); ++i) {
      for (std::size_t j = 0; j <= i; ++j) METIER_TRY(Replace(among[i], among[j]));
    }
    return Ok();
  }

 private:
  // Puts the beginning of a part in place of its call; its own beginning: as what comes again.
  Status Replace(std::int32_t of, std::int32_t called) {
    const Dfa body = parts_[static_cast<std::size_t>(of)].body;
    if (body.empty() || parts_[static_cast<std::size_t>(called)].item >= 0) return Ok();
    std::optional<std::int32_t> behind;
    for (const CfgCall& call : CallsAt(body, Dfa::kStart))
      if (call.part == called) behind = call.behind;
    if (!behind) return Ok();
    METIER_ASSIGN(const Dfa rest, Subtract(body, BeginsWithCall(called), limits_.automaton));
    Nfa nfa(Spelling::kText);
    const std::int32_t start = nfa.AddState();
    const std::int32_t end = nfa.AddState();
    const std::int32_t nowhere = nfa.AddState();
    const std::int32_t complete = nfa.AddState();  // what was called
    nfa.Accept(end, 0);
    // What was called is not empty (cfg.h).
    if (of == called) {
      METIER_ASSIGN(const Dfa first, NotEmpty(rest, limits_.automaton));
      if (body.Accepts(Dfa::kStart)) nfa.AddFree(start, end);
      nfa.AddDfa(first, start, complete);
      nfa.AddFree(complete, end);
      nfa.AddFree(complete, nfa.AddDfa(body, nowhere, complete) + *behind);
    } else {
      METIER_ASSIGN(const Dfa first,
                    NotEmpty(parts_[static_cast<std::size_t>(called)].body, limits_.automaton));
      nfa.AddDfa(rest, start, end);
      nfa.AddDfa(first, start, complete);
      nfa.AddFree(complete, nfa.AddDfa(body, nowhere, end) + *behind);
    }
    AutomatonLimits limits = limits_.automaton;
    limits.max_work = work_;
    std::int64_t work = 0;
    Result<Dfa> made = nfa.Determinise(start, limits, &work);
    work_ -= work;
    if (!made.ok()) return std::move(made).error();
    parts_[static_cast<std::size_t>(of)].body = std::move(*made);
    return Ok();
  }

  std::vector<RawPart>& parts_;
  const CfgLimits& limits_;
  std::int64_t& work_;
};

}  // namespace

Result<std::vector<std::int32_t>> RemoveLeftRecursion(std::vector<RawPart>& parts,
                                                      const CfgLimits& limits, std::int64_t& work) {
  const BeginningOrder before = OrderBeginnings(parts);
  if (before.unordered.empty()) return before.order;
  const std::string circle = CircleOf(parts, before.unordered);
  const auto too_much = [&] {
    return fmt::format(
        "left recursion {} cannot be taken out within the limits; write it as a "
        "repetition, `a (b a)*`",
        circle);
  };
  if (before.unordered.size() > kMostInCircles)
    return Error(ErrorCode::kResourceExhausted, too_much());
  const Status removed = Eliminator(parts, limits, work).Run(before.unordered);
  if (!removed.ok()) return Error(ErrorCode::kResourceExhausted, too_much());
  const BeginningOrder after = OrderBeginnings(parts);
  if (!after.unordered.empty()) {
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("left recursion {} through a repetition that is counted; put what must "
                    "come first in front of it",
                    circle));
  }
  return after.order;
}

}  // namespace metier::grammar
