// Rendered training tokens = rendered serving tokens, along the whole way: the shop's simulated
// conversations are written as data files and encoded for training (data::Encoder), and every
// assistant turn of them is asked for as serving asks (specialist::ChatReply) with a model that
// notes the tokens it is given.
#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "data/encode.h"
#include "model/family.h"
#include "model/model_files.h"
#include "retail/generate.h"
#include "retail/schema.h"
#include "retail/simulator.h"
#include "specialist/chat_reply.h"
#include "specialist/runnable.h"
#include "support/fixtures.h"
#include "text/bpe_trainer.h"
#include "text/tool_dialect.h"

namespace metier::specialist {
namespace {

using text::TokenId;

// Notes what it is asked to continue.
class Listener : public evaluate::LanguageModel {
 public:
  std::int64_t MaxTokens() const override { return 1 << 20; }
  Result<std::vector<double>> LogProbs(std::span<const TokenId> tokens,
                                       std::size_t first) override {
    return std::vector<double>(tokens.size() - first, 0.0);
  }
  Result<std::vector<std::vector<TokenId>>> Greedy(std::span<const evaluate::Prompt> prompts,
                                                   std::int64_t,
                                                   std::span<const TokenId>) override {
    heard.assign(prompts[0].tokens.begin(), prompts[0].tokens.end());
    return std::vector<std::vector<TokenId>>(prompts.size());
  }

  std::vector<TokenId> heard;
};

// One dialogue for each request that the shop's customers can have.
const std::vector<Json>& Dialogues() {
  static const std::vector<Json> dialogues = [] {
    static const retail::World world = retail::MakeWorld({}).value();
    retail::SimulationOptions options;
    options.policy = retail::PolicyText::kDigest;
    const retail::Simulator simulator(world, retail::ToolSet::Ours(), options);
    std::vector<Json> played;
    for (int i = 0; i < retail::kRequests; ++i) {
      const auto index = static_cast<std::uint64_t>(i);
      const auto request = static_cast<retail::Request>(i);
      played.push_back(simulator.ToJson(simulator.Play(request, index), index));
    }
    return played;
  }();
  return dialogues;
}

// What of a conversation a template is asked to express.
enum class Part {
  kAll,            // system, customer, agent, tool calls and their results
  kSpoken,         // what system, customer and agent say
  kWithoutSystem,  // what customer and agent say
};

Json Take(const Json& dialogue, Part part) {
  if (part == Part::kAll) return dialogue;
  Json spoken = Json::array();
  for (const Json& message : dialogue["messages"]) {
    const bool dropped = message["role"] == "tool" || message.contains("tool_calls") ||
                         (part == Part::kWithoutSystem && message["role"] == "system");
    if (!dropped) spoken.push_back(message);
  }
  return Json{{"messages", spoken}};
}

std::vector<std::size_t> AgentTurns(const Json& messages) {
  std::vector<std::size_t> turns;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i]["role"] == "assistant") turns.push_back(i);
  }
  return turns;
}

