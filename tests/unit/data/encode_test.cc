#include "data/encode.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "data/preview.h"
#include "encoding.h"
#include "support/fixtures.h"

namespace metier::data {
namespace {

using test::TempFolder;

Conversation Chat(std::initializer_list<std::string> turns) {
  Conversation conversation;
  bool user = true;
  for (const std::string& turn : turns) {
    conversation.messages.push_back(Json{{"role", user ? "user" : "assistant"}, {"content", turn}});
    conversation.trained.push_back(1);
    user = !user;
  }
  conversation.line = 7;
  return conversation;
}

TEST(Encoder, OneExampleWhereTurnsReadAsServed) {
  const auto tokenizer = Characters();
  const auto chat = Template(kMarked);
  const EncodeOptions options;
  Encoder encoder(tokenizer, &chat, options);
  const auto examples = encoder.Encode(Chat({"x", "y", "z", "w"}));
  ASSERT_OK(examples);
  EXPECT_THAT(
      Shown(tokenizer, *examples),
      ::testing::ElementsAre("u:x<|end|>a:\u27E6y<|end|>\u27E7u:z<|end|>a:\u27E6w<|end|>\u27E7"));
  EXPECT_EQ(encoder.report().conversation_trained_tokens, 4);

  Conversation flagged = Chat({"x", "y", "z", "w"});
  flagged.trained[1] = 0;
  const auto partly = encoder.Encode(flagged);
  ASSERT_OK(partly);
  EXPECT_THAT(Shown(tokenizer, *partly),
              ::testing::ElementsAre("u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6w<|end|>\u27E7"));
}

TEST(Encoder, AnExampleATurnWhereTheTemplateForgets) {
  const auto tokenizer = Characters();
  const auto chat = Template(kForgetful);
  const EncodeOptions options;
  Encoder encoder(tokenizer, &chat, options);
  const auto examples = encoder.Encode(Chat({"x", "t=y", "z", "t=w"}));
  ASSERT_OK(examples);
  EXPECT_THAT(Shown(tokenizer, *examples),
              ::testing::ElementsAre("u:x<|end|>a:\u27E6t=y<|end|>\u27E7",
                                     "u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6t=w<|end|>\u27E7"));
  EXPECT_EQ(encoder.report().split_conversations, 1);
  EXPECT_EQ(encoder.report().turns_not_as_served, 0);
}

TEST(Encoder, EosWhereTheTemplateHasNoMarker) {
  const auto tokenizer = Characters();
  const auto chat = Template(kUnmarked);
  const EncodeOptions options;
  Encoder encoder(tokenizer, &chat, options);
  const auto examples = encoder.Encode(Chat({"x", "y", "z", "w"}));
  ASSERT_OK(examples);
  EXPECT_THAT(
      Shown(tokenizer, *examples),
      ::testing::ElementsAre("u:x\na:\u27E6y</s>\u27E7", "u:x\na:y\nu:z\na:\u27E6w</s>\u27E7"));
  EXPECT_EQ(encoder.report().turns_closed_with_eos, 2);
}

TEST(Encoder, PlainTextEndsWithEosAndItsPromptIsNotLearnt) {
  const auto tokenizer = Characters();
  const EncodeOptions options;
  Encoder encoder(tokenizer, nullptr, options);
  Conversation row;
  row.text = "ab</s>";
  auto examples = encoder.Encode(row);
  ASSERT_OK(examples);
  EXPECT_THAT(Shown(tokenizer, *examples), ::testing::ElementsAre("\u27E6ab</s></s>\u27E7"));
  EXPECT_EQ(examples->at(0).ids.size(), 7u);  // the spelling in the text is four characters
  row.prompt = "p";
  examples = encoder.Encode(row);
  ASSERT_OK(examples);
  EXPECT_THAT(Shown(tokenizer, *examples), ::testing::ElementsAre("p\u27E6ab</s></s>\u27E7"));
  EXPECT_ERROR(encoder.Encode(Chat({"x", "y"})), ErrorCode::kInvalidArgument,
               "line 7: a conversation needs a chat template");
}

TEST(Encoder, LongExamplesByPolicy) {
  const auto tokenizer = Characters();
  const auto chat = Template(kMarked);
  EncodeOptions options;
  options.max_tokens = 12;  // an exchange of "u:?<|end|>a:?<|end|>" is 8, two are 16
  Conversation conversation = Chat({"x", "y", "z", "w"});
  {
    Encoder encoder(tokenizer, &chat, options);
    EXPECT_ERROR(encoder.Encode(conversation), ErrorCode::kInvalidArgument,
                 "line 7: 16 tokens, limit 12");
  }
  options.long_examples = LongExamples::kDrop;
  {
    Encoder encoder(tokenizer, &chat, options);
    const auto examples = encoder.Encode(conversation);
    ASSERT_OK(examples);
    EXPECT_TRUE(examples->empty());
    EXPECT_EQ(encoder.report().long_dropped, 1);
  }
  options.long_examples = LongExamples::kTruncateFront;
  {
    Encoder encoder(tokenizer, &chat, options);
    auto examples = encoder.Encode(conversation);
    ASSERT_OK(examples);
    EXPECT_THAT(Shown(tokenizer, *examples),
                ::testing::ElementsAre("u:z<|end|>a:\u27E6w<|end|>\u27E7"));
    EXPECT_EQ(encoder.report().dropped_messages, 2);
    examples = encoder.Encode(Chat({"xxxxxxxx", "y"}));  // nothing to cut
    ASSERT_OK(examples);
    EXPECT_TRUE(examples->empty());
    EXPECT_EQ(encoder.report().long_dropped, 1);
    Conversation row;
    row.text = "0123456789abcdef";
    examples = encoder.Encode(row);
    ASSERT_OK(examples);
    EXPECT_THAT(Shown(tokenizer, *examples), ::testing::ElementsAre("\u27E656789abcdef</s>\u27E7"));
    EXPECT_EQ(encoder.report().dropped_tokens, 5);
  }
}

TEST(EncodeFiles, WritesTheTokenFileAndCounts) {
  const TempFolder folder;
  const auto tokenizer = Characters();
  const auto chat = Template(
      "{% for m in messages %}{% if m.role == 'odd' %}{{ raise_exception('odd role') }}{% endif %}"
      "{{ m.role[0] + ':' + m.content + '<|end|>' }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}");
  test::WriteAll(
      folder / "a.jsonl",
      R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})"
      "\n{bad\n"
      R"({"messages": [{"role": "odd", "content": "x"}, {"role": "assistant", "content": "y"}]})"
      "\n");
  test::WriteAll(folder / "b.jsonl", R"({"text": "ab"})");
  const std::string out = folder / "tokens.safetensors";
  const auto report =
      EncodeFiles({folder / "a.jsonl", folder / "b.jsonl"}, tokenizer, "t", &chat, {}, out);
  ASSERT_OK(report);
  EXPECT_EQ(report->examples, 2);
  EXPECT_EQ(report->files.at(0).rejected_rows(), 1);
  EXPECT_EQ(report->template_refused, 1);
  ASSERT_EQ(report->template_refusals.size(), 1u);
  EXPECT_EQ(report->template_refusals[0].line, 3);
  EXPECT_THAT(report->template_refusals[0].reason, ::testing::HasSubstr("odd role"));
  const auto file = format::TokenFile::Open(out);
  ASSERT_OK(file);
  EXPECT_EQ(file->examples(), 2);
  EXPECT_THAT(file->Loss(0), ::testing::ElementsAre(0, 0, 0, 0, 0, 0, 1, 1));
  EXPECT_THAT(file->Loss(1), ::testing::ElementsAre(1, 1, 1));
  EXPECT_EQ(file->metadata().at("tokenizer_sha256"), "t");
  EXPECT_EQ(file->metadata().at("trained_tokens"), "5");
  EXPECT_EQ(file->metadata().count("source_1_sha256"), 1u);
}

