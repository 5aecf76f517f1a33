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

namespace metier::data {

enum class Form { kMessages, kSharegpt, kAlpaca, kCompletion, kText };

std::string_view FormName(Form form);
// kInvalidArgument: an unknown name, with the known ones.
Result<Form> FormFromName(std::string_view name);

// Either messages, or plain text behind an optional prompt.
struct Conversation {
  Json messages = Json::array();      // empty for plain text
  Json tools = nullptr;               // array, or null
  std::vector<std::uint8_t> trained;  // [messages]: 0 where a flag of the data says "not this one"
  std::string prompt;                 // plain text that is given, not learnt
  std::string text;                   // plain text that is learnt
  std::int64_t line = 0;              // in its file, from 1
  std::uint64_t end = 0;              // of that line, in bytes of the file

  bool is_text() const { return messages.empty(); }
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

// Calls visit for each good row, in order; its error ends the reading.
// kNotFound, kIo. kDataCorrupt: no form fits at least half of the first rows, or two fit equally
// well; no row is good; with kRefuse, the first bad row.
using ConversationVisitor = std::function<Status(Conversation&&)>;
Result<ReadReport> ReadConversations(const std::string& path, const ReadOptions& options,
                                     const ConversationVisitor& visit);

// "12 rows of form messages: 10 kept, 2 refused" and a line for each reason.
std::string FormatReport(const ReadReport& report);

}  // namespace metier::data
