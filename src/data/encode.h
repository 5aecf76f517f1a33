// data/encode.h - conversations to a token file: what the trainer reads.
//
// A conversation becomes one example with loss on all its assistant turns, when that shows the
// model exactly what serving will: every turn starts behind the served prompt, reads as it did when
// it was the last, and ends with an end-of-turn marker. Where a template breaks one of these (it
// drops the thinking of earlier turns, or prints no marker), each assistant turn becomes an example
// of its own: the conversation up to it, loss on this turn only, and EOS behind a turn that has no
// marker.
//
// A judged conversation, or a pair of them, carries loss on its last answer alone and is one
// example, a pair two: the chosen one, then the rejected one, behind the same tokens of the same
// prompt. A pair is cut on both sides alike, or dropped whole; a judged answer is never cut itself.
//
// Plain text is encoded with the tokenizer's own BOS and ends with EOS; all of it carries loss, but
// for a prompt that stands before it. Control tokens that are spelled in it are text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/conversation.h"
#include "format/token_file.h"
#include "text/chat_encode.h"

namespace metier::data {

enum class LongExamples {
  kRefuse,         // the run ends with an error that names the row
  kTruncateFront,  // whole turns go, oldest first, the system message stays; plain text loses its
                   // front
  kDrop,
};

struct EncodeOptions {
  std::int64_t max_tokens = 0;  // of an example; 0: no limit
  LongExamples long_examples = LongExamples::kRefuse;
  text::RenderOptions render;  // variables of the template; tools come from the data
  ReadOptions read;
  OnProgress on_progress;  // bytes of the files
  int threads = 0;         // 0: all cores; what is written does not depend on it
};

struct Example {
  std::vector<text::TokenId> ids;
  std::vector<std::uint8_t> loss;  // [ids.size()]
  format::Judgement judgement = format::Judgement::kNone;
};

struct EncodeReport {
  std::vector<ReadReport> files;
  std::int64_t examples = 0;
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;
  std::int64_t pairs = 0;  // two examples each
  std::int64_t good = 0;   // examples judged so, those of pairs among them
  std::int64_t bad = 0;
  std::int64_t pairs_alike = 0;  // dropped: both answers are the same tokens
  std::int64_t conversation_tokens = 0;
  std::int64_t conversation_trained_tokens = 0;
  std::int64_t split_conversations = 0;  // into an example a turn
  std::int64_t turns_not_as_served = 0;  // the template shows training another prompt than serving
  std::int64_t turns_closed_with_eos = 0;
  std::int64_t long_dropped = 0;             // conversations and texts; a pair is one
  std::int64_t long_truncated = 0;           // alike
  std::int64_t dropped_messages = 0;         // by truncation
  std::int64_t dropped_tokens = 0;           // of plain text, by truncation
  std::int64_t template_refused = 0;         // conversations that the template has no form for
  std::vector<Rejection> template_refusals;  // the first few

  // The counts of both; `files` are left as they are.
  void Add(const EncodeReport& other);
};

// Turns conversations into examples. Borrows all its arguments.
class Encoder {
 public:
  // `chat_template` null: plain text only.
  Encoder(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat_template,
          const EncodeOptions& options);

  // Zero examples when one is dropped or the template refuses (both counted). kInvalidArgument: the
  // example is too long and the options refuse; a conversation without a template; a template that
  // prints another prompt before the one answer of a pair than before the other.
  Result<std::vector<Example>> Encode(const Conversation& conversation);
  const EncodeReport& report() const { return report_; }

 private:
  // A conversation, or the two of a pair, which differ in their last message and are cut alike.
  struct Sides {
    std::vector<Json> messages;         // [1 or 2]
    std::vector<std::uint8_t> trained;  // [messages[i].size()]
  };

  Result<std::vector<Example>> EncodeMessages(const Conversation& conversation);
  Result<std::vector<Example>> EncodeTurns(const Conversation& conversation);
  Result<std::vector<Example>> EncodeText(const Conversation& conversation);
  Result<Example> EncodeOneText(const std::string& prompt, const std::string& text) const;
  // The sides as the template prints them, with the tools of the conversation.
  Result<std::vector<text::EncodedChat>> Render(const Conversation& conversation,
                                                const Sides& sides) const;
  // An example a side, cut until both fit; none where they are dropped. `chats`: what Render gave.
  Result<std::vector<Example>> Fit(const Conversation& conversation, Sides sides,
                                   std::vector<text::EncodedChat> chats);
  // What is only true of a pair: one prompt and two answers. Empties it where the answers are
  // alike.
  Status CheckPair(const Conversation& conversation, std::vector<Example>& examples);
  Example FromChat(const text::EncodedChat& chat, const std::vector<std::uint8_t>& trained) const;
  void CountTurns(const text::EncodedChat& chat, const std::vector<std::uint8_t>& trained);
  bool TooLong(std::size_t tokens) const;
  Error LongError(const Conversation& conversation, std::size_t tokens) const;
  void Count(const std::vector<Example>& examples, const Conversation& conversation);

  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate* chat_template_;
  const EncodeOptions& options_;
  EncodeReport report_;
};

// Reads `files`, encodes every row and writes the token file at `out`, with the hashes of sources
// and template, `tokenizer_hash` and the counts as metadata, and whether all examples are pairs.
// kInvalidArgument also: none or all of the conversations' tokens carry loss, which means that the
// template and the data do not fit together; judged rows in one file and rows without a judgement
// in another.
Result<EncodeReport> EncodeFiles(const std::vector<std::string>& files,
                                 const text::Tokenizer& tokenizer,
                                 const std::string& tokenizer_hash,
                                 const text::ChatTemplate* chat_template,
                                 const EncodeOptions& options, const std::string& out);

}  // namespace metier::data
