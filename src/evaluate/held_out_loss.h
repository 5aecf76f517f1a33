// evaluate/held_out_loss.h - the loss of training, on examples that nobody trained on: mean
// negative log-likelihood of the tokens that a token file (format/token_file.h) marks as learnt.
//
// What stands before the first of them is the example's prompt, by which a mixture by sequence
// chooses. The first token of an example has no prediction and is not counted, as in training.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "evaluate/language_model.h"
#include "recipe/fields.h"

namespace metier::evaluate {

struct HeldOutLossOptions {
  std::string file;
  std::int64_t max_examples = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file, "token file, written by `metier data build`").Required();
    field("max_examples", max_examples, "score only the first so many; 0: all").AtLeast(0);
  }
};

struct HeldOutLossResult {
  double nll = 0;  // summed over scored tokens, natural logarithm
  std::int64_t scored_tokens = 0;
  std::int64_t examples = 0;

  double Loss() const { return nll / static_cast<double>(scored_tokens); }
  Json ToJson() const;  // with exp(Loss()) as "perplexity"
};

// `on_examples` hears of examples that were scored. kDataCorrupt: what TokenFile::Open says.
// kInvalidArgument: an example the model cannot hold, or no token that is learnt.
Result<HeldOutLossResult> MeasureHeldOutLoss(LanguageModel& model,
                                             const HeldOutLossOptions& options,
                                             const OnProgress& on_examples = {});

}  // namespace metier::evaluate
