// recipe/reward_config.h - reinforcement with rewards that can be checked, as users write it: a
// part of a training run (train_config.h, `stage: grpo`). The names are those of TRL's GRPOConfig
// where it has them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace metier::recipe {

// What an answer is worth: 1 or 0, times `weight`.
struct RewardConfig {
  std::string kind;
  std::string pattern;
  double weight = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("kind", kind,
          "exact: the answer is the data's, but for white space around it; label: it begins with "
          "the words of the "
          "data's; number: its last number is the data's last one; regex: `pattern` is found in it")
        .Required()
        .OneOf({"exact", "label", "number", "regex"});
    field("pattern", pattern, "of regex");
    field("weight", weight, "what the reward counts for; below 0: what is not wanted");
  }
};

// Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300, equation 3; one update
// for each set of answers, so that nothing is ever clipped).
struct GrpoConfig {
  std::vector<RewardConfig> rewards;
  std::int64_t num_generations = 8;
  std::int64_t max_completion_length = 256;
  double beta = 0.04;
  bool scale_rewards = true;
  std::string loss_type = "grpo";

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("rewards", rewards, "what answers are worth; their sum counts").Required();
    field("num_generations", num_generations,
          "answers to each prompt, which are compared with each other")
        .AtLeast(2)
        .AtMost(1024);
    field("max_completion_length", max_completion_length, "tokens of an answer").AtLeast(1);
    field("beta", beta,
          "weight of the divergence from the weights that the run began with; 0: not measured")
        .AtLeast(0);
    field("scale_rewards", scale_rewards,
          "divide what an answer is better than the mean by the standard deviation");
    field("loss_type", loss_type,
          "grpo: the mean over each answer's tokens, then over answers; dr_grpo: the sum over "
          "tokens divided by "
          "max_completion_length, so that long wrong answers do not pay (Liu et al. 2025)")
        .OneOf({"grpo", "dr_grpo"});
  }
};

}  // namespace metier::recipe
