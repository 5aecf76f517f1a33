// engine/router.h - which experts a token goes to, and with what weight.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model_spec.h"

namespace metier::engine {

// The chosen experts of one token, best first, and their weights; both [top_k]. Equal scores go to
// the lower index. `scores`: the router's outputs [experts], used as scratch. Scores that are not
// numbers choose the first experts (the logits then say so).
void ChooseExperts(const model::MoeSpec& moe, std::span<float> scores,
                   std::span<std::int32_t> experts, std::span<float> weights);

// Where experts choose (model::ExpertChooser::kExpert): of one sequence, the tokens of each expert,
// [experts, count] ascending, and their weights beside them; count is model::TokensOfExpert. Equal
// weights go to the earlier token. `scores`: [tokens, experts], used as scratch.
void ChooseTokens(std::span<float> scores, std::size_t experts, std::size_t count,
                  std::vector<std::int32_t>& tokens, std::vector<float>& weights);

}  // namespace metier::engine
