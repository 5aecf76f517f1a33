// engine/lora.h - adapters ready to be applied while computing: y += scale * B (A x), or with the
// sum scaled by output as DoRA's magnitudes ask, or with a weight of their own instead of the
// base's, or with some rows of it, on the rows of the sequences that use them; or several of them,
// as a mixture chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/low_rank.h"
#include "engine/weights.h"
#include "model/adapter.h"

namespace metier::engine {

struct Mixing;

// Rows that an adapter has of its own in the table of tokens, or in the head.
struct OwnRows {
  std::vector<std::int64_t> tokens;  // ascending
  tensor::Tensor values;             // F32 [tokens, width]

  // nullptr: the base's.
  const float* Find(std::int64_t token) const;
};

// A model::Adapter whose changes are looked up by Linear::index, or a use of a mixture of such.
class LoadedAdapter {
 public:
  // Factors become `type`, see LowRank::Pack. kInvalidArgument: a linear that the model does not
  // have (with the nearest name), or shapes that do not fit it.
  static Result<LoadedAdapter> Create(const model::Adapter& adapter, const Weights& weights,
                                      kernels::FactorType type);
  // An adapter that changes nothing but what the mixture's experts change.
  static LoadedAdapter Of(Mixing mixing, const Weights& weights);

  // nullptr: this adapter leaves the linear alone.
  const LowRank* Find(const Linear& linear) const;

  // By output: what w x + scale * B (A x), before the bias, is multiplied with (DoRA): its
  // magnitude over the length of its row of w + scale * B A. nullptr: nothing.
  const float* OutputScales(const Linear& linear) const {
    const std::int32_t slot = by_linear_[linear.index];
    if (slot < 0 || scales_.empty()) return nullptr;
    const std::vector<float>& scales = scales_[static_cast<std::size_t>(slot)];
    return scales.empty() ? nullptr : scales.data();
  }

  // The weight to use instead of the linear's, or of the table of tokens; nullptr: the base's.
  const Matrix* Replacement(const Linear& linear) const {
    return head_ && linear.index == head_index_ ? &*head_ : nullptr;
  }
  const Matrix* tokens() const { return tokens_ ? &*tokens_ : nullptr; }
  // The outputs of a linear to compute with rows of the adapter's, or the tokens to look up there;
  // nullptr: none.
  const OwnRows* RowsOf(const Linear& linear) const {
    return head_rows_ && linear.index == head_index_ ? &*head_rows_ : nullptr;
  }
  const OwnRows* token_rows() const { return token_rows_ ? &*token_rows_ : nullptr; }
  // nullptr: no mixture.
  const Mixing* mixing() const { return mixing_.get(); }
  bool HasDeltasAlone() const {
    return !mixing_ && scales_.empty() && !tokens_ && !head_ && !token_rows_ && !head_rows_;
  }

 private:
  Status Replace(const model::ReplacedWeight& weight, const Weights& weights);
  Status AddTokenRows(const model::TokenRows& rows, const Weights& weights);

  tensor::Tensor factors_;  // of all changes in one piece, for large pages (tensor.cc)
  std::vector<LowRank> changes_;
  std::vector<std::vector<float>> scales_;  // of changes_; empty without DoRA
  std::vector<std::int32_t> by_linear_;     // index into changes_, or -1
  std::vector<tensor::Tensor> replaced_;    // what the matrices borrow
  std::optional<Matrix> tokens_;
  std::optional<Matrix> head_;
  std::optional<OwnRows> token_rows_;
  std::optional<OwnRows> head_rows_;
  std::size_t head_index_ = 0;  // of head_ or head_rows_
  std::shared_ptr<const Mixing> mixing_;
};

// Consecutive rows, at least one, that share an adapter (or none).
struct AdapterRun {
  const LoadedAdapter* adapter = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Appends rows [runs' end, end); they join the run before where the adapter is the same.
void AddRun(const LoadedAdapter* adapter, std::size_t end, std::vector<AdapterRun>& runs);

}  // namespace metier::engine
