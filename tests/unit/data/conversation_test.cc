#include "data/conversation.h"

#include <gtest/gtest.h>

#include "data/lines.h"
#include "support/fixtures.h"

namespace metier::data {
namespace {

using test::TempFolder;

struct Read {
  Result<ReadReport> report;
  std::vector<Conversation> rows;
};

Read ReadText(const std::string& text, const ReadOptions& options = {}) {
  const TempFolder folder;
  test::WriteAll(folder / "data.jsonl", text);
  std::vector<Conversation> rows;
  auto report = ReadConversations(folder / "data.jsonl", options, [&rows](Conversation&& row) {
    rows.push_back(std::move(row));
    return Ok();
  });
  return {std::move(report), std::move(rows)};
}

std::string Messages(const Conversation& row) { return DumpPython(row.messages); }

TEST(ReadConversations, Messages) {
  const Read read = ReadText(
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]}, {"role": "tool", "tool_call_id": "1", "content": "r"}, {"role": "assistant", "content": "b", "weight": 0}], "tools": [{"type": "function"}]})"
      "\n");
  ASSERT_OK(read.report);
  EXPECT_EQ(read.report->form, Form::kMessages);
  EXPECT_EQ(read.report->confidence, 1.0);
  ASSERT_EQ(read.rows.size(), 1u);
  const Conversation& row = read.rows[0];
  EXPECT_EQ(row.messages[1]["tool_calls"][0]["function"]["arguments"], (Json{{"x", 1}}));
  EXPECT_THAT(row.trained, ::testing::ElementsAre(1, 1, 1, 0));
  EXPECT_FALSE(row.messages[3].contains("weight"));
  EXPECT_EQ(row.tools.size(), 1u);
  EXPECT_EQ(row.line, 1);
}

TEST(ReadConversations, Sharegpt) {
  const Read read = ReadText(
      R"({"system": "s", "tools": "[{\"name\": \"f\"}]", "conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}, {"from": "observation", "value": "r"}, {"from": "gpt", "value": "b"}]})");
  ASSERT_OK(read.report);
  EXPECT_EQ(read.report->form, Form::kSharegpt);
  EXPECT_EQ(
      Messages(read.rows.at(0)),
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, )"
      R"({"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": )"
      R"({"name": "f", "arguments": {}}}]}, {"role": "tool", "content": "r"}, )"
      R"({"role": "assistant", "content": "b"}])");
  EXPECT_EQ(DumpPython(read.rows[0].tools), R"([{"name": "f"}])");
}

TEST(ReadConversations, Alpaca) {
  const Read read = ReadText(
      R"({"instruction": "i", "input": "x", "output": "o", "system": "s", "history": [["q", "a"]]})"
      "\n\n"
      R"({"instruction": "i", "input": "", "output": "o"})");
  ASSERT_OK(read.report);
  EXPECT_EQ(read.report->blank_lines, 1);
  EXPECT_EQ(Messages(read.rows.at(0)),
            R"([{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, )"
            R"({"role": "assistant", "content": "a"}, {"role": "user", "content": "i\nx"}, )"
            R"({"role": "assistant", "content": "o"}])");
  EXPECT_EQ(read.rows.at(1).messages[0]["content"], "i");
  EXPECT_EQ(read.rows[1].line, 3);
}

TEST(ReadConversations, CompletionAndText) {
  const Read texts = ReadText(R"({"prompt": "p", "completion": "c"})");
  ASSERT_OK(texts.report);
  EXPECT_TRUE(texts.rows.at(0).is_text());
  EXPECT_EQ(texts.rows[0].prompt, "p");
  EXPECT_EQ(texts.rows[0].text, "c");

  const Read messages = ReadText(
      R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}], "completion": [{"role": "assistant", "content": "d"}]})");
  ASSERT_OK(messages.report);
  EXPECT_THAT(messages.rows.at(0).trained, ::testing::ElementsAre(0, 0, 0, 1));

  const Read plain = ReadText("\xEF\xBB\xBF{\"text\": \"t\"}\r\n");
  ASSERT_OK(plain.report);
  EXPECT_EQ(plain.report->form, Form::kText);
  EXPECT_EQ(plain.rows.at(0).text, "t");
}

