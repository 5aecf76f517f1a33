// specialist/general_texts.h - what a model should still be able to read after it became a
// specialist: short texts of many kinds, measured before and after every training run.
#pragma once

#include <string>

#include "base/result.h"
#include "recipe/train_config.h"

namespace metier::specialist {

// Where the run starts from a model and names no general_file: writes these texts, in the model's
// tokens, to `general.safetensors` in output_dir, and names that. Does nothing where the run says
// `general_file: none`, the model has no tokenizer (nothing is measured then), or what learns does
// not continue texts. Errors: of writing.
Status FillGeneralFile(recipe::TrainConfig& config);

}  // namespace metier::specialist
