#include "data/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
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

// Removes the oldest exchange of conversations that differ in their last message at most: from the
// first message that is not the system's to the next user message. False when there is none to
// remove.
bool DropOldestExchange(std::vector<Json>& conversations, std::vector<std::uint8_t>& trained) {
  const Json& messages = conversations.front();
  std::size_t first = 0;
  while (first < messages.size() &&
         (IsRole(messages[first], "system") || IsRole(messages[first], "developer")))
    ++first;
  std::size_t next = first + 1;
  while (next < messages.size() && !IsRole(messages[next], "user")) ++next;
  if (next >= messages.size()) return false;
  const auto erase = [first, next](auto& list) {
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(first),
               list.begin() + static_cast<std::ptrdiff_t>(next));
  };
  for (Json& conversation : conversations) erase(conversation);
  erase(trained);
  return std::find(trained.begin(), trained.end(), 1) != trained.end();
}

// The tokens before the first that carries loss.
std::span<const text::TokenId> PromptOf(const Example& example) {
  const auto learnt = std::find(example.loss.begin(), example.loss.end(), 1);
  return std::span(example.ids).first(static_cast<std::size_t>(learnt - example.loss.begin()));
}

std::size_t Longest(const std::vector<Example>& examples) {
  std::size_t longest = 0;
  for (const Example& example : examples) longest = std::max(longest, example.ids.size());
  return longest;
}

// The turn of the chat that is trained last, when nothing follows it and it has no marker: EOS is
// to close it, since the model must still learn to stop. Null otherwise.
const text::EncodedTurn* OpenTurn(const text::EncodedChat& chat,
                                  const std::vector<std::uint8_t>& trained) {
  if (chat.turns.empty()) return nullptr;
  const text::EncodedTurn& last = chat.turns.back();
  return trained[last.span.message] != 0 && !last.span.closed ? &last : nullptr;
}

}  // namespace

void EncodeReport::Add(const EncodeReport& other) {
  constexpr std::size_t kMostRefusals = 20;
  examples += other.examples;
  tokens += other.tokens;
  trained_tokens += other.trained_tokens;
  pairs += other.pairs;
  good += other.good;
  bad += other.bad;
  pairs_alike += other.pairs_alike;
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

Result<std::vector<text::EncodedChat>> Encoder::Render(const Conversation& conversation,
                                                       const Sides& sides) const {
  text::RenderOptions render = options_.render;
  render.add_generation_prompt = false;
  render.tools = conversation.tools;
  std::vector<text::EncodedChat> chats;
  chats.reserve(sides.messages.size());
  for (const Json& messages : sides.messages) {
    METIER_ASSIGN(text::EncodedChat chat,
                  text::EncodeChat(tokenizer_, *chat_template_, messages, render));
    chats.push_back(std::move(chat));
  }
  return chats;
}

Result<std::vector<Example>> Encoder::Encode(const Conversation& conversation) {
  if (!conversation.is_text() && chat_template_ == nullptr) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("line {}: a conversation needs a chat template, and the model has none",
                    conversation.line));
  }
  auto examples = conversation.is_text() ? EncodeText(conversation) : EncodeMessages(conversation);
  if (!examples.ok()) return examples;
  for (Example& example : *examples) example.judgement = conversation.judgement;
  if (conversation.is_pair() && !examples->empty()) {
    examples->back().judgement = format::Judgement::kBad;
    METIER_TRY(CheckPair(conversation, *examples));
  }
  Count(*examples, conversation);
  return examples;
}

void Encoder::Count(const std::vector<Example>& examples, const Conversation& conversation) {
  if (conversation.is_pair() && !examples.empty()) ++report_.pairs;
  for (const Example& example : examples) {
    const auto tokens = static_cast<std::int64_t>(example.ids.size());
    const auto trained = std::count(example.loss.begin(), example.loss.end(), 1);
    ++report_.examples;
    report_.tokens += tokens;
    report_.trained_tokens += trained;
    report_.good += example.judgement == format::Judgement::kGood ? 1 : 0;
    report_.bad += example.judgement == format::Judgement::kBad ? 1 : 0;
    if (conversation.is_text()) continue;
    report_.conversation_tokens += tokens;
    report_.conversation_trained_tokens += trained;
  }
}

