// text/chat_encode.h - conversations as token ids: the one way from messages to tokens, for
// training, evaluation and serving.
//
// The rendered text is cut at the borders of what the assistant said, and each part is encoded by
// itself. So the tokens of messages[:k] with a generation prompt are exactly the first tokens of
// the whole conversation wherever the template allows it (AssistantSpan::as_served), and a border
// between "predict this" and "do not" is a border between tokens.
//
// Control tokens are read where the template wrote them. Spelled inside a message ("<|im_end|>"
// typed by a customer) they are ordinary text: no user can end a turn or open another role's.
//
// Threads: immutable; borrows the tokenizer and the template.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace metier::text {

struct EncodedChat {
  std::vector<TokenId> ids;
  std::vector<std::uint8_t>
      loss;          // 1: a token that the assistant wrote, its end-of-turn marker included
  std::string text;  // as rendered
};

class ChatEncoder {
 public:
  // Cost: one pass over the vocabulary.
  ChatEncoder(const Tokenizer& tokenizer, const ChatTemplate& chat_template);

  // What the template and the tokenizer say when they refuse. No BOS is added but the template's
  // own.
  Result<EncodedChat> Encode(const Json& messages, const RenderOptions& options = {}) const;

 private:
  Result<std::vector<TokenId>> EncodePart(const RenderedChat& chat, std::size_t begin,
                                          std::size_t end) const;

  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_template_;
  ChatTemplate::Tokens tokens_;
  std::vector<std::string> control_;  // spellings of control tokens, longest first
};

}  // namespace metier::text
