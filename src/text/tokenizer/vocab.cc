#include "text/tokenizer/vocab.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace metier::text {

std::uint64_t HashBytes(std::string_view text) {
  std::uint64_t hash = 0x9E3779B97F4A7C15ULL ^ text.size();
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    hash = MixBits(hash ^ word);
  }
  if (left > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, left);
    hash = MixBits(hash ^ word);
  }
  return hash;
}

void StringIndex::Reserve(std::size_t count) {
  std::size_t slots = 16;
  while (slots < count * 2) slots *= 2;
  if (slots > slots_.size()) Grow(slots);
}

void StringIndex::Grow(std::size_t slots) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(slots, Slot{});
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    std::size_t i = slot.hash & (slots - 1);
    while (slots_[i].id >= 0) i = (i + 1) & (slots - 1);
    slots_[i] = slot;
  }
}

bool StringIndex::Insert(std::string_view text, TokenId id) {
  if ((size_ + 1) * 2 > slots_.size()) Grow(std::max<std::size_t>(16, slots_.size() * 2));
  const auto hash = static_cast<std::uint32_t>(HashBytes(text));
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash & mask;
  for (; slots_[i].id >= 0; i = (i + 1) & mask) {
    if (slots_[i].hash == hash && std::string_view(slots_[i].text, slots_[i].bytes) == text) {
      return false;
    }
  }
  slots_[i] = {text.data(), static_cast<std::uint32_t>(text.size()), id, hash};
  ++size_;
  return true;
}

TokenId StringIndex::Find(std::string_view text) const {
  if (slots_.empty()) return -1;
  const auto hash = static_cast<std::uint32_t>(HashBytes(text));
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = hash & mask; slots_[i].id >= 0; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.hash == hash && std::string_view(slot.text, slot.bytes) == text) return slot.id;
  }
  return -1;
}

void PairMap::Reserve(std::size_t count) {
  std::size_t slots = 16;
  while (slots < count * 2) slots *= 2;
  if (slots > slots_.size()) Grow(slots);
}

void PairMap::Grow(std::size_t slots) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(slots, Slot{});
  for (const Slot& slot : old) {
    if (slot.value == kAbsent) continue;
    std::size_t i = MixBits(slot.key) & (slots - 1);
    while (slots_[i].value != kAbsent) i = (i + 1) & (slots - 1);
    slots_[i] = slot;
  }
}

PairMap::Slot& PairMap::SlotOf(std::uint64_t key) {
  if ((size_ + 1) * 2 > slots_.size()) Grow(std::max<std::size_t>(16, slots_.size() * 2));
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = MixBits(key) & mask;
  while (slots_[i].value != kAbsent && slots_[i].key != key) i = (i + 1) & mask;
  return slots_[i];
}

bool PairMap::Insert(std::uint64_t key, std::uint64_t value) {
  Slot& slot = SlotOf(key);
  if (slot.value != kAbsent) return false;
  slot = {key, value};
  ++size_;
  return true;
}

void PairMap::Set(std::uint64_t key, std::uint64_t value) {
  Slot& slot = SlotOf(key);
  if (slot.value == kAbsent) ++size_;
  slot = {key, value};
}

Result<Vocab> Vocab::FromList(std::vector<std::string> names) {
  Vocab vocab;
  vocab.names_ = std::move(names);
  vocab.index_.Reserve(vocab.names_.size());
  for (std::size_t i = 0; i < vocab.names_.size(); ++i) {
    const std::string& name = vocab.names_[i];
    vocab.longest_ = std::max(vocab.longest_, name.size());
    if (!vocab.index_.Insert(name, static_cast<TokenId>(i))) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("vocabulary: token '{}' has two ids, {} and {}", name,
                               vocab.index_.Find(name), i));
    }
  }
  return vocab;
}

Result<Vocab> Vocab::FromPairs(std::vector<std::pair<std::string, std::int64_t>> tokens,
                               const Limits& limits) {
  std::int64_t size = 0;
  for (const auto& [name, id] : tokens) {
    if (id < 0 || id >= static_cast<std::int64_t>(limits.max_vocab)) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("vocabulary: token '{}' has id {}, expected 0 to {}", name, id,
                               limits.max_vocab - 1));
    }
    size = std::max(size, id + 1);
  }
  Vocab vocab;
  vocab.names_.resize(static_cast<std::size_t>(size));
  vocab.index_.Reserve(tokens.size());
  std::vector<bool> taken(static_cast<std::size_t>(size));
  for (auto& [name, id] : tokens) {
    const auto at = static_cast<std::size_t>(id);
    if (taken[at]) {
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("vocabulary: id {} belongs to '{}' and to '{}'", id, vocab.names_[at], name));
    }
    taken[at] = true;
    vocab.names_[at] = std::move(name);
    vocab.longest_ = std::max(vocab.longest_, vocab.names_[at].size());
    if (!vocab.index_.Insert(vocab.names_[at], static_cast<TokenId>(id))) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("vocabulary: token '{}' stands twice", vocab.names_[at]));
    }
  }
  return vocab;
}

}  // namespace metier::text
