// cli/torch_rows.h - the same rows as cli/loaded_model.h computes, from the training plug-in.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "model/backend.h"

namespace metier::cli {

struct TorchRequest {
  std::string model;    // Hugging Face directory or GGUF file
  std::string adapter;  // PEFT directory; "": none
  std::span<const model::TokenId> tokens;
  std::int64_t threads = 0;  // 0: all
  std::string device = "cpu";
};

// Logits [tokens, vocab] or an encoder's last hidden states [tokens, width]; the values live as
// long as `owner`. kIo: the plug-in is not there.
struct TorchRows {
  std::shared_ptr<const void> owner;
  std::span<const float> values;
};
Result<TorchRows> ComputeTorchRows(const TorchRequest& request);

}  // namespace metier::cli
