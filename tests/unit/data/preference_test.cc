// Rows with judged answers: what each form becomes, and why rows are refused.
#include "data/preference.h"

#include <gtest/gtest.h>

#include "data/normalize.h"
#include "support/fixtures.h"

namespace metier::data {
namespace {

using format::Judgement;
using test::TempFolder;

Result<Conversation> Row(const std::string& text, Form form) {
  METIER_ASSIGN(const Json row, ParseJson(text));
  return Normalize(row, form);
}
Result<Conversation> Preference(const std::string& text) { return Row(text, Form::kPreference); }
Result<Conversation> JudgedRow(const std::string& text) { return Row(text, Form::kJudged); }

// The form that a file of this one row is found to have.
Result<FoundForm> Found(const std::string& row) {
  const TempFolder folder;
  test::WriteAll(folder / "data.jsonl", row + "\n");
  return FindForm(folder / "data.jsonl");
}

// "prompt | chosen | rejected" of a pair, "prompt | answer" otherwise; only the answer is trained.
std::string Shown(const Conversation& row) {
  const std::size_t answer = row.messages.size() - 1;
  std::string shown;
  for (std::size_t i = 0; i < answer; ++i) {
    EXPECT_EQ(row.trained.at(i), 0);
    shown += DumpPython(row.messages[i]);
  }
  EXPECT_EQ(row.trained.at(answer), 1);
  shown += " | " + DumpPython(row.messages[answer]);
  return row.is_pair() ? shown + " | " + DumpPython(row.rejected) : shown;
}

constexpr const char* kHelloPair =
    R"({"role": "user", "content": "hi"} | {"role": "assistant", "content": "good"} | )"
    R"({"role": "assistant", "content": "bad"})";

TEST(PreferenceRows, ThreeTexts) {
  const std::string text = R"({"prompt": "The sky is", "chosen": " blue.", "rejected": " green."})";
  ASSERT_OK_AND_ASSIGN(const Conversation row, Preference(text));
  EXPECT_TRUE(row.is_text());
  EXPECT_TRUE(row.is_pair());
  EXPECT_EQ(row.prompt, "The sky is");
  EXPECT_EQ(row.text, " blue.");
  EXPECT_EQ(row.rejected, " green.");
  EXPECT_EQ(row.judgement, Judgement::kGood);
  ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
  EXPECT_EQ(found.form, Form::kPreference);
}

TEST(PreferenceRows, ThreeListsOfMessages) {
  const std::string text =
      R"({"prompt": [{"role": "user", "content": "hi"}], )"
      R"("chosen": [{"role": "assistant", "content": "good"}], )"
      R"("rejected": [{"role": "assistant", "content": "bad"}], "tools": "[{\"name\": \"f\"}]"})";
  ASSERT_OK_AND_ASSIGN(const Conversation row, Preference(text));
  EXPECT_EQ(Shown(row), kHelloPair);
  EXPECT_EQ(row.judgement, Judgement::kGood);
  EXPECT_EQ(DumpPython(row.tools), R"([{"name": "f"}])");
  ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
  EXPECT_EQ(found.form, Form::kPreference);
}

// The keys of a message may stand in any order; flags of messages are not a template's to see.
TEST(PreferenceRows, TwoConversationsWithOneBeginning) {
  const std::string text =
      R"({"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 1}, )"
      R"({"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}], )"
      R"("rejected": [{"content": "a", "role": "user"}, {"role": "assistant", "content": "b", "weight": 0}, )"
      R"({"role": "user", "content": "c"}, {"role": "assistant", "content": null, )"
      R"("tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]})";
  ASSERT_OK_AND_ASSIGN(const Conversation row, Preference(text));
  EXPECT_EQ(Shown(row),
            R"({"role": "user", "content": "a"}{"role": "assistant", "content": "b"})"
            R"({"role": "user", "content": "c"} | {"role": "assistant", "content": "d"} | )"
            R"({"role": "assistant", "content": null, )"
            R"("tool_calls": [{"function": {"name": "f", "arguments": {}}}]})");
  ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
  EXPECT_EQ(found.form, Form::kPreference);
}

