// metier data check, build, stats: training data before it is trained on.
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "cli/verbs/verbs.h"
#include "data/conversation.h"
#include "data/encode.h"
#include "specialist/content_hash.h"
#include "specialist/runnable.h"

namespace metier::cli {
namespace {

// What all three ask of a file.
struct ReadFlags {
  std::vector<std::string> files;
  std::string form = "auto";

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("FILES", files, "JSONL files, one conversation, text or preference a line").Required();
    field("form", form, "of the rows; auto: found out from the first ones")
        .OneOf({"auto", "messages", "sharegpt", "alpaca", "completion", "text", "preference",
                "judged"});
  }

  Result<data::ReadOptions> Resolve() const {
    data::ReadOptions options;
    if (form != "auto") {
      METIER_ASSIGN(options.form, data::FormFromName(form));
    }
    return options;
  }
};

Json ReportJson(const std::string& file, const data::ReadReport& report) {
  Json examples = Json::array();
  for (const data::Rejection& rejection : report.examples) {
    examples.push_back({{"line", rejection.line}, {"reason", rejection.reason}});
  }
  return {{"file", file},
          {"form", data::FormName(report.form)},
          {"rows", report.rows},
          {"kept", report.kept},
          {"refused", report.rejected_rows()},
          {"pairs", report.pairs},
          {"good", report.good},
          {"bad", report.bad},
          {"reasons", report.rejected},
          {"examples", std::move(examples)}};
}

Result<Outcome> Check(const ReadFlags& flags, Console& console) {
  METIER_ASSIGN(const data::ReadOptions options, flags.Resolve());
  Json reports = Json::array();
  bool good = true;
  for (const std::string& file : flags.files) {
    METIER_ASSIGN(
        const data::ReadReport report,
        data::ReadConversations(file, options, [](data::Conversation&&) { return Ok(); }));
    good = good && report.rejected_rows() == 0;
    reports.push_back(ReportJson(file, report));
    if (console.json()) continue;
    console.Print(fmt::format("{}: {}\n", file, data::FormatReport(report)));
    for (const data::Rejection& rejection : report.examples) {
      console.Print(fmt::format("{}:{}: {}\n", file, rejection.line, rejection.reason));
    }
  }
  if (console.json()) console.PrintJson({{"good", good}, {"files", std::move(reports)}});
  return good ? Outcome::kSuccess : Outcome::kWorkFailed;
}

// Of a content: text, or a list of parts of which some have text.
std::int64_t BytesOf(const Json& content) {
  if (content.is_string()) {
    return static_cast<std::int64_t>(content.get_ref<const std::string&>().size());
  }
  std::int64_t bytes = 0;
  if (!content.is_array()) return bytes;
  for (const Json& part : content) {
    const bool text = part.is_object() && part.contains("text") && part["text"].is_string();
    if (text) bytes += static_cast<std::int64_t>(part["text"].get_ref<const std::string&>().size());
  }
  return bytes;
}

// What people need not read of data without judgements.
void LeaveOutJudgements(Json& document) {
  for (const char* key : {"pairs", "good", "bad", "pairs_alike"}) document.erase(key);
}

struct Statistics {
  std::int64_t conversations = 0;
  std::int64_t texts = 0;
  std::int64_t bytes = 0;  // of contents and texts
  std::int64_t tool_calls = 0;
  std::int64_t trained_turns = 0;
  std::map<std::string, std::int64_t> messages;  // by role

  void Add(const data::Conversation& conversation) {
    const Json& rejected = conversation.rejected;
    if (conversation.is_text()) {
      ++texts;
      bytes += static_cast<std::int64_t>(conversation.prompt.size() + conversation.text.size());
      if (conversation.is_pair()) bytes += BytesOf(rejected);
      return;
    }
    ++conversations;
    for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
      AddMessage(conversation.messages[i], conversation.trained[i] != 0);
    }
    if (conversation.is_pair()) AddMessage(rejected, true);
  }

  void AddMessage(const Json& message, bool trained) {
    const bool named = message.contains("role") && message["role"].is_string();
    const std::string role = named ? message["role"].get<std::string>() : "";
    ++messages[role];
    if (role == "assistant" && trained) ++trained_turns;
    if (message.contains("content")) bytes += BytesOf(message["content"]);
    if (message.contains("tool_calls") && message["tool_calls"].is_array()) {
      tool_calls += static_cast<std::int64_t>(message["tool_calls"].size());
    }
  }
};

