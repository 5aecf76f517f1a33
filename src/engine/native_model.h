// engine/native_model.h - a model opened for the native engine: its description and its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "engine/weights.h"
#include "model/model_files.h"
#include "model/model_spec.h"

namespace metier::engine {

struct ModelOptions {
  WeightLayout layout = WeightLayout::kPacked;
  // Experts packed in memory at once, in bytes; the others are read from the file when they are
  // chosen. Nothing: all of them.
  std::optional<std::uint64_t> max_expert_bytes = {};
};

// Immutable but for the expert cache inside, which takes care of itself; several backends on any
// threads may share one.
class NativeModel {
 public:
  // A Hugging Face directory or a GGUF file. Packed weights are made here, on all cores; stored
  // ones are mapped where their bytes allow it. Errors as model::ModelFiles::Open and
  // Weights::FromFiles.
  static Result<std::shared_ptr<const NativeModel>> Open(const std::string& path,
                                                         const Limits& limits = {},
                                                         const ModelOptions& options = {});
  static Result<std::shared_ptr<const NativeModel>> FromFiles(const model::ModelFiles& files,
                                                              const ModelOptions& options = {});
  // Parameters from memory, as F32: tests, and models that are being made.
  static Result<std::shared_ptr<const NativeModel>> FromReader(
      const model::ModelSpec& spec, const model::ParameterReader& read,
      WeightLayout layout = WeightLayout::kPacked);

  const model::ModelSpec& spec() const { return spec_; }
  const Weights& weights() const { return weights_; }
  // nullptr: all experts are resident, or there are none.
  const ExpertCache* expert_cache() const { return weights_.expert_cache(); }

 private:
  NativeModel(model::ModelSpec spec, Weights weights)
      : spec_(std::move(spec)), weights_(std::move(weights)) {}

  model::ModelSpec spec_;
  Weights weights_;
};

// Memory of this machine, in bytes: what weights and caches may use unless told otherwise.
std::uint64_t MachineMemoryBytes();

}  // namespace metier::engine