TEST(EncodeFiles, RefusesDataThatTeachesNothingOrEverything) {
  const TempFolder folder;
  const auto tokenizer = Characters();
  test::WriteAll(
      folder / "a.jsonl",
      R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})");
  const std::string out = folder / "tokens.safetensors";
  const auto everything = Template(
      "{% generation %}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}{% endgeneration "
      "%}");
  EXPECT_ERROR(EncodeFiles({folder / "a.jsonl"}, tokenizer, "t", &everything, {}, out),
               ErrorCode::kInvalidArgument, "all of the");
  const auto nothing = Template(
      "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}{% generation %}{% endgeneration "
      "%}");
  EXPECT_ERROR(EncodeFiles({folder / "a.jsonl"}, tokenizer, "t", &nothing, {}, out),
               ErrorCode::kInvalidArgument, "none of the");
  const auto refusing = Template("{{ raise_exception('never') }}");
  EXPECT_ERROR(EncodeFiles({folder / "a.jsonl"}, tokenizer, "t", &refusing, {}, out),
               ErrorCode::kInvalidArgument, "never");
  EXPECT_ERROR(format::TokenFile::Open(out), ErrorCode::kNotFound, "");
}

TEST(Preview, MarksWhatIsTrained) {
  const auto tokenizer = Characters();
  const auto ids = tokenizer.Encode("ab");
  ASSERT_OK(ids);
  const std::vector<std::uint8_t> loss = {0, 1};
  EXPECT_EQ(*Preview(tokenizer, *ids, loss, PreviewStyle::kBrackets), "a\u27E6b\u27E7");
  EXPECT_EQ(*Preview(tokenizer, *ids, loss, PreviewStyle::kColours),
            "\x1b[2ma\x1b[0m\x1b[32mb\x1b[0m");
}

