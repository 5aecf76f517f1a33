// evaluate/tool_calls.h - next-tool-call exact match on held-out dialogues.
//
// At every assistant turn of a dialogue the model is given the true history and writes its reply.
// Where the true turn makes tool calls, the reply is right when it makes the same calls in the same
// order: names equal, arguments equal as JSON values. Where the true turn only speaks, a reply that
// calls a tool is a false call. A reply that does not parse is wrong. Beside that, words that the
// true turn says, with a call or alone, are compared with the reply's, character by character: of
// use where the agent speaks by a script.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "recipe/fields.h"
#include "text/tool_dialect.h"

namespace metier::evaluate {

struct ToolCallOptions {
  std::string file;
  std::int64_t max_dialogues = 0;
  std::int64_t max_tokens = 128;
  std::int64_t samples = 6;
  std::int64_t batch = 8;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file, "dialogues, JSONL with \"messages\" and \"tools\"").Required();
    field("max_dialogues", max_dialogues, "score only the first so many; 0: all").AtLeast(0);
    field("max_tokens", max_tokens, "longest reply").AtLeast(1);
    field("samples", samples, "dialogues kept in the result for people to read").AtLeast(0);
    field("batch", batch, "dialogues that are answered at once; the replies do not depend on it")
        .AtLeast(1)
        .AtMost(1024);
  }
};

// A conversation that waits for the model's next message. Its slot keeps it until it ends: the
// next time, what it held before is the beginning.
struct Conversation {
  std::size_t slot = 0;  // below ToolCallOptions::batch
  const Json* messages = nullptr;
  const Json* tools = nullptr;
};

// The model's reply to each, as text; special tokens that mark calls are kept.
using ReplyFunction =
    std::function<std::vector<Result<std::string>>(std::span<const Conversation>)>;

struct ToolCallResult {
  std::int64_t dialogues = 0;
  std::int64_t call_turns = 0;    // true turns that make calls
  std::int64_t exact = 0;         // of these, replied to exactly
  std::int64_t right_name = 0;    // of these, at least the names were right
  std::int64_t speech_turns = 0;  // true turns that only speak
  std::int64_t false_calls = 0;   // of these, replied to with a call
  std::int64_t unparseable = 0;   // replies of either kind that do not parse
  std::int64_t worded_turns = 0;  // true turns of either kind that say something
  std::int64_t same_words = 0;    // of these, replied to in the same words
  std::map<std::string, std::pair<std::int64_t, std::int64_t>>
      by_tool;  // of the first true call: exact, all
  Json samples =
      Json::array();  // [{"messages": [...], "replies": [{"turn", "expected", "found", "right"}]}]

  double ExactMatch() const;     // exact / call_turns
  double FalseCallRate() const;  // false_calls / speech_turns
  double SameWords() const;      // same_words / worded_turns
  Json ToJson() const;
};

// `on_replies` hears of dialogues that are through, whenever there were replies.
// kDataCorrupt: a line that is no dialogue (with its number); kInvalidArgument: no dialogue makes a
// call.
Result<ToolCallResult> MeasureToolCalls(const ReplyFunction& reply, text::ToolDialect dialect,
                                        const ToolCallOptions& options,
                                        const OnProgress& on_replies = {});

}  // namespace metier::evaluate
