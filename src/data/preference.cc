#include "data/preference.h"

#include <algorithm>
#include <utility>

#include "data/normalize.h"
#include "data/row_parts.h"

namespace metier::data {
namespace {

using parts::AddMessages;
using parts::Bad;
using parts::Find;
using parts::Text;

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

// Of a list of parts: nothing, or only texts that say nothing.
bool PartsAreBlank(const Json& content) {
  return std::all_of(content.begin(), content.end(), [](const Json& part) {
    const Json* text = part.is_object() ? Find(part, "text") : nullptr;
    return text != nullptr && text->is_string() && IsBlank(text->get_ref<const std::string&>());
  });
}

bool SaysSomething(const Json& message) {
  const Json* calls = Find(message, "tool_calls");
  if (calls != nullptr && !calls->empty()) return true;
  const Json* content = Find(message, "content");
  if (content == nullptr) return false;
  if (content->is_string()) return !IsBlank(content->get_ref<const std::string&>());
  return !PartsAreBlank(*content);
}

// Keys in any order.
bool Same(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

// Leaves the last message as the only one that is trained.
Status TrainTheAnswer(Conversation& conversation) {
  if (conversation.messages.empty() || conversation.messages.back()["role"] != "assistant")
    return Bad("an answer is not the assistant's");
  if (!SaysSomething(conversation.messages.back())) return Bad("an answer is empty");
  if (conversation.messages.size() < 2) return Bad("there is no prompt before the answer");
  if (conversation.trained.back() == 0) return Bad("an answer is flagged not to be trained on");
  std::fill(conversation.trained.begin(), conversation.trained.end() - 1, std::uint8_t{0});
  return Ok();
}

// Of two whole conversations.
Result<Conversation> Prefer(Conversation chosen, Conversation rejected) {
  const Json& good = chosen.messages;
  const Json& bad = rejected.messages;
  std::size_t shared = 0;
  while (shared < good.size() && shared < bad.size() && Same(good[shared], bad[shared])) ++shared;
  if (shared == good.size() && shared == bad.size())
    return Bad("'chosen' and 'rejected' are the same");
  if (shared == 0) return Bad("'chosen' and 'rejected' have no beginning in common: no prompt");
  if (shared + 1 != good.size() || shared + 1 != bad.size())
    return Bad("'chosen' and 'rejected' differ in more than their last message");
  METIER_TRY(TrainTheAnswer(chosen));
  METIER_TRY(TrainTheAnswer(rejected));
  chosen.judgement = format::Judgement::kGood;
  chosen.rejected = rejected.messages.back();
  return chosen;
}

// One answer each behind the prompt's messages.
Result<Conversation> PreferBehind(const Json& prompt, const Json& chosen, const Json& rejected) {
  if (!chosen.is_array() || !rejected.is_array() || chosen.empty() || rejected.empty())
    return Bad("an answer is empty");
  Conversation good;
  METIER_TRY(AddMessages(prompt, good));
  if (good.messages.empty()) return Bad("there is no prompt before the answer");
  Conversation bad = good;
  METIER_TRY(AddMessages(chosen, good));
  METIER_TRY(AddMessages(rejected, bad));
  return Prefer(std::move(good), std::move(bad));
}

Result<Conversation> PreferTexts(const Json& prompt, const Json& chosen, const Json& rejected) {
  Conversation conversation;
  conversation.prompt = prompt.get<std::string>();
  conversation.text = chosen.get<std::string>();
  conversation.rejected = rejected;
  conversation.judgement = format::Judgement::kGood;
  if (conversation.prompt.empty()) return Bad("there is no prompt before the answer");
  if (IsBlank(conversation.text) || IsBlank(rejected.get_ref<const std::string&>()))
    return Bad("an answer is empty");
  if (chosen == rejected) return Bad("'chosen' and 'rejected' are the same");
  return conversation;
}

Result<Conversation> PreferTrl(const Json& row, const Json& chosen, const Json& rejected) {
  const Json* prompt = Find(row, "prompt");
  if (prompt == nullptr) {
    if (!chosen.is_array() || !rejected.is_array())
      return Bad("'chosen' and 'rejected' without 'prompt' are not two lists of messages");
    Conversation good;
    Conversation bad;
    METIER_TRY(AddMessages(chosen, good));
    METIER_TRY(AddMessages(rejected, bad));
    return Prefer(std::move(good), std::move(bad));
  }
  if (prompt->is_string() && chosen.is_string() && rejected.is_string())
    return PreferTexts(*prompt, chosen, rejected);
  if (prompt->is_array() && chosen.is_array() && rejected.is_array())
    return PreferBehind(*prompt, chosen, rejected);
  return Bad("'prompt', 'chosen' and 'rejected' are not three texts or three lists of messages");
}

Result<Conversation> PreferShare(const Json& row, const Json& chosen, const Json& rejected) {
  METIER_ASSIGN(const Json prompt, parts::ShareMessages(row));
  if (!prompt.empty() && prompt.back()["role"] == "assistant")
    return Bad("the turns are out of order");
  METIER_ASSIGN(Json good, parts::ShareMessage(chosen));
  METIER_ASSIGN(Json bad, parts::ShareMessage(rejected));
  return PreferBehind(prompt, Json::array({std::move(good)}), Json::array({std::move(bad)}));
}

Result<Conversation> PreferAlpaca(const Json& row) {
  METIER_ASSIGN(const Json prompt, parts::AlpacaMessages(row));
  METIER_ASSIGN(const std::string chosen, Text(row, "chosen"));
  METIER_ASSIGN(const std::string rejected, Text(row, "rejected"));
  return PreferBehind(prompt, Json::array({parts::Message("assistant", chosen)}),
                      Json::array({parts::Message("assistant", rejected)}));
}

}  // namespace

bool LooksLikePreference(const Json& row) {
  return row.contains("chosen") && row.contains("rejected");
}

bool LooksLikeJudged(const Json& row) {
  if (Find(row, "kto_tag") != nullptr) {
    return row.contains("messages") || row.contains("conversations") ||
           (row.contains("instruction") && row.contains("output"));
  }
  return Find(row, "label") != nullptr && row.contains("prompt") && row.contains("completion");
}

Result<Conversation> FromPreference(const Json& row) {
  const Json* chosen = Find(row, "chosen");
  const Json* rejected = Find(row, "rejected");
  if (chosen == nullptr || rejected == nullptr) return Bad("'chosen' or 'rejected' is missing");
  if (row.contains("instruction")) return PreferAlpaca(row);
  auto preferred = row.contains("conversations") ? PreferShare(row, *chosen, *rejected)
                                                 : PreferTrl(row, *chosen, *rejected);
  if (!preferred.ok() || preferred->is_text()) return preferred;
  METIER_ASSIGN(preferred->tools, parts::Tools(row));
  return preferred;
}

Result<Conversation> FromJudged(const Json& row) {
  Form form = Form::kCompletion;
  if (row.contains("messages")) form = Form::kMessages;
  if (row.contains("conversations")) form = Form::kSharegpt;
  if (row.contains("instruction")) form = Form::kAlpaca;
  const std::string key = form == Form::kCompletion ? "label" : "kto_tag";
  const Json* label = Find(row, key.c_str());
  if (label == nullptr) return Bad("'" + key + "' is missing");
  if (!label->is_boolean()) return Bad("'" + key + "' is neither true nor false");
  METIER_ASSIGN(Conversation conversation, Normalize(row, form));
  conversation.judgement = label->get<bool>() ? format::Judgement::kGood : format::Judgement::kBad;
  if (!conversation.is_text()) {
    METIER_TRY(TrainTheAnswer(conversation));
  } else if (conversation.prompt.empty()) {
    return Bad("there is no prompt before the answer");
  } else if (IsBlank(conversation.text)) {
    return Bad("an answer is empty");
  }
  return conversation;
}

}  // namespace metier::data
