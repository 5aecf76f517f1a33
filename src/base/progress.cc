#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

namespace metier {
namespace {

double Fraction(const ProgressFacts& facts) {
  if (facts.total == 0) return 1.0;
  return std::min(1.0, static_cast<double>(facts.done) / static_cast<double>(facts.total));
}

// Three digits and a letter, where that is shorter.
std::string FormatCount(double count) {
  constexpr double kShort = 99'999.5;
  constexpr double kStep = 1000;
  if (count < kShort) return fmt::format("{:.0f}", count);
  constexpr std::string_view kLetters = "kMGTPE";
  std::size_t letter = 0;
  count /= kStep;
  // 999.5 would be written as 1000.
  for (; std::round(count) >= kStep && letter + 1 < kLetters.size(); ++letter) count /= kStep;
  const int decimals = count < 9.995 ? 2 : count < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", count, decimals, kLetters[letter]);
}

// "420/1000 [01:10<01:37, 6.00/s] loss 1.234"
std::string Figures(const ProgressFacts& facts) {
  const std::uint64_t advanced = facts.done - std::min(facts.done, facts.first);
  const double rate = facts.measured > 0 ? static_cast<double>(advanced) / facts.measured : 0;
  std::string left = "--:--";
  if (facts.done >= facts.total)
    left = FormatDuration(0);
  else if (rate > 0)
    left = FormatDuration(static_cast<double>(facts.total - facts.done) / rate);
  const std::string speed = rate <= 0   ? "?"
                            : rate < 10 ? fmt::format("{:.2f}", rate)
                                        : FormatCount(rate);
  return fmt::format("{}/{} [{}<{}, {}/s]{}{}", FormatCount(static_cast<double>(facts.done)),
                     FormatCount(static_cast<double>(facts.total)), FormatDuration(facts.seconds),
                     left, speed, facts.note.empty() ? "" : " ", facts.note);
}

// Whole percents, rounded down: 100 % is said of finished work only.
int Percent(const ProgressFacts& facts) { return static_cast<int>(100 * Fraction(facts)); }

// Columns that the text takes, a character each: bytes that do not continue a UTF-8 sequence.
bool StartsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U; }

int Columns(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

std::string CutTo(std::string text, int columns) {
  int seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (StartsCharacter(text[i]) && ++seen > columns) return text.substr(0, i);
  }
  return text;
}

int TerminalColumns() {
  constexpr int kUsual = 80;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

}  // namespace

std::string FormatDuration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::clamp(seconds, 0.0, 1e9));
  const std::int64_t hours = total / 3600;
  const std::int64_t minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{:02}:{:02}", minutes, total % 60);
}

std::string FormatProgress(const ProgressFacts& facts) {
  return fmt::format("{} {:3}% {}", facts.label, Percent(facts), Figures(facts));
}

std::string FormatProgressBar(const ProgressFacts& facts, int columns) {
  constexpr int kWidest = 24;
  constexpr int kNarrowest = 5;
  const std::string head = fmt::format("{} {:3}%", facts.label, Percent(facts));
  const std::string figures = Figures(facts);
  const int width = std::min(kWidest, columns - Columns(head) - Columns(figures) - 3);
  if (width < kNarrowest) return CutTo(head + " " + figures, columns);
  const int filled = static_cast<int>(Fraction(facts) * width);
  return fmt::format("{}|{:#<{}}{: <{}}| {}", head, "", filled, "", width - filled, figures);
}

double Progress::SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Progress::Progress(std::string label, std::uint64_t total, Clock clock)
    : label_(std::move(label)),
      total_(total),
      clock_(std::move(clock)),
      terminal_(::isatty(STDERR_FILENO) == 1),
      started_(clock_()) {}

Progress::~Progress() {
  if (!updated_) return;
  if (!current_) Draw(clock_());
  if (terminal_) fmt::print(stderr, "\n");
}

// Seconds between two drawings. A log that somebody follows wants to see soon that the work goes
// on; one of a long night wants to stay readable.
double Progress::Pause(double now) const {
  constexpr double kTerminal = 0.1;
  constexpr double kSoon = 10;
  constexpr double kLater = 60;
  constexpr double kSoonEnds = 120;
  if (terminal_) return kTerminal;
  return now - first_at_ < kSoonEnds ? kSoon : kLater;
}

void Progress::Update(std::uint64_t done, std::string_view note) {
  const double now = clock_();
  current_ = current_ && done == done_ && note == note_;
  done_ = done;
  note_ = note;
  if (!updated_) {
    updated_ = true;
    first_ = done;
    first_at_ = now;
  } else if (now - drawn_at_ < Pause(now)) {
    return;
  }
  Draw(now);
}

void Progress::Draw(double now) {
  drawn_at_ = now;
  current_ = true;
  const ProgressFacts facts = {.label = label_,
                               .note = note_,
                               .done = done_,
                               .total = total_,
                               .first = first_,
                               .seconds = now - started_,
                               .measured = now - first_at_};
  if (!terminal_) {
    fmt::print(stderr, "{}\n", FormatProgress(facts));
    return;
  }
  // One column stays free: some terminals wrap as soon as the last one is written.
  fmt::print(stderr, "\r{}\x1b[K", FormatProgressBar(facts, TerminalColumns() - 1));
  std::fflush(stderr);
}

Status Report(const OnProgress& progress, std::uint64_t done, std::uint64_t total,
              std::string_view note) {
  return progress ? progress(done, total, note) : Ok();
}

OnProgress ShowProgress(std::string label, std::function<Status()> proceed) {
  // Functions are copied; the bar is one.
  auto bar = std::make_shared<std::optional<Progress>>();
  return [bar, label = std::move(label), proceed = std::move(proceed)](
             std::uint64_t done, std::uint64_t total, std::string_view note) -> Status {
    if (!*bar) bar->emplace(label, total);
    (*bar)->Update(done, note);
    return proceed ? proceed() : Ok();
  };
}

}  // namespace metier