TEST(PreferenceRows, SharegptRanking) {
  const std::string text =
      R"({"conversations": [{"from": "human", "value": "hi"}], "system": "s", "tools": [{"name": "f"}], )"
      R"("chosen": {"from": "gpt", "value": "good"}, )"
      R"("rejected": {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}})";
  ASSERT_OK_AND_ASSIGN(const Conversation row, Preference(text));
  EXPECT_EQ(Shown(row),
            R"({"role": "system", "content": "s"}{"role": "user", "content": "hi"} | )"
            R"({"role": "assistant", "content": "good"} | {"role": "assistant", "content": null, )"
            R"("tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]})");
  EXPECT_EQ(row.tools.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
  EXPECT_EQ(found.form, Form::kPreference);
}

TEST(PreferenceRows, AlpacaRanking) {
  const std::string text =
      R"({"instruction": "i", "input": "x", "system": "s", "history": [["q", "a"]], )"
      R"("chosen": "good", "rejected": "bad"})";
  ASSERT_OK_AND_ASSIGN(const Conversation row, Preference(text));
  EXPECT_EQ(
      Shown(row),
      R"({"role": "system", "content": "s"}{"role": "user", "content": "q"})"
      R"({"role": "assistant", "content": "a"}{"role": "user", "content": "i\nx"} | )"
      R"({"role": "assistant", "content": "good"} | {"role": "assistant", "content": "bad"})");
  ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
  EXPECT_EQ(found.form, Form::kPreference);
}

TEST(PreferenceRows, RefusedWithTheirReason) {
  const auto expect = [](const std::string& row, const std::string& reason) {
    const auto refused = Preference(row);
    ASSERT_FALSE(refused.ok()) << row;
    EXPECT_EQ(refused.error().code(), ErrorCode::kDataCorrupt);
    EXPECT_EQ(refused.error().message(), reason) << row;
  };
  const std::string same = "'chosen' and 'rejected' are the same";
  const std::string empty = "an answer is empty";
  const std::string foreign = "an answer is not the assistant's";
  const std::string no_prompt = "there is no prompt before the answer";
  const std::string kinds =
      "'prompt', 'chosen' and 'rejected' are not three texts or three lists of messages";
  expect(R"({"prompt": "p", "chosen": "a"})", "'chosen' or 'rejected' is missing");
  expect(R"({"prompt": "p", "chosen": "a", "rejected": null})",
         "'chosen' or 'rejected' is missing");
  expect(R"({"prompt": "p", "chosen": "a", "rejected": "a"})", same);
  expect(R"({"prompt": "p", "chosen": "a", "rejected": " \n"})", empty);
  expect(R"({"prompt": "p", "chosen": "", "rejected": "b"})", empty);
  expect(R"({"prompt": "", "chosen": "a", "rejected": "b"})", no_prompt);
  expect(R"({"prompt": "p", "chosen": "a", "rejected": ["b"]})", kinds);
  expect(R"({"prompt": 1, "chosen": "a", "rejected": "b"})", kinds);
  expect(R"({"chosen": "a", "rejected": "b"})",
         "'chosen' and 'rejected' without 'prompt' are not two lists of messages");

  const std::string hi = R"({"role": "user", "content": "hi"})";
  const auto says = [](const std::string& content) {
    return R"({"role": "assistant", "content": )" + content + "}";
  };
  const std::string good = says("\"good\"");
  const auto lists = [](const std::string& prompt, const std::string& chosen,
                        const std::string& rejected) {
    return R"({"prompt": [)" + prompt + R"(], "chosen": [)" + chosen + R"(], "rejected": [)" +
           rejected + "]}";
  };
  expect(lists(hi, good, R"({"content": "good", "role": "assistant"})"), same);
  expect(lists(hi, good, ""), empty);
  expect(lists(hi, says("\" \""), good), empty);
  expect(lists(hi, good, says(R"([{"type": "text", "text": ""}])")), empty);
  expect(lists(hi, good, R"({"role": "assistant", "content": "", "tool_calls": []})"), empty);
  expect(lists(hi, good, hi), foreign);
  expect(lists("", good, says("\"bad\"")), no_prompt);
  expect(lists(hi, good, R"({"role": "assistant", "content": "bad", "weight": 0})"),
         "an answer is flagged not to be trained on");
  expect(lists(hi, good, says("\"bad\"") + ", " + hi + ", " + good),
         "'chosen' and 'rejected' differ in more than their last message");
  expect(lists(hi, good, R"({"content": "bad"})"), "a message has no role");

  const auto two = [](const std::string& chosen, const std::string& rejected) {
    return R"({"chosen": [)" + chosen + R"(], "rejected": [)" + rejected + "]}";
  };
  const std::string question = R"({"role": "user", "content": "what"})";
  expect(two(hi + ", " + good, hi + ", " + good), same);
  expect(two(hi + ", " + good, question + ", " + good),
         "'chosen' and 'rejected' have no beginning in common: no prompt");
  expect(two(good, says("\"bad\"")),
         "'chosen' and 'rejected' have no beginning in common: no prompt");
  expect(two(hi + ", " + good, hi),
         "'chosen' and 'rejected' differ in more than their last message");
  expect(two(hi + ", " + good, hi + ", " + question), foreign);

  const auto share = [](const std::string& turns, const std::string& chosen,
                        const std::string& rejected) {
    return R"({"conversations": [)" + turns + R"(], "chosen": )" + chosen + R"(, "rejected": )" +
           rejected + "}";
  };
  const std::string human = R"({"from": "human", "value": "hi"})";
  const std::string gpt = R"({"from": "gpt", "value": "good"})";
  expect(share(human, gpt, gpt), same);
  expect(share(human, gpt, human), foreign);
  expect(share(human, gpt, R"({"from": "gpt", "value": ""})"), empty);
  expect(share(human, gpt, "\"bad\""), "a turn is not an object");
  expect(share(human + ", " + gpt, gpt, R"({"from": "gpt", "value": "bad"})"),
         "the turns are out of order");
  expect(share("", gpt, R"({"from": "gpt", "value": "bad"})"), no_prompt);

  expect(R"({"instruction": "i", "chosen": "a", "rejected": "a"})", same);
  expect(R"({"instruction": "i", "chosen": "a", "rejected": ""})", empty);
  expect(R"({"instruction": "i", "chosen": "a", "rejected": {"from": "gpt"}})",
         "'rejected' is not a text");
  expect(R"({"instruction": "", "chosen": "a", "rejected": "b"})", "'instruction' is empty");
}