// A model's folder as training leaves one: a small tokenizer of the shop's own words, the shipped
// template, and weights that nobody reads here.
class TrainServe : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<test::TempFolder>();
    text::BpeTrainerOptions options;
    options.vocab_size = 700;
    options.special_tokens = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    options.bos = "<s>";
    options.eos = "<|im_end|>";
    options.digits = text::DigitSplit::kIndividually;
    options.threads = 1;
    ASSERT_OK_AND_ASSIGN(text::BpeTrainer trainer, text::BpeTrainer::Create(options));
    for (const Json& dialogue : Dialogues()) ASSERT_OK(trainer.AddText(DumpCompact(dialogue)));
    ASSERT_OK_AND_ASSIGN(const text::TrainedBpe trained, std::move(trainer).Train());
    ASSERT_OK(trained.Save(folder_->path()));
    ASSERT_OK_AND_ASSIGN(const model::Family* family, model::FindFamily("llama"));
    model::ModelSpec spec = family->tiny();
    spec.vocab = trained.vocab_size;
    ASSERT_OK(model::WriteHuggingFaceModel(
        folder_->path(), spec, tensor::DType::kF32,
        [&spec](const std::string& name) { return model::RandomParameter(spec, name, 1); }));
    test::WriteAll(
        *folder_ / "chat_template.jinja",
        test::ReadAll(test::SourceFolder() + "/examples/retail/base_model/chat_template.jinja"));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(Runnable opened, OpenRunnable({.path = folder_->path()}));
    runnable_ = std::make_unique<Runnable>(std::move(opened));
  }

  void UseTemplate(const std::string& source) {
    ASSERT_OK_AND_ASSIGN(runnable_->chat_template, text::ChatTemplate::Parse(source));
  }

  // The dialogue through a data file and its reader, as training has it. Nothing is encoded, and
  // `reason` says why, where the template refuses or trains on another prompt than it serves.
  std::vector<data::Example> Train(const Json& dialogue, std::string& reason) {
    const std::string path = *folder_ / "rows.jsonl";
    test::WriteAll(path, DumpCompact(dialogue) + "\n");
    data::Conversation row;
    EXPECT_OK(data::ReadConversations(path, {}, [&row](data::Conversation&& conversation) {
      row = std::move(conversation);
      return Ok();
    }));
    const data::EncodeOptions options;
    data::Encoder encoder(runnable_->tokenizer, &*runnable_->chat_template, options);
    auto examples = encoder.Encode(row);
    EXPECT_OK(examples);
    reason.clear();
    const data::EncodeReport& report = encoder.report();
    if (!report.template_refusals.empty()) reason = report.template_refusals[0].reason;
    if (report.turns_not_as_served > 0) reason = "not as served";
    return reason.empty() && examples.ok() ? *std::move(examples) : std::vector<data::Example>();
  }

  // The tokens that serving feeds the model for its reply to these messages.
  std::vector<TokenId> Serve(const Json& messages, const Json& tools) {
    Listener listener;
    const ChatReply reply(*runnable_, listener, 1);
    const evaluate::Conversation conversation{0, &messages, &tools};
    const auto replies = reply({&conversation, 1});
    EXPECT_OK(replies.front());
    return listener.heard;
  }

  // Compares both ways at every agent's turn. The number of turns compared; 0 with a reason where
  // the template cannot express the conversation.
  std::size_t Compare(const Json& dialogue, std::string& reason) {
    const std::vector<data::Example> examples = Train(dialogue, reason);
    if (!reason.empty()) return 0;
    const Json& messages = dialogue["messages"];
    const Json tools = dialogue.contains("tools") ? dialogue["tools"] : Json(nullptr);
    const std::vector<std::size_t> turns = AgentTurns(messages);
    // One example for all turns, or one each (data/encode.h).
    EXPECT_TRUE(examples.size() == 1 || examples.size() == turns.size()) << examples.size();
    std::size_t end = 0;  // of the turn before, in the same example
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const bool own = examples.size() != 1;
      if (own) end = 0;
      const bool last = own || i + 1 == turns.size();
      Json before = messages;
      before.erase(before.begin() + static_cast<std::ptrdiff_t>(turns[i]), before.end());
      const std::vector<TokenId> served = Serve(before, tools);
      CompareTurn(examples[own ? i : 0], served, messages[turns[i]], last, end);
      if (HasFailure()) ADD_FAILURE() << "turn " << i << " of " << DumpPretty(messages);
      if (HasFailure()) break;
    }
    return turns.size();
  }

  // The served prompt is the beginning of the example; no token of it behind `end` carries loss,
  // and every one of the turn behind it does. `end` becomes the turn's.
  void CompareTurn(const data::Example& example, const std::vector<TokenId>& served,
                   const Json& message, bool last, std::size_t& end) {
    const std::vector<TokenId>& ids = example.ids;
    ASSERT_EQ(example.loss.size(), ids.size());
    ASSERT_LT(served.size(), ids.size());
    ASSERT_GE(served.size(), end);
    ASSERT_TRUE(std::equal(served.begin(), served.end(), ids.begin()));
    const auto at = [&example](std::size_t token) {
      return example.loss.begin() + static_cast<std::ptrdiff_t>(token);
    };
    EXPECT_EQ(std::count(at(end), at(served.size()), 1), 0);
    const auto stop = std::find(at(served.size()), example.loss.end(), 0);
    end = static_cast<std::size_t>(stop - example.loss.begin());
    if (last) {
      EXPECT_EQ(std::count(stop, example.loss.end(), 1), 0);
    }
    CheckWords({ids.begin() + static_cast<std::ptrdiff_t>(served.size()),
                ids.begin() + static_cast<std::ptrdiff_t>(end)},
               message);
  }

  // What carries loss reads as the agent's message and a marker behind it.
  void CheckWords(const std::vector<TokenId>& turn, const Json& message) {
    constexpr std::size_t kLongestMarker = 16;
    ASSERT_OK_AND_ASSIGN(const std::string text,
                         runnable_->tokenizer.Decode(turn, text::Tokenizer::SkipSpecial::kNo));
    if (message.contains("tool_calls")) {
      const Json& call = message["tool_calls"][0]["function"];
      ASSERT_OK_AND_ASSIGN(const text::Reply reply, text::ParseReply(runnable_->dialect, text));
      ASSERT_EQ(reply.calls.size(), 1U) << text;
      EXPECT_EQ(reply.calls[0].name, call["name"]);
      EXPECT_EQ(reply.calls[0].arguments, *ParseJson(call["arguments"].get<std::string>()));
      return;
    }
    const std::string content = message["content"].get<std::string>();
    const std::size_t begin = text.find(content);
    ASSERT_NE(begin, std::string::npos) << "'" << text << "' lacks '" << content << "'";
    EXPECT_LE(begin, 1U) << "'" << text << "'";  // a space, where the prompt ends without one
    EXPECT_GT(text.size(), begin + content.size()) << "nothing to stop with: '" << text << "'";
    EXPECT_LE(text.size() - begin - content.size(), kLongestMarker) << "'" << text << "'";
  }

  std::unique_ptr<Runnable> runnable_;
  static std::unique_ptr<test::TempFolder> folder_;
};
std::unique_ptr<test::TempFolder> TrainServe::folder_;

