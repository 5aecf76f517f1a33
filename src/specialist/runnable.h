// specialist/runnable.h - a model with everything it needs to talk: weights, tokenizer, template,
// adapter, tools.
//
// From a specialist's folder (verified against its manifest), a Hugging Face directory, or a GGUF
// file.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "model/adapter_files.h"
#include "model/model_files.h"
#include "specialist/manifest.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/tool_dialect.h"

namespace metier::specialist {

struct Runnable {
  model::ModelFiles files;
  text::Tokenizer tokenizer;
  std::optional<text::ChatTemplate> chat_template =
      {};  // nothing: a base model that only continues text
  std::optional<model::AdapterFiles> adapter = {};
  text::ToolDialect dialect = text::ToolDialect::kNone;
  Json tools = nullptr;     // array in the OpenAI form, or null
  std::string system = {};  // "": none
  GenerationDefaults generation = {};
  std::optional<Manifest> manifest;  // of a specialist

  // Tokens that end a turn: the tokenizer's EOS and end-of-turn ids.
  std::vector<text::TokenId> StopTokens() const;
  // BOS and EOS as the template wants them.
  text::ChatTemplate::Tokens TemplateTokens() const;
};

struct OpenOptions {
  std::string path;
  std::string adapter;  // PEFT or mixture directory to put on top; "": the specialist's own, if any
};

// kInvalidArgument: an adapter for a specialist that has one. Otherwise what the parts say, with
// the path in front.
Result<Runnable> OpenRunnable(const OpenOptions& options, const Limits& limits = {});

// The tokenizer and template of a model path alone, without opening its weights.
Result<text::Tokenizer> OpenTokenizer(const std::string& path, const Limits& limits = {});
Result<text::ChatTemplate> OpenChatTemplate(const std::string& path, text::WithTools tools,
                                            const Limits& limits = {});

}  // namespace metier::specialist
