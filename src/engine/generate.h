// engine/generate.h - continues a prompt: samples, streams whole characters, knows when to stop.
#pragma once

#include <span>

#include "base/result.h"
#include "engine/answer.h"
#include "engine/session.h"
#include "text/tokenizer.h"

namespace metier::engine {

// Answers the prompt; afterwards the session holds prompt and answer, ready for the next turn.
// Errors as CheckPrompt, Backend::Forward, Answer::Next and Proposer::Propose. An answer that
// reaches the model's last position ends with kLength.
Result<Generation> Generate(Session& session, const text::Tokenizer& tokenizer,
                            std::span<const text::TokenId> prompt, const GenerateOptions& options);

}  // namespace metier::engine
