// train/network.h - the network of a ModelSpec on LibTorch: parameters, forward pass, loss.
//
// Linears that read the same input are stored and computed as one (q, k and v; gate and up; the
// same over all experts), so a parameter of ours is in general a slice of a stored tensor.
// Everything is flat: a batch is [tokens], with the places where its sequences start (batch.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "train/batch.h"
#include "train/distillation.h"
#include "train/lora.h"
#include "train/mixture.h"
#include "train/ops.h"
#include "train/prefix.h"
#include "train/recompute.h"
#include "train/router.h"
#include "train/singular_values.h"
#include "train/torch.h"
#include "train/weight.h"

namespace metier::train {

// Which learning rate moves a trainable.
enum class Rate { kBase, kLoraB, kEmbedding };

// What the optimiser moves: a leaf of the autograd graph.
struct Trainable {
  std::string name;    // of the stored tensor: "layers.0.attn.qkv.weight"
  at::Tensor value;    // real
  at::Tensor act;      // its copy for products, or undefined
  bool decays = true;  // norms and biases do not
  Rate rate = Rate::kBase;
};

enum class Training { kFrozen, kAll };

struct NetworkOptions {
  Precision precision;
  at::Device device = at::kCPU;
  Training training = Training::kAll;
  std::int64_t longest = 0;  // tokens of the longest sequence to come; 0: as the model allows
  // In training only, where a batch has a key of chance:
  double noise = 0;  // NEFTune's alpha (Jain et al. 2023): embeddings move by a uniform noise in
                     // +-alpha / sqrt(tokens of the sequence * width)
  double smoothing = 0;           // of the targets (HeadLoss)
  CapacityOptions capacity = {};  // of the model's experts
  // For gradients, layers keep what they are given and are computed again (recompute.h). Not where
  // a pass asks what routers say.
  bool checkpointing = false;
};

// A dense feed-forward's down projection, as a pass computes it.
struct DownSite {
  std::int64_t layer = 0;
  const at::Tensor& input;     // act [tokens, hidden]
  const at::Tensor& output;    // act [tokens, width]
  const at::Tensor& residual;  // real [tokens, width]: what the output is going to be added to
};
// What goes on in the place of its output: act [tokens, width].
using DownHook = std::function<at::Tensor(const DownSite& site)>;

// Frozen weights that stay in blocks of a quantised type. Only linears may.
struct BlockSource {
  std::function<bool(const std::string& name)> holds;  // null: none stay so
  model::ParameterReader read;                         // of what it holds: in blocks, [out, in]
};

// What one forward pass computes, beside its batch.
struct Pass {
  std::uint64_t key = 0;  // of dropout and noise; 0 draws nothing (evaluation)
  // int64, asks for these tokens only, in this order: the last layer then computes nothing for the
  // others but their keys and values. Undefined: all.
  at::Tensor rows = {};
  // By sequence: for each router of the mixture its experts' weights, real [tokens, experts].
  std::vector<at::Tensor> gates = {};
  // What routers said, in the order of computation; null: not asked for.
  std::vector<RouterNote>* notes = nullptr;
  // Called once a layer, where set; `rows` are then taken behind the last layer only.
  DownHook down = {};
};

// What a batch's key draws: the mask of each of the adapters' modules by its number, and beside
// all of these the embeddings' noise and who is over an expert's capacity in a layer.
std::uint64_t DrawKey(std::uint64_t key, std::size_t index);
inline constexpr std::size_t kNoiseDraw = ~std::size_t{0};
inline constexpr std::size_t kDropDraw = std::size_t{1} << 40;  // + the layer

class Network {
 public:
  // Reads every parameter of the spec once, of `blocks` where that holds it. Requires
  // Training::kFrozen where it holds any. kUnsupported: blocks on another device than a CPU.
  static Result<Network> Create(const model::ModelSpec& spec, const NetworkOptions& options,
                                const model::ParameterReader& read, const BlockSource& blocks = {});

  const model::ModelSpec& spec() const { return spec_; }
  const NetworkOptions& options() const { return options_; }

  // Its weights or rows of embedding and head, where it has any, take the place of the network's
  // own.
  void SetLora(LoraSet lora);
  const LoraSet& lora() const { return lora_; }

  // Tokens of the longest sequence it can take.
  std::int64_t longest() const {
    return options_.longest > 0 ? std::min(options_.longest, spec_.max_positions)
                                : spec_.max_positions;
  }

  // Adapters that routers choose from, in place of one.
  void SetMixture(MixtureSet mixture) { mixture_ = std::move(mixture); }
  const MixtureSet& mixture() const { return mixture_; }

  // Instead of an adapter: what the weights' singular values are multiplied with.
  void SetSingularValues(SvfSet svf) { svf_ = std::move(svf); }
  const SvfSet& singular_values() const { return svf_; }

  // Beside an adapter or instead of one: keys and values before each sequence, whose positions are
  // then behind them.
  void SetPrefix(PrefixSet prefix);
  const PrefixSet& prefix() const { return prefix_; }

