// base/progress.h - long work shows how far it is: a bar with time left on a terminal, plain lines
// elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier {

// Writes to stderr only. On a terminal: "sft  42%|#####     | 420/1000 [01:10<01:37, 6.0/s]
// loss 1.234", redrawn at most ten times a second and never wider than the terminal. Elsewhere the
// same facts as plain lines: the first at once, then at most one every ten seconds, after the first
// two minutes one a minute, and one at the end. One thread at a time.
//
// Speed and time left come from the work between the first Update and the latest: what was done
// before the first one (by an earlier process of a resumed run, or while this one started) took
// time that nobody measured.
class Progress {
 public:
  // Seconds that only grow; from where is of no matter.
  using Clock = std::function<double()>;

  Progress(std::string label, std::uint64_t total, Clock clock = SteadySeconds);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total`; `note` is shown behind the figures ("loss 1.234").
  void Update(std::uint64_t done, std::string_view note = {});

 private:
  static double SteadySeconds();
  double Pause(double now) const;
  void Draw(double now);

  std::string label_;
  std::string note_;
  std::uint64_t total_;
  Clock clock_;
  bool terminal_;
  bool updated_ = false;
  bool current_ = false;  // what was drawn last is what there is to say
  std::uint64_t done_ = 0;
  std::uint64_t first_ = 0;  // done at the first Update
  double started_;
  double first_at_ = 0;
  double drawn_at_ = 0;
};

// Work that may take long tells this how far it is, `done` of `total` in units of its own. An error
// ends the work with that error.
using OnProgress =
    std::function<Status(std::uint64_t done, std::uint64_t total, std::string_view note)>;

// For work whose caller need not listen: an empty function lets it go on.
Status Report(const OnProgress& progress, std::uint64_t done, std::uint64_t total,
              std::string_view note = {});

// Draws a Progress of the first total it is told; then `proceed`, where given, says whether the
// work goes on.
OnProgress ShowProgress(std::string label, std::function<Status()> proceed = {});

// What one line of progress says.
struct ProgressFacts {
  std::string_view label;
  std::string_view note;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::uint64_t first = 0;  // done when the measured time began
  double seconds = 0;       // since the start, as shown
  double measured = 0;      // seconds that done - first took; 0: no speed is known yet
};

// Counts of 100,000 and more are rounded: "234k", "1.25M". What cannot be known yet is "--:--" and
// "?/s". The line without a bar, and the line with one that fits into `columns`: the bar gives way
// first, then the line is cut.
std::string FormatProgress(const ProgressFacts& facts);
std::string FormatProgressBar(const ProgressFacts& facts, int columns);

// "01:37" or "2:03:09".
std::string FormatDuration(double seconds);

}  // namespace metier
