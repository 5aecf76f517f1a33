// specialist/forgetting.h - what a model that was trained on one domain after another still knows
// of the earlier ones: the matrix of continual learning (Lopez-Paz and Ranzato 2017, section 2).
#pragma once

#include <string>
#include <vector>

#include "specialist/stage.h"

namespace metier::specialist {

struct ForgettingMatrix {
  std::vector<std::string> stages;   // training stages that each went on from the one before
  std::vector<std::string> domains;  // names of their eval_files, the same in all of them
  std::vector<double> before;        // [domains]: eval_loss before the first stage; empty: unknown
  std::vector<std::vector<double>> after;  // [stages][domains]: eval_loss after each stage

  // Mean rise of a domain's loss over the least that it was after an earlier stage, over the
  // domains: 0 where nothing was forgotten.
  double MeanForgetting() const;
};

// Of every longest chain of two or more training stages with the same two or more eval_files, each
// of which starts from the result of the one before.
std::vector<ForgettingMatrix> ForgettingMatrices(const std::vector<StageRecord>& stages);

// Its section of the report.
std::string ForgettingSection(const ForgettingMatrix& matrix);

}  // namespace metier::specialist
