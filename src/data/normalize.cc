#include "data/normalize.h"

#include <algorithm>
#include <utility>

#include "data/preference.h"
#include "data/row_parts.h"

namespace metier::data {
namespace {

using parts::AddMessages;
using parts::Bad;
using parts::CheckLearns;
using parts::Find;
using parts::Text;
using parts::Tools;

Result<Conversation> FromMessages(const Json& row) {
  Conversation conversation;
  const Json* messages = Find(row, "messages");
  if (messages == nullptr) return Bad("'messages' is missing");
  METIER_TRY(AddMessages(*messages, conversation));
  METIER_ASSIGN(conversation.tools, Tools(row));
  METIER_TRY(CheckLearns(conversation));
  return conversation;
}

Result<Conversation> FromSharegpt(const Json& row) {
  METIER_ASSIGN(const Json messages, parts::ShareMessages(row));
  Conversation conversation;
  METIER_TRY(AddMessages(messages, conversation));
  METIER_ASSIGN(conversation.tools, Tools(row));
  METIER_TRY(CheckLearns(conversation));
  return conversation;
}

Result<Conversation> FromAlpaca(const Json& row) {
  METIER_ASSIGN(Json messages, parts::AlpacaMessages(row));
  METIER_ASSIGN(const std::string output, Text(row, "output"));
  if (output.empty()) return Bad("'output' is empty");
  messages.push_back(parts::Message("assistant", output));
  Conversation conversation;
  METIER_TRY(AddMessages(messages, conversation));
  return conversation;
}

Result<Conversation> FromCompletion(const Json& row) {
  const Json* prompt = Find(row, "prompt");
  const Json* completion = Find(row, "completion");
  if (prompt == nullptr || completion == nullptr) return Bad("'prompt' or 'completion' is missing");
  Conversation conversation;
  if (prompt->is_string() && completion->is_string()) {
    conversation.prompt = prompt->get<std::string>();
    conversation.text = completion->get<std::string>();
    if (conversation.text.empty()) return Bad("'completion' is empty");
    return conversation;
  }
  if (!prompt->is_array() || !completion->is_array())
    return Bad("'prompt' and 'completion' are not two texts or two lists of messages");
  METIER_TRY(AddMessages(*prompt, conversation));
  std::fill(conversation.trained.begin(), conversation.trained.end(), std::uint8_t{0});
  METIER_TRY(AddMessages(*completion, conversation));
  METIER_ASSIGN(conversation.tools, Tools(row));
  METIER_TRY(CheckLearns(conversation));
  return conversation;
}

Result<Conversation> FromText(const Json& row) {
  const Json* text = Find(row, "text");
  if (text == nullptr || !text->is_string()) return Bad("'text' is missing or not a text");
  Conversation conversation;
  conversation.text = text->get<std::string>();
  if (conversation.text.empty()) return Bad("'text' is empty");
  return conversation;
}

}  // namespace

bool LooksLike(const Json& row, Form form) {
  if (!row.is_object()) return false;
  // A row that has a judgement is not taken for one without; where it is not clear that it has one
  // ("label" that is neither true nor false), it looks like both, and the user is asked.
  const bool tagged = Find(row, "kto_tag") != nullptr;
  const Json* label = Find(row, "label");
  switch (form) {
    case Form::kMessages: return row.contains("messages") && !tagged;
    case Form::kSharegpt:
      return row.contains("conversations") && !tagged && !LooksLikePreference(row);
    case Form::kAlpaca: return row.contains("instruction") && row.contains("output") && !tagged;
    case Form::kCompletion:
      return row.contains("prompt") && row.contains("completion") &&
             (label == nullptr || !label->is_boolean());
    case Form::kText: return row.contains("text");
    case Form::kPreference: return LooksLikePreference(row);
    case Form::kJudged: return LooksLikeJudged(row);
  }
  return false;
}

Result<Conversation> Normalize(const Json& row, Form form) {
  if (!row.is_object()) return Bad("the row is not a JSON object");
  switch (form) {
    case Form::kMessages: return FromMessages(row);
    case Form::kSharegpt: return FromSharegpt(row);
    case Form::kAlpaca: return FromAlpaca(row);
    case Form::kCompletion: return FromCompletion(row);
    case Form::kText: return FromText(row);
    case Form::kPreference: return FromPreference(row);
    case Form::kJudged: return FromJudged(row);
  }
  return Bad("an unknown form");
}

}  // namespace metier::data