TEST(EncodeFiles, TellsHowManyBytesAreReadAndMayBeEnded) {
  const TempFolder folder;
  const auto tokenizer = Characters();
  test::WriteAll(folder / "a.jsonl", "{\"text\": \"ab\"}\r\n\n{\"text\": \"abc\"}\n");
  test::WriteAll(folder / "b.jsonl", "{\"text\": \"\u00e9\"}");
  const std::string out = folder / "tokens.safetensors";
  std::vector<std::uint64_t> bytes;
  EncodeOptions options;
  options.on_progress = [&](std::uint64_t done, std::uint64_t total, std::string_view) -> Status {
    EXPECT_EQ(total, 47U);
    bytes.push_back(done);
    if (bytes.size() == 4) return Error(ErrorCode::kIo, "enough");
    return Ok();
  };
  const std::vector<std::string> files = {folder / "a.jsonl", folder / "b.jsonl"};
  ASSERT_OK(EncodeFiles(files, tokenizer, "t", nullptr, options, out));
  EXPECT_THAT(bytes, ::testing::ElementsAre(16, 33, 47));
  std::filesystem::remove(out);
  EXPECT_ERROR(EncodeFiles(files, tokenizer, "t", nullptr, options, out), ErrorCode::kIo, "enough");
  EXPECT_FALSE(std::filesystem::exists(out)) << "half a file of tokens";
}

// More conversations than are encoded at once, with one that the template refuses here and there.
TEST(EncodeFiles, WritesTheSameOnAnyNumberOfThreads) {
  const TempFolder folder;
  const auto tokenizer = Characters();
  const auto chat = Template(
      "{% for m in messages %}{% if m.content == '7' %}{{ raise_exception('seven') }}{% endif %}"
      "{{ m.role[0] + ':' + m.content + '<|end|>' }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}");
  std::string rows;
  for (int i = 0; i < 700; ++i) {
    rows += fmt::format(R"({{"messages": [{{"role": "user", "content": "{}"}}, )"
                        R"({{"role": "assistant", "content": "{}"}}]}})"
                        "\n",
                        i % 50, i);
  }
  test::WriteAll(folder / "a.jsonl", rows);
  EncodeOptions options;
  options.threads = 1;
  ASSERT_OK_AND_ASSIGN(const auto one, EncodeFiles({folder / "a.jsonl"}, tokenizer, "t", &chat,
                                                   options, folder / "one"));
  options.threads = 3;
  ASSERT_OK_AND_ASSIGN(const auto three, EncodeFiles({folder / "a.jsonl"}, tokenizer, "t", &chat,
                                                     options, folder / "three"));
  EXPECT_EQ(test::ReadAll(folder / "one"), test::ReadAll(folder / "three"));
  EXPECT_EQ(three.examples, 686);
  EXPECT_EQ(three.template_refused, 14);
  ASSERT_EQ(three.template_refusals.size(), 14U);
  EXPECT_EQ(three.template_refusals[1].line, 58);
  EXPECT_EQ(one.trained_tokens, three.trained_tokens);
  options.max_tokens = 10;  // two digits and two; of three the first is row 111
  EXPECT_ERROR(EncodeFiles({folder / "a.jsonl"}, tokenizer, "t", &chat, options, folder / "none"),
               ErrorCode::kInvalidArgument, "a.jsonl': line 111");
}

}  // namespace
}  // namespace metier::data
