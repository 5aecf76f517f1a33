// data/row_parts.h - what the rows of several forms are made of. For normalize.cc and
// preference.cc.
//
// Errors are kDataCorrupt with the reason why the row is refused, as Normalize promises.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "data/conversation.h"

namespace metier::data::parts {

Error Bad(std::string reason);

// The key's value, borrowed; null where it is absent or null.
const Json* Find(const Json& row, const char* key);
// A text field; absent or null: "".
Result<std::string> Text(const Json& row, const char* key);
// `tools`: a list, or the same as JSON text. Null where there are none.
Result<Json> Tools(const Json& row);

Json Message(std::string role, const std::string& content);
// Checks the messages of a list, with tool calls as templates expect them, and appends them and
// their flags "trained".
Status AddMessages(const Json& list, Conversation& conversation);
// That some message of the assistant is trained.
Status CheckLearns(const Conversation& conversation);

// One turn {"from", "value"} as a message.
Result<Json> ShareMessage(const Json& turn);
// `system` and `conversations` of a sharegpt row as messages. Questions and answers take turns.
Result<Json> ShareMessages(const Json& row);
// `system`, `history`, `instruction` and `input` of an alpaca row as messages: up to the question.
Result<Json> AlpacaMessages(const Json& row);

}  // namespace metier::data::parts
