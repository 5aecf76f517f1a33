// train/model_source.h - where a network's parameters come from: a model on disk, or random
// numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "model/model_files.h"
#include "recipe/train_config.h"
#include "train/network.h"

namespace metier::train {

struct ModelSource {
  model::ModelSpec spec;
  model::ParameterReader read;                          // keeps what it reads from mapped
  std::string path;                                     // empty: random weights only
  tensor::DType stored = tensor::DType::kF32;           // of the token embedding
  std::shared_ptr<const model::ModelFiles> files = {};  // null: a model from scratch
};

// `model`; or `init`, with random weights of the run's seed or those of a dense model, whose path
// and type are then the source's. kUnsupported: a model that cannot be upcycled, with why.
Result<ModelSource> OpenModelSource(const recipe::TrainConfig& config);
Result<ModelSource> OpenModelAt(const std::string& path);

// "cpu", "cuda", "cuda:1". kInvalidArgument: LibTorch has no CUDA, or no such device.
Result<at::Device> ParseDevice(const std::string& name);

// SHA-256 over the files that make the model, or the adapter: names and contents, in order. Empty
// path: "".
Result<std::string> HashModel(const std::string& path);

}  // namespace metier::train
