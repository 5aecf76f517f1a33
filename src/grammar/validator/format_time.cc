#include <algorithm>
#include <array>

#include "grammar/validator/format_checks.h"

namespace metier::grammar::validator {
namespace {

// Takes exactly `digits` digits from the front; -1 where they are not there.
int TakeDigits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int number = 0;
  for (const char c : text.substr(0, digits)) {
    if (!IsDigit(c)) return -1;
    number = number * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool TakeChar(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

int DaysOf(int year, int month) {
  constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

bool TakeDate(std::string_view& text) {
  const int year = TakeDigits(text, 4);
  if (year < 0 || !TakeChar(text, '-')) return false;
  const int month = TakeDigits(text, 2);
  if (month < 1 || month > 12 || !TakeChar(text, '-')) return false;
  const int day = TakeDigits(text, 2);
  return day >= 1 && day <= DaysOf(year, month);
}

// "+05:30" in minutes; nothing of a time may stand behind it.
bool TakeOffset(std::string_view& text, int& minutes) {
  minutes = 0;
  if (TakeChar(text, 'Z') || TakeChar(text, 'z')) return true;
  const bool negative = text.starts_with('-');
  if (!TakeChar(text, '-') && !TakeChar(text, '+')) return false;
  const int hour = TakeDigits(text, 2);
  if (hour < 0 || hour > 23 || !TakeChar(text, ':')) return false;
  const int minute = TakeDigits(text, 2);
  if (minute < 0 || minute > 59) return false;
  minutes = (hour * 60 + minute) * (negative ? -1 : 1);
  return true;
}

bool TakeUnits(std::string_view& text, std::string_view units) {
  // Units follow each other without a gap: hours and seconds need minutes between them.
  std::size_t next = std::string_view::npos;
  while (!text.empty() && IsDigit(text.front())) {
    text.remove_prefix(static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin()));
    const std::size_t unit = text.empty() ? std::string_view::npos : units.find(text.front());
    if (unit == std::string_view::npos) return false;
    if (next != std::string_view::npos && unit != next) return false;
    next = unit + 1;
    text.remove_prefix(1);
  }
  return next != std::string_view::npos;
}

}  // namespace

bool IsDate(std::string_view text) { return TakeDate(text) && text.empty(); }

bool IsTime(std::string_view text) {
  const int hour = TakeDigits(text, 2);
  if (hour < 0 || hour > 23 || !TakeChar(text, ':')) return false;
  const int minute = TakeDigits(text, 2);
  if (minute < 0 || minute > 59 || !TakeChar(text, ':')) return false;
  const int second = TakeDigits(text, 2);
  if (second < 0 || second > 60) return false;
  if (TakeChar(text, '.')) {
    const auto digits = std::find_if_not(text.begin(), text.end(), IsDigit) - text.begin();
    if (digits == 0) return false;
    text.remove_prefix(static_cast<std::size_t>(digits));
  }
  int offset = 0;
  if (!TakeOffset(text, offset) || !text.empty()) return false;
  if (second < 60) return true;
  constexpr int kDay = 24 * 60;
  const int utc = ((hour * 60 + minute - offset) % kDay + kDay) % kDay;
  return utc == kDay - 1;
}

bool IsDateTime(std::string_view text) {
  return TakeDate(text) && (TakeChar(text, 'T') || TakeChar(text, 't')) && IsTime(text);
}

bool IsDuration(std::string_view text) {
  if (!TakeChar(text, 'P') || text.empty()) return false;
  std::string_view weeks = text;
  if (TakeUnits(weeks, "W") && weeks.empty()) return true;
  if (!text.starts_with('T') && !TakeUnits(text, "YMD")) return false;
  if (text.empty()) return true;
  return TakeChar(text, 'T') && TakeUnits(text, "HMS") && text.empty();
}

}  // namespace metier::grammar::validator
