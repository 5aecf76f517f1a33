#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace metier {

std::string FormatDuration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::clamp(seconds, 0.0, 1e9));
  const std::int64_t hours = total / 3600;
  const std::int64_t minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{:02}:{:02}", minutes, total % 60);
}

Progress::Progress(std::string label, std::uint64_t total)
    : label_(std::move(label)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      started_(Clock::now()) {
  shown_ = started_;
}

Progress::~Progress() {
  if (drawn_ || done_ > 0) Draw(true);
}

void Progress::Update(std::uint64_t done, std::string_view note) {
  done_ = done;
  note_ = note;
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000);
  const auto now = Clock::now();
  if (drawn_ && now - shown_ < pause) return;
  shown_ = now;
  Draw(false);
}

void Progress::Draw(bool final) {
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  const double fraction =
      total_ == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(total_);
  const double rate =
      seconds > 0 ? static_cast<double>(done_ - std::min(done_, first_)) / seconds : 0;
  const double left = rate > 0 && total_ >= done_ ? static_cast<double>(total_ - done_) / rate : 0;
  const std::string figures =
      fmt::format("{}/{} [{}<{}, {:.{}f}/s]{}{}", done_, total_, FormatDuration(seconds),
                  FormatDuration(left), rate, rate < 10 ? 2 : 0, note_.empty() ? "" : " ", note_);
  if (!terminal_) {
    fmt::print(stderr, "{} {:3.0f}% {}\n", label_, 100 * fraction, figures);
    return;
  }
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  fmt::print(stderr, "\r{} {:3.0f}%|{:#<{}}{: <{}}| {}\x1b[K{}", label_, 100 * fraction, "", filled,
             "", kWidth - filled, figures, final ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace metier
