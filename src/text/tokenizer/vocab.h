// text/tokenizer/vocab.h - token strings, the way back from string to id, and a map of id pairs:
// open addressing, because loading and encoding spend their time here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace metier::text {

inline std::uint64_t MixBits(std::uint64_t x) {  // the finaliser of MurmurHash3
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDULL;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53ULL;
  return x ^ (x >> 33);
}

std::uint64_t HashBytes(std::string_view text);

// Which id a string has. Borrows the strings: they must stay where they are.
class StringIndex {
 public:
  void Reserve(std::size_t count);
  // False, and nothing changes, when the string is there already.
  bool Insert(std::string_view text, TokenId id);
  TokenId Find(std::string_view text) const;  // -1: absent
  std::size_t size() const { return size_; }

 private:
  struct Slot {
    const char* text = nullptr;
    std::uint32_t bytes = 0;
    TokenId id = -1;
    std::uint32_t hash = 0;
  };
  void Grow(std::size_t slots);

  std::vector<Slot> slots_;  // a power of two, at most half full
  std::size_t size_ = 0;
};

// From a pair of 32-bit keys to a 64-bit value.
class PairMap {
 public:
  static constexpr std::uint64_t kAbsent = ~0ULL;
  static constexpr std::uint64_t Key(std::uint32_t left, std::uint32_t right) {
    return (static_cast<std::uint64_t>(left) << 32) | right;
  }

  void Reserve(std::size_t count);
  // False, and nothing changes, when the key is there already. Requires value != kAbsent.
  bool Insert(std::uint64_t key, std::uint64_t value);
  // Inserts or replaces.
  void Set(std::uint64_t key, std::uint64_t value);
  std::uint64_t Find(std::uint64_t key) const {
    if (slots_.empty()) return kAbsent;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = MixBits(key) & mask;; i = (i + 1) & mask) {
      const Slot& slot = slots_[i];
      if (slot.key == key || slot.value == kAbsent) return slot.value;
    }
  }
  std::size_t size() const { return size_; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::uint64_t value = kAbsent;
  };
  void Grow(std::size_t slots);
  Slot& SlotOf(std::uint64_t key);  // where the key is or belongs

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

// The model's own tokens, without the added ones. Ids may have holes. Movable, not copyable: the
// index points into the strings.
class Vocab {
 public:
  Vocab() = default;
  Vocab(Vocab&&) = default;
  Vocab& operator=(Vocab&&) = default;
  Vocab(const Vocab&) = delete;
  Vocab& operator=(const Vocab&) = delete;

  // Token i is names[i]. kDataCorrupt: a name twice.
  static Result<Vocab> FromList(std::vector<std::string> names);
  // kDataCorrupt: an id twice or out of range. kResourceExhausted: over limits.max_vocab.
  static Result<Vocab> FromPairs(std::vector<std::pair<std::string, std::int64_t>> tokens,
                                 const Limits& limits);

  TokenId Find(std::string_view name) const { return index_.Find(name); }
  // Requires 0 <= id < size(). "" for holes.
  std::string_view Name(TokenId id) const { return names_[static_cast<std::size_t>(id)]; }
  std::int64_t size() const { return static_cast<std::int64_t>(names_.size()); }
  std::size_t longest_bytes() const { return longest_; }

 private:
  std::vector<std::string> names_;
  StringIndex index_;
  std::size_t longest_ = 0;
};

}  // namespace metier::text
