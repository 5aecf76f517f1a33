// data/normalize.h - one row of any form as a Conversation.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "data/conversation.h"

namespace metier::data {

// Whether the row has the keys that name the form.
bool LooksLike(const Json& row, Form form);

// kDataCorrupt: the reason why the row does not fit, without numbers or texts of its own, so that
// equal reasons can be counted.
Result<Conversation> Normalize(const Json& row, Form form);

}  // namespace metier::data
