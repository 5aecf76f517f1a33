#include "evaluate/tool_calls.h"

#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <utility>

#include "base/check.h"

namespace metier::evaluate {
namespace {

using text::Reply;
using text::ToolCall;
using text::ToolDialect;

struct Dialogue {
  Json messages;
  Json tools;
};

Result<Dialogue> ReadDialogue(const std::string& line) {
  METIER_ASSIGN(const Json row, ParseJson(line));
  if (!row.is_object() || !row.contains("messages") || !row["messages"].is_array()) {
    return Error(ErrorCode::kDataCorrupt, "expected an object with a list of \"messages\"");
  }
  for (const Json& message : row["messages"]) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return Error(ErrorCode::kDataCorrupt,
                   "expected every message to be an object with a \"role\"");
    }
  }
  return Dialogue{row["messages"], row.contains("tools") ? row["tools"] : Json()};
}

Result<std::vector<Dialogue>> ReadDialogues(const ToolCallOptions& options) {
  std::ifstream file(options.file);
  if (!file) return Error(ErrorCode::kNotFound, fmt::format("cannot open '{}'", options.file));
  std::vector<Dialogue> dialogues;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    auto dialogue = ReadDialogue(line);
    if (!dialogue.ok())
      return std::move(dialogue).error().With(fmt::format("'{}' line {}", options.file, number));
    dialogues.push_back(*std::move(dialogue));
    if (static_cast<std::int64_t>(dialogues.size()) == options.max_dialogues) break;
  }
  return dialogues;
}

// The calls of a true assistant message, in the OpenAI form: arguments are an object, or one
// written as text.
Result<std::vector<ToolCall>> TrueCalls(const Json& message) {
  std::vector<ToolCall> calls;
  if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) return calls;
  for (const Json& item : message["tool_calls"]) {
    const Json function = item.is_object() && item.contains("function") ? item["function"] : item;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("tool call {} has no name", DumpCompact(item)));
    }
    ToolCall call{function["name"].get<std::string>(), Json::object()};
    if (function.contains("arguments")) call.arguments = function["arguments"];
    if (call.arguments.is_string()) {
      METIER_ASSIGN(call.arguments, ParseJson(call.arguments.get_ref<const std::string&>()));
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

bool SameCalls(const std::vector<ToolCall>& a, const std::vector<ToolCall>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!text::SameCall(a[i], b[i])) return false;
  }
  return true;
}

bool SameNames(const std::vector<ToolCall>& a, const std::vector<ToolCall>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name) return false;
  }
  return true;
}

Json CallsToJson(const std::vector<ToolCall>& calls) {
  Json list = Json::array();
  for (const ToolCall& call : calls)
    list.push_back({{"name", call.name}, {"arguments", call.arguments}});
  return list;
}

// Counts one assistant turn; the value is whether the reply was what it should be.
bool Count(const std::vector<ToolCall>& expected, const Result<Reply>& reply,
           ToolCallResult& result) {
  if (!reply.ok()) ++result.unparseable;
  const std::vector<ToolCall> found = reply.ok() ? reply->calls : std::vector<ToolCall>{};
  if (expected.empty()) {
    ++result.speech_turns;
    const bool called = !reply.ok() || !found.empty();  // a broken call was an attempt at one
    result.false_calls += called ? 1 : 0;
    return !called;
  }
  const bool exact = reply.ok() && SameCalls(expected, found);
  ++result.call_turns;
  result.exact += exact ? 1 : 0;
  result.right_name += SameNames(expected, found) ? 1 : 0;
  auto& [right, all] = result.by_tool[expected.front().name];
  right += exact ? 1 : 0;
  ++all;
  return exact;
}

void CountWords(const Json& message, const Result<Reply>& reply, ToolCallResult& result) {
  if (!message.contains("content") || !message["content"].is_string()) return;
  const std::string_view words = text::Trim(message["content"].get_ref<const std::string&>());
  if (words.empty()) return;
  ++result.worded_turns;
  result.same_words += reply.ok() && reply->content == words ? 1 : 0;
}

// A dialogue that the model is being asked about, turn by turn.
class Examination {
 public:
  Examination(const Dialogue& dialogue, std::int64_t number)
      : dialogue_(dialogue), number_(number), history_(Json::array()), replies_(Json::array()) {
    ToNextQuestion();
  }

