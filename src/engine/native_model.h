// engine/native_model.h - a model opened for the native engine: its description and its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "engine/weights.h"
#include "model/model_files.h"
#include "model/model_spec.h"

namespace metier::engine {

// Immutable; several backends on any threads may share one.
class NativeModel {
 public:
  // A Hugging Face directory or a GGUF file. Packed weights are made here, on all cores; stored
  // ones are mapped where their bytes allow it. Errors as model::ModelFiles::Open and
  // Weights::FromFiles.
  static Result<std::shared_ptr<const NativeModel>> Open(
      const std::string& path, const Limits& limits = {},
      WeightLayout layout = WeightLayout::kPacked);
  static Result<std::shared_ptr<const NativeModel>> FromFiles(
      const model::ModelFiles& files, WeightLayout layout = WeightLayout::kPacked);
  // Parameters from memory, as F32: tests, and models that are being made.
  static Result<std::shared_ptr<const NativeModel>> FromReader(
      const model::ModelSpec& spec, const model::ParameterReader& read,
      WeightLayout layout = WeightLayout::kPacked);

  const model::ModelSpec& spec() const { return spec_; }
  const Weights& weights() const { return weights_; }

 private:
  NativeModel(model::ModelSpec spec, Weights weights)
      : spec_(std::move(spec)), weights_(std::move(weights)) {}

  model::ModelSpec spec_;
  Weights weights_;
};

// Memory of this machine, in bytes: what weights and caches may use unless told otherwise.
std::uint64_t MachineMemoryBytes();

}  // namespace metier::engine
