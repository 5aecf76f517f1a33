// Chat templates: the cases of tests/cases/templates, errors, limits, and loading from model
// folders.
//
// A case file holds cases of the form
//
//   === what it shows
//   --- template | messages | variables | tools | generation prompt | output | error | spans
//   the section's text, without its last newline
//
// with `error` a part of the message instead of `output`, and `spans` the assistant's texts as a
// JSON list. Outputs were computed with Jinja2 3.1 under the settings that chat templates are
// rendered with (sandboxed, trim_blocks, lstrip_blocks, loop controls).
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "support/fixtures.h"

namespace metier::text {
namespace {

using test::ReadAll;

struct Case {
  std::string name;
  std::map<std::string, std::string> sections;
};

std::vector<Case> ReadCases(const std::string& path) {
  std::vector<Case> cases;
  std::string section;
  std::istringstream lines(ReadAll(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("=== ")) {
      cases.push_back({line.substr(4), {}});
      section.clear();
    } else if (!cases.empty() && line.starts_with("--- ")) {
      section = line.substr(4);
      cases.back().sections[section];
    } else if (!section.empty()) {
      cases.back().sections[section] += line + "\n";
    }
  }
  for (Case& one : cases) {
    // A blank line stands between a case and the next; the last line's own newline is not content.
    for (auto& [name, text] : one.sections)
      if (!text.empty()) text.pop_back();
  }
  for (std::size_t i = 0; i + 1 < cases.size(); ++i) {
    std::string& last = cases[i].sections.count("spans") != 0   ? cases[i].sections["spans"]
                        : cases[i].sections.count("error") != 0 ? cases[i].sections["error"]
                                                                : cases[i].sections["output"];
    if (!last.empty()) last.pop_back();
  }
  return cases;
}

Json JsonOf(const Case& one, const std::string& section, const Json& fallback) {
  const auto found = one.sections.find(section);
  if (found == one.sections.end()) return fallback;
  auto parsed = ParseJson(found->second);
  EXPECT_OK(parsed);
  return parsed.ok() ? *parsed : fallback;
}

std::tm FourthOfJuly() {
  std::tm time{};
  time.tm_year = 126;
  time.tm_mon = 6;
  time.tm_mday = 4;
  time.tm_hour = 12;
  return time;
}

const ChatTemplate::Tokens kTokens{"<s>", "</s>"};

RenderOptions OptionsOf(const Case& one) {
  RenderOptions options;
  options.add_generation_prompt = one.sections.count("generation prompt") != 0;
  options.extra = JsonOf(one, "variables", Json::object());
  options.tools = JsonOf(one, "tools", nullptr);
  options.clock = FourthOfJuly;
  return options;
}

void RunCase(const Case& one) {
  const Json messages =
      JsonOf(one, "messages", Json::array({Json{{"role", "user"}, {"content", "Hi"}}}));
  const RenderOptions options = OptionsOf(one);
  auto parsed = ChatTemplate::Parse(one.sections.at("template"));
  const auto error = one.sections.find("error");
  if (error != one.sections.end()) {
    auto rendered = parsed.ok() ? parsed->Render(messages, kTokens, options)
                                : Result<std::string>(parsed.error());
    ASSERT_FALSE(rendered.ok()) << "rendered: " << *rendered;
    EXPECT_THAT(rendered.error().message(), ::testing::HasSubstr(error->second));
    EXPECT_THAT(rendered.error().message(), ::testing::StartsWith("chat template, line "));
    return;
  }
  ASSERT_OK(parsed);
  if (one.sections.count("output") != 0) {
    const auto rendered = parsed->Render(messages, kTokens, options);
    ASSERT_OK(rendered);
    EXPECT_EQ(*rendered, one.sections.at("output"));
  }
  if (one.sections.count("spans") != 0) {
    const auto chat = parsed->RenderWithSpans(messages, kTokens, options);
    ASSERT_OK(chat);
    Json spans = Json::array();
    for (const AssistantSpan& span : chat->assistant)
      spans.push_back(chat->text.substr(span.begin, span.end - span.begin));
    EXPECT_EQ(spans, JsonOf(one, "spans", nullptr)) << chat->text;
  }
}

TEST(ChatTemplateCases, RenderAsWritten) {
  const std::string folder = test::SourceFolder() + "/tests/cases/templates";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".case") continue;
    for (const Case& one : ReadCases(entry.path().string())) {
      SCOPED_TRACE(entry.path().filename().string() + ": " + one.name);
      RunCase(one);
      ++count;
    }
  }
  EXPECT_GT(count, 90);  // the folder was found and read
}

Result<std::string> RenderText(std::string_view source, const Limits& limits = {}) {
  METIER_ASSIGN(const ChatTemplate parsed, ChatTemplate::Parse(source, limits));
  return parsed.Render(Json::array(), kTokens, {});
}

TEST(ChatTemplate, SyntaxErrorsNameLineAndConstruct) {
  EXPECT_ERROR(RenderText("a\n{{ 1 + }}"), ErrorCode::kDataCorrupt, "line 2");
  EXPECT_ERROR(RenderText("{% if true %}\nx"), ErrorCode::kDataCorrupt, "expected {% endif %}");
  EXPECT_ERROR(RenderText("{% endif %}"), ErrorCode::kDataCorrupt, "{% endif %}");
  EXPECT_ERROR(RenderText("\n\n{{ 'a"), ErrorCode::kDataCorrupt,
               "line 3: a string is never closed");
  EXPECT_ERROR(RenderText("{# a"), ErrorCode::kDataCorrupt, "comment");
  EXPECT_ERROR(RenderText("{{ (1] }}"), ErrorCode::kDataCorrupt, "expected ')'");
  EXPECT_ERROR(RenderText("{{ a $ b }}"), ErrorCode::kDataCorrupt, "character '$'");
  EXPECT_ERROR(RenderText("{% break %}"), ErrorCode::kDataCorrupt, "outside of a loop");
  EXPECT_ERROR(RenderText("{% fro x in y %}"), ErrorCode::kDataCorrupt, "did you mean 'for'");
}

