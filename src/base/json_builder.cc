#include "base/json_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "base/utf8.h"

namespace metier {
namespace {

std::uint32_t HashOf(std::string_view name) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(name));
}

}  // namespace

bool NameTable::Insert(const Json::object_t& object, std::string_view name) {
  if (2 * (object.size() + 1) > slots_.size()) Grow(object);
  const std::uint32_t hash = HashOf(name);
  const std::size_t mask = slots_.size() - 1;
  const Json::object_t::Container& entries = object;  // by place: ordered_map has [name] only
  std::size_t at = hash & mask;
  for (; slots_[at].entry != kFree; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && entries[slots_[at].entry].first == name) return false;
  }
  slots_[at] = {hash, static_cast<std::uint32_t>(object.size())};
  return true;
}

void NameTable::Grow(const Json::object_t& object) {
  constexpr std::size_t kLeast = 64;
  METIER_CHECK(object.size() < kFree, "an object of four thousand million names");
  slots_.assign(std::bit_ceil(std::max(kLeast, 4 * object.size())), {});
  for (std::uint32_t entry = 0; const auto& [name, value] : object) {
    const std::uint32_t hash = HashOf(name);
    FreeSlot(hash) = {hash, entry++};
  }
}

NameTable::Slot& NameTable::FreeSlot(std::uint32_t hash) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].entry != kFree) at = (at + 1) & mask;
  return slots_[at];
}

Status JsonBuilder::Open(Json container) {
  if (std::cmp_greater_equal(open_.size(), limits_.max_json_depth)) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("nested deeper than the limit of {}", limits_.max_json_depth));
  }
  open_.push_back({std::move(container), {}, {}});
  return Ok();
}

Status JsonBuilder::Key(std::string key) {
  constexpr std::size_t kSearched =
      16;  // up to so many names, looking through them is cheaper than hashing
  Frame& frame = open_.back();
  const auto& object = frame.value.get_ref<const Json::object_t&>();
  bool twice = false;
  if (object.size() <= kSearched) {
    twice = std::any_of(object.begin(), object.end(),
                        [&](const auto& entry) { return entry.first == key; });
  } else {
    twice = !frame.names.Insert(object, key);
  }
  if (twice) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("key \"{}\" stands twice in one object", Excerpt(key)));
  }
  frame.key = std::move(key);
  return Ok();
}

bool JsonBuilder::ExpectsKey() const {
  return !open_.empty() && open_.back().value.is_object() && !open_.back().key;
}

void JsonBuilder::Add(Json value) {
  if (open_.empty()) {
    root_ = std::move(value);
    return;
  }
  Frame& frame = open_.back();
  if (frame.value.is_array()) {
    frame.value.get_ref<Json::array_t&>().push_back(std::move(value));
    return;
  }
  METIER_CHECK(frame.key.has_value(), "a value without a key");
  // ordered_map::emplace_back would look the key up; its base, a vector, appends.
  auto& object = frame.value.get_ref<Json::object_t&>();
  object.Json::object_t::Container::emplace_back(*std::exchange(frame.key, std::nullopt),
                                                 std::move(value));
}

Json JsonBuilder::Close() {
  Json value = std::move(open_.back().value);
  open_.pop_back();
  return value;
}

Json JsonBuilder::Take() && {
  METIER_CHECK(open_.empty(), "a container is still open");
  return std::move(root_);
}

}  // namespace metier
