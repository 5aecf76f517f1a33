// model/families/gguf_llama.h - GGUF's architecture "llama", which llama, mistral and mixtral
// share.
#pragma once

#include <vector>

#include "model/family.h"

namespace metier::model {

// expert_count > 0: mixtral; else attention.sliding_window > 0: mistral; else llama.
Result<ModelSpec> LlamaFromGguf(const format::GgufFile& file);
Result<GgufMetadata> LlamaToGguf(const ModelSpec& spec);
std::vector<TensorRule> LlamaGgufRules(const ModelSpec& spec);

}  // namespace metier::model
