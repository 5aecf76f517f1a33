// train/lora.h - trainable low-rank adapters on the linears of a frozen network (Hu et al. 2021).
//
// delta W = scale * B A; with DoRA (Liu et al. 2024) W' = m (W + delta W) / |W + delta W|, by row
// of W, where the length counts as a constant in gradients (section 4.3). Adapters belong to
// modules of the Hugging Face model (that is what PEFT names); where such a module fuses several of
// our linears, they share A and take their rows of B. Embedding and head may learn beside them, as
// a whole (modules_to_save) or some rows of them (trainable_token_indices), which may also learn
// alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/peft.h"
#include "model/adapter.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "recipe/train_config.h"
#include "train/ops.h"
#include "train/torch.h"
#include "train/weight.h"

namespace metier::train {

struct LoraModule {
  model::LinearModule module;
  at::Tensor a;  // real [rank, in]
  at::Tensor b;  // real [out, rank]
  double scale = 1;
  at::Tensor magnitude = {};  // DoRA's m, real [out]; or undefined
};

// One of our linears' share in a module.
struct LoraPart {
  std::size_t module = 0;  // index into LoraSet::modules()
  model::RowMap rows;      // rows of the module's output that are the linear's
  std::int64_t out = 0;
};

// A weight that the adapter has of its own: the embedding, the head, or both where they are tied.
struct SavedModule {
  std::vector<model::WholeModule> modules;
  at::Tensor value;  // real [vocab, width]
};

// Rows that the adapter has of its own, of the embedding, the head, or both where they are tied.
struct SavedRows {
  std::vector<model::WholeModule> modules;
  std::vector<std::int64_t> tokens;
  OwnRows own;
};

class LoraSet {
 public:
  LoraSet() = default;

  // Adapters as `config` asks, initialised as PEFT does: A uniform in +-1/sqrt(in) (Kaiming with a
  // = sqrt(5)), B zero; each module's A from its own stream of `seed`. kInvalidArgument: a target
  // that matches nothing; kUnsupported: an adapter on the embedding or head. `base` gives the
  // weights of modules_to_save and the rows of trainable_token_indices to begin with; it may be
  // empty where there are none. DoRA's magnitudes begin as the lengths of the rows of its weights,
  // so that the first step's outputs are the base's.
  static Result<LoraSet> Create(const model::ModelSpec& spec, const recipe::LoraConfig& config,
                                std::uint64_t seed, at::ScalarType real, at::Device device,
                                const model::ParameterReader& base = {});

  // From a PEFT directory.
  static Result<LoraSet> Load(const model::ModelSpec& spec, const std::string& folder,
                              at::ScalarType real, at::Device device);

  // From a PEFT directory, to be trained further: its tensors, dropout as `config` says.
  // kInvalidArgument: `config` asks for other modules, ranks, scales, whole weights or rows than it
  // has.
  static Result<LoraSet> Continue(const model::ModelSpec& spec, const recipe::LoraConfig& config,
                                  const std::string& folder, at::ScalarType real,
                                  at::Device device);

  // The mean of several PEFT directories of one run, factor by factor, summed in double; F32 on the
  // CPU.
  static Result<LoraSet> Mean(const model::ModelSpec& spec,
                              const std::vector<std::string>& folders);

  // These modules with other factors, in their order: real [rank, in] and [out, rank], of a graph
  // or leaves of one. Requires modules alone: no DoRA, no whole weights or rows.
  struct Factors {
    at::Tensor a;
    at::Tensor b;
  };
  LoraSet With(const std::vector<Factors>& factors) const;

  // Writes adapter_config.json and adapter_model.safetensors (F32).
  Status Save(const std::string& folder, const std::string& base_model) const;

  // Whether no linear has an adapter.
  bool empty() const { return modules_.empty(); }
  const std::vector<LoraModule>& modules() const { return modules_; }
  const std::vector<SavedModule>& saved() const { return saved_; }
  const std::vector<SavedRows>& rows() const { return rows_; }
  bool dora() const { return config_.dora; }
  double dropout() const { return config_.dropout; }
  const format::PeftConfig& config() const { return config_; }

  // nullptr: the linear has no adapter.
  const LoraPart* Find(const std::string& linear) const;

 private:
  // The modules that `config` selects, A and B zero, no whole weights.
  static Result<LoraSet> Empty(const model::ModelSpec& spec, const recipe::LoraConfig& config,
                               at::ScalarType real, at::Device device);
  Status CreateMagnitudes(const model::ParameterReader& base);
  Status AddModules(const model::ModelSpec& spec, at::ScalarType real, at::Device device);
  // The weight begins as `value`, F32.
  void AddSaved(std::vector<model::WholeModule> modules, const tensor::Tensor& value,
                at::ScalarType real, at::Device device);
  Status LoadSaved(const model::ModelSpec& spec, const format::PeftAdapter& peft,
                   at::ScalarType real, at::Device device);

  Status CreateRows(const model::ModelSpec& spec, const std::vector<std::int64_t>& tokens,
                    at::ScalarType real, at::Device device, const model::ParameterReader& base);
  Status LoadRows(const model::ModelSpec& spec, const format::PeftAdapter& peft,
                  at::ScalarType real, at::Device device);
  void AddRows(std::vector<model::WholeModule> modules, std::vector<std::int64_t> tokens,
               const at::Tensor& values, at::ScalarType real, at::Device device);
  void SortRows();
  std::vector<at::Tensor> Tensors() const;

  format::PeftConfig config_;
  std::vector<LoraModule> modules_;
  std::vector<SavedModule> saved_;
  std::vector<SavedRows> rows_;
  std::map<std::string, LoraPart> parts_;
};

// A and B (scale included) of linears that are computed as one product, differentiable in the
// adapters. a: [sum of ranks, in]; b: [rows, sum of ranks], zero where a linear does not belong to
// a rank's module. `modules`: whose rows of A they are, in order, for dropout.
struct FusedLora : LowRank {
  std::vector<std::size_t> modules;
};
struct LinearPart {
  std::string linear;  // ours: "layers.0.attn.q"
  std::int64_t rows = 0;
};
FusedLora FuseLora(const LoraSet& lora, const std::vector<LinearPart>& parts);

// Sums of squares of the rows of w [rows, in], in double [rows].
at::Tensor RowSquares(const WeightRows& w);

// m / |W + delta W| of the rows of one of our linears, differentiable in m alone; real [rows], or
// undefined where the linear has no adapter. w: [rows, in]; squares: RowSquares(w). Costs a product
// of w with A, not with B.
at::Tensor DoraScales(const LoraSet& lora, const std::string& linear, const WeightRows& w,
                      const at::Tensor& squares);

}  // namespace metier::train
