#include "specialist/chat_reply.h"

#include <fmt/format.h>

#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "text/chat_encode.h"

namespace metier::specialist {

Result<LoadedModel> LoadModel(const Runnable& runnable, const LoadOptions& options) {
  METIER_ASSIGN(auto weights, engine::NativeModel::FromFiles(
                                  runnable.files, {.max_expert_bytes = options.max_expert_bytes}));
  LoadedModel loaded;
  loaded.experts = weights->expert_cache();
  loaded.backend = std::make_unique<engine::NativeBackend>(
      std::move(weights), engine::NativeOptions{.threads = options.threads,
                                                .kv_type = options.kv_type,
                                                .arithmetic = options.arithmetic});
  if (runnable.adapter) {
    METIER_ASSIGN(loaded.adapter, model::AddAdapter(*loaded.backend, *runnable.adapter));
  }
  return loaded;
}

Result<std::vector<text::TokenId>> ChatReply::Encode(
    const evaluate::Conversation& conversation) const {
  if (!runnable_.chat_template) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}' has no chat template: it cannot be asked for replies",
                             runnable_.files.path()));
  }
  text::RenderOptions options;
  options.add_generation_prompt = true;
  options.tools = *conversation.tools;
  METIER_ASSIGN(text::EncodedChat prompt,
                text::EncodeChat(runnable_.tokenizer, *runnable_.chat_template,
                                 *conversation.messages, options));
  const auto length = static_cast<std::int64_t>(prompt.ids.size());
  if (length >= model_.MaxTokens()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("the conversation has {} tokens, the model takes {}", length,
                             model_.MaxTokens()));
  }
  return std::move(prompt.ids);
}

std::vector<Result<std::string>> ChatReply::operator()(
    std::span<const evaluate::Conversation> conversations) const {
  std::vector<Result<std::string>> replies;
  std::vector<std::vector<text::TokenId>> encoded;
  std::vector<evaluate::Prompt> prompts;
  std::vector<std::size_t> asked;  // of each prompt: which conversation
  encoded.reserve(conversations.size());
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    auto ids = Encode(conversations[i]);
    replies.push_back(ids.ok() ? Result<std::string>(std::string()) : ids.error());
    if (!ids.ok()) continue;
    encoded.push_back(*std::move(ids));
    prompts.push_back({conversations[i].slot, encoded.back()});
    asked.push_back(i);
  }
  const auto answers = model_.Greedy(prompts, max_tokens_, runnable_.StopTokens());
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    // Special tokens are kept: some dialects mark calls with them.
    replies[asked[p]] =
        answers.ok() ? runnable_.tokenizer.Decode((*answers)[p], text::Tokenizer::SkipSpecial::kNo)
                     : Result<std::string>(answers.error());
  }
  return replies;
}

Result<evaluate::ChoiceResult> MeasureChoices(const Runnable& runnable,
                                              evaluate::LanguageModel& model,
                                              const evaluate::ChoiceOptions& options,
                                              const OnProgress& on_rows) {
  const std::vector<text::TokenId> stop = runnable.StopTokens();
  const evaluate::ChoiceReader reader = {
      .tokenizer = runnable.tokenizer,
      .chat_template = runnable.chat_template ? &*runnable.chat_template : nullptr,
      .stop = stop};
  return evaluate::MeasureChoices(model, reader, options, on_rows);
}

}  // namespace metier::specialist