  bool done() const { return turn_ == dialogue_.messages.size(); }
  std::int64_t number() const { return number_; }
  Conversation Ask(std::size_t slot) const { return {slot, &history_, &dialogue_.tools}; }

  // Counts the reply to what was asked and goes on to the next assistant turn.
  Status Answer(const std::string& text, ToolDialect dialect, ToolCallResult& result) {
    const Json& message = dialogue_.messages[turn_];
    METIER_ASSIGN(const auto expected, TrueCalls(message));
    const Result<Reply> reply = text::ParseReply(dialect, text);
    const bool right = Count(expected, reply, result);
    CountWords(message, reply, result);
    replies_.push_back(
        {{"turn", turn_}, {"expected", CallsToJson(expected)}, {"found", text}, {"right", right}});
    history_.push_back(message);
    ++turn_;
    ToNextQuestion();
    return Ok();
  }

  Json Sample() const { return {{"messages", dialogue_.messages}, {"replies", replies_}}; }

 private:
  void ToNextQuestion() {
    for (; !done() && dialogue_.messages[turn_]["role"] != "assistant"; ++turn_)
      history_.push_back(dialogue_.messages[turn_]);
  }

  const Dialogue& dialogue_;
  std::int64_t number_;  // from 1
  std::size_t turn_ = 0;
  Json history_;
  Json replies_;
};

double Ratio(std::int64_t part, std::int64_t all) {
  return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

double ToolCallResult::ExactMatch() const { return Ratio(exact, call_turns); }
double ToolCallResult::FalseCallRate() const { return Ratio(false_calls, speech_turns); }
double ToolCallResult::SameWords() const { return Ratio(same_words, worded_turns); }

Json ToolCallResult::ToJson() const {
  Json tools = Json::object();
  for (const auto& [name, counts] : by_tool) {
    tools[name] = {{"exact", counts.first}, {"turns", counts.second}};
  }
  return {{"exact_match", ExactMatch()},        {"name_match", Ratio(right_name, call_turns)},
          {"false_call_rate", FalseCallRate()}, {"same_words", SameWords()},
          {"call_turns", call_turns},           {"exact", exact},
          {"speech_turns", speech_turns},       {"false_calls", false_calls},
          {"unparseable", unparseable},         {"dialogues", dialogues},
          {"by_tool", std::move(tools)},        {"samples", samples}};
}

Result<ToolCallResult> MeasureToolCalls(const ReplyFunction& reply_to, ToolDialect dialect,
                                        const ToolCallOptions& options,
                                        const OnProgress& on_replies) {
  METIER_ASSIGN(const auto dialogues, ReadDialogues(options));
  ToolCallResult result;
  std::map<std::int64_t, Json> samples;
  std::vector<std::optional<Examination>> slots(static_cast<std::size_t>(options.batch));
  std::size_t next = 0;
  const auto finish = [&](const Examination& exam) {
    if (exam.number() <= options.samples) samples[exam.number()] = exam.Sample();
    ++result.dialogues;
  };
  while (true) {
    std::vector<Conversation> asked;
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      std::optional<Examination>& exam = slots[slot];
      while ((!exam || exam->done()) && next < dialogues.size()) {
        exam.emplace(dialogues[next], static_cast<std::int64_t>(next) + 1);
        ++next;
        if (exam->done()) finish(*exam);  // nobody answers in it
      }
      if (exam && !exam->done()) asked.push_back(exam->Ask(slot));
    }
    if (asked.empty()) break;
    const std::vector<Result<std::string>> replies = reply_to(asked);
    METIER_CHECK(replies.size() == asked.size(), "a reply to each conversation");
    for (std::size_t i = 0; i < asked.size(); ++i) {
      Examination& exam = *slots[asked[i].slot];
      Status counted =
          replies[i].ok() ? exam.Answer(*replies[i], dialect, result) : Status(replies[i].error());
      if (!counted.ok()) {
        return std::move(counted).error().With(
            fmt::format("'{}' dialogue {}", options.file, exam.number()));
      }
      if (exam.done()) finish(exam);
    }
    METIER_TRY(Report(on_replies, static_cast<std::uint64_t>(result.dialogues), dialogues.size(),
                      fmt::format("exact {:.1f} %", 100 * result.ExactMatch())));
  }
  for (auto& sample : samples) result.samples.push_back(std::move(sample.second));
  if (result.call_turns == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': none of {} dialogues makes a tool call", options.file,
                             result.dialogues));
  }
  return result;
}

}  // namespace metier::evaluate
