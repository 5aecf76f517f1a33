#include "merge/open_numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/check.h"
#include "recipe/fields.h"

namespace metier::merge {
namespace {

struct SearchRange {
  std::vector<double> search;
  std::optional<double> start;
  std::int64_t points = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("search", search, "[lowest, highest]").Required();
    field("start", start, "where the search begins; absent: in the middle");
    field("points", points, "numbers along the layers").AtLeast(1).AtMost(1024);
  }
};

using OnOpenNumber = std::function<Status(Json& value, const std::string& path)>;

// Every open number below `value`, in the order of the document.
Status Walk(Json& value, const std::string& path, const OnOpenNumber& visit) {
  if (IsOpenNumber(value)) return visit(value, path);
  if (value.is_object()) {
    for (auto& [key, item] : value.items())
      METIER_TRY(Walk(item, path.empty() ? key : path + "." + key, visit));
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      METIER_TRY(Walk(value[i], fmt::format("{}[{}]", path, i), visit));
  }
  return Ok();
}

Result<SearchRange> ReadRange(const Json& value, const std::string& path) {
  SearchRange range;
  METIER_TRY(recipe::ReadFields(value, path, range));
  const bool pair = range.search.size() == 2 && std::isfinite(range.search[0]) &&
                    std::isfinite(range.search[1]) && range.search[0] < range.search[1];
  if (!pair) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}.search: found {}, expected [lowest, highest]", path,
                             DumpCompact(value["search"])));
  }
  if (!range.start) range.start = (range.search[0] + range.search[1]) / 2;
  if (*range.start < range.search[0] || *range.start > range.search[1]) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}.start: found {}, expected inside of [{}, {}]", path, *range.start,
                             range.search[0], range.search[1]));
  }
  return range;
}

}  // namespace

bool IsOpenNumber(const Json& value) { return value.is_object() && value.contains("search"); }

Result<std::vector<OpenNumber>> FindOpenNumbers(const Json& document) {
  std::vector<OpenNumber> found;
  Json copy = document;
  METIER_TRY(Walk(copy, "", [&found](Json& value, const std::string& path) -> Status {
    METIER_ASSIGN(const SearchRange range, ReadRange(value, path));
    for (std::int64_t i = 0; i < range.points; ++i) {
      found.push_back({range.points == 1 ? path : fmt::format("{}[{}]", path, i), range.search[0],
                       range.search[1], *range.start});
    }
    return Ok();
  }));
  if (!found.empty()) return found;
  return Error(
      ErrorCode::kDataCorrupt,
      "no number is left open: write {search: [lowest, highest]} in the place of a weight, "
      "a density, or another parameter");
}

Json FillOpenNumbers(const Json& document, std::span<const double> numbers) {
  Json filled = document;
  std::size_t next = 0;
  const Status walked = Walk(filled, "", [&](Json& value, const std::string& path) -> Status {
    METIER_ASSIGN(const SearchRange range, ReadRange(value, path));
    METIER_CHECK(next + static_cast<std::size_t>(range.points) <= numbers.size(),
                 "a number for every place");
    const auto values = numbers.subspan(next, static_cast<std::size_t>(range.points));
    next += values.size();
    value = values.size() == 1 ? Json(values[0])
                               : Json(std::vector<double>(values.begin(), values.end()));
    return Ok();
  });
  METIER_CHECK(walked.ok() && next == numbers.size(), "numbers of FindOpenNumbers");
  return filled;
}

}  // namespace metier::merge