  // Bytes of the network's own parameters, adapters not counted: of those in blocks, and of all
  // others.
  struct Footprint {
    std::int64_t blocks = 0;
    std::int64_t plain = 0;
  };
  Footprint WeightBytes() const;

  // What the first block reads, real [tokens, width]; NEFTune's noise of the key, 0: none.
  at::Tensor Embed(const Batch& batch, std::uint64_t key = 0) const;

  // Last hidden states after the final norm, [tokens, width] in act (encoders: real). Requires
  // sequences of at most longest() tokens, and the gates of a mixture by sequence.
  at::Tensor Hidden(const Batch& batch, const Pass& pass = {}) const;

  // What each router of the mixture reads when the base computes alone, averaged over the tokens of
  // each sequence: real [sequences, in], no gradients.
  std::vector<at::Tensor> RouterInputs(const Batch& batch) const;

  // [tokens, vocab], or [rows, vocab] where the pass asks for rows; real. Requires spec().head.
  at::Tensor Logits(const Batch& batch, const Pass& pass = {}) const;

  // Sum of the cross-entropies of the batch's predictions, times `weight`: real scalar. Without a
  // key their targets are not smoothed. The rows of the pass are the batch's.
  at::Tensor Loss(const Batch& batch, double weight, Pass pass = {}) const;

  // The same of a distillation; the teacher has the same vocabulary.
  at::Tensor DistilledLoss(const Batch& batch, double weight, const Network& teacher,
                           const DistillTerms& terms, Pass pass = {}) const;

  // ln p of each of the batch's predictions, real [rows]; the rows of the pass are the batch's.
  at::Tensor LogProbs(const Batch& batch, Pass pass = {}) const;

  // The network's own parameters, or those of its adapter or mixture.
  std::vector<Trainable> Trainables() const;

  // A parameter by our name, F32, for writing models; decoded where it is in blocks. kNotFound: no
  // such name.
  Result<tensor::Tensor> ReadParameter(const std::string& name) const;

  // Gives a parameter other values, F32 of its shape. kNotFound: no such name. kInvalidArgument:
  // another type or shape.
  Status WriteParameter(const std::string& name, const tensor::Tensor& values);

 private:
  struct Linears {  // several of our linears as one product
    std::string name;
    std::vector<LinearPart> parts;
    Weight weight;  // [sum of rows, in]
    at::Tensor bias;
  };
  struct Norms {
    at::Tensor weight;
    at::Tensor bias;
  };
  struct Layer {
    Norms attn_norm;
    Norms ffn_norm;
    at::Tensor q_norm;
    at::Tensor k_norm;
    Linears qkv;
    Linears o;
    Linears up;  // gate and up, of the dense feed-forward
    Linears down;
    Linears mix;
    Weight experts_up;  // [experts, rows, in]
    Weight experts_down;
    at::Tensor router;
    std::vector<LinearPart> router_part;  // its name, for the adapters
    std::vector<Linears> expert_up;       // of each expert: names for the adapters
    std::vector<Linears> expert_down;
  };
  struct Stored {
    at::Tensor value;
    at::Tensor act;
    bool decays = true;
  };
  struct Slice {  // where one of our parameters lies
    std::string stored;
    at::Tensor view;  // or, in blocks:
    WeightRows rows = {};
  };

  Network(const model::ModelSpec& spec, const NetworkOptions& options)
      : spec_(spec), options_(options) {}

  void Build();
  void BuildLayer(std::int64_t index);
  void BuildExperts(std::int64_t index, Layer& layer);
  at::Tensor AddStored(const std::string& name, at::IntArrayRef shape, bool decays);
  Weight AddWeight(const std::string& name, at::IntArrayRef shape);
  bool InBlocks(const std::string& parameter) const {
    return blocks_.holds != nullptr && blocks_.holds(parameter);
  }
  // A weight in blocks: the rows of these parameters, one behind the other.
  Weight AddBlocks(const std::string& name, const std::vector<LinearPart>& parameters,
                   std::int64_t in);
  Weight AddExpertWeight(const std::string& name, const std::vector<LinearPart>& parts,
                         at::IntArrayRef shape);
  // The rows of a linear's weight.
  WeightRows RowsOfLinear(const std::string& linear) const;
  Linears AddLinears(const std::string& name, const std::vector<LinearPart>& parts, std::int64_t in,
                     bool bias);
  Norms AddNorms(const std::string& name, std::int64_t width);
  Status ReadAll(const model::ParameterReader& read);
  Status ReadBlocks(const std::string& name, const WeightRows& rows) const;
  void Finish();
  void BuildTables();

