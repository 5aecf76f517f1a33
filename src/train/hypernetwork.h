// train/hypernetwork.h - a network that writes a LoRA of a frozen base for a description of a task
// (Charakorn et al. 2025, arXiv 2506.06105, "Text-to-LoRA", section 3; separate heads for A and B).
//
//   t       = LayerNorm(W ((h - mean) / deviation) + c)             [d / 2], of a description
//   z       = t | depth(layer) | kind(module)                       [d], for each module
//   z       = z + silu(W2 silu(W1 LayerNorm(z)))                    for each block, W1: [4 d, d]
//   A       = A0(module) + unit_A(kind) (heads_A(kind) z)           [rank, in]
//   B       = B0(module) + unit_B(kind) (heads_B(kind) z)           [out, rank]
//
// h is how the base itself reads the description: over the description's tokens the mean of their
// embeddings, which says what words are there, and behind it that of the last hidden states behind
// the final norm, which says what the base makes of them. Of each half the mean and the deviation
// over the descriptions to learn from are kept: texts of one base are near each other, and what
// they share says nothing. A kind is a module's path without its layer, and its shape. A0 and B0
// learn what all tasks have in common.
//
// Heads and B0 begin as 0 and A0 as PEFT begins A, so the first delta is exactly 0. The units are
// no parameters: 1 / d, with which a step of Adam moves what is written about as far as it would
// move a LoRA of its own; of a reconstruction the deviation of the adapters to learn from, /
// sqrt(d).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "model/hyper_files.h"
#include "model/model_spec.h"
#include "recipe/train_config.h"
#include "train/lora.h"
#include "train/network.h"
#include "train/tensor_file.h"
#include "train/torch.h"

namespace metier::train {

class Hypernetwork {
 public:
  // As the configuration says, its weights of `seed`. Errors: model::SelectModules. kUnsupported:
  // modules that have no adapters (lora.h), or stand in no layer. kResourceExhausted:
  // more numbers than the limits allow.
  static Result<Hypernetwork> Create(const model::ModelSpec& spec,
                                     const recipe::HyperConfig& config, std::uint64_t seed,
                                     at::ScalarType real, at::Device device,
                                     const Limits& limits = {});

  // From a directory. Errors: model::OpenHyper, and those of Create. kDataCorrupt: weights that are
  // not those of its config and this model; nothing is allocated for them then.
  static Result<Hypernetwork> Load(const model::ModelSpec& spec, const std::string& folder,
                                   at::ScalarType real, at::Device device,
                                   const Limits& limits = {});

  // Writes hyper.safetensors and hyper_config.json, which names the base.
  Status Save(const std::string& folder, const std::string& base_model,
              const std::string& base_hash, bool bf16) const;

  // Takes mean and deviation from these: real [descriptions, 2 width].
  void Standardise(const at::Tensor& descriptions);
  // Begins where a reconstruction does: A0 and B0 are the means of these adapters, by task and
  // module, and the units their deviations from them, by kind.
  void BeginAt(const std::vector<std::vector<LoraSet::Factors>>& adapters);

  // descriptions: real [n, 2 width]. By module, in the order of modules(): A [n, rank, in] and
  // B [n, out, rank], differentiable in the trainables.
  std::vector<LoraSet::Factors> Write(const at::Tensor& descriptions) const;
  // The adapter for one: [2 width].
  LoraSet AdapterFor(const at::Tensor& description) const;

  const std::vector<LoraModule>& modules() const { return template_.modules(); }
  // Of a module's A and B, in what its kind's weights deviate; real scalars.
  LoraSet::Factors DeviationsOf(std::size_t module) const;
  const model::HyperFiles& config() const { return config_; }
  const std::vector<Trainable>& Trainables() const { return trainables_; }

 private:
  struct Kind {
    std::string path;  // "model.layers.*.self_attn.q_proj"
    std::string name;  // the same, or with its shape where another kind has that path
    std::int64_t in = 0;
    std::int64_t out = 0;
    std::vector<std::size_t> modules;  // in the order of the layers
    std::vector<std::int64_t> depths;  // of each
    at::Tensor head_a;                 // real [rank * in, d]
    at::Tensor head_b;                 // real [out * rank, d]
    at::Tensor a0;                     // real [modules, rank, in]
    at::Tensor b0;                     // real [modules, out, rank]
  };
  struct Linear {
    at::Tensor weight;
    at::Tensor bias;
  };
  struct Block {
    Linear norm;
    Linear up;
    Linear down;
  };

  explicit Hypernetwork(const model::HyperFiles& config) : config_(config) {}
  // kDataCorrupt, kUnsupported, kResourceExhausted as above.
  Status FindKinds(const model::ModelSpec& spec);
  Result<std::uint64_t> Numbers(const model::ModelSpec& spec, const Limits& limits) const;
  Status Build(const model::ModelSpec& spec, std::uint64_t seed, at::ScalarType real,
               at::Device device);
  at::Tensor Add(const std::string& name, at::IntArrayRef shape, bool decays);
  Linear AddLinear(const std::string& name, std::int64_t in, std::int64_t out);
  Linear AddNorm(const std::string& name, std::int64_t width);
  void Begin(std::uint64_t seed);
  std::vector<NamedTensor> Tensors() const;

  model::HyperFiles config_;  // a new one has no base here
  LoraSet template_;
  std::vector<Kind> kinds_;
  std::vector<Trainable> trainables_;
  at::TensorOptions options_;
  Linear task_;
  Linear task_norm_;
  at::Tensor depth_;  // real [layers, d / 4]
  at::Tensor kind_;   // real [kinds, d / 4]
  std::vector<Block> blocks_;
  at::Tensor mean_;        // real [2 width]
  at::Tensor deviation_;   // real [2]: of each half
  at::Tensor units_;       // real [kinds, 2]: of A, of B
  at::Tensor depth_rows_;  // int64 [modules], kind by kind, into depth_
  at::Tensor kind_rows_;   // into kind_
};

// How the base reads a description (h above): real [2 width]. `base` has nothing on it.
// kInvalidArgument: no token, one that the model does not have, more than it takes.
Result<at::Tensor> ReadDescription(const Network& base, const std::vector<std::int64_t>& ids);

}  // namespace metier::train
