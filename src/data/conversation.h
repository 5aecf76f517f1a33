// data/conversation.h - training data as users have it, read row by row.
//
// One JSON object a line, in one of the field's forms:
//
//   messages    {"messages": [{"role", "content", "tool_calls", ...}], "tools": [...]}
//   sharegpt    {"conversations": [{"from": human|gpt|function_call|observation|system, "value"}],
//                "system", "tools": JSON text or list}
//   alpaca      {"instruction", "input", "output", "system", "history": [[question, answer], ...]}
//   completion  {"prompt", "completion"}: two texts, or two lists of messages
//   text        {"text"}
//   preference  two answers to one prompt, the better one and the worse one:
//               {"prompt", "chosen", "rejected"}: three texts, or three lists of messages
//               {"chosen", "rejected"}: two lists of messages with one beginning, the prompt
//               {"conversations", "chosen": {"from", "value"}, "rejected": ...}, as sharegpt
//               {"instruction", "input", "chosen", "rejected", "system", "history"}, as alpaca
//   judged      an answer that is good (true) or bad (false):
//               {"prompt", "completion", "label"}, or a row of messages, sharegpt or alpaca with
//               "kto_tag"
//
// The form is stated or found out from the file's first rows. A row that does not fit is refused
// with its line and reason, never dropped silently and never guessed at.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/limits.h"
#include "base/result.h"
#include "format/token_file.h"

namespace metier::data {

enum class Form { kMessages, kSharegpt, kAlpaca, kCompletion, kText, kPreference, kJudged };

std::string_view FormName(Form form);
// kInvalidArgument: an unknown name, with the known ones.
Result<Form> FormFromName(std::string_view name);
// Whether the answers of such rows have judgements.
constexpr bool IsJudged(Form form) { return form == Form::kPreference || form == Form::kJudged; }

// Either messages, or plain text behind an optional prompt.
struct Conversation {
  Json messages = Json::array();      // empty for plain text
  Json tools = nullptr;               // array, or null
  std::vector<std::uint8_t> trained;  // [messages]: 0 where a flag of the data says "not this one"
  std::string prompt;                 // plain text that is given, not learnt
  std::string text;                   // plain text that is learnt
  // Of the last message, or of `text`. A judged answer is the only one that is trained.
  format::Judgement judgement = format::Judgement::kNone;
  // Of a preference: the bad answer, in the place of the good one. A message, or a text behind the
  // prompt; null otherwise.
  Json rejected = nullptr;
  std::int64_t line = 0;  // in its file, from 1
  std::uint64_t end = 0;  // of that line, in bytes of the file

  bool is_text() const { return messages.empty(); }
  bool is_pair() const { return !rejected.is_null(); }
};

struct Rejection {
  std::int64_t line = 0;
  std::string reason;
};

// What became of a file's rows.
struct ReadReport {
  Form form = Form::kMessages;
  double confidence = 1;  // share of the first rows that fit the form; 1 when it was stated
  std::int64_t rows = 0;
  std::int64_t kept = 0;
  std::int64_t pairs = 0;  // rows with a good and a bad answer
  std::int64_t good = 0;   // answers judged so, those of pairs among them
  std::int64_t bad = 0;
  std::int64_t blank_lines = 0;
  std::map<std::string, std::int64_t> rejected;  // by reason
  std::vector<Rejection> examples;               // the first few, in order

  std::int64_t rejected_rows() const { return rows - kept; }
};

enum class BadRows { kReport, kRefuse };

struct ReadOptions {
  std::optional<Form> form;             // absent: found out
  BadRows bad_rows = BadRows::kReport;  // kRefuse: the first bad row ends the reading
  std::size_t max_examples = 20;        // of rejections that the report keeps
  Limits limits;
};

// The form of most of a file's first rows.
struct FoundForm {
  Form form = Form::kMessages;
  double confidence = 1;  // share of those rows that fit it
};
// kNotFound, kIo. kDataCorrupt: no form fits at least half of them, or two fit equally well.
Result<FoundForm> FindForm(const std::string& path, const Limits& limits = {});

// Calls visit for each good row, in order; its error ends the reading.
// Errors of FindForm where no form is stated. kNotFound, kIo. kDataCorrupt: no row is good; with
// kRefuse, the first bad row.
using ConversationVisitor = std::function<Status(Conversation&&)>;
Result<ReadReport> ReadConversations(const std::string& path, const ReadOptions& options,
                                     const ConversationVisitor& visit);

// "12 rows of form messages: 10 kept, 2 refused", a line about judgements where the form has them,
// and a line for each reason.
std::string FormatReport(const ReadReport& report);

}  // namespace metier::data
