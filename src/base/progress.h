// base/progress.h - long work shows how far it is: a bar with time left on a terminal, plain lines
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace metier {

// Writes to stderr only. On a terminal: "sft  42%|#####     | 420/1000 [01:10<01:37, 6.0/s]
// loss 1.234", redrawn at most ten times a second and never wider than the terminal. Elsewhere the
// same facts as one line, at most every ten seconds, and one at the end. One thread at a time.
class Progress {
 public:
  Progress(std::string label, std::uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total`; `note` is shown behind the figures ("loss 1.234").
  void Update(std::uint64_t done, std::string_view note = {});

  // Work done before this process started (a resumed run) is not counted into the rate.
  void StartFrom(std::uint64_t done) { first_ = done; }

 private:
  void Draw();

  using Clock = std::chrono::steady_clock;
  std::string label_;
  std::string note_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t first_ = 0;
  bool terminal_;
  bool drawn_ = false;
  bool current_ = false;  // what was drawn last is what there is to say
  Clock::time_point started_;
  Clock::time_point shown_;
};

// What one line of progress says.
struct ProgressFacts {
  std::string_view label;
  std::string_view note;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::uint64_t first = 0;  // done before the clock started
  double seconds = 0;
};

// The line without a bar, and the line with one that fits into `columns`: the bar gives way first,
// then the line is cut.
std::string FormatProgress(const ProgressFacts& facts);
std::string FormatProgressBar(const ProgressFacts& facts, int columns);

// "01:37" or "2:03:09".
std::string FormatDuration(double seconds);

}  // namespace metier
