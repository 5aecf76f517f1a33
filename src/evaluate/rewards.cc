#include "evaluate/rewards.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace metier::evaluate {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
// Bytes of other letters than ASCII's count as letters.
bool IsWord(char c) {
  return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'z') || (c & 0x80) != 0;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool Finds(const text::Regex& pattern, std::string_view text) {
  text::Regex::Matches matches(pattern, text);
  return matches.Next();
}

bool Earns(const recipe::RewardConfig& config, const std::optional<text::Regex>& pattern,
           std::string_view answer, std::string_view truth) {
  if (config.kind == "exact") return Trim(answer) == Trim(truth);
  if (config.kind == "label") return BeginsWithLabel(answer, truth);
  if (config.kind == "regex") return Finds(*pattern, answer);
  const std::optional<double> found = LastNumber(answer);
  return found && found == LastNumber(truth);
}

}  // namespace

std::optional<double> LastNumber(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0 && !IsDigit(text[end - 1])) --end;
  if (end == 0) return std::nullopt;
  // Digits, points and the commas between digits; a sign before them that no word or number
  // precedes.
  std::size_t begin = end;
  const auto inside = [&](std::size_t at) {
    if (IsDigit(text[at])) return true;
    return (text[at] == ',' || text[at] == '.') && at > 0 && IsDigit(text[at - 1]);
  };
  while (begin > 0 && inside(begin - 1)) --begin;
  std::string digits;
  if (begin > 0 && text[begin - 1] == '-' && (begin == 1 || !IsWord(text[begin - 2])))
    digits += '-';
  for (const char c : text.substr(begin, end - begin))
    if (c != ',') digits += c;
  double value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool BeginsWithLabel(std::string_view answer, std::string_view label) {
  answer = Trim(answer);
  label = Trim(label);
  if (label.empty() || answer.size() < label.size()) return false;
  for (std::size_t i = 0; i < label.size(); ++i)
    if (Lower(answer[i]) != Lower(label[i])) return false;
  return answer.size() == label.size() || !IsWord(answer[label.size()]);
}

Result<Rewards> Rewards::Create(const std::vector<recipe::RewardConfig>& configs) {
  Rewards rewards;
  for (const recipe::RewardConfig& config : configs) {
    Reward reward{config, std::nullopt};
    if (config.kind == "regex") {
      auto pattern = text::Regex::Compile(config.pattern);
      if (!pattern.ok())
        return std::move(pattern).error().With(fmt::format("reward pattern '{}'", config.pattern));
      reward.pattern = *std::move(pattern);
    }
    rewards.rewards_.push_back(std::move(reward));
  }
  return rewards;
}

double Rewards::Of(std::string_view answer, std::string_view truth) const {
  double sum = 0;
  for (const Reward& reward : rewards_)
    if (Earns(reward.config, reward.pattern, answer, truth)) sum += reward.config.weight;
  return sum;
}

}  // namespace metier::evaluate
