#include "engine/embedding.h"

#include <cmath>

namespace metier::engine {

using model::Pooling;

namespace {

// The rows of the result that are averaged.
struct Range {
  std::int64_t begin;
  std::int64_t end;
};

Range PooledRows(Pooling pooling, std::int64_t count) {
  switch (pooling) {
    case Pooling::kCls: return {0, 1};
    case Pooling::kLast: return {count - 1, count};
    case Pooling::kNone:
    case Pooling::kMean: break;
  }
  return {0, count};
}

std::vector<float> Pool(const model::Rows& rows, Pooling pooling, bool normalise) {
  const Range range = PooledRows(pooling, rows.count);
  std::vector<double> sums(static_cast<std::size_t>(rows.width));
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    const std::span<const float> row = rows.Row(r);
    for (std::size_t d = 0; d < sums.size(); ++d) sums[d] += row[d];
  }
  auto divisor = static_cast<double>(range.end - range.begin);
  if (normalise) {
    double squares = 0;
    for (const double sum : sums) squares += sum * sum;
    if (squares > 0) divisor = std::sqrt(squares);
  }
  std::vector<float> pooled(sums.size());
  for (std::size_t d = 0; d < sums.size(); ++d) pooled[d] = static_cast<float>(sums[d] / divisor);
  return pooled;
}

}  // namespace

Result<std::vector<float>> Embed(model::Backend& backend, std::span<const model::TokenId> tokens,
                                 const EmbedOptions& options) {
  const model::ModelSpec& spec = backend.spec();
  if (spec.head) {
    return Error(
        ErrorCode::kInvalidArgument,
        "a '" + spec.family + "' model predicts tokens; embedding needs an encoder such as bert");
  }
  METIER_ASSIGN(const model::SequenceId sequence, backend.OpenSequence());
  const model::SequenceStep step{
      .sequence = sequence, .tokens = tokens, .types = options.types, .want = model::Want::kAll};
  const auto results = backend.Forward({&step, 1});
  backend.CloseSequence(sequence);
  if (!results.ok()) return Error(results.error());
  const Pooling pooling = options.pooling == Pooling::kNone ? spec.pooling : options.pooling;
  return Pool(results->front(), pooling, spec.normalise_pooled);
}

}  // namespace metier::engine
