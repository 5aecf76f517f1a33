// train/rollouts.h - answers of the model that learns to prompts of its data, and what each is
// worth: asked of the program (include/metier/train_plugin.h), which has the engine that writes
// them and the tokenizer that reads them.
//
//   {"question": "rollout",
//    "model": PATH, "tokenizer": PATH,   as the configuration has them
//    "adapter": FOLDER,                  the weights as they are now
//    "reference": FOLDER or "",          of those that the run began with; absent: not asked for
//    "prompts": [[id..]..],              as tokens
//    "truths": [[id..]..],               what the data answers, without its end token
//    "answers": 8,                       to each prompt, at most "max_tokens" long
//    "end_token": id, "greedy": bool,
//    "seed": n,      "streams": [n..],   answer a to prompt p has the random stream streams[p] + a
//    of the seed "rewards": [{"kind", "pattern", "weight"}..]}
//
//   {"answers": [[{"tokens": [id..], "ended": bool, "reward": 1.0, "reference": [ln p..]}..]..]}
//
// Tokens are without the end token; `ended`: it followed. `reference`: of each token, and of the
// end token that followed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/train_config.h"
#include "train/corpus.h"

namespace metier::train {

struct Rollout {
  std::vector<std::int32_t> tokens;  // its end token among them, where it ended
  bool ended = false;
  double reward = 0;
  std::vector<double> reference;  // ln p of each token; or empty
};
// To one prompt.
using RolloutGroup = std::vector<Rollout>;

struct RolloutRequest {
  std::string adapter;                     // folder
  std::span<const std::int64_t> examples;  // of the corpus
  bool greedy = false;                     // one likeliest answer each
  std::uint64_t seed = 0;
  std::span<const std::int64_t> streams;  // of each example's first answer
};

// The token that ends every answer of the corpus. kInvalidArgument: there is none; an example
// without a prompt, or whose prompt leaves no room for an answer.
Result<std::int64_t> CheckPrompts(const Corpus& corpus, const recipe::TrainConfig& config);

Json RolloutQuestion(const recipe::TrainConfig& config, const Corpus& corpus,
                     std::int64_t end_token, const RolloutRequest& request);

// One group for each of `prompts`. kDataCorrupt: not an answer to such a question.
Result<std::vector<RolloutGroup>> ReadRollouts(const Json& answer, const Json& question,
                                               std::int64_t vocab);

}  // namespace metier::train
