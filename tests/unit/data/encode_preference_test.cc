// Preferences and judged answers as examples.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "data/encode.h"
#include "encoding.h"
#include "support/fixtures.h"

namespace metier::data {
namespace {

using format::Judgement;
using test::TempFolder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Turns of user and assistant, the last one the answer.
Conversation Judged(std::initializer_list<std::string> turns, Judgement judgement) {
  Conversation conversation;
  for (const std::string& turn : turns) {
    const char* role = conversation.messages.size() % 2 == 0 ? "user" : "assistant";
    conversation.messages.push_back(Json{{"role", role}, {"content", turn}});
  }
  conversation.trained.assign(turns.size(), 0);
  conversation.trained.back() = 1;
  conversation.judgement = judgement;
  conversation.line = 7;
  return conversation;
}

// The last turn is the chosen answer.
Conversation Pair(std::initializer_list<std::string> turns, const std::string& rejected) {
  Conversation conversation = Judged(turns, Judgement::kGood);
  conversation.rejected = Json{{"role", "assistant"}, {"content", rejected}};
  return conversation;
}

Conversation TextPair(const std::string& prompt, const std::string& chosen,
                      const std::string& rejected) {
  Conversation conversation;
  conversation.prompt = prompt;
  conversation.text = chosen;
  conversation.rejected = rejected;
  conversation.judgement = Judgement::kGood;
  return conversation;
}

class EncodePreference : public ::testing::Test {
 protected:
  // The examples as people read them; what was counted is in report_.
  std::vector<std::string> Encode(const Conversation& conversation) {
    const auto examples = TryEncode(conversation);
    EXPECT_OK(examples);
    return examples.ok() ? Shown(tokenizer_, *examples) : std::vector<std::string>();
  }

  Result<std::vector<Example>> TryEncode(const Conversation& conversation) {
    Encoder encoder(tokenizer_, &template_, options_);
    auto examples = encoder.Encode(conversation);
    report_ = encoder.report();
    return examples;
  }

