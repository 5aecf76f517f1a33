// evaluate/rewards.h - what an answer is worth, where that can be checked (stage grpo): no model
// judges it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "recipe/reward_config.h"
#include "text/tokenizer/regex.h"

namespace metier::evaluate {

class Rewards {
 public:
  // kDataCorrupt, kUnsupported: a pattern (text::Regex::Compile).
  static Result<Rewards> Create(const std::vector<recipe::RewardConfig>& configs);

  // The sum of all. truth: the data's answer.
  double Of(std::string_view answer, std::string_view truth) const;

 private:
  struct Reward {
    recipe::RewardConfig config;
    std::optional<text::Regex> pattern;
  };
  std::vector<Reward> rewards_;
};

// The last number in a text ("1,234.50" is 1234.5); nothing: there is none.
std::optional<double> LastNumber(std::string_view text);

// Whether an answer begins with the words of a label, in any case, and no further letter or digit
// follows them: the label itself, not a longer word.
bool BeginsWithLabel(std::string_view answer, std::string_view label);

}  // namespace metier::evaluate