TEST(JudgedRows, PromptCompletionAndLabel) {
  const std::string text = R"({"prompt": "p", "completion": "c", "label": true})";
  ASSERT_OK_AND_ASSIGN(const Conversation texts, JudgedRow(text));
  EXPECT_EQ(texts.prompt, "p");
  EXPECT_EQ(texts.text, "c");
  EXPECT_EQ(texts.judgement, Judgement::kGood);
  EXPECT_FALSE(texts.is_pair());
  ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
  EXPECT_EQ(found.form, Form::kJudged);
  ASSERT_OK_AND_ASSIGN(
      const Conversation messages,
      JudgedRow(R"({"prompt": [{"role": "user", "content": "hi"}], )"
                R"("completion": [{"role": "assistant", "content": "bad"}], "label": false})"));
  EXPECT_EQ(Shown(messages),
            R"({"role": "user", "content": "hi"} | {"role": "assistant", "content": "bad"})");
  EXPECT_EQ(messages.judgement, Judgement::kBad);
}

TEST(JudgedRows, ConversationsWithATag) {
  const std::string dialogue =
      R"({"role": "user", "content": "a"}{"role": "assistant", "content": "b"})"
      R"({"role": "user", "content": "c"} | {"role": "assistant", "content": "d"})";
  const std::vector<std::string> rows = {
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, )"
      R"({"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}], "kto_tag": false})",
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, )"
      R"({"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}], "kto_tag": false})",
      R"({"instruction": "c", "output": "d", "history": [["a", "b"]], "kto_tag": false})"};
  for (const std::string& text : rows) {
    ASSERT_OK_AND_ASSIGN(const Conversation row, JudgedRow(text));
    EXPECT_EQ(Shown(row), dialogue);
    EXPECT_EQ(row.judgement, Judgement::kBad);
    ASSERT_OK_AND_ASSIGN(const FoundForm found, Found(text));
    EXPECT_EQ(found.form, Form::kJudged) << text;
  }
}