  text::Tokenizer tokenizer_ = Characters();
  text::ChatTemplate template_ = Template(kMarked);
  EncodeOptions options_;
  EncodeReport report_;
};

TEST_F(EncodePreference, APairIsTwoExamplesBehindOnePrompt) {
  ASSERT_OK_AND_ASSIGN(const auto examples, TryEncode(Pair({"x", "y", "z", "w"}, "vv")));
  EXPECT_THAT(Shown(tokenizer_, examples),
              ElementsAre("u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6w<|end|>\u27E7",
                          "u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6vv<|end|>\u27E7"));
  EXPECT_EQ(examples[0].judgement, Judgement::kGood);
  EXPECT_EQ(examples[1].judgement, Judgement::kBad);
  const std::size_t prompt = 14;
  EXPECT_TRUE(std::equal(examples[0].ids.begin(), examples[0].ids.begin() + prompt,
                         examples[1].ids.begin()));
  EXPECT_EQ(report_.pairs, 1);
  EXPECT_EQ(report_.examples, 2);
  EXPECT_EQ(report_.good, 1);
  EXPECT_EQ(report_.bad, 1);
  EXPECT_EQ(report_.trained_tokens, 5);
}

TEST_F(EncodePreference, TemplatesThatSplitOtherConversationsLeavePairsWhole) {
  template_ = Template(kUnmarked);
  EXPECT_THAT(
      Encode(Pair({"x", "y", "z", "w"}, "v")),
      ElementsAre("u:x\na:y\nu:z\na:\u27E6w</s>\u27E7", "u:x\na:y\nu:z\na:\u27E6v</s>\u27E7"));
  EXPECT_EQ(report_.turns_closed_with_eos, 2);
  EXPECT_EQ(report_.split_conversations, 0);
  template_ = Template(kForgetful);
  EXPECT_THAT(Encode(Pair({"x", "t=y", "z", "t=w"}, "t=v")),
              ElementsAre("u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6t=w<|end|>\u27E7",
                          "u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6t=v<|end|>\u27E7"));
}

TEST_F(EncodePreference, AJudgedConversationIsOneExampleWithItsLastAnswer) {
  ASSERT_OK_AND_ASSIGN(const auto examples,
                       TryEncode(Judged({"x", "y", "z", "w"}, Judgement::kBad)));
  EXPECT_THAT(Shown(tokenizer_, examples),
              ElementsAre("u:x<|end|>a:y<|end|>u:z<|end|>a:\u27E6w<|end|>\u27E7"));
  EXPECT_EQ(examples[0].judgement, Judgement::kBad);
  EXPECT_EQ(report_.bad, 1);
  EXPECT_EQ(report_.good, 0);
  EXPECT_EQ(report_.pairs, 0);
}

TEST_F(EncodePreference, TheTemplateMustPrintOnePrompt) {
  template_ = Template("{{ 'B' if messages[-1].content == 'v' else 'G' }}" + std::string(kMarked));
  EXPECT_THAT(Encode(Pair({"x", "w"}, "u")), ElementsAre("Gu:x<|end|>a:\u27E6w<|end|>\u27E7",
                                                         "Gu:x<|end|>a:\u27E6u<|end|>\u27E7"));
  EXPECT_ERROR(TryEncode(Pair({"x", "w"}, "v")), ErrorCode::kInvalidArgument,
               "line 7: the chat template prints one prompt before the chosen answer and another "
               "before the rejected one: token 0 begins 'Gu:x<|end|>a:' and 'Bu:x<|end|>a:'");
  const std::string longer =
      "{% for m in messages %}{{ m.role[0] + ':' }}"
      "{% if m.role == 'assistant' and m.content == 'v' %}{{ '!!' }}{% endif %}"
      "{{ m.content + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}";
  template_ = Template(longer);  // what it prints behind the served prompt is the answer's
  EXPECT_THAT(Encode(Pair({"x", "w"}, "v")), ElementsAre("u:x<|end|>a:\u27E6w<|end|>\u27E7",
                                                         "u:x<|end|>a:\u27E6!!v<|end|>\u27E7"));
}

TEST_F(EncodePreference, AnswersOfTheSameTokensAreNoPair) {
  template_ = Template(
      "{% for m in messages %}{{ m.role[0] + ':' + m.content.strip() + '<|end|>' }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}");
  EXPECT_THAT(Encode(Pair({"x", "w"}, "w ")), IsEmpty());
  EXPECT_EQ(report_.pairs_alike, 1);
  EXPECT_EQ(report_.pairs, 0);
  EXPECT_EQ(report_.examples, 0);
}

TEST_F(EncodePreference, APairThatTheTemplateRefusesIsLeftOutWhole) {
  template_ =
      Template("{% if messages[-1].content == 'v' %}{{ raise_exception('no v') }}{% endif %}" +
               std::string(kMarked));
  EXPECT_THAT(Encode(Pair({"x", "w"}, "v")), IsEmpty());
  EXPECT_EQ(report_.template_refused, 1);
  EXPECT_THAT(report_.template_refusals.at(0).reason, ::testing::HasSubstr("no v"));
}

TEST_F(EncodePreference, LongPairsAreCutAlikeOrDropped) {
  const Conversation pair = Pair({"x", "y", "z", "w"}, "vvvv");  // 16 tokens, and 19
  options_.max_tokens = 18;
  EXPECT_ERROR(TryEncode(pair), ErrorCode::kInvalidArgument, "line 7: 19 tokens, limit 18");
  options_.long_examples = LongExamples::kDrop;
  EXPECT_THAT(Encode(pair), IsEmpty());
  EXPECT_EQ(report_.long_dropped, 1);
  options_.long_examples = LongExamples::kTruncateFront;
  EXPECT_THAT(Encode(pair), ElementsAre("u:z<|end|>a:\u27E6w<|end|>\u27E7",
                                        "u:z<|end|>a:\u27E6vvvv<|end|>\u27E7"));
  EXPECT_EQ(report_.long_truncated, 1);
  EXPECT_EQ(report_.dropped_messages, 2);
  EXPECT_EQ(report_.pairs, 1);
  options_.max_tokens = 10;  // the chosen answer's 8 would fit
  EXPECT_THAT(Encode(pair), IsEmpty());
  EXPECT_EQ(report_.long_dropped, 1);
  options_.max_tokens = 19;
  EXPECT_EQ(Encode(pair).size(), 2u);
  EXPECT_EQ(report_.long_truncated, 0);
}

TEST_F(EncodePreference, TextsAreCutInTheirPromptAlone) {
  EXPECT_THAT(Encode(TextPair("0123", "ab", "c")),
              ElementsAre("0123\u27E6ab</s>\u27E7", "0123\u27E6c</s>\u27E7"));
  EXPECT_EQ(report_.pairs, 1);
  options_.max_tokens = 6;
  options_.long_examples = LongExamples::kTruncateFront;
  EXPECT_THAT(Encode(TextPair("0123", "a", "cdef")),  // the chosen answer's 6 would fit
              ElementsAre("3\u27E6a</s>\u27E7", "3\u27E6cdef</s>\u27E7"));
  EXPECT_EQ(report_.long_truncated, 1);
  EXPECT_EQ(report_.dropped_tokens, 6);
  EXPECT_THAT(Encode(TextPair("0123", "ab", "cdefg")), IsEmpty());
  EXPECT_EQ(report_.long_dropped, 1);
  Conversation judged = TextPair("0123", "cdefg", "");
  judged.rejected = nullptr;
  EXPECT_THAT(Encode(judged), IsEmpty());
  EXPECT_EQ(report_.long_dropped, 1);
  judged.judgement = Judgement::kNone;  // other texts are learnt in part
  EXPECT_THAT(Encode(judged), ElementsAre("\u27E6cdefg</s>\u27E7"));
}

TEST_F(EncodePreference, TheLimitHoldsWithTheEosThatClosesATurn) {
  template_ = Template(
      "{% for m in messages %}{{ m.role[0] + ':' + m.content }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}");
  options_.max_tokens = 7;
  EXPECT_THAT(Encode(Judged({"x", "y"}, Judgement::kNone)), ElementsAre("u:xa:\u27E6y</s>\u27E7"));
  options_.max_tokens = 6;
  EXPECT_ERROR(TryEncode(Judged({"x", "y"}, Judgement::kNone)), ErrorCode::kInvalidArgument,
               "7 tokens, limit 6");
}

class EncodePreferenceFiles : public EncodePreference {
 protected:
  std::string Write(const std::string& name, const std::string& rows) {
    test::WriteAll(folder_ / name, rows);
    return folder_ / name;
  }

