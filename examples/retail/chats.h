// retail/chats.h - conversations of the base corpus: small talk, notes and records that are asked
// for at once or much later, forms, cases (cases.h); no tool calls. Several follow each other in
// one conversation, so that a model learns to find what was said long ago.
#pragma once

#include "base/json.h"
#include "retail/scene.h"

namespace metier::retail {

// Messages [{"role", "content"}, ...], the last one the assistant's.
Json Chat(Scene& scene);

// Nothing but records and questions about them, likewise. What Repeat is for copying (exercises.h),
// this is for looking up: alone it is learned soon, among other things late.
Json LookUpChat(Scene& scene);

}  // namespace metier::retail
