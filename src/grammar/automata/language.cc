#include "grammar/automata/language.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace metier::grammar {
namespace {

using Kind = Pattern::Kind;

bool Has(const Pattern& pattern, Kind kind) {
  return pattern.kind == kind ||
         std::ranges::any_of(pattern.parts, [&](const Pattern& part) { return Has(part, kind); });
}

Pattern AnyText() { return Pattern::Repeat(Pattern::Set(CodePoints::All()), 0); }

// The parts of a sequence, those of groups among them.
void Flatten(const Pattern& pattern, std::vector<Pattern>& parts) {
  if (pattern.kind != Kind::kSequence) {
    parts.push_back(pattern);
    return;
  }
  for (const Pattern& part : pattern.parts) Flatten(part, parts);
}

class SequenceLanguage {
 public:
  SequenceLanguage(const Pattern& pattern, Match match, Spelling spelling,
                   const AutomatonLimits& limits)
      : match_(match), spelling_(spelling), limits_(limits) {
    Flatten(pattern, parts_);
    // Neither reads anything, so they change places: then "^" stands where the text begins.
    for (std::size_t i = 1; i < parts_.size(); ++i)
      for (std::size_t j = i;
           j > 0 && parts_[j].kind == Kind::kBegin && parts_[j - 1].kind == Kind::kAhead; --j)
        std::swap(parts_[j], parts_[j - 1]);
  }

  // Of the parts from here on, and of what comes behind the pattern.
  Result<Dfa> From(std::size_t first) const {
    const std::span<const Pattern> rest = std::span(parts_).subspan(first);
    const auto looks = std::ranges::find(rest, Kind::kAhead, &Pattern::kind);
    Nfa nfa(spelling_);
    std::int32_t state = nfa.AddState();
    const std::int32_t start = state;
    const auto add = [&](const Pattern& pattern) -> Status {
      const std::int32_t next = nfa.AddState();
      METIER_TRY(nfa.AddPattern(pattern, state, next, limits_));
      state = next;
      return Ok();
    };
    if (first == 0 && match_ == Match::kAnywhere) METIER_TRY(add(AnyText()));
    for (auto part = rest.begin(); part != looks; ++part) {
      if (first > 0 && Has(*part, Kind::kBegin)) return BeginBehindLookahead();
      METIER_TRY(add(*part));
    }
    const std::int32_t end = nfa.AddState();
    nfa.Accept(end, 0);
    if (looks == rest.end()) {
      if (match_ == Match::kAnywhere) METIER_TRY(add(AnyText()));
      nfa.AddFree(state, end);
      return nfa.Determinise(start, limits_);
    }
    const auto behind = first + static_cast<std::size_t>(looks - rest.begin()) + 1;
    // Whether nothing was read yet where it looks.
    const bool at_begin =
        std::all_of(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(behind),
                    [](const Pattern& part) {
                      return part.kind == Kind::kBegin || part.kind == Kind::kAhead;
                    }) &&
        (match_ == Match::kWhole || parts_.front().kind == Kind::kBegin);
    METIER_ASSIGN(const Dfa allowed, Looked(*looks, behind, at_begin));
    nfa.AddDfa(allowed, state, end);
    return nfa.Determinise(start, limits_);
  }

 private:
  static Error BeginBehindLookahead() {
    return {ErrorCode::kUnsupported,
            "'^' behind a lookahead, or in one that does not stand where the text begins"};
  }

  // What the parts from `behind` on may be, where the lookahead in front of them looks.
  Result<Dfa> Looked(const Pattern& looks, std::size_t behind, bool at_begin) const {
    if (!at_begin && Has(looks.parts.front(), Kind::kBegin)) return BeginBehindLookahead();
    METIER_ASSIGN(const Dfa rest, From(behind));
    std::vector<Pattern> ahead = {looks.parts.front(), AnyText()};
    METIER_ASSIGN(const Dfa seen, LanguageOf(Pattern::Sequence(std::move(ahead)), Match::kWhole,
                                             spelling_, limits_));
    return looks.negative ? Subtract(rest, seen, limits_) : Intersect(rest, seen, limits_);
  }

  Match match_;
  Spelling spelling_;
  const AutomatonLimits& limits_;
  std::vector<Pattern> parts_;
};

// What a byte means in the inside of a JSON string.
enum class Place : std::uint8_t { kPlain, kBehindSlash, kDigit1, kDigit2, kDigit3, kDigit4 };
constexpr std::size_t kPlaces = 6;

struct Step {
  Place place = Place::kPlain;
  int characters = 0;  // that begin here
};
Step StepOf(Place place, std::uint8_t byte) {
  switch (place) {
    case Place::kPlain:
      if (byte == '\\') return {Place::kBehindSlash, 1};
      return {Place::kPlain, (byte & 0xC0) == 0x80 ? 0 : 1};
    case Place::kBehindSlash: return {byte == 'u' ? Place::kDigit1 : Place::kPlain, 0};
    case Place::kDigit1: return {Place::kDigit2, 0};
    case Place::kDigit2: return {Place::kDigit3, 0};
    case Place::kDigit3: return {Place::kDigit4, 0};
    case Place::kDigit4: break;
  }
  return {Place::kPlain, 0};
}

}  // namespace

