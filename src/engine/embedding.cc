#include "engine/embedding.h"

namespace metier::engine {

Result<std::vector<float>> Embed(model::Backend& backend, std::span<const model::TokenId> tokens,
                                 std::span<const model::TokenId> types, Pooling pooling) {
  if (backend.spec().head) {
    return Error(ErrorCode::kInvalidArgument, "a '" + backend.spec().family +
                                                  "' model predicts tokens; embedding needs an "
                                                  "encoder such as bert");
  }
  METIER_ASSIGN(const model::SequenceId sequence, backend.OpenSequence());
  const model::SequenceStep step{
      .sequence = sequence, .tokens = tokens, .types = types, .want = model::Want::kAll};
  const auto results = backend.Forward({&step, 1});
  backend.CloseSequence(sequence);
  if (!results.ok()) return Error(results.error());
  const model::Rows& rows = results->front();
  const std::int64_t count = pooling == Pooling::kFirst ? 1 : rows.count;
  std::vector<double> sums(static_cast<std::size_t>(rows.width));
  for (std::int64_t r = 0; r < count; ++r) {
    const std::span<const float> row = rows.Row(r);
    for (std::size_t d = 0; d < sums.size(); ++d) sums[d] += row[d];
  }
  std::vector<float> pooled(sums.size());
  for (std::size_t d = 0; d < sums.size(); ++d)
    pooled[d] = static_cast<float>(sums[d] / static_cast<double>(count));
  return pooled;
}

}  // namespace metier::engine
