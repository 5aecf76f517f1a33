#include "grammar/automata/dfa.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace metier::grammar {
namespace {

// Rounds of refinement: of chains it takes as many as they are long, and saves nothing.
constexpr int kMostRounds = 24;
// So many states are no fewer for what telling them apart costs.
constexpr std::int32_t kMostMinimised = 1 << 14;

struct RowHash {
  std::size_t operator()(const std::vector<std::int32_t>& row) const {
    std::uint64_t sum = row.size();
    for (const std::int32_t value : row)
      sum = (sum ^ static_cast<std::uint32_t>(value)) * 0x9E3779B97F4A7C15ULL;
    return sum ^ (sum >> 32);
  }
};

constexpr std::uint64_t PairKey(std::int32_t a, std::int32_t b) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32 |
         static_cast<std::uint32_t>(b);
}

std::array<bool, 256> JointClasses(const Dfa& a, const Dfa& b) {
  std::array<bool, 256> begins = {};
  for (const Dfa* dfa : {&a, &b})
    for (std::size_t byte = 1; byte < begins.size(); ++byte)
      if (dfa->ClassOf(static_cast<std::uint8_t>(byte)) !=
          dfa->ClassOf(static_cast<std::uint8_t>(byte - 1)))
        begins[byte] = true;
  return begins;
}

enum class Second { kWanted, kUnwanted };

Result<Dfa> Product(const Dfa& a, const Dfa& b, Second second, const AutomatonLimits& limits) {
  if (a.empty() || (second == Second::kWanted && b.empty())) return Dfa();
  DfaBuilder builder(JointClasses(a, b));
  std::unordered_map<std::uint64_t, std::int32_t> known;
  std::vector<std::pair<std::int32_t, std::int32_t>> pairs;
  const auto state_of = [&](std::int32_t x, std::int32_t y) {
    const auto [found, fresh] = known.try_emplace(PairKey(x, y), builder.states());
    if (!fresh) return found->second;
    const bool in_second = y != Dfa::kNone && b.Accepts(y);
    const bool accepts = in_second == (second == Second::kWanted);
    pairs.emplace_back(x, y);
    return builder.AddState(accepts ? a.LabelsOf(x) : std::vector<Dfa::Label>());
  };
  state_of(a.start(), b.start());
  for (std::size_t at = 0; at < pairs.size(); ++at) {
    if (static_cast<std::int64_t>(at) > limits.max_states) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("an automaton of two languages has more than {} states, the limit",
                               limits.max_states));
    }
    const auto [x, y] = pairs[at];
    for (int c = 0; c < builder.classes(); ++c) {
      const std::uint8_t byte = builder.ByteOf(c);
      const std::int32_t next_x = a.Next(x, byte);
      const std::int32_t next_y = y == Dfa::kNone ? Dfa::kNone : b.Next(y, byte);
      if (next_x == Dfa::kNone) continue;
      if (next_y == Dfa::kNone && second == Second::kWanted) continue;
      builder.Set(static_cast<std::int32_t>(at), c, state_of(next_x, next_y));
    }
  }
  return std::move(builder).Build();
}

}  // namespace

bool Dfa::Ends(std::int32_t state) const {
  const auto* row = next_.data() + static_cast<std::ptrdiff_t>(state) * classes_;
  return std::all_of(row, row + classes_, [](std::int32_t next) { return next == kNone; });
}

std::int32_t Dfa::After(std::string_view bytes, std::int32_t state) const {
  if (empty()) return kNone;
  for (const char byte : bytes) {
    if (state == kNone) return kNone;
    state = Next(state, static_cast<std::uint8_t>(byte));
  }
  return state;
}

bool Dfa::Accepts(std::string_view bytes) const {
  const std::int32_t state = After(bytes);
  return state != kNone && Accepts(state);
}

// States are all reachable and lead to acceptance, so any cycle will do.
bool Dfa::Endless() const {
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(accepts_.size(), Mark::kNew);
  std::vector<std::pair<std::int32_t, std::int32_t>> open;  // a state, and its next class
  if (!empty()) open.emplace_back(kStart, 0);
  while (!open.empty()) {
    auto& [state, c] = open.back();
    marks[static_cast<std::size_t>(state)] = Mark::kOpen;
    if (c == classes_) {
      marks[static_cast<std::size_t>(state)] = Mark::kDone;
      open.pop_back();
      continue;
    }
    const std::int32_t next = next_[static_cast<std::size_t>(state * classes_ + c++)];
    if (next == kNone || marks[static_cast<std::size_t>(next)] == Mark::kDone) continue;
    if (marks[static_cast<std::size_t>(next)] == Mark::kOpen) return true;
    open.emplace_back(next, 0);
  }
  return false;
}

DfaBuilder::DfaBuilder(const std::array<bool, 256>& begins_class) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte == 0 || begins_class[static_cast<std::size_t>(byte)])
      bytes_.push_back(static_cast<std::uint8_t>(byte));
    dfa_.class_of_[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(bytes_.size() - 1);
  }
  dfa_.classes_ = static_cast<std::int32_t>(bytes_.size());
}