  struct State {  // of a pass under way
    const Pass& pass;
    const Batch& batch;
    struct Gates {           // a router's choice
      at::Tensor weights;    // real [tokens, experts]; undefined: not made yet
      bool of_rows = false;  // [rows, experts]
    };
    std::vector<Gates> gates;  // of the mixture's routers
    bool restricted = false;   // only the pass's rows are computed from here on
    std::int64_t layer = 0;
    at::Tensor residual = {};  // what the feed-forward's output is going to be added to
    // RouterInputs: [sequences, tokens], the weight of each token in its sequence's mean.
    at::Tensor mean = {};
    std::vector<at::Tensor>* inputs = nullptr;
  };

  struct Kept {  // of a pass, for layers that are computed again
    Pass pass;
    Batch batch;
    std::vector<State::Gates> gates;
  };

  // real [rows]: `weight` for predictions that count, 0 for the batch's filling.
  at::Tensor RowWeights(const Batch& batch, double weight) const;
  at::Tensor Compute(const Batch& batch, State& state) const;
  // The streams behind a layer; `wanted` rows only, where it is defined.
  Streams RunLayer(std::int64_t index, const Streams& in, const at::Tensor& wanted,
                   State& state) const;
  at::Tensor Project(const Linears& linears, const at::Tensor& x, State& state) const;
  // B (A x) of modules that each draw a mask of x.
  at::Tensor DroppedUpdate(const FusedLora& lora, const at::Tensor& x, std::uint64_t key) const;
  // DoRA's scales of linears that are one product, 1 where a linear has none; real [sum of rows].
  at::Tensor ScalesOf(const std::vector<LinearPart>& parts) const;
  at::Tensor ProjectSingularValues(const Linears& linears, const at::Tensor& x) const;
  at::Tensor ProjectMixture(const Linears& linears, const at::Tensor& x, State& state) const;
  void Route(std::size_t router, const at::Tensor& x, State& state) const;
  at::Tensor GatesOf(const FusedMixture& fused, const State& state) const;
  // Of `rows` of h, or of all where it is undefined.
  at::Tensor SelfAttention(const Layer& layer, std::int64_t index, const at::Tensor& h,
                           const Layout& layout, const at::Tensor& rows, State& state) const;
  at::Tensor NormHeads(const Layer& layer, const at::Tensor& qkv) const;
  // Attention behind the prefix.
  at::Tensor AttendWithPrefix(std::int64_t index, const at::Tensor& qkv,
                              const AttentionShape& shape, const Layout& layout) const;
  // Whether the layer must see all rows, whatever is asked for.
  bool NeedsAllRows(std::int64_t index, const Pass& pass) const {
    return pass.down ||
           (spec_.experts_of(index) > 0 && spec_.moe.chooser == model::ExpertChooser::kExpert);
  }
  at::Tensor FeedForward(const Layer& layer, const at::Tensor& h, const at::Tensor& router_input,
                         const at::Tensor& rows, State& state) const;
  at::Tensor Dense(const Layer& layer, const at::Tensor& h, State& state) const;
  at::Tensor RouterScores(const Layer& layer, const at::Tensor& router_input,
                          const at::Tensor& rows, State& state) const;
  at::Tensor Experts(const Layer& layer, const at::Tensor& h, const at::Tensor& router_input,
                     const at::Tensor& rows, State& state) const;
  // Where experts choose their tokens.
  at::Tensor ChosenByExperts(const Layer& layer, const at::Tensor& h, const at::Tensor& scores,
                             State& state) const;
  // What the experts make of x, rows sorted by expert.
  at::Tensor RunExperts(const Layer& layer, const at::Tensor& x,
                        const std::vector<std::int64_t>& starts, std::uint64_t key) const;
  at::Tensor ProjectExperts(const Weight& weight, const std::vector<Linears>& names,
                            const at::Tensor& x, const std::vector<std::int64_t>& starts,
                            std::uint64_t key) const;

  model::ModelSpec spec_;
  NetworkOptions options_;
  LoraSet lora_;
  MixtureSet mixture_;
  SvfSet svf_;
  PrefixSet prefix_;
  BlockSource blocks_;                             // while it is read
  std::vector<PackedPointer> packed_;              // all weights in blocks
  std::vector<Weight> saved_;                      // of lora_.saved()
  std::map<std::string, at::Tensor> row_squares_;  // of linears with DoRA, by name
  std::vector<std::string> order_;                 // stored tensors, in the order of computation
  std::map<std::string, Stored> stored_;
  std::map<std::string, Slice> slices_;  // ours -> slice
  std::vector<Layer> layers_;
  Weight tokens_;  // in use: own_tokens_, or the adapter's
  Weight head_;
  OwnRows token_rows_;  // the adapter's
  OwnRows head_rows_;
  at::Tensor row_of_token_;  // int64 [vocab] into token_rows_, or -1
  Weight own_tokens_;
  Weight own_head_;
  at::Tensor positions_;
  at::Tensor types_;
  at::Tensor tasks_;
  Norms embed_norm_;
  Norms final_norm_;
  at::Tensor cosine_;
  at::Tensor sine_;
  at::Tensor slopes_;
};

}  // namespace metier::train
