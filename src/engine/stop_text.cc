#include "engine/stop_text.h"

#include <algorithm>
#include <utility>

namespace metier::engine {

StopText::StopText(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (!stop.empty()) stops_.push_back(stop);
  }
}

std::string_view StopText::Add(std::string_view piece) {
  if (found_ != nullptr) return {};
  held_ += piece;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at < first) {
      first = at;
      found_ = &stop;
    }
  }
  if (found_ != nullptr) {
    shown_.assign(held_, 0, first);
    held_.clear();
    return shown_;
  }
  // The longest end of what is held that some stop text begins with must wait.
  std::size_t wait = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > wait; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) wait = n;
    }
  }
  shown_.assign(held_, 0, held_.size() - wait);
  held_.erase(0, shown_.size());
  return shown_;
}

std::string_view StopText::Finish() {
  shown_ = std::exchange(held_, {});
  return shown_;
}

}  // namespace metier::engine
