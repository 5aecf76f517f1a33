// train/batch.h - the tokens of one forward pass, flat: sequences end to end, with the places where
// they start.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "format/token_file.h"
#include "train/ops.h"
#include "train/torch.h"

namespace metier::train {

struct Batch {
  at::Tensor tokens;      // int64 [tokens]
  at::Tensor types;       // int64 [tokens], encoders; undefined: 0
  at::Tensor targets;     // int64 [rows]: what follows each of `predicting`, or is hidden there
  at::Tensor predicting;  // int64 [rows]: tokens whose prediction is computed
  at::Tensor domains;  // int64 [sequences]: whose domain each is, -1: no one's; undefined: all -1
  Layout layout;
  // Of each sequence, how many tokens stand before the first that is predicted, or its length.
  std::vector<std::int64_t> prompts;
  std::vector<std::int64_t> row_sequences;    // [counted]: whose prediction each row is
  std::vector<format::Judgement> judgements;  // [sequences]
  at::Tensor references;                      // double [sequences]; undefined: none
  std::shared_ptr<const Batch> mismatched;    // of kto: each prompt with another's answer
  std::int64_t counted = 0;                   // rows, from the first on, that are part of the loss
  std::int64_t read = 0;                      // tokens, from the first on, that come from the data
};

class BatchBuilder {
 public:
  enum class Role { kRead, kPredicted };

  // The next token of the sequence; a predicted one is not its first.
  void Add(std::int64_t id, Role role);
  // The next token, which is to be restored where `read` stands for it.
  void AddHidden(std::int64_t id, std::int64_t read);
  struct Sequence {
    std::int64_t domain = -1;  // whose domain it is
    format::Judgement judgement = format::Judgement::kNone;
    std::optional<double> reference = {};  // ln p of its predictions under the reference
  };
  void EndSequence(const Sequence& about);
  void EndSequence() { EndSequence(Sequence{}); }

  // Tokens and rows are filled up to multiples of `multiple` with sequences of one token and rows
  // that are no part of the loss: products of a size seen before need no new code from oneDNN.
  Batch Build(const at::Device& device, std::int64_t multiple = 1) &&;

 private:
  // The prediction of `target` from the output of a token.
  void AddRow(std::int64_t token, std::int64_t target);

  std::vector<std::int64_t> tokens_;
  std::vector<std::int64_t> targets_;
  std::vector<std::int64_t> predicting_;
  std::vector<std::int64_t> starts_ = {0};
  std::vector<std::int64_t> prompts_;
  std::vector<std::int64_t> domains_;
  std::vector<std::int64_t> row_sequences_;
  std::vector<format::Judgement> judgements_;
  std::vector<double> references_;
  bool has_references_ = false;
  std::int64_t prompt_ = -1;  // of the sequence at hand; -1: nothing was predicted yet
};

// The prompts alone, each a sequence, and of their predictions none.
Batch PromptsOf(const Batch& batch);

// Whole sequences. `loss` as long as `ids`: whether the token at i is to be predicted; empty: all
// but the first of each sequence.
Batch MakeBatch(const std::vector<std::vector<std::int32_t>>& sequences,
                const std::vector<std::vector<std::uint8_t>>& loss, at::Device device);

}  // namespace metier::train
