// retail/chats.h - conversations of the base corpus: the turns of a chat and who speaks in them,
// small talk, questions about what was said, records and notes, and notes of what letters are
// about; no tool calls.
#pragma once

#include "base/json.h"
#include "retail/scene.h"

namespace metier::retail {

// Messages [{"role", "content"}, ...], the last one the assistant's.
Json Chat(Scene& scene);

}  // namespace metier::retail
