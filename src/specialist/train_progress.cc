#include "specialist/train_progress.h"

#include <fmt/format.h>

#include "base/log.h"

namespace metier::specialist {

void TrainProgress::OnEvent(const Json& event) {
  const auto number = [&event](const char* key) {
    return event.contains(key) && event[key].is_number() ? event[key].get<double>() : 0.0;
  };
  const auto text = [&event](const char* key) {
    return event.contains(key) && event[key].is_string() ? event[key].get<std::string>()
                                                         : std::string();
  };
  if (!event.is_object()) return;
  if (text("event") == "log") LogInfo(label_ + ": " + text("text"));
  // What is computed before the first step, and what an edit consists of.
  if (text("event") == "references" || text("event") == "consolidation" ||
      text("event") == "keys" || text("event") == "facts") {
    const auto total = static_cast<std::uint64_t>(number("total"));
    if (!beginning_ || beginning_of_ != text("event"))
      beginning_.emplace(label_ + " " + text("event"), total);
    beginning_of_ = text("event");
    beginning_->Update(static_cast<std::uint64_t>(number("done")), "");
  }
  const bool evaluating = text("event") == "evaluating";
  if (text("event") != "step" && !evaluating) return;
  const auto step = static_cast<std::uint64_t>(number("step"));
  if (!bar_) bar_.emplace(label_, static_cast<std::uint64_t>(number("total_steps")));
  bar_->Update(step, evaluating
                         ? fmt::format("evaluating {:.0f}/{:.0f}", number("done"), number("total"))
                         : fmt::format("loss {:.4f}", number("loss")));
}

}  // namespace metier::specialist
