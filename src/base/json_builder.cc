#include "base/json_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace metier {

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
    if (frame.names.empty()) {
      for (const auto& entry : object) frame.names.insert(entry.first);
    }
    twice = !frame.names.insert(key).second;
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
