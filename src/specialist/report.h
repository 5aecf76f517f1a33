// specialist/report.h - report.html: what a run did, for people. One file, no script, no network,
// light and dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "specialist/recipe.h"
#include "specialist/stage.h"

namespace metier::specialist {

std::string ReportHtml(const Recipe& recipe, const std::vector<StageRecord>& stages);

// Text made safe inside elements and attributes.
std::string EscapeHtml(std::string_view text);

}  // namespace metier::specialist
