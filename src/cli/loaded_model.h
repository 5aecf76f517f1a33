// cli/loaded_model.h - a model on the native engine, with its adapter, ready to compute. Needs no
// tokenizer: files without one can be inspected, compared and computed with.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "model/backend.h"
#include "model/model_files.h"

namespace metier::cli {

struct LoadedModel {
  std::unique_ptr<model::Backend> backend;
  model::AdapterId adapter_id = model::AdapterId::kNone;
};

// The same on files that are open already.
Result<LoadedModel> LoadModel(const model::ModelFiles& files,
                              const std::optional<model::Adapter>& adapter, int threads);

// A specialist (verified, with its own adapter), a Hugging Face directory or a GGUF file; `adapter`
// is a PEFT directory or "". kInvalidArgument: an adapter for a specialist that has one.
Result<LoadedModel> LoadModel(const std::string& path, const std::string& adapter, int threads);

// Calls `take` with consecutive rows [n, width]: the logits after each token, or the last hidden
// states of an encoder. A decoder computes and hands out a bounded number of rows at a time.
using RowSink = std::function<Status(const model::Rows& rows)>;
Status ForEachRow(const LoadedModel& loaded, std::span<const model::TokenId> tokens,
                  const RowSink& take);

// Floats in one row: the vocabulary, or an encoder's width.
std::int64_t RowWidth(const model::ModelSpec& spec);

}  // namespace metier::cli
