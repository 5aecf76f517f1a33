#include "specialist/descriptions.h"

#include <fmt/format.h>

#include "specialist/runnable.h"

namespace metier::specialist {

Result<std::vector<std::int64_t>> DescriptionIds(const text::Tokenizer& tokenizer,
                                                 const std::string& description) {
  METIER_ASSIGN(const std::vector<text::TokenId> ids, tokenizer.Encode(description));
  if (!ids.empty()) return std::vector<std::int64_t>(ids.begin(), ids.end());
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("description '{}': found no token, expected a sentence that says what "
                           "the task is",
                           description));
}

Status FillDescriptions(recipe::TrainConfig& config) {
  if (!config.hyper) return Ok();
  METIER_ASSIGN(const text::Tokenizer tokenizer,
                OpenTokenizer(config.tokenizer.empty() ? config.model : config.tokenizer));
  for (recipe::HyperTask& task : config.hyper->tasks) {
    if (!task.description_ids.empty()) continue;
    for (const std::string& description : task.descriptions) {
      auto ids = DescriptionIds(tokenizer, description);
      if (!ids.ok()) return std::move(ids).error().With("hyper.tasks '" + task.name + "'");
      task.description_ids.push_back(*std::move(ids));
    }
  }
  return Ok();
}

}  // namespace metier::specialist