std::int32_t DfaBuilder::AddState(std::vector<Dfa::Label> labels) {
  const auto found = std::ranges::find(dfa_.label_sets_, labels);
  dfa_.accepts_.push_back(static_cast<std::int32_t>(found - dfa_.label_sets_.begin()));
  if (found == dfa_.label_sets_.end()) dfa_.label_sets_.push_back(std::move(labels));
  dfa_.next_.insert(dfa_.next_.end(), static_cast<std::size_t>(dfa_.classes_), Dfa::kNone);
  return dfa_.states() - 1;
}

void DfaBuilder::Set(std::int32_t state, int of_class, std::int32_t next) {
  dfa_.next_[static_cast<std::size_t>(state * dfa_.classes_ + of_class)] = next;
}

void DfaBuilder::Renumber(const std::vector<std::int32_t>& number, std::int32_t count) {
  std::vector<std::int32_t> next(static_cast<std::size_t>(count * dfa_.classes_), Dfa::kNone);
  std::vector<std::int32_t> accepts(static_cast<std::size_t>(count), 0);
  for (std::int32_t state = 0; state < dfa_.states(); ++state) {
    const std::int32_t now = number[static_cast<std::size_t>(state)];
    if (now == Dfa::kNone) continue;
    accepts[static_cast<std::size_t>(now)] = dfa_.accepts_[static_cast<std::size_t>(state)];
    for (std::int32_t c = 0; c < dfa_.classes_; ++c) {
      const std::int32_t to = dfa_.next_[static_cast<std::size_t>(state * dfa_.classes_ + c)];
      next[static_cast<std::size_t>(now * dfa_.classes_ + c)] =
          to == Dfa::kNone ? Dfa::kNone : number[static_cast<std::size_t>(to)];
    }
  }
  dfa_.next_ = std::move(next);
  dfa_.accepts_ = std::move(accepts);
}

void DfaBuilder::Trim() {
  std::vector<std::vector<std::int32_t>> from(dfa_.accepts_.size());
  for (std::int32_t state = 0; state < dfa_.states(); ++state) {
    for (std::int32_t c = 0; c < dfa_.classes_; ++c) {
      const std::int32_t to = dfa_.next_[static_cast<std::size_t>(state * dfa_.classes_ + c)];
      if (to == Dfa::kNone) continue;
      std::vector<std::int32_t>& sources = from[static_cast<std::size_t>(to)];
      if (sources.empty() || sources.back() != state) sources.push_back(state);
    }
  }
  std::vector<bool> useful(dfa_.accepts_.size());
  std::vector<std::int32_t> open;
  const auto mark = [&](std::int32_t state) {
    if (useful[static_cast<std::size_t>(state)]) return;
    useful[static_cast<std::size_t>(state)] = true;
    open.push_back(state);
  };
  for (std::int32_t state = 0; state < dfa_.states(); ++state)
    if (dfa_.Accepts(state)) mark(state);
  while (!open.empty()) {
    const std::int32_t state = open.back();
    open.pop_back();
    for (const std::int32_t source : from[static_cast<std::size_t>(state)]) mark(source);
  }
  std::vector<std::int32_t> number(dfa_.accepts_.size(), Dfa::kNone);
  std::int32_t count = 0;
  if (!number.empty() && useful.front()) {
    for (std::size_t state = 0; state < number.size(); ++state)
      if (useful[state]) number[state] = count++;
  }
  Renumber(number, count);
}

// Moore's refinement: states differ that accept differently or lead to states that differ.
void DfaBuilder::Minimise() {
  const std::int32_t states = dfa_.states();
  if (states > kMostMinimised) return;
  std::vector<std::int32_t> group = dfa_.accepts_;
  std::size_t groups = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    std::unordered_map<std::vector<std::int32_t>, std::int32_t, RowHash> rows;
    std::vector<std::int32_t> refined(group.size());
    for (std::int32_t state = 0; state < states; ++state) {
      std::vector<std::int32_t> row = {group[static_cast<std::size_t>(state)]};
      for (std::int32_t c = 0; c < dfa_.classes_; ++c) {
        const std::int32_t to = dfa_.next_[static_cast<std::size_t>(state * dfa_.classes_ + c)];
        row.push_back(to == Dfa::kNone ? Dfa::kNone : group[static_cast<std::size_t>(to)]);
      }
      // In the order of the states, so the first one stays the first.
      const auto number = static_cast<std::int32_t>(rows.size());
      refined[static_cast<std::size_t>(state)] =
          rows.try_emplace(std::move(row), number).first->second;
    }
    group = std::move(refined);
    if (rows.size() == groups || rows.size() == group.size()) {
      Renumber(group, static_cast<std::int32_t>(rows.size()));
      return;
    }
    groups = rows.size();
  }
}

Dfa DfaBuilder::Build() && {
  Trim();
  Minimise();
  return std::move(dfa_);
}

Result<Dfa> Intersect(const Dfa& a, const Dfa& b, const AutomatonLimits& limits) {
  return Product(a, b, Second::kWanted, limits);
}

Result<Dfa> Subtract(const Dfa& a, const Dfa& b, const AutomatonLimits& limits) {
  return Product(a, b, Second::kUnwanted, limits);
}

}  // namespace metier::grammar