Result<Dfa> LanguageOf(const Pattern& pattern, Match match, Spelling spelling,
                       const AutomatonLimits& limits) {
  const bool choice = pattern.kind == Kind::kChoice && Has(pattern, Kind::kAhead);
  if (!choice) return SequenceLanguage(pattern, match, spelling, limits).From(0);
  Nfa nfa(spelling);
  const std::int32_t start = nfa.AddState();
  const std::int32_t end = nfa.AddState();
  nfa.Accept(end, 0);
  for (const Pattern& part : pattern.parts) {
    METIER_ASSIGN(const Dfa one, LanguageOf(part, match, spelling, limits));
    nfa.AddDfa(one, start, end);
  }
  return nfa.Determinise(start, limits);
}

// Shortest: nearest first, steps of no character before those of one. Longest: endless where a
// cycle has a character in it; every cycle does, because a text has one at its first byte.
Lengths LengthsOf(const Dfa& dfa) {
  METIER_CHECK(!dfa.empty(), "lengths of no text");
  const auto size = static_cast<std::size_t>(dfa.states()) * kPlaces;
  const auto index = [](std::int32_t state, Place place) {
    return static_cast<std::size_t>(state) * kPlaces + static_cast<std::size_t>(place);
  };
  Lengths lengths;
  if (!dfa.Endless()) lengths.most = 0;
  // Rounds of one character each: what is reached by that many.
  std::vector<bool> known(size);
  std::vector<std::pair<std::int32_t, Place>> now = {{dfa.start(), Place::kPlain}};
  bool found = false;
  for (std::int64_t count = 0; !now.empty(); ++count) {
    std::vector<std::pair<std::int32_t, Place>> next;
    std::vector<bool> here(size);
    for (std::size_t at = 0; at < now.size(); ++at) {
      const auto [state, place] = now[at];
      if (here[index(state, place)]) continue;
      here[index(state, place)] = true;
      if (dfa.Accepts(state) && place == Place::kPlain) {
        if (!std::exchange(found, true)) lengths.least = count;
        if (lengths.most) lengths.most = count;
      }
      // Of an endless language only the shortest text is looked for.
      if (!lengths.most && known[index(state, place)]) continue;
      known[index(state, place)] = true;
      for (int byte = 0; byte < 256; ++byte) {
        const std::int32_t to = dfa.Next(state, static_cast<std::uint8_t>(byte));
        if (to == Dfa::kNone) continue;
        const Step step = StepOf(place, static_cast<std::uint8_t>(byte));
        (step.characters > 0 ? next : now).emplace_back(to, step.place);
      }
    }
    if (found && !lengths.most) return lengths;
    now = std::move(next);
  }
  return lengths;
}

// The automaton's states, each with how many characters came before it.
Result<Dfa> WithLengths(const Dfa& dfa, std::int64_t least, std::optional<std::int64_t> most,
                        const AutomatonLimits& limits) {
  struct At {
    std::int32_t state = Dfa::kStart;
    Place place = Place::kPlain;
    std::int64_t count = 0;  // further ones change nothing
    auto operator<=>(const At&) const = default;
  };
  if (dfa.empty()) return Dfa();
  std::array<bool, 256> begins = {};
  for (std::size_t byte = 1; byte < begins.size(); ++byte) {
    const auto here = static_cast<std::uint8_t>(byte);
    const auto before = static_cast<std::uint8_t>(byte - 1);
    begins[byte] = dfa.ClassOf(here) != dfa.ClassOf(before);
  }
  // What StepOf tells apart: backslash, u, and bytes that begin no character.
  for (const int byte : {0x5C, 0x5D, 0x75, 0x76, 0x80, 0xC0})
    begins[static_cast<std::size_t>(byte)] = true;
  DfaBuilder builder(begins);
  std::map<At, std::int32_t> known;
  std::vector<At> all;
  const std::int64_t enough = most ? *most : least;
  const auto state_of = [&](const At& at) {
    const auto [found, fresh] = known.try_emplace(at, builder.states());
    if (!fresh) return found->second;
    all.push_back(at);
    const bool accepts = dfa.Accepts(at.state) && at.place == Place::kPlain && at.count >= least;
    return builder.AddState(accepts ? dfa.LabelsOf(at.state) : std::vector<Dfa::Label>());
  };
  state_of({});
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (static_cast<std::int64_t>(i) > limits.max_states) {
      return Error(
          ErrorCode::kResourceExhausted,
          fmt::format("texts of {} to {} characters of a pattern need more than {} states, "
                      "the limit",
                      least, most.value_or(least), limits.max_states));
    }
    for (int c = 0; c < builder.classes(); ++c) {
      const At at = all[i];
      const std::uint8_t byte = builder.ByteOf(c);
      const std::int32_t next = dfa.Next(at.state, byte);
      if (next == Dfa::kNone) continue;
      const Step step = StepOf(at.place, byte);
      if (most && at.count + step.characters > *most) continue;
      const std::int64_t count = std::min(enough, at.count + step.characters);
      builder.Set(static_cast<std::int32_t>(i), c, state_of({next, step.place, count}));
    }
  }
  return std::move(builder).Build();
}

}  // namespace metier::grammar
