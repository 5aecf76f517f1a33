// model/model_spec.h - a network described as data: what both executors run.
//
// A ModelSpec says everything that decides which function a network computes, and nothing about
// files: families (model/family.h) turn config.json or GGUF metadata into one, and map tensor
// names. Executors switch on the values here, never on a family's name.
//
// Block, in the order of computation (x: [tokens, width]):
//
//   x = tokens_embedding * embed_scale (+ positions[p + position_offset]) (+ types[t]); x =
//   embed_norm(x) per layer, pre-norm:   r = router(x) when moe.router_input is kBlockInput
//                          x = x + attn(attn_norm(x));  x = x + ffn(ffn_norm(x))
//   per layer, post-norm:  x = attn_norm(x + attn(x));  x = ffn_norm(x + ffn(x))          (bert)
//   ffn of a layer with experts:  sum over its chosen experts of weight * expert(x); when
//     moe.residual, with (a, b) = softmax(mix(x)):  a * that sum + b * ffn(x)
//   x = final_norm(x); logits = head(x), the head being the token embedding when tied
//
// Our parameter names, every linear [out, in] as in PyTorch, `.bias` [out] where the spec says so:
//
//   embed.tokens [vocab, width]  embed.positions [positions + position_offset, width]  embed.types
//   [types, width]  embed.tasks [tasks, width]  embed.norm.{weight,bias}  final_norm.{weight,bias}
//   head.weight
//   layers.N.attn_norm.{weight,bias}  layers.N.attn.{q,k,v,o}.{weight,bias}
//   layers.N.attn.{q_norm,k_norm}.weight layers.N.ffn_norm.{weight,bias}
//   layers.N.ffn.{gate,up,down}.{weight,bias} layers.N.router.weight [experts, width]
//   layers.N.mix.{weight,bias} [2, width]  layers.N.experts.E.{gate,up,down}.weight
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::model {

enum class NormKind { kRms, kLayer };
enum class NormPlace {
  kBefore,
  kAfter
};  // before the sub-layer (GPT-2, Llama) or after the residual sum (BERT)
enum class PositionKind { kRope, kLearned, kAlibi };
enum class Activation { kSilu, kGeluErf, kGeluTanh, kRelu };
enum class RopeScaling { kNone, kLinear, kLlama3, kFactors };
enum class Pooling { kNone, kMean, kCls, kLast };
enum class RouterInput {
  kFfnNorm,
  kBlockInput
};  // kBlockInput: SmallThinker, known before attention starts
enum class RouterScore {
  kSoftmaxThenTopK,  // qwen3moe: softmax over all experts, then the best k (renormalised when
                     // `normalise_top_k`)
  kTopKThenSoftmax,  // mixtral: softmax over the chosen k (the same as the above with
                     // renormalisation)
  kSigmoid,  // smallthinker: sigmoid of each of the best k, renormalised when `normalise_top_k`
};

// Who decides which experts compute which tokens.
enum class ExpertChooser {
  kToken,   // a token takes the experts that score best for it
  kTask,    // all tokens of a task take those that score best for the task's embedding, which the
            // router reads (Kudugunta et al. 2021)
  kExpert,  // an expert takes the tokens of a sequence that score best for it, by softmax over the
            // experts; which tokens come later changes that, so of encoders only (Zhou et al. 2022)
};

struct NormSpec {
  NormKind kind = NormKind::kRms;
  double epsilon = 1e-5;
  bool bias = false;      // LayerNorm's shift
  bool plus_one = false;  // gemma: the stored weight is w, the applied one 1 + w

  bool operator==(const NormSpec&) const = default;
};

struct RopeSpec {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor =
      1.0;  // kLinear: positions are divided by it; kLlama3: the longest wavelengths are
  double low_freq_factor = 1.0;         // kLlama3
  double high_freq_factor = 4.0;        // kLlama3
  std::int64_t original_positions = 0;  // kLlama3
  std::vector<float> factors;           // kFactors: each pair's speed is divided by its own

  bool operator==(const RopeSpec&) const = default;
};

// One layer's attention pattern.
struct LayerSpec {
  bool rope = true;                 // smallthinker: some layers have no positions at all
  std::int64_t sliding_window = 0;  // tokens a query sees, itself included; 0: all before it

  bool operator==(const LayerSpec&) const = default;
};

struct MoeSpec {
  std::int64_t experts = 0;  // of the layers that have most; 0: a dense feed-forward
  // One a layer where they differ, 0: a dense layer (a pyramid, every other layer). Empty: all have
  // `experts`.
  std::vector<std::int64_t> of_layer = {};
  std::int64_t top_k = 0;  // kExpert: 1, and without meaning
  RouterInput router_input = RouterInput::kFfnNorm;
  RouterScore score = RouterScore::kTopKThenSoftmax;
  bool normalise_top_k = true;
  // A dense feed-forward beside the experts of each layer that has them, and the two mixed by token
  // (Rajbhandari et al. 2022, section 4.1).
  bool residual = false;
  ExpertChooser chooser = ExpertChooser::kToken;
  std::vector<std::string> tasks = {};  // kTask: their names
  double capacity = 0;                  // kExpert: experts of a token on average

  bool operator==(const MoeSpec&) const = default;
};

struct ModelSpec {
  std::string family;  // registry name, e.g. "llama"; for messages and for writing config.json back

  std::int64_t vocab = 0;
  std::int64_t width = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t hidden = 0;         // of the feed-forward, or of one expert
  std::int64_t max_positions = 0;  // longest sequence the model was made for

  bool causal = true;  // false: encoder
  double embed_scale = 1.0;
  bool embed_norm = false;
  std::int64_t types = 0;  // token-type embeddings; 0: none
  bool final_norm = true;
  bool head = true;  // false: an encoder, whose output is the last hidden state
  bool tied_head = false;

  PositionKind position = PositionKind::kRope;
  std::int64_t position_offset = 0;  // biogpt: row p + 2 of the table
  RopeSpec rope;

  NormSpec norm;
  NormPlace norm_place = NormPlace::kBefore;
  bool qk_norm = false;  // RMS norm of every q and k head (qwen3)
  bool qkv_bias = false;
  bool o_bias = false;
  double attention_scale = 0;  // of q.k; 0: 1/sqrt(head_dim)

  Activation activation = Activation::kSilu;
  bool gated = true;  // down(act(gate(x)) * up(x)); otherwise down(act(up(x)))
  bool ffn_bias = false;
  MoeSpec moe;

  std::vector<LayerSpec> layer;  // one per layer

  // How an embedding model makes one vector of its last hidden states (after the final norm).
  Pooling pooling = Pooling::kNone;
  bool normalise_pooled = false;  // to length 1

  std::int64_t q_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
  // Of this layer; 0: a dense one.
  std::int64_t experts_of(std::int64_t n) const {
    return moe.of_layer.empty() ? moe.experts : moe.of_layer[static_cast<std::size_t>(n)];
  }
  double score_scale() const;
  // What can go on with a text: not an encoder, which may have a head, too.
  bool predicts_next() const { return causal && head; }

  bool operator==(const ModelSpec&) const = default;
};

// A parameter the spec calls for.
struct Parameter {
  std::string name;  // ours
  tensor::Shape shape;
};

// All of them, in the order of computation. The one list behind loading, saving, initialising and
// counting. Requires Validate(spec).
std::vector<Parameter> Parameters(const ModelSpec& spec);
std::int64_t ParameterCount(const ModelSpec& spec);

// kInvalidArgument: a dimension is not positive, heads do not divide, top_k > experts, ...;
// kResourceExhausted: limits.
Status Validate(const ModelSpec& spec, const Limits& limits = {});

// Whether its text alone decides what the network computes of it. kUnsupported: a model of several
// tasks, with their names and how one of them is had.
Status CheckRunsWithoutTask(const ModelSpec& spec);

// How many of the `tokens` of a sequence each of a layer's `experts` takes where these choose:
// capacity * tokens / experts, rounded up, and no more than there are (Zhou et al. 2022, section
// 3.2).
std::int64_t TokensOfExpert(const MoeSpec& moe, std::int64_t experts, std::int64_t tokens);

// ALiBi slope of each head (Press et al. 2022, section 3; non-powers of two as in BLOOM).
std::vector<float> AlibiSlopes(std::int64_t heads);

// Rotation speed of each pair of dimensions, in radians per position, scaling applied: [head_dim /
// 2]. Pair i is dimensions i and i + head_dim / 2 (Su et al. 2021; halves as in GPT-NeoX).
std::vector<float> RopeFrequencies(const ModelSpec& spec);

// What the speeds are divided by, one per pair: the factors of linear and llama3 scaling written
// out, as GGUF stores them. All ones without scaling.
std::vector<double> RopeFactors(const ModelSpec& spec);

}  // namespace metier::model
