// train/preference.h - objectives on judged answers: better than another, or good or bad.
//
// s is the sum of ln p of an answer's tokens, r the same under the reference: the weights that the
// run began with, whose sums are computed once, before the first step.
//
//   dpo   -ln sigma(beta ((s_good - r_good) - (s_bad - r_bad)))       (Rafailov et al. 2023, eq. 7)
//         smoothed: (1 - e) times that, + e times the same with the sign turned
//   orpo  -m_good - beta ln sigma(o_good - o_bad), m the mean of ln p, o = m - ln(1 - exp(m)); no
//         reference                                                   (Hong et al. 2024, eq. 6, 7)
//   kto   w (1 - sigma(beta (s - r - z))) for a good answer, w (1 - sigma(beta (z - s + r))) for a
//         bad one; z = max(0, mean of s' - r'), of the batch's prompts each with the answer to
//         another                                             (Ethayarajh et al. 2024, eq. 8)
//
// A step's loss is the mean over its pairs, of kto over its answers.
#pragma once

#include <cstdint>

#include "recipe/train_config.h"
#include "train/batch.h"
#include "train/torch.h"

namespace metier::train {

// Sums and means of ln p over each sequence's predictions.
struct AnswerScores {
  at::Tensor sums;   // real [sequences]
  at::Tensor means;  // real [sequences]
};
// log_probs: real [rows], as of Network::LogProbs.
AnswerScores ScoreAnswers(const at::Tensor& log_probs, const Batch& batch);

// How often the good answer was rewarded more than the bad one (of kto: good more than 0, bad
// less), and by how much; a reward is beta (s - r), of orpo beta m.
struct RewardCounts {
  std::int64_t right = 0;
  std::int64_t all = 0;
  double margin = 0;  // summed; of kto the reward of good answers and minus that of bad ones
};

// The sum of the losses of a batch's pairs or answers, differentiable in the scores. Sequences are
// judged (Batch::judgements) and, but for orpo, have a reference. `shift`: z, of kto.
at::Tensor PreferenceLoss(const recipe::TrainConfig& config, const AnswerScores& scores,
                          const Batch& batch, double shift, RewardCounts* counts);

}  // namespace metier::train
