#include "data/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace metier::data {
namespace {

bool IsRole(const Json& message, std::string_view role) {
  const auto found = message.find("role");
  return found != message.end() && found->is_string() &&
         found->get_ref<const std::string&>() == role;
}

// Would the whole conversation, as one example, show what serving shows?
bool Faithful(const text::EncodedChat& chat, const std::vector<std::uint8_t>& trained) {
  return std::all_of(chat.turns.begin(), chat.turns.end(), [&](const text::EncodedTurn& turn) {
    return trained[turn.span.message] == 0 ||
           (turn.span.as_served && turn.span.as_last && turn.span.closed);
  });
}

// Removes the oldest exchange: from the first message that is not the system's to the next user
// message. False when there is none to remove.
bool DropOldestExchange(Json& messages, std::vector<std::uint8_t>& trained) {
  std::size_t first = 0;
  while (first < messages.size() &&
         (IsRole(messages[first], "system") || IsRole(messages[first], "developer")))
    ++first;
  std::size_t next = first + 1;
  while (next < messages.size() && !IsRole(messages[next], "user")) ++next;
  if (next >= messages.size()) return false;
  const auto at = [](auto& list, std::size_t i) {
    return list.begin() + static_cast<std::ptrdiff_t>(i);
  };
  messages.erase(at(messages, first), at(messages, next));
  trained.erase(at(trained, first), at(trained, next));
  return std::find(trained.begin(), trained.end(), 1) != trained.end();
}

}  // namespace

void EncodeReport::Add(const EncodeReport& other) {
  constexpr std::size_t kMostRefusals = 20;
  examples += other.examples;
  tokens += other.tokens;
  trained_tokens += other.trained_tokens;
  conversation_tokens += other.conversation_tokens;
  conversation_trained_tokens += other.conversation_trained_tokens;
  split_conversations += other.split_conversations;
  turns_not_as_served += other.turns_not_as_served;
  turns_closed_with_eos += other.turns_closed_with_eos;
  long_dropped += other.long_dropped;
  long_truncated += other.long_truncated;
  dropped_messages += other.dropped_messages;
  dropped_tokens += other.dropped_tokens;
  template_refused += other.template_refused;
  for (const Rejection& refusal : other.template_refusals) {
    if (template_refusals.size() < kMostRefusals) template_refusals.push_back(refusal);
  }
}

Encoder::Encoder(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat_template,
                 const EncodeOptions& options)
    : tokenizer_(tokenizer), chat_template_(chat_template), options_(options) {}

bool Encoder::TooLong(std::size_t tokens) const {
  return options_.max_tokens > 0 && static_cast<std::int64_t>(tokens) > options_.max_tokens;
}

Error Encoder::LongError(const Conversation& conversation, std::size_t tokens) const {
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("line {}: {} tokens, limit {}; raise the limit, or choose to truncate or "
                  "drop long examples",
                  conversation.line, tokens, options_.max_tokens));
}

Result<text::EncodedChat> Encoder::Render(const Json& messages, const Json& tools) const {
  text::RenderOptions render = options_.render;
  render.add_generation_prompt = false;
  render.tools = tools;
  return text::EncodeChat(tokenizer_, *chat_template_, messages, render);
}

Result<std::vector<Example>> Encoder::Encode(const Conversation& conversation) {
  if (!conversation.is_text() && chat_template_ == nullptr) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("line {}: a conversation needs a chat template, and the model has none",
                    conversation.line));
  }
  auto examples = conversation.is_text() ? EncodeText(conversation) : EncodeMessages(conversation);
  if (examples.ok()) Count(*examples, conversation);
  return examples;
}

void Encoder::Count(const std::vector<Example>& examples, const Conversation& conversation) {
  for (const Example& example : examples) {
    const auto tokens = static_cast<std::int64_t>(example.ids.size());
    const auto trained = std::count(example.loss.begin(), example.loss.end(), 1);
    ++report_.examples;
    report_.tokens += tokens;
    report_.trained_tokens += trained;
    if (conversation.is_text()) continue;
    report_.conversation_tokens += tokens;
    report_.conversation_trained_tokens += trained;
  }
}

Example Encoder::FromChat(const text::EncodedChat& chat, const std::vector<std::uint8_t>& trained) {
  Example example;
  example.ids = chat.ids;
  example.loss.assign(chat.ids.size(), 0);
  const text::EncodedTurn* last = nullptr;
  for (const text::EncodedTurn& turn : chat.turns) {
    if (trained[turn.span.message] == 0) continue;
    for (std::size_t i = turn.begin; i < turn.end; ++i) example.loss[i] = 1;
    if (!turn.span.as_served) ++report_.turns_not_as_served;
    last = &turn;
  }
  // A turn without a marker: the model must still learn to stop.
  const text::TokenId eos = tokenizer_.special().eos;
  if (last != nullptr && !last->span.closed && eos >= 0 && last == &chat.turns.back()) {
    example.ids.resize(last->end);
    example.loss.resize(last->end);
    example.ids.push_back(eos);
    example.loss.push_back(1);
    ++report_.turns_closed_with_eos;
  }
  return example;
}

