// specialist/chat_reply.h - a model's replies to conversations: encode, continue greedily, decode.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/compute.h"
#include "engine/kv_cache.h"
#include "evaluate/choices.h"
#include "evaluate/language_model.h"
#include "evaluate/tool_calls.h"
#include "model/backend.h"
#include "specialist/runnable.h"

namespace metier::engine {
class ExpertCache;
}

namespace metier::specialist {

// A Runnable's weights on the native engine, its adapter added.
struct LoadedModel {
  std::unique_ptr<model::Backend> backend;
  model::AdapterId adapter = model::AdapterId::kNone;
  // The backend's; nullptr: all experts are in memory, or there are none.
  const engine::ExpertCache* experts = nullptr;
};
struct LoadOptions {
  int threads = 0;  // 0: all cores
  engine::Arithmetic arithmetic = engine::Arithmetic::kFast;
  engine::KvType kv_type = engine::KvType::kF32;
  std::optional<std::uint64_t> max_expert_bytes = {};  // engine::ModelOptions
};
Result<LoadedModel> LoadModel(const Runnable& runnable, const LoadOptions& options = {});

// Callable as evaluate::ReplyFunction. Borrows both arguments.
class ChatReply {
 public:
  ChatReply(const Runnable& runnable, evaluate::LanguageModel& model, std::int64_t max_tokens)
      : runnable_(runnable), model_(model), max_tokens_(max_tokens) {}

  // One reply for each. kInvalidArgument: the model has no chat template, or the conversation is
  // longer than it takes (with both numbers).
  std::vector<Result<std::string>> operator()(
      std::span<const evaluate::Conversation> conversations) const;

 private:
  Result<std::vector<text::TokenId>> Encode(const evaluate::Conversation& conversation) const;

  const Runnable& runnable_;
  evaluate::LanguageModel& model_;
  std::int64_t max_tokens_;
};

// The choices suite with the model's own tokenizer, template and ends of turns.
Result<evaluate::ChoiceResult> MeasureChoices(const Runnable& runnable,
                                              evaluate::LanguageModel& model,
                                              const evaluate::ChoiceOptions& options,
                                              const OnProgress& on_rows);

}  // namespace metier::specialist
