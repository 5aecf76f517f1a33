// specialist/descriptions.h - descriptions of tasks as tokens, which is how the training plug-in
// reads them: it knows no tokenizers.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "recipe/train_config.h"
#include "text/tokenizer.h"

namespace metier::specialist {

// The tokens of one description: its words as a user writes them, no control token among them.
// kInvalidArgument: none.
Result<std::vector<std::int64_t>> DescriptionIds(const text::Tokenizer& tokenizer,
                                                 const std::string& description);

// Fills description_ids of hyper's tasks that have none, with the tokenizer of `tokenizer` or else
// of the model. Does nothing where no hypernetwork learns. Errors: OpenTokenizer, DescriptionIds.
Status FillDescriptions(recipe::TrainConfig& config);

}  // namespace metier::specialist