Status Encoder::CheckPair(const Conversation& conversation, std::vector<Example>& examples) {
  if (examples[0].ids == examples[1].ids) {
    ++report_.pairs_alike;
    examples.clear();
    return Ok();
  }
  const auto good = PromptOf(examples[0]);
  const auto bad = PromptOf(examples[1]);
  const auto differ = std::mismatch(good.begin(), good.end(), bad.begin(), bad.end());
  if (differ.first == good.end() && differ.second == bad.end()) return Ok();
  constexpr std::size_t kShown = 8;  // tokens
  const auto at = static_cast<std::size_t>(differ.first - good.begin());
  const auto show = [&](std::span<const text::TokenId> prompt) {
    const auto rest = prompt.subspan(at);
    return tokenizer_.Decode(rest.first(std::min(kShown, rest.size())),
                             text::Tokenizer::SkipSpecial::kNo);
  };
  METIER_ASSIGN(const std::string before_good, show(good));
  METIER_ASSIGN(const std::string before_bad, show(bad));
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("line {}: the chat template prints one prompt before the chosen answer "
                           "and another before the rejected one: token {} begins '{}' and '{}'; "
                           "expected the same, choose another template",
                           conversation.line, at, before_good, before_bad));
}

Example Encoder::FromChat(const text::EncodedChat& chat,
                          const std::vector<std::uint8_t>& trained) const {
  Example example;
  example.ids = chat.ids;
  example.loss.assign(chat.ids.size(), 0);
  for (const text::EncodedTurn& turn : chat.turns) {
    if (trained[turn.span.message] == 0) continue;
    for (std::size_t i = turn.begin; i < turn.end; ++i) example.loss[i] = 1;
  }
  const text::EncodedTurn* open = OpenTurn(chat, trained);
  if (open != nullptr && tokenizer_.special().eos >= 0) {
    example.ids.resize(open->end);
    example.loss.resize(open->end);
    example.ids.push_back(tokenizer_.special().eos);
    example.loss.push_back(1);
  }
  return example;
}

void Encoder::CountTurns(const text::EncodedChat& chat, const std::vector<std::uint8_t>& trained) {
  for (const text::EncodedTurn& turn : chat.turns) {
    if (trained[turn.span.message] != 0 && !turn.span.as_served) ++report_.turns_not_as_served;
  }
  if (OpenTurn(chat, trained) != nullptr && tokenizer_.special().eos >= 0)
    ++report_.turns_closed_with_eos;
}

Result<std::vector<Example>> Encoder::Fit(const Conversation& conversation, Sides sides,
                                          std::vector<text::EncodedChat> chats) {
  std::int64_t dropped = 0;
  while (true) {
    std::vector<Example> examples;
    examples.reserve(chats.size());
    for (const text::EncodedChat& chat : chats) examples.push_back(FromChat(chat, sides.trained));
    const std::size_t longest = Longest(examples);
    if (!TooLong(longest)) {
      for (const text::EncodedChat& chat : chats) CountTurns(chat, sides.trained);
      if (dropped > 0) {
        ++report_.long_truncated;
        report_.dropped_messages += dropped;
      }
      return examples;
    }
    if (options_.long_examples == LongExamples::kRefuse) return LongError(conversation, longest);
    const auto before = static_cast<std::int64_t>(sides.trained.size());
    if (options_.long_examples == LongExamples::kDrop ||
        !DropOldestExchange(sides.messages, sides.trained)) {
      ++report_.long_dropped;
      return std::vector<Example>();
    }
    dropped += before - static_cast<std::int64_t>(sides.trained.size());
    METIER_ASSIGN(chats, Render(conversation, sides));
  }
}

