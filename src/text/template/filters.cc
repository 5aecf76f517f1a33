#include "text/template/filters.h"

#include <array>
#include <vector>

namespace metier::text::jinja {
namespace {

std::array<std::span<const Filter>, 4> Groups() {
  return {TextFilters(), NumberFilters(), SequenceFilters(), SelectionFilters()};
}

}  // namespace

const Filter* FindFilter(std::string_view name) {
  for (const auto& group : Groups())
    for (const Filter& filter : group)
      if (filter.name == name) return &filter;
  return nullptr;
}

std::span<const std::string> FilterNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& group : Groups())
      for (const Filter& filter : group) all.emplace_back(filter.name);
    return all;
  }();
  return names;
}

}  // namespace metier::text::jinja
