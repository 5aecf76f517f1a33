#include "specialist/chat_reply.h"

#include <fmt/format.h>

#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "text/chat_encode.h"

namespace metier::specialist {

Result<LoadedModel> LoadModel(const Runnable& runnable, int threads) {
  METIER_ASSIGN(auto weights, engine::NativeModel::FromFiles(runnable.files));
  LoadedModel loaded;
  loaded.backend = std::make_unique<engine::NativeBackend>(
      std::move(weights), engine::NativeOptions{.threads = threads});
  if (runnable.adapter) {
    METIER_ASSIGN(loaded.adapter, loaded.backend->AddAdapter(*runnable.adapter));
  }
  return loaded;
}

Result<std::string> ChatReply::operator()(const Json& messages, const Json& tools) const {
  if (!runnable_.chat_template) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' has no chat template: it cannot be asked for replies",
                             runnable_.files.path()));
  }
  text::RenderOptions options;
  options.add_generation_prompt = true;
  options.tools = tools;
  METIER_ASSIGN(const text::EncodedChat prompt,
                text::EncodeChat(runnable_.tokenizer, *runnable_.chat_template, messages, options));
  const auto length = static_cast<std::int64_t>(prompt.ids.size());
  if (length >= model_.MaxTokens()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the conversation has {} tokens, the model takes {}", length,
                             model_.MaxTokens()));
  }
  METIER_ASSIGN(const auto reply, model_.Greedy(prompt.ids, max_tokens_, runnable_.StopTokens()));
  // Special tokens are kept: some dialects mark calls with them.
  return runnable_.tokenizer.Decode(reply, text::Tokenizer::SkipSpecial::kNo);
}

}  // namespace metier::specialist
