// data/preference.h - rows with answers that somebody judged: better than another, or good or bad.
//
// Exactly one message, the last, is the answer. What stands before it is the prompt, which is never
// trained and may not be empty. Two answers of a preference stand behind the same prompt; messages
// are the same where their values are, whatever the order of their keys.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "data/conversation.h"

namespace metier::data {

bool LooksLikePreference(const Json& row);
bool LooksLikeJudged(const Json& row);

// Both require a JSON object. kDataCorrupt: the reason, as of Normalize (data/normalize.h).
Result<Conversation> FromPreference(const Json& row);
Result<Conversation> FromJudged(const Json& row);

}  // namespace metier::data