TEST(ReadConversations, ReportsEveryBadRow) {
  const std::string good = R"({"messages": [{"role": "assistant", "content": "a"}]})";
  const std::string text =
      good + "\n{broken\n" + good + "\n" + R"({"messages": [{"role": "user", "content": "a"}]})" +
      "\n" + R"({"messages": [{"content": "a"}]})" + "\n" + R"({"messages": [{"role": "user"}]})" +
      "\n[]\n" + R"({"messages": [{"role": "assistant", "content": "a", "weight": 2}]})" + "\n" +
      R"({"messages": [{"role": "user", "content": "a"}]})";
  const Read read = ReadText(text);
  ASSERT_OK(read.report);
  const ReadReport& report = *read.report;
  EXPECT_EQ(report.rows, 9);
  EXPECT_EQ(report.kept, 2);
  EXPECT_EQ(report.rejected.at("not JSON"), 1);
  EXPECT_EQ(report.rejected.at("no message of the assistant to learn from"), 2);
  EXPECT_EQ(report.rejected.at("a message has no role"), 1);
  EXPECT_EQ(report.rejected.at("a message has neither content nor tool calls"), 1);
  EXPECT_EQ(report.rejected.at("the row is not a JSON object"), 1);
  EXPECT_EQ(report.rejected.at("'weight' of a message is neither 0 nor 1"), 1);
  ASSERT_EQ(report.examples.size(), 7u);
  EXPECT_EQ(report.examples[0].line, 2);
  EXPECT_THAT(report.examples[0].reason, ::testing::StartsWith("not JSON: "));
  EXPECT_EQ(report.examples[6].line, 9);
  EXPECT_THAT(FormatReport(report), ::testing::HasSubstr("2 kept, 7 refused"));

  ReadOptions strict;
  strict.bad_rows = BadRows::kRefuse;
  EXPECT_ERROR(ReadText(text, strict).report, ErrorCode::kDataCorrupt, "line 2: not JSON");
}

TEST(ReadConversations, RefusesTurnsOutOfOrder) {
  ReadOptions stated;
  stated.form = Form::kSharegpt;
  const auto reason = [&](const std::string& turns) {
    return ReadText(R"({"conversations": [)" + turns + "]}", stated).report;
  };
  EXPECT_ERROR(reason(R"({"from": "gpt", "value": "a"})"), ErrorCode::kDataCorrupt, "out of order");
  EXPECT_ERROR(reason(R"({"from": "human", "value": "a"}, {"from": "human", "value": "a"})"),
               ErrorCode::kDataCorrupt, "out of order");
  EXPECT_ERROR(reason(R"({"from": "bot", "value": "a"})"), ErrorCode::kDataCorrupt,
               "none of human");
  EXPECT_ERROR(
      reason(R"({"from": "human", "value": "a"}, {"from": "function_call", "value": "f("})"),
      ErrorCode::kDataCorrupt, "not JSON");
}

TEST(ReadConversations, FindsTheFormOrSaysWhyNot) {
  EXPECT_ERROR(ReadText("").report, ErrorCode::kDataCorrupt, "no rows");
  EXPECT_ERROR(ReadText(R"({"a": 1})").report, ErrorCode::kDataCorrupt, "state the form");
  EXPECT_ERROR(ReadText(R"({"text": "a", "prompt": "p", "completion": "c"})").report,
               ErrorCode::kDataCorrupt, "equally well");
  ReadOptions stated;
  stated.form = Form::kText;
  EXPECT_OK(ReadText(R"({"text": "a", "prompt": "p", "completion": "c"})", stated).report);
  const Read mixed = ReadText("{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"prompt\": 1}\n");
  ASSERT_OK(mixed.report);
  EXPECT_NEAR(mixed.report->confidence, 2.0 / 3, 1e-12);
  EXPECT_ERROR(FormFromName("sharegtp"), ErrorCode::kInvalidArgument, "did you mean 'sharegpt'");
  EXPECT_ERROR(ReadConversations("/nowhere.jsonl", {}, [](Conversation&&) { return Ok(); }),
               ErrorCode::kNotFound, "no such file");
}

TEST(LineReader, LongLinesAndBlockBorders) {
  const TempFolder folder;
  const std::string path = folder / "lines";
  const std::string long_line((1 << 20) - 1, 'x');  // its newline is the last byte of the block
  test::WriteAll(path, long_line + "\n" + long_line + "yz\n\nend");
  auto reader = LineReader::Open(path, 1 << 21);
  ASSERT_OK(reader);
  std::vector<std::size_t> sizes;
  std::string line;
  while (true) {
    const auto more = reader->Next(line);
    ASSERT_OK(more);
    if (!*more) break;
    sizes.push_back(line.size());
  }
  EXPECT_THAT(sizes, ::testing::ElementsAre(long_line.size(), long_line.size() + 2, 0u, 3u));
  EXPECT_EQ(reader->line_number(), 4);
  auto limited = LineReader::Open(path, 100);
  ASSERT_OK(limited);
  EXPECT_ERROR(limited->Next(line), ErrorCode::kResourceExhausted, "line 1: over 100 bytes");
}

}  // namespace
}  // namespace metier::data
