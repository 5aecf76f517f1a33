// The assistant's spans: what they claim holds, for our own templates and for the shared real ones.
#include <gtest/gtest.h>

#include <sstream>

#include "support/fixtures.h"
#include "text/chat_template.h"

namespace metier::text {
namespace {

const ChatTemplate::Tokens kTokens{"<s>", "</s>"};

Json Message(const std::string& role, const std::string& content) {
  return Json{{"role", role}, {"content", content}};
}

Json Turns(std::initializer_list<Json> messages) { return Json(Json::array_t(messages)); }

std::string Words(const RenderedChat& chat, const TextSpan& span) {
  return chat.text.substr(span.begin, span.end - span.begin);
}

TEST(ChatSpans, DataIsWhatMessagesWrote) {
  const auto parsed = ChatTemplate::Parse(
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content | upper }}<|end|>{% endfor %}"
      "{{ tools | tojson }}{{ name }}");
  ASSERT_OK(parsed);
  RenderOptions options;
  options.tools = Json::array({Json{{"n", 1}}});
  options.extra["name"] = "x<|end|>";
  const auto chat = parsed->RenderWithSpans(
      Turns({Message("user", "a<|end|>"), Message("<|evil|>", "b")}), kTokens, options);
  ASSERT_OK(chat);
  std::vector<std::string> data;
  for (const TextSpan& span : chat->data) data.push_back(Words(*chat, span));
  EXPECT_THAT(data, ::testing::ElementsAre("A<|END|>", "<|evil|>", "B", "[{\"n\": 1}]x<|end|>"));
}

TEST(ChatSpans, TellWhatServingWouldSee) {
  const auto parsed = ChatTemplate::Parse(
      "{% for m in messages %}<{{ m.role }}>"
      "{{ m.content.split('</t>')[-1] if not loop.last else m.content }}<end>{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  ASSERT_OK(parsed);
  const auto chat =
      parsed->RenderWithSpans(Turns({Message("user", "a"), Message("assistant", "t</t>b"),
                                     Message("user", "c"), Message("assistant", "t</t>d")}),
                              kTokens);
  ASSERT_OK(chat);
  ASSERT_EQ(chat->assistant.size(), 2u);
  EXPECT_TRUE(chat->assistant[0].as_served);
  EXPECT_FALSE(chat->assistant[0].as_last);
  EXPECT_TRUE(chat->assistant[1].as_served);
  EXPECT_TRUE(chat->assistant[1].as_last);
  EXPECT_EQ(Words(*chat, chat->assistant[1]), "t</t>d<end>");
}

TEST(ChatSpans, RefuseATurnThatLeavesNothing) {
  const auto parsed = ChatTemplate::Parse(
      "{{ messages | length }}{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor "
      "%}");
  ASSERT_OK(parsed);
  EXPECT_ERROR(
      parsed->RenderWithSpans(Turns({Message("user", "a"), Message("assistant", "b")}), kTokens),
      ErrorCode::kUnsupported, "message 1 (assistant)");
}

std::vector<std::pair<std::string, ChatTemplate>> SharedTemplates(const std::string& shared) {
  std::vector<std::pair<std::string, ChatTemplate>> templates;
  std::istringstream lines(test::ReadAll(shared + "/data/tok-chat-templates/templates.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto row = ParseJson(line);
    EXPECT_OK(row);
    for (const auto& [name, source] : row->items()) {
      auto parsed = ChatTemplate::Parse(source.get<std::string>());
      EXPECT_OK(parsed);
      if (parsed.ok()) templates.emplace_back(name, *std::move(parsed));
    }
  }
  return templates;
}

// A rendering either works or is refused by the template's own exception.
bool RefusedByItself(const Error& error) {
  return error.message().find("the template refuses this conversation") != std::string::npos;
}

TEST(SharedTemplatesTest, AllParseAndRenderOrRefuseThemselves) {
  METIER_NEEDS_SHARED(shared);
  const auto templates = SharedTemplates(shared);
  ASSERT_GE(templates.size(), 35u);
  const Json plain =
      Turns({Message("user", "Hi"), Message("assistant", "Hello <b>"), Message("user", "Bye")});
  const Json with_system = Turns({Message("system", "Be kind."), Message("user", " Hi\n")});
  int refused = 0;
  for (const auto& [name, parsed] : templates) {
    SCOPED_TRACE(name + ": " + parsed.source().substr(0, 80));
    for (const bool prompt : {false, true}) {
      RenderOptions options;
      options.add_generation_prompt = prompt;
      const auto rendered = parsed.Render(plain, kTokens, options);
      ASSERT_OK(rendered);
      EXPECT_THAT(*rendered, ::testing::HasSubstr("Hello <b>"));
      const auto system = parsed.Render(with_system, kTokens, options);
      if (!system.ok()) {
        EXPECT_TRUE(RefusedByItself(system.error())) << system.error().message();
        ++refused;
      }
    }
  }
  EXPECT_EQ(refused, 10);  // five templates know no system message
}

// What the model must say, and that the rendering before it is what serving feeds it.
TEST(SharedTemplatesTest, SpansStartBehindTheServedPrompt) {
  METIER_NEEDS_SHARED(shared);
  const Json messages =
      Turns({Message("user", "First question"), Message("assistant", "First answer"),
             Message("user", "Second question"), Message("assistant", "Second answer")});
  int served = 0;
  for (const auto& [name, parsed] : SharedTemplates(shared)) {
    SCOPED_TRACE(name + ": " + parsed.source().substr(0, 80));
    const auto chat = parsed.RenderWithSpans(messages, kTokens);
    ASSERT_OK(chat);
    ASSERT_EQ(chat->assistant.size(), 2u);
    for (const AssistantSpan& span : chat->assistant) {
      const std::string words = Words(*chat, span);
      const std::string answer = span.message == 1 ? "First answer" : "Second answer";
      EXPECT_THAT(words, ::testing::HasSubstr(answer));
      EXPECT_THAT(words, ::testing::Not(::testing::HasSubstr("question")));
      // Nothing but blanks in front of the words: headers belong to the prompt.
      EXPECT_EQ(words.find_first_not_of(" \n"), words.find(answer)) << words;
      EXPECT_EQ(span.closed, words.size() > words.find(answer) + answer.size());
      EXPECT_TRUE(span.as_last);
      RenderOptions options;
      options.add_generation_prompt = true;
      Json before = messages;
      before.erase(before.begin() + static_cast<std::ptrdiff_t>(span.message), before.end());
      const auto prompt = parsed.Render(before, kTokens, options);
      ASSERT_OK(prompt);
      EXPECT_EQ(span.as_served, chat->text.starts_with(*prompt)) << *prompt;
      if (!span.as_served) continue;
      EXPECT_EQ(span.begin, prompt->size());
      ++served;
    }
  }
  // All but one: its generation prompt names a destination that no finished turn shows.
  EXPECT_EQ(served, 2 * 34);
}

}  // namespace
}  // namespace metier::text
