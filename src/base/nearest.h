// base/nearest.h - "did you mean ...?": the known name closest to a wrong one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace metier {

// The candidate with the smallest edit distance (insert, delete, substitute, swap of neighbours),
// or "" when none is within a third of the name's length (one edit for the shortest). Ties go to
// the earlier candidate. Cost: |name| * |candidate| per candidate.
std::string NearestName(std::string_view name, std::span<const std::string> candidates);

}  // namespace metier
