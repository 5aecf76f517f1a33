// specialist/stages/evaluation_section.h - what report.html says about an evaluation.
#pragma once

#include <string>

#include "specialist/stage.h"

namespace metier::specialist {

// The table of models side by side, what the gate asked, and conversations with what was expected
// and what was written: of the model that did best first. HTML; an error is part of it.
std::string EvaluationSection(const StageRecord& record);

}  // namespace metier::specialist
