// engine/stop_text.h - finds stop texts in a stream, also where they begin in one piece and end in
// another.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace metier::engine {

class StopText {
 public:
  // Empty texts are ignored.
  explicit StopText(const std::vector<std::string>& stops);

  // Takes the next piece and returns what can be shown of all so far: everything before the first
  // stop text, and nothing that may yet become the beginning of one. Nothing after a stop. Valid
  // until the next call.
  std::string_view Add(std::string_view piece);
  // The rest, when the stream has ended without a stop. Valid as long.
  std::string_view Finish();

  // The stop text that was found, or nullptr.
  const std::string* found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::string shown_;
  const std::string* found_ = nullptr;
};

}  // namespace metier::engine
