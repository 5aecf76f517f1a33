// merge/plan.h - a merge ready to be computed: which tensors of which models make each tensor of
// the result, and by which numbers.
//
// Nothing is computed before a tensor is asked for, and nothing is kept: memory is what one tensor
// of every model takes, as F32. Output layer n of a slice is made of layer first + n of each of its
// sources. What lies before the layers (embeddings) comes from the models of the first slice, at
// position 0 of a gradient; what lies behind them (norm, head) from those of the last, at position
// 1. Within a slice of L layers, layer n is at n / (L - 1); a single layer at 1. A tensor is one of
// our parameters: where a family stores q, k and v as one, each is a tensor of its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "merge/merge_config.h"
#include "merge/source_model.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::merge {

class MergePlan {
 public:
  // `models` has every one of config.Models(). kInvalidArgument: what merge/compatible.h says;
  // layers that a model does not have; a number that is not given for a tensor; a filter that
  // matches no tensor, with the nearest name.
  static Result<MergePlan> Create(const MergeConfig& config, SourceModels models);

  // Of the result: the base's (or the first model's), with the layers of all slices. Its head is
  // tied where those of all models are; else the tied ones' embedding counts as their head.
  const model::ModelSpec& spec() const { return spec_; }
  // What `dtype` says, or what the base is stored in.
  tensor::DType dtype() const { return dtype_; }
  const MergeConfig& config() const { return config_; }
  const SourceModels& models() const { return models_; }
  // For people: what differs between the models and does not matter to the weights.
  const std::vector<std::string>& notes() const { return notes_; }

  // A parameter of the result, F32. Requires a name of Parameters(spec()). What the files say.
  Result<tensor::Tensor> Read(const std::string& name, ThreadPool& pool) const;

 private:
  // Where a tensor of the result comes from.
  struct Place {
    std::string name;  // ours
    std::string hf_name;
    tensor::Shape shape;
    std::size_t slice = 0;
    std::int64_t layer = -1;  // within the slice; -1: before or behind the layers
    std::string rest;         // behind "layers.N." of a layer's parameter, else the whole name
    double position = 0;
  };
  // The numbers of one source at one place.
  struct Numbers {
    double weight = 1;
    double density = 1;
    double scale = 1;
  };

  Status PlaceTensors();
  Status CheckSlices();
  Status CheckFilters() const;
  Status CheckNumbers() const;
  Result<Numbers> NumbersOf(const Place& place, const Source& source) const;
  Result<double> SlerpPosition(const Place& place) const;
  std::int64_t BaseFirst(const Slice& slice) const;

  const SourceModel& Model(const std::string& name) const;
  Result<tensor::Tensor> Load(const Place& place, const std::string& model,
                              std::int64_t first) const;
  Result<tensor::Tensor> ReadLinear(const Place& place, ThreadPool& pool) const;
  Result<tensor::Tensor> ReadSlerp(const Place& place, ThreadPool& pool) const;
  Result<tensor::Tensor> ReadDeltas(const Place& place, ThreadPool& pool) const;
  Result<tensor::Tensor> ReadScaled(const Place& place, ThreadPool& pool) const;

  MergeConfig config_;
  SourceModels models_;
  model::ModelSpec spec_;
  tensor::DType dtype_ = tensor::DType::kF32;
  std::vector<std::string> notes_;
  std::map<std::string, Place> places_;
};

// The weights as they will be read from a file of this type: what a merge is tried with is then
// what is written. Requires F32; F32, F16 or BF16 as the type.
Status RoundTo(tensor::DType dtype, tensor::Tensor& values);

}  // namespace metier::merge
