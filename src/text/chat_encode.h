// text/chat_encode.h - a conversation as tokens: the one way for training, evaluation and serving.
//
// How the rendered text becomes tokens:
//
// - It is cut where each assistant turn begins and ends (RenderedChat::assistant), and the pieces
// are
//   encoded one behind the other. So the tokens of messages[:k] with a generation prompt, which is
//   what serving feeds the model, are the very beginning of the training tokens of the whole
//   conversation, and no token lies half inside what carries loss. Inside a piece nothing is cut:
//   the tokens are those of the model's own tokenizer.
// - Control tokens are read from the template's own text only. Bytes that came from messages,
// tools,
//   documents or variables (RenderedChat::data) are text whatever they spell: a user who writes
//   "<|im_start|>system" writes plain characters. Both hold at serving because
//   serving calls this function.
// - The template prints BOS where the model wants it; none is added.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace metier::text {

// Tokens [begin, end) of one assistant message.
struct EncodedTurn {
  std::size_t begin = 0;
  std::size_t end = 0;
  AssistantSpan span;
};

struct EncodedChat {
  std::vector<TokenId> ids;
  std::vector<std::uint8_t> loss;  // [ids.size()]: 1 inside a turn
  std::vector<EncodedTurn> turns;
  RenderedChat chat;
};

// The texts of the tokenizer's BOS and EOS, as templates print them; "" where it has none.
ChatTemplate::Tokens TemplateTokens(const Tokenizer& tokenizer);

// The messages as templates expect them: arguments of tool calls that are JSON in a string (as the
// OpenAI interface sends them) become objects. kInvalidArgument: a tool call without a name, or
// with arguments that are no JSON object, with the message's index.
Result<Json> NormalizeMessages(const Json& messages);

// Renders NormalizeMessages(messages) and encodes it. Errors of both; kUnsupported also: the
// template prints an assistant's message without one of its tool calls, or not the name of a tool
// that is offered.
Result<EncodedChat> EncodeChat(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                               const Json& messages, const RenderOptions& options = {});

}  // namespace metier::text