Result<std::optional<Example>> Encoder::Fit(const Conversation& conversation, Json messages,
                                            std::vector<std::uint8_t> trained) {
  std::int64_t dropped = 0;
  while (true) {
    METIER_ASSIGN(const text::EncodedChat chat, Render(messages, conversation.tools));
    if (!TooLong(chat.ids.size())) {
      if (dropped > 0) {
        ++report_.long_truncated;
        report_.dropped_messages += dropped;
      }
      return std::optional<Example>(FromChat(chat, trained));
    }
    if (options_.long_examples == LongExamples::kRefuse)
      return LongError(conversation, chat.ids.size());
    const auto before = static_cast<std::int64_t>(messages.size());
    if (options_.long_examples == LongExamples::kDrop || !DropOldestExchange(messages, trained)) {
      ++report_.long_dropped;
      return std::optional<Example>();
    }
    dropped += before - static_cast<std::int64_t>(messages.size());
  }
}

Result<std::vector<Example>> Encoder::EncodeMessages(const Conversation& conversation) {
  auto chat = Render(conversation.messages, conversation.tools);
  if (!chat.ok()) {
    if (chat.error().code() == ErrorCode::kResourceExhausted) return std::move(chat).error();
    ++report_.template_refused;
    report_.template_refusals.push_back({conversation.line, chat.error().message()});
    return std::vector<Example>();
  }
  if (!Faithful(*chat, conversation.trained)) return EncodeTurns(conversation);
  if (!TooLong(chat->ids.size()))
    return std::vector<Example>{FromChat(*chat, conversation.trained)};
  METIER_ASSIGN(std::optional<Example> example,
                Fit(conversation, conversation.messages, conversation.trained));
  std::vector<Example> examples;
  if (example) examples.push_back(*std::move(example));
  return examples;
}

Result<std::vector<Example>> Encoder::EncodeTurns(const Conversation& conversation) {
  ++report_.split_conversations;
  std::vector<Example> examples;
  Json messages = Json::array();
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    messages.push_back(conversation.messages[i]);
    if (!IsRole(messages.back(), "assistant") || conversation.trained[i] == 0) continue;
    std::vector<std::uint8_t> trained(i + 1, 0);
    trained.back() = 1;
    METIER_ASSIGN(std::optional<Example> example, Fit(conversation, messages, std::move(trained)));
    if (example) examples.push_back(*std::move(example));
  }
  return examples;
}

Result<std::vector<Example>> Encoder::EncodeText(const Conversation& conversation) {
  text::EncodeOptions encode;
  encode.add_special = text::AddSpecial::kYes;
  const std::string& first = conversation.prompt.empty() ? conversation.text : conversation.prompt;
  Example example;
  METIER_ASSIGN(example.ids, tokenizer_.Encode(first, encode));
  const text::TokenId eos = tokenizer_.special().eos;
  if (eos >= 0 && !example.ids.empty() && example.ids.back() == eos) example.ids.pop_back();
  example.loss.assign(example.ids.size(), conversation.prompt.empty() ? 1 : 0);
  if (!conversation.prompt.empty()) {
    encode.add_special = text::AddSpecial::kNo;
    encode.follows = text::Follows::kText;
    METIER_ASSIGN(const std::vector<text::TokenId> rest,
                  tokenizer_.Encode(conversation.text, encode));
    example.ids.insert(example.ids.end(), rest.begin(), rest.end());
    example.loss.resize(example.ids.size(), 1);
  }
  if (eos >= 0) {
    example.ids.push_back(eos);
    example.loss.push_back(1);
  }
  if (example.ids.empty()) return std::vector<Example>();
  if (TooLong(example.ids.size())) {
    if (options_.long_examples == LongExamples::kRefuse)
      return LongError(conversation, example.ids.size());
    if (options_.long_examples == LongExamples::kDrop) {
      ++report_.long_dropped;
      return std::vector<Example>();
    }
    const auto cut = static_cast<std::ptrdiff_t>(example.ids.size()) -
                     static_cast<std::ptrdiff_t>(options_.max_tokens);
    example.ids.erase(example.ids.begin(), example.ids.begin() + cut);
    example.loss.erase(example.loss.begin(), example.loss.begin() + cut);
    ++report_.long_truncated;
    report_.dropped_tokens += cut;
  }
  return std::vector<Example>{std::move(example)};
}

}  // namespace metier::data
