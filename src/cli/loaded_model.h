// cli/loaded_model.h - weights on the native engine, with their adapter, where no tokenizer is
// needed: files without one can be computed with and compared.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/native_backend.h"
#include "model/backend.h"
#include "specialist/chat_reply.h"

namespace metier::cli {

// `base`: a Hugging Face directory or a GGUF file; `adapter`: a PEFT directory or "".
Result<specialist::LoadedModel> LoadModel(const std::string& base, const std::string& adapter,
                                          const engine::NativeOptions& options);

// Calls `take` with consecutive rows [n, width]: the logits after each token, or the last hidden
// states of an encoder. A decoder computes and hands out a bounded number of rows at a time.
using RowSink = std::function<Status(const model::Rows& rows)>;
Status ForEachRow(const specialist::LoadedModel& loaded, std::span<const model::TokenId> tokens,
                  const RowSink& take);

// Floats in one row: the vocabulary, or an encoder's width.
std::int64_t RowWidth(const model::ModelSpec& spec);

}  // namespace metier::cli
