#include "train/batch.h"

#include <utility>

namespace metier::train {

void BatchBuilder::Add(std::int64_t id, Role role) {
  if (role == Role::kPredicted) AddRow(static_cast<std::int64_t>(tokens_.size()) - 1, id);
  tokens_.push_back(id);
}

void BatchBuilder::AddHidden(std::int64_t id, std::int64_t read) {
  AddRow(static_cast<std::int64_t>(tokens_.size()), id);
  tokens_.push_back(read);
}

void BatchBuilder::AddRow(std::int64_t token, std::int64_t target) {
  if (prompt_ < 0) prompt_ = static_cast<std::int64_t>(tokens_.size()) - starts_.back();
  predicting_.push_back(token);
  targets_.push_back(target);
  row_sequences_.push_back(static_cast<std::int64_t>(starts_.size()) - 1);
}

void BatchBuilder::EndSequence(const Sequence& about) {
  const auto end = static_cast<std::int64_t>(tokens_.size());
  prompts_.push_back(prompt_ < 0 ? end - starts_.back() : prompt_);
  domains_.push_back(about.domain);
  judgements_.push_back(about.judgement);
  references_.push_back(about.reference.value_or(0));
  has_references_ = has_references_ || about.reference.has_value();
  starts_.push_back(end);
  prompt_ = -1;
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
  batch.prompts = std::move(prompts_);
  batch.row_sequences = std::move(row_sequences_);
  batch.judgements = std::move(judgements_);
  if (has_references_) batch.references = torch::tensor(references_, at::kDouble).to(device);
  batch.domains = torch::tensor(domains_, at::kLong).to(device);
  batch.tokens = torch::tensor(tokens_, at::kLong).to(device);
  batch.targets = torch::tensor(targets_, at::kLong).to(device);
  batch.predicting = torch::tensor(predicting_, at::kLong).to(device);
  return batch;
}

Batch PromptsOf(const Batch& batch) {
  Batch prompts;
  std::vector<std::int64_t> index;
  for (std::size_t s = 0; s < batch.prompts.size(); ++s) {
    for (std::int64_t t = 0; t < batch.prompts[s]; ++t) index.push_back(batch.layout.starts[s] + t);
    prompts.layout.starts.push_back(static_cast<std::int64_t>(index.size()));
  }
  const at::Tensor picked = torch::tensor(index, at::kLong).to(batch.tokens.device());
  prompts.tokens = batch.tokens.index_select(0, picked);
  prompts.domains = batch.domains;
  prompts.prompts = batch.prompts;
  prompts.read = static_cast<std::int64_t>(index.size());
  return prompts;
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
