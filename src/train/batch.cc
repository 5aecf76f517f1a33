#include "train/batch.h"

#include <utility>

namespace metier::train {

void BatchBuilder::Add(std::int64_t id, Role role) {
  if (role == Role::kPredicted) {
    predicting_.push_back(static_cast<std::int64_t>(tokens_.size()) - 1);
    targets_.push_back(id);
  }
  tokens_.push_back(id);
}

Batch BatchBuilder::Build(const at::Device& device, std::int64_t multiple) && {
  Batch batch;
  batch.read = static_cast<std::int64_t>(tokens_.size());
  batch.counted = static_cast<std::int64_t>(targets_.size());
  const auto whole = static_cast<std::size_t>(multiple);
  while (tokens_.size() % whole != 0) {
    tokens_.push_back(0);
    EndSequence();
  }
  while (targets_.size() % whole != 0) {
    predicting_.push_back(static_cast<std::int64_t>(tokens_.size()) - 1);
    targets_.push_back(0);
  }
  batch.layout.starts = std::move(starts_);
  batch.tokens = torch::tensor(tokens_, at::kLong).to(device);
  batch.targets = torch::tensor(targets_, at::kLong).to(device);
  batch.predicting = torch::tensor(predicting_, at::kLong).to(device);
  return batch;
}

Batch MakeBatch(const std::vector<std::vector<std::int32_t>>& sequences,
                const std::vector<std::vector<std::uint8_t>>& loss, at::Device device) {
  BatchBuilder builder;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    for (std::size_t i = 0; i < sequences[s].size(); ++i) {
      const bool counts = i > 0 && (loss.empty() || loss[s][i] != 0);
      builder.Add(sequences[s][i],
                  counts ? BatchBuilder::Role::kPredicted : BatchBuilder::Role::kRead);
    }
    builder.EndSequence();
  }
  return std::move(builder).Build(device);
}

}  // namespace metier::train
