#include "retail/statistics.h"

#include <algorithm>
#include <numeric>

namespace metier::retail {

void Statistics::Add(const Dialogue& dialogue) {
  for (const std::string& goal : dialogue.goals) ++goals_[goal];
  for (const std::string& outcome : dialogue.outcomes) ++outcomes_[outcome];
  std::size_t length = 0;
  for (const Json& message : dialogue.messages) {
    if (message["content"].is_string()) {
      length += message["content"].get_ref<const Json::string_t&>().size();
    }
    if (message["role"] != "assistant") continue;
    ++assistant_turns_;
    if (!message.contains("tool_calls")) continue;
    ++call_turns_;
    const Json& function = message["tool_calls"][0]["function"];
    const std::string name = function["name"].get<std::string>();
    ++calls_[name];
    length += name.size() + function["arguments"].get_ref<const Json::string_t&>().size();
  }
  lengths_.push_back(length);
}

Json Statistics::ToJson() const {
  const auto counts = [](const std::map<std::string, int>& map) {
    Json out = Json::object();
    for (const auto& [name, count] : map) out[name] = count;
    return out;
  };
  std::vector<std::size_t> sorted = lengths_;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t size = std::max<std::size_t>(sorted.size(), 1);
  const std::size_t total = std::accumulate(sorted.begin(), sorted.end(), std::size_t{0});
  Json characters = {{"mean", total / size},
                     {"p95", sorted.empty() ? 0 : sorted[sorted.size() * 95 / 100]},
                     {"max", sorted.empty() ? 0 : sorted.back()}};
  return Json{{"dialogues", sorted.size()},
              {"goals", counts(goals_)},
              {"outcomes", counts(outcomes_)},
              {"calls", counts(calls_)},
              {"calls_per_dialogue", static_cast<double>(call_turns_) / static_cast<double>(size)},
              {"assistant_turns", assistant_turns_},
              {"call_share", assistant_turns_ == 0 ? 0.0
                                                   : static_cast<double>(call_turns_) /
                                                         static_cast<double>(assistant_turns_)},
              {"characters", characters}};
}

}  // namespace metier::retail