TEST(ChatTemplate, RefusesByNameWhatItDoesNotKnow) {
  EXPECT_ERROR(RenderText("{% include 'x' %}"), ErrorCode::kUnsupported, "{% include %}");
  EXPECT_ERROR(RenderText("{{ 1 | tojsn }}"), ErrorCode::kUnsupported, "did you mean 'tojson'");
  EXPECT_ERROR(RenderText("{{ 1 is strin }}"), ErrorCode::kUnsupported, "did you mean 'string'");
  EXPECT_ERROR(RenderText("{{ 'a'.zfill(3) }}"), ErrorCode::kUnsupported, "'zfill'");
  EXPECT_ERROR(RenderText("{% for x in y recursive %}{% endfor %}"), ErrorCode::kUnsupported,
               "recursive");
  EXPECT_ERROR(RenderText("{{ f(*a) }}"), ErrorCode::kUnsupported, "*args");
}

TEST(ChatTemplate, EndsWhateverTheTemplateDoes) {
  Limits limits;
  limits.max_template_steps = 100'000;
  limits.max_rendered_bytes = 1 << 20;
  EXPECT_ERROR(RenderText("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                          "{% endfor %}",
                          limits),
               ErrorCode::kResourceExhausted, "");
  EXPECT_ERROR(RenderText("{% set ns = namespace(s='ab') %}{% for x in range(99) %}"
                          "{% set ns.s = ns.s + ns.s %}{% endfor %}",
                          limits),
               ErrorCode::kResourceExhausted, "");
  EXPECT_ERROR(RenderText("{% set ns = namespace() %}{% set ns.l = [] %}{% for x in range(9999) %}"
                          "{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}"),
               ErrorCode::kResourceExhausted, "nested");
  EXPECT_ERROR(RenderText("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me }}"),
               ErrorCode::kInvalidArgument, "a Namespace has no text");
  EXPECT_ERROR(RenderText("{{ 'a' * 99999999999 }}"), ErrorCode::kResourceExhausted, "too much");
  EXPECT_ERROR(RenderText("{{ range(100001) | list }}"), ErrorCode::kResourceExhausted, "range()");
  EXPECT_ERROR(RenderText("{{ " + std::string(1000, '(') + "1" + std::string(1000, ')') + " }}"),
               ErrorCode::kResourceExhausted, "nested deeper");
  EXPECT_ERROR(RenderText(std::string(300, ' ') + "{{ 1" + std::string(1000, '+') + "1 }}"),
               ErrorCode::kResourceExhausted, "signs");
}

TEST(ChatTemplate, ASecondRenderingOwesNothingToTheFirst) {
  const auto parsed = ChatTemplate::Parse("{% set x = (x | default(0)) + 1 %}{{ x }}");
  ASSERT_OK(parsed);
  for (int i = 0; i < 2; ++i) {
    const auto text = parsed->Render(Json::array(), kTokens, {});
    ASSERT_OK(text);
    EXPECT_EQ(*text, "1");
  }
}

TEST(ChatTemplate, RefusesMessagesThatAreNone) {
  const auto parsed = ChatTemplate::Parse("{{ messages }}");
  ASSERT_OK(parsed);
  EXPECT_ERROR(parsed->Render(Json("text"), kTokens, {}), ErrorCode::kInvalidArgument, "an array");
  EXPECT_ERROR(parsed->Render(Json::array({1}), kTokens, {}), ErrorCode::kInvalidArgument,
               "message 0");
  EXPECT_ERROR(parsed->Render(Json::array({Json{{"n", std::uint64_t{1} << 63}}}), kTokens, {}),
               ErrorCode::kUnsupported, "64 bits");
}

TEST(LoadChatTemplate, PrefersTheFileAndChoosesByTools) {
  const test::TempFolder folder;
  EXPECT_ERROR(LoadChatTemplate(folder.path(), WithTools::kNo), ErrorCode::kNotFound,
               "no chat template");
  test::WriteAll(folder / "tokenizer_config.json", R"({"chat_template": "plain"})");
  auto loaded = LoadChatTemplate(folder.path(), WithTools::kNo);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->source(), "plain");

  test::WriteAll(folder / "tokenizer_config.json",
                 R"({"chat_template": [{"name": "default", "template": "d"},
                                       {"name": "tool_use", "template": "t"}]})");
  loaded = LoadChatTemplate(folder.path(), WithTools::kNo);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->source(), "d");
  loaded = LoadChatTemplate(folder.path(), WithTools::kYes);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->source(), "t");

  test::WriteAll(folder / "chat_template.jinja", "file");
  loaded = LoadChatTemplate(folder.path(), WithTools::kYes);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->source(), "file");

  test::WriteAll(folder / "chat_template.jinja", "{{ x");
  EXPECT_ERROR(LoadChatTemplate(folder.path(), WithTools::kYes), ErrorCode::kDataCorrupt,
               "chat_template.jinja");
}

}  // namespace
}  // namespace metier::text