TEST_F(TrainServe, TheShopsTemplateTrainsWhatItServes) {
  std::size_t calls = 0;
  std::size_t turns = 0;
  for (const Json& dialogue : Dialogues()) {
    std::string reason;
    turns += Compare(dialogue, reason);
    EXPECT_EQ(reason, "");
    for (const Json& message : dialogue["messages"])
      calls += message.contains("tool_calls") ? 1 : 0;
  }
  EXPECT_GE(calls, Dialogues().size()) << "of " << turns << " turns";
}

// The tokens of a turn themselves, written down a second time from the template: the words, the
// call in the Hermes form, the marker.
TEST_F(TrainServe, TheShopsTurnsAreTheirWordsAndTheMarker) {
  std::size_t compared = 0;
  for (const Json& dialogue : Dialogues()) {
    std::string reason;
    const std::vector<data::Example> examples = Train(dialogue, reason);
    ASSERT_EQ(examples.size(), 1U) << reason;
    std::vector<TokenId> expected;
    for (const std::size_t turn : AgentTurns(dialogue["messages"])) {
      const Json& message = dialogue["messages"][turn];
      std::string words;
      if (message["content"].is_string()) words = message["content"].get<std::string>();
      if (message.contains("tool_calls")) {
        const Json& call = message["tool_calls"][0]["function"];
        ASSERT_OK_AND_ASSIGN(const Json arguments, ParseJson(call["arguments"].get<std::string>()));
        words += "<tool_call>{\"name\": \"" + call["name"].get<std::string>() +
                 "\", \"arguments\": " + DumpPython(arguments) + "}</tool_call>";
      }
      ASSERT_OK_AND_ASSIGN(const std::vector<TokenId> ids, runnable_->tokenizer.Encode(words));
      expected.insert(expected.end(), ids.begin(), ids.end());
      expected.push_back(runnable_->tokenizer.special().eos);
    }
    std::vector<TokenId> trained;
    for (std::size_t i = 0; i < examples[0].ids.size(); ++i) {
      if (examples[0].loss[i] != 0) trained.push_back(examples[0].ids[i]);
    }
    EXPECT_EQ(trained, expected) << DumpPretty(dialogue["messages"]);
    compared += expected.size();
  }
  EXPECT_GT(compared, 0U);
}

// Of tok-chat-templates (number: line of the file), why a template cannot express a part. The most
// add the content to a text, and a tool call has none.
const std::map<int, std::string>& Refusals(Part part) {
  static const std::string alternate = "Conversation roles must alternate";
  static const std::string no_system = "System messages are not allowed";
  static const std::string deaf = "does not print the";
  static const std::map<int, std::string> all = {
      {11, alternate}, {12, no_system}, {13, alternate},
      {14, alternate}, {15, alternate}, {22, "System role not supported"},
      {23, deaf},      {25, no_system}, {33, deaf}};
  // 14 ends every rendering with its generation prompt, asked for or not.
  static const std::map<int, std::string> spoken = {{11, alternate},
                                                    {12, no_system},
                                                    {14, "not as served"},
                                                    {15, alternate},
                                                    {22, "System role not supported"},
                                                    {25, no_system}};
  static const std::map<int, std::string> without_system = {{14, "not as served"}};
  if (part == Part::kAll) return all;
  return part == Part::kSpoken ? spoken : without_system;
}

TEST_F(TrainServe, PublishedTemplatesTrainWhatTheyServe) {
  METIER_NEEDS_SHARED(shared);
  std::istringstream lines(test::ReadAll(shared + "/data/tok-chat-templates/templates.jsonl"));
  int number = 0;
  std::map<Part, int> expressed;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    ASSERT_OK_AND_ASSIGN(const Json row, ParseJson(line));
    ASSERT_NO_FATAL_FAILURE(UseTemplate(row.begin().value().get<std::string>()));
    for (const Part part : {Part::kAll, Part::kSpoken, Part::kWithoutSystem}) {
      SCOPED_TRACE("template " + std::to_string(number) + ", part " +
                   std::to_string(static_cast<int>(part)));
      const auto refusal = Refusals(part).find(number);
      std::string expected = part == Part::kAll ? "NoneType" : "";
      if (refusal != Refusals(part).end()) expected = refusal->second;
      std::string reason;
      const std::size_t turns = Compare(Take(Dialogues()[0], part), reason);
      EXPECT_EQ(turns == 0, !expected.empty()) << reason;
      EXPECT_THAT(reason, ::testing::HasSubstr(expected));
      if (turns > 0) ++expressed[part];
    }
  }
  EXPECT_EQ(number, 35);
  EXPECT_EQ(expressed[Part::kSpoken], 29);
  EXPECT_EQ(expressed[Part::kWithoutSystem], 34);
}

}  // namespace
}  // namespace metier::specialist