Result<Outcome> Stats(const ReadFlags& flags, Console& console) {
  METIER_ASSIGN(const data::ReadOptions options, flags.Resolve());
  Statistics statistics;
  std::int64_t refused = 0;
  std::int64_t pairs = 0;
  std::int64_t good = 0;
  std::int64_t bad = 0;
  for (const std::string& file : flags.files) {
    METIER_ASSIGN(const data::ReadReport report,
                  data::ReadConversations(file, options, [&](data::Conversation&& conversation) {
                    statistics.Add(conversation);
                    return Ok();
                  }));
    refused += report.rejected_rows();
    pairs += report.pairs;
    good += report.good;
    bad += report.bad;
  }
  Json document = {{"files", flags.files.size()},
                   {"conversations", statistics.conversations},
                   {"texts", statistics.texts},
                   {"refused", refused},
                   {"messages", statistics.messages},
                   {"trained_turns", statistics.trained_turns},
                   {"tool_calls", statistics.tool_calls},
                   {"bytes", statistics.bytes},
                   {"pairs", pairs},
                   {"good", good},
                   {"bad", bad}};
  if (!console.json() && good + bad == 0) LeaveOutJudgements(document);
  console.PrintFacts(document);
  return Outcome::kSuccess;
}

struct BuildFlags {
  ReadFlags read;
  std::string model;
  std::string out;
  std::int64_t max_tokens = 0;
  std::string long_examples = "refuse";
  std::string bad_rows = "report";
  std::int64_t threads = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    read.Visit(field);
    field("model", model, "whose tokenizer and chat template").Required();
    field("out", out, "token file to write, .safetensors").Required();
    field("max-tokens", max_tokens, "longest example; 0: no limit").AtLeast(0);
    field("long-examples", long_examples,
          "longer ones: refuse; truncate_front: the oldest turns go; drop: left out and counted")
        .OneOf({"refuse", "truncate_front", "drop"});
    field("bad-rows", bad_rows, "report: left out and counted; refuse: the first ends the work")
        .OneOf({"report", "refuse"});
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
  }
};

Json BuildJson(const BuildFlags& flags, const data::EncodeReport& report) {
  Json files = Json::array();
  for (std::size_t i = 0; i < report.files.size(); ++i) {
    files.push_back(ReportJson(flags.read.files[i], report.files[i]));
  }
  return {{"out", flags.out},
          {"examples", report.examples},
          {"tokens", report.tokens},
          {"trained_tokens", report.trained_tokens},
          {"pairs", report.pairs},
          {"good", report.good},
          {"bad", report.bad},
          {"pairs_alike", report.pairs_alike},
          {"split_conversations", report.split_conversations},
          {"turns_not_as_served", report.turns_not_as_served},
          {"turns_closed_with_eos", report.turns_closed_with_eos},
          {"long_dropped", report.long_dropped},
          {"long_truncated", report.long_truncated},
          {"template_refused", report.template_refused},
          {"files", std::move(files)}};
}

Result<Outcome> Build(const BuildFlags& flags, Console& console) {
  data::EncodeOptions options;
  METIER_ASSIGN(options.read, flags.read.Resolve());
  if (flags.bad_rows == "refuse") options.read.bad_rows = data::BadRows::kRefuse;
  options.max_tokens = flags.max_tokens;
  if (flags.long_examples == "drop") options.long_examples = data::LongExamples::kDrop;
  if (flags.long_examples == "truncate_front") {
    options.long_examples = data::LongExamples::kTruncateFront;
  }
  options.on_progress = ShowProgress("encode");
  options.threads = static_cast<int>(flags.threads);
  METIER_ASSIGN(const text::Tokenizer tokenizer, specialist::OpenTokenizer(flags.model));
  auto chat = specialist::OpenChatTemplate(flags.model, text::WithTools::kYes);
  if (!chat.ok() && chat.error().code() != ErrorCode::kNotFound) return std::move(chat).error();
  METIER_ASSIGN(const std::string hash, specialist::HashTokenizer(flags.model));
  METIER_ASSIGN(const data::EncodeReport report,
                data::EncodeFiles(flags.read.files, tokenizer, hash, chat.ok() ? &*chat : nullptr,
                                  options, flags.out));
  Json document = BuildJson(flags, report);
  if (!console.json()) {
    document.erase("files");
    if (report.good + report.bad == 0) LeaveOutJudgements(document);
    for (const data::ReadReport& file : report.files) {
      console.Print(data::FormatReport(file) + "\n");
    }
  }
  console.PrintFacts(document);
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kDataCheckVerb = MakeVerb<ReadFlags, Check>(
    "data check", "which rows of a file can be trained on, and why the others cannot",
    "metier data check train.jsonl\nmetier data check mine.jsonl --form alpaca --json");
constinit const Verb kDataBuildVerb = MakeVerb<BuildFlags, Build>(
    "data build", "conversations and texts to the token file that training reads",
    "metier data build train.jsonl --model models/base --out train.safetensors\n"
    "metier data build preferences.jsonl --model models/base --out pairs.safetensors");
constinit const Verb kDataStatsVerb = MakeVerb<ReadFlags, Stats>(
    "data stats", "what a file consists of", "metier data stats train.jsonl");

}  // namespace metier::cli
