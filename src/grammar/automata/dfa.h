// grammar/automata/dfa.h - deterministic automata over bytes.
//
// Every state lies on a way to acceptance, so a text that has not failed can be completed: an
// automaton without states accepts nothing. States that accept carry labels, which say for what:
// one automaton can stand for many languages at once.
//
// Threads: immutable.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace metier::grammar {

// What an automaton may cost; over it: kResourceExhausted.
struct AutomatonLimits {
  std::int64_t max_states = 1 << 15;
  std::int64_t max_work = 1 << 24;  // states of the nondeterministic automaton looked at
};

class Dfa {
 public:
  static constexpr std::int32_t kNone = -1;  // no such text
  static constexpr std::int32_t kStart = 0;
  using Label = std::int32_t;

  // Accepts nothing.
  Dfa() = default;

  bool empty() const { return accepts_.empty(); }
  std::int32_t states() const { return static_cast<std::int32_t>(accepts_.size()); }
  std::int32_t start() const { return empty() ? kNone : kStart; }
  // Requires a state.
  std::int32_t Next(std::int32_t state, std::uint8_t byte) const {
    return next_[static_cast<std::size_t>(state * classes_ + class_of_[byte])];
  }
  // Bytes of one class lead to the same states everywhere; classes are ranges.
  int ClassOf(std::uint8_t byte) const { return class_of_[byte]; }
  bool Accepts(std::int32_t state) const { return accepts_[static_cast<std::size_t>(state)] != 0; }
  // Ascending; empty where it does not accept.
  const std::vector<Label>& LabelsOf(std::int32_t state) const {
    return label_sets_[static_cast<std::size_t>(accepts_[static_cast<std::size_t>(state)])];
  }
  // Whether no byte leads on: what is accepted here ends here.
  bool Ends(std::int32_t state) const;
  // The state behind these bytes, or kNone.
  std::int32_t After(std::string_view bytes, std::int32_t state = kStart) const;
  bool Accepts(std::string_view bytes) const;
  // Whether texts without end are accepted: a state comes back to itself.
  bool Endless() const;

 private:
  friend class DfaBuilder;

  std::int32_t classes_ = 0;  // of bytes that no state tells apart
  std::array<std::uint8_t, 256> class_of_ = {};
  std::vector<std::int32_t> next_;     // [states, classes]
  std::vector<std::int32_t> accepts_;  // into label_sets_, 0: no
  std::vector<std::vector<Label>> label_sets_ = {{}};
};

// Fills an automaton state by state, then leaves out what leads nowhere.
class DfaBuilder {
 public:
  // Bytes begin a class where a bit is set.
  explicit DfaBuilder(const std::array<bool, 256>& begins_class);

  int classes() const { return dfa_.classes_; }
  // Some byte of a class; the class of a byte.
  std::uint8_t ByteOf(int of_class) const { return bytes_[static_cast<std::size_t>(of_class)]; }
  int ClassOf(std::uint8_t byte) const { return dfa_.class_of_[byte]; }

  // The first one is where it starts. Transitions are kNone until they are set.
  std::int32_t AddState(std::vector<Dfa::Label> labels);
  void Set(std::int32_t state, int of_class, std::int32_t next);
  std::int32_t states() const { return dfa_.states(); }

  // States alike become one, unless there are so many that telling costs more than it saves.
  Dfa Build() &&;

 private:
  void Trim();
  void Minimise();
  // The states by new numbers (kNone: gone).
  void Renumber(const std::vector<std::int32_t>& number, std::int32_t count);

  Dfa dfa_;
  std::vector<std::uint8_t> bytes_;
};

// Texts of both, or of the first and not of the second. Labels are the first one's.
Result<Dfa> Intersect(const Dfa& a, const Dfa& b, const AutomatonLimits& limits = {});
Result<Dfa> Subtract(const Dfa& a, const Dfa& b, const AutomatonLimits& limits = {});

}  // namespace metier::grammar