Result<std::vector<Example>> Encoder::EncodeMessages(const Conversation& conversation) {
  Sides sides = {{conversation.messages}, conversation.trained};
  if (conversation.is_pair()) {
    sides.messages.push_back(conversation.messages);
    sides.messages.back().back() = conversation.rejected;
  }
  auto chats = Render(conversation, sides);
  if (!chats.ok()) {
    if (chats.error().code() == ErrorCode::kResourceExhausted) return std::move(chats).error();
    ++report_.template_refused;
    report_.template_refusals.push_back({conversation.line, chats.error().message()});
    return std::vector<Example>();
  }
  // A judged conversation has one turn that is trained, and is one example however it is printed.
  const bool judged = conversation.judgement != format::Judgement::kNone;
  if (!judged && !Faithful(chats->front(), conversation.trained)) return EncodeTurns(conversation);
  return Fit(conversation, std::move(sides), *std::move(chats));
}

Result<std::vector<Example>> Encoder::EncodeTurns(const Conversation& conversation) {
  ++report_.split_conversations;
  std::vector<Example> examples;
  Json messages = Json::array();
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    messages.push_back(conversation.messages[i]);
    if (!IsRole(messages.back(), "assistant") || conversation.trained[i] == 0) continue;
    Sides sides = {{messages}, std::vector<std::uint8_t>(i + 1, 0)};
    sides.trained.back() = 1;
    METIER_ASSIGN(std::vector<text::EncodedChat> chats, Render(conversation, sides));
    METIER_ASSIGN(std::vector<Example> turn, Fit(conversation, std::move(sides), std::move(chats)));
    for (Example& example : turn) examples.push_back(std::move(example));
  }
  return examples;
}

Result<Example> Encoder::EncodeOneText(const std::string& prompt, const std::string& text) const {
  text::EncodeOptions encode;
  encode.add_special = text::AddSpecial::kYes;
  Example example;
  METIER_ASSIGN(example.ids, tokenizer_.Encode(prompt.empty() ? text : prompt, encode));
  const text::TokenId eos = tokenizer_.special().eos;
  if (eos >= 0 && !example.ids.empty() && example.ids.back() == eos) example.ids.pop_back();
  example.loss.assign(example.ids.size(), prompt.empty() ? 1 : 0);
  if (!prompt.empty()) {
    encode.add_special = text::AddSpecial::kNo;
    encode.follows = text::Follows::kText;
    METIER_ASSIGN(const std::vector<text::TokenId> rest, tokenizer_.Encode(text, encode));
    example.ids.insert(example.ids.end(), rest.begin(), rest.end());
    example.loss.resize(example.ids.size(), 1);
  }
  if (eos >= 0) {
    example.ids.push_back(eos);
    example.loss.push_back(1);
  }
  return example;
}

Result<std::vector<Example>> Encoder::EncodeText(const Conversation& conversation) {
  std::vector<Example> examples(1);
  METIER_ASSIGN(examples[0], EncodeOneText(conversation.prompt, conversation.text));
  if (conversation.is_pair()) {
    METIER_ASSIGN(Example bad,
                  EncodeOneText(conversation.prompt, conversation.rejected.get<std::string>()));
    examples.push_back(std::move(bad));
  }
  if (examples[0].ids.empty()) return std::vector<Example>();
  const std::size_t longest = Longest(examples);
  if (!TooLong(longest)) return examples;
  if (options_.long_examples == LongExamples::kRefuse) return LongError(conversation, longest);
  const std::size_t cut = longest - static_cast<std::size_t>(options_.max_tokens);
  // A judged answer stays whole, and behind something.
  const bool cuts_the_answer =
      conversation.judgement != format::Judgement::kNone && cut >= PromptOf(examples[0]).size();
  if (options_.long_examples == LongExamples::kDrop || cuts_the_answer) {
    ++report_.long_dropped;
    return std::vector<Example>();
  }
  for (Example& example : examples) {
    example.ids.erase(example.ids.begin(), example.ids.begin() + static_cast<std::ptrdiff_t>(cut));
    example.loss.erase(example.loss.begin(),
                       example.loss.begin() + static_cast<std::ptrdiff_t>(cut));
    report_.dropped_tokens += static_cast<std::int64_t>(cut);
  }
  ++report_.long_truncated;
  return examples;
}

}  // namespace metier::data