  Result<EncodeReport> Build(const std::vector<std::string>& files) {
    return EncodeFiles(files, tokenizer_, "t", &template_, options_, out_);
  }

  TempFolder folder_;
  std::string out_ = folder_ / "tokens.safetensors";
  const std::string pairs_ =
      Write("pairs.jsonl", R"({"prompt": "p", "chosen": "a", "rejected": "bc"})"
                           "\n"
                           R"({"prompt": "p", "chosen": "a", "rejected": "a"})"
                           "\n"
                           R"({"chosen": [{"role": "user", "content": "x"}, )"
                           R"({"role": "assistant", "content": "y"}], )"
                           R"("rejected": [{"role": "user", "content": "x"}, )"
                           R"({"role": "assistant", "content": "z"}]})");
  const std::string judged_ =
      Write("judged.jsonl", R"({"prompt": "p", "completion": "a", "label": false})"
                            "\n"
                            R"({"prompt": "q", "completion": "b", "label": true})");
  const std::string plain_ = Write("plain.jsonl", R"({"prompt": "p", "completion": "a"})");
};

TEST_F(EncodePreferenceFiles, PairsStandTogetherInTheTokenFile) {
  ASSERT_OK_AND_ASSIGN(const EncodeReport report, Build({pairs_}));
  EXPECT_EQ(report.pairs, 2);
  EXPECT_EQ(report.files.at(0).form, Form::kPreference);
  EXPECT_EQ(report.files[0].pairs, 2);
  EXPECT_EQ(report.files[0].rejected_rows(), 1);
  ASSERT_OK_AND_ASSIGN(const format::TokenFile file, format::TokenFile::Open(out_));
  EXPECT_TRUE(file.paired());
  EXPECT_EQ(file.metadata().at("pairs"), "true");
  std::vector<std::string> shown;
  for (std::int64_t i = 0; i < file.examples(); ++i) {
    EXPECT_EQ(file.Judgement(i), i % 2 == 0 ? Judgement::kGood : Judgement::kBad);
    ASSERT_OK_AND_ASSIGN(const std::string text,
                         Preview(tokenizer_, file.Ids(i), file.Loss(i), PreviewStyle::kBrackets));
    shown.push_back(text);
  }
  EXPECT_THAT(shown,
              ElementsAre("p\u27E6a</s>\u27E7", "p\u27E6bc</s>\u27E7",
                          "u:x<|end|>a:\u27E6y<|end|>\u27E7", "u:x<|end|>a:\u27E6z<|end|>\u27E7"));
}

TEST_F(EncodePreferenceFiles, JudgedRowsAndPairsAreJudgedAndNotPaired) {
  ASSERT_OK_AND_ASSIGN(const EncodeReport report, Build({pairs_, judged_}));
  EXPECT_EQ(report.pairs, 2);
  EXPECT_EQ(report.good, 3);
  EXPECT_EQ(report.bad, 3);
  ASSERT_OK_AND_ASSIGN(const format::TokenFile file, format::TokenFile::Open(out_));
  EXPECT_TRUE(file.has_judgements());
  EXPECT_FALSE(file.paired());
  EXPECT_EQ(file.Judgement(4), Judgement::kBad);
  EXPECT_EQ(file.Judgement(5), Judgement::kGood);
}

TEST_F(EncodePreferenceFiles, PlainRowsAreNotMixedWithJudgedOnes) {
  EXPECT_ERROR(Build({plain_, judged_}), ErrorCode::kInvalidArgument,
               "judged.jsonl' has answers with judgements");
  EXPECT_ERROR(Build({pairs_, plain_}), ErrorCode::kInvalidArgument, "plain.jsonl' has none");
  EXPECT_FALSE(std::filesystem::exists(out_));
  ASSERT_OK(Build({plain_}));
  ASSERT_OK_AND_ASSIGN(const format::TokenFile file, format::TokenFile::Open(out_));
  EXPECT_FALSE(file.has_judgements());
  EXPECT_EQ(file.metadata().count("pairs"), 0u);
}

TEST_F(EncodePreferenceFiles, TheSameOnAnyNumberOfThreads) {
  std::string rows;
  for (int i = 0; i < 700; ++i) {
    rows += fmt::format(R"({{"prompt": "{}", "chosen": "{}", "rejected": "{}"}})"
                        "\n",
                        i % 50, i, i % 7 == 0 ? "none" : "other");
  }
  const std::string file = Write("many.jsonl", rows);
  options_.threads = 1;
  ASSERT_OK(Build({file}));
  const std::string one = test::ReadAll(out_);
  options_.threads = 3;
  ASSERT_OK(Build({file}));
  EXPECT_EQ(test::ReadAll(out_), one);
}

}  // namespace
}  // namespace metier::data