TEST(JudgedRows, RefusedWithTheirReason) {
  const auto expect = [](const std::string& row, const std::string& reason) {
    EXPECT_ERROR(JudgedRow(row), ErrorCode::kDataCorrupt, reason);
  };
  const std::string hi = R"({"role": "user", "content": "hi"})";
  const std::string good = R"({"role": "assistant", "content": "good"})";
  expect(R"({"prompt": "p", "completion": "c"})", "'label' is missing");
  expect(R"({"prompt": "p", "completion": "c", "label": 1})", "'label' is neither true nor false");
  expect(R"({"prompt": "p", "completion": " ", "label": true})", "an answer is empty");
  expect(R"({"prompt": "", "completion": "c", "label": true})", "there is no prompt");
  expect(R"({"prompt": "p", "label": true})", "'prompt' or 'completion' is missing");
  expect(R"({"messages": [)" + hi + ", " + good + R"(], "label": true})", "'kto_tag' is missing");
  expect(R"({"messages": [)" + hi + ", " + good + R"(], "kto_tag": "yes"})",
         "'kto_tag' is neither true nor false");
  expect(R"({"messages": [)" + good + ", " + hi + R"(], "kto_tag": true})", "not the assistant's");
  expect(R"({"messages": [)" + good + R"(], "kto_tag": true})", "there is no prompt");
  expect(R"({"instruction": "i", "output": " ", "kto_tag": true})", "an answer is empty");
}

TEST(FindForm, ASecondReadingIsAskedAbout) {
  const auto corrupt = ErrorCode::kDataCorrupt;
  EXPECT_ERROR(Found(R"({"prompt": "p", "completion": "c", "label": 1})"), corrupt,
               "the forms completion and judged equally well");
  const std::string both = R"({"messages": [], "prompt": "p", "chosen": "a", "rejected": "b"})";
  EXPECT_ERROR(Found(both), corrupt, "the forms messages and preference equally well");
  // Without a judgement they are what they were.
  ASSERT_OK_AND_ASSIGN(const FoundForm found,
                       Found(R"({"prompt": "p", "completion": "c", "label": null})"));
  EXPECT_EQ(found.form, Form::kCompletion);
}

TEST(ReadConversations, CountsJudgements) {
  const TempFolder folder;
  const std::string path = folder / "data.jsonl";
  const auto visit = [](Conversation&&) { return Ok(); };
  test::WriteAll(path,
                 "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\"}\n"
                 "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"a\"}\n");
  ASSERT_OK_AND_ASSIGN(const ReadReport pairs, ReadConversations(path, {}, visit));
  EXPECT_EQ(pairs.pairs, 1);
  EXPECT_EQ(pairs.good, 1);
  EXPECT_EQ(pairs.bad, 1);
  EXPECT_EQ(pairs.examples.at(0).line, 2);
  EXPECT_EQ(FormatReport(pairs),
            "2 rows of form preference (confidence 100 %): 1 kept, 1 refused\n"
            "  1 pairs of a good and a bad answer\n"
            "  1 x 'chosen' and 'rejected' are the same\n"
            "  line 2: 'chosen' and 'rejected' are the same\n");
  test::WriteAll(path,
                 "{\"prompt\": \"p\", \"completion\": \"a\", \"label\": true}\n"
                 "{\"prompt\": \"p\", \"completion\": \"b\", \"label\": false}\n"
                 "{\"prompt\": \"p\", \"completion\": \"c\", \"label\": true}\n");
  ASSERT_OK_AND_ASSIGN(const ReadReport judged, ReadConversations(path, {}, visit));
  EXPECT_EQ(judged.pairs, 0);
  EXPECT_EQ(judged.good, 2);
  EXPECT_EQ(judged.bad, 1);
  EXPECT_THAT(FormatReport(judged), ::testing::HasSubstr("\n  2 good answers, 1 bad ones\n"));
}

}  // namespace
}  // namespace metier::data
