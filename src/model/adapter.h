// model/adapter.h - a LoRA in terms of our parameters, whichever way the base model fuses its
// layers.
//
// PEFT names modules of the Hugging Face model. Where those fuse several of our linears (gpt2's
// c_attn, bloom's query_key_value), one module becomes several entries here that share A and take
// their rows of B. Beside its deltas an adapter may replace the embedding and the head as a whole
// (modules_to_save), or some of their rows (trainable_token_indices): that is how a model learns
// new tokens.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/peft.h"
#include "format/prefix_tuning.h"
#include "model/family.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::model {

// delta of one of our linears: scale * b a. With a magnitude the rows of W + scale * b a are then
// scaled to these lengths (DoRA). F32, owned.
struct LoraDelta {
  std::string linear;  // ours, without ".weight": "layers.0.attn.q"
  tensor::Tensor a;    // [rank, in]
  tensor::Tensor b;    // [out, rank]
  double scale = 1;
  std::optional<tensor::Tensor> magnitude = {};  // [out]
};

// What a row of W + scale * b a is multiplied with to be `magnitude` long. A row of zeros stays
// one.
double RowScale(std::span<const double> row, float magnitude);

// A weight to use instead of the base's. Of a model that ties its head to its embedding the two may
// differ here: then the adapted model is not tied.
struct ReplacedWeight {
  std::string parameter;  // ours: "embed.tokens" or "head.weight"
  tensor::Tensor value;   // [vocab, width], F32, owned
};

// Rows to use instead of the base's, of the same parameters.
struct TokenRows {
  std::string parameter;
  std::vector<std::int64_t> tokens;  // ascending
  tensor::Tensor values;             // [tokens, width], F32, owned
};

// Keys and values that every layer sees before a sequence's own (prefix tuning). A sequence's
// positions begin behind them; keys are not rotated.
struct Prefix {
  std::int64_t tokens = 0;
  tensor::Tensor values;  // [tokens, layers * 2 * kv_heads * head_dim]: of each layer keys, then
                          // values; F32, owned
};

struct Adapter {
  std::string name;
  std::vector<LoraDelta> deltas;         // sorted by linear
  std::vector<ReplacedWeight> replaced;  // sorted by parameter
  std::vector<TokenRows> rows = {};      // sorted by parameter, none of a replaced one
  std::optional<Prefix> prefix = {};     // then it has nothing else
};

// kInvalidArgument: a module the model does not have (with the nearest), or shapes that do not fit
// it. kUnsupported: modules_to_save other than the embedding and the head.
Result<Adapter> ToAdapter(const ModelSpec& spec, const format::PeftAdapter& peft);

// The part of it that modules_to_save gives.
Result<std::vector<ReplacedWeight>> ReplacedWeights(const ModelSpec& spec,
                                                    const format::PeftAdapter& peft);

// The part of it that trainable_token_indices gives: of a model that ties its head to its embedding
// the rows of one are the other's too, unless the file has some of both (PEFT does alike).
// kInvalidArgument: tokens that the model does not have, rows of another width.
Result<std::vector<TokenRows>> TokenRowsOf(const ModelSpec& spec, const format::PeftAdapter& peft);

// kInvalidArgument: of a model with other layers, or heads or widths of keys, or with no more
// positions than the prefix takes.
Result<Prefix> ToPrefix(const ModelSpec& spec, const format::PrefixTuning& stored,
                        const std::string& folder);

// The Hugging Face modules that a LoRA can adapt, and which of our linears each holds.
struct LinearModule {
  std::string path;         // "model.layers.0.self_attn.q_proj" / "transformer.h.0.attn.c_attn"
  bool transposed = false;  // Conv1D: fan_in_fan_out
  struct Part {
    std::string linear;  // ours
    RowMap rows;         // rows of the module's output that are ours
    std::int64_t out = 0;
  };
  std::vector<Part> parts;
  std::int64_t in = 0;
  std::int64_t out = 0;
};
std::vector<LinearModule> LinearModules(const ModelSpec& spec);

// The modules that `targets` choose (path suffixes such as "q_proj", a regular expression over
// whole paths, or "all-linear": every linear but the head), as PEFT does. kInvalidArgument: a
// target that matches nothing.
Result<std::vector<LinearModule>> SelectModules(const ModelSpec& spec,
                                                const format::PeftConfig& config);

// A Hugging Face module that an adapter can replace as a whole. A head that is tied to the
// embedding is one of its own, as it is for PEFT.
struct WholeModule {
  std::string path;       // "model.embed_tokens", "lm_head"
  std::string parameter;  // ours: "embed.tokens", "head.weight"
};
std::vector<WholeModule> WholeModules(const ModelSpec& spec);

// Those that `names` (path suffixes) choose. kInvalidArgument: a name that matches nothing.
Result<std::vector<WholeModule>> SelectWholeModules(const ModelSpec& spec,
                                                    const std::vector<std::string>& names);

}  // namespace metier::model
