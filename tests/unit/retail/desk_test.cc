// The desk: one answer a line, a conversation's state between lines, and no line that ends it.
#include "retail/desk.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "fmt/format.h"
#include "retail/generate.h"
#include "support/fixtures.h"

namespace metier::retail {
namespace {

class Desk : public ::testing::Test {
 protected:
  std::string Ask(const std::string& lines) {
    test::WriteAll(folder_ / "in", lines);
    const auto close = [](std::FILE* file) { std::fclose(file); };
    const std::unique_ptr<std::FILE, decltype(close)> in(std::fopen((folder_ / "in").c_str(), "r"),
                                                         close);
    std::unique_ptr<std::FILE, decltype(close)> out(std::fopen((folder_ / "out").c_str(), "w"),
                                                    close);
    EXPECT_TRUE(RunDesk(world_, ToolSet::Ours(), in.get(), out.get()).ok());
    out.reset();
    return test::ReadAll(folder_ / "out");
  }

  test::TempFolder folder_;
  const World world_ = MakeWorld({}).value();
};

TEST_F(Desk, RemembersWhoIsThereUntilTheNextConversation) {
  const Order& order = world_.orders.front();
  const Customer& customer = world_.customers[order.customer];
  const std::string who = fmt::format(
      "<tool_call>{{\"name\": \"find_customer\", \"arguments\": {{\"email\": \"{}\", \"postcode\": "
      "\"{}\"}}}}</tool_call>\n",
      customer.email, customer.postcode);
  const std::string what = fmt::format(
      "{{\"name\": \"get_order\", \"arguments\": {{\"order_id\": \"{}\"}}}}\n", order.id);
  const std::string answers = Ask(what + who + what + "new\n" + what);
  const std::size_t first = answers.find('\n');
  EXPECT_THAT(answers.substr(0, first), ::testing::HasSubstr("error"));
  EXPECT_THAT(answers, ::testing::HasSubstr(customer.id));
  EXPECT_THAT(answers, ::testing::HasSubstr("\"order_id\":\"" + order.id + "\""));
  EXPECT_EQ(answers.substr(answers.rfind('\n', answers.size() - 2) + 1),
            answers.substr(0, first + 1));
}

TEST_F(Desk, AnswersEveryLineThatIsNoCall) {
  EXPECT_EQ(Ask("hello\n\n"), "{\"error\":\"no call in this line\"}\n");
  EXPECT_THAT(Ask("{\"name\": 1}\n{{}\n"),
              ::testing::MatchesRegex("\\{\"error\".*\n\\{\"error\".*\n"));
  EXPECT_THAT(Ask("{\"name\": \"get_order\", \"arguments\": []}"), ::testing::HasSubstr("error"));
  EXPECT_EQ(Ask(""), "");
}

// Nothing is cut in silence: half a call may be another call.
TEST_F(Desk, RefusesLinesThatAreTooLongAndGoesOn) {
  const std::string answers = Ask("{\"name\": \"" + std::string(70000, 'x') + "\"}\nhello\n");
  EXPECT_EQ(answers,
            "{\"error\":\"the line is longer than 65536 bytes\"}\n"
            "{\"error\":\"no call in this line\"}\n");
}

TEST_F(Desk, NamesHeldOutCustomersWithOrdersToCancelToTrackAndToReturn) {
  const std::vector<std::string> people = PeopleToPlay(world_);
  ASSERT_EQ(people.size(), 3U);
  EXPECT_THAT(people[0], ::testing::HasSubstr("(placed): "));
  EXPECT_THAT(people[1], ::testing::HasSubstr("(shipped): "));
  EXPECT_THAT(people[2], ::testing::HasSubstr("(delivered): "));
  for (const std::string& text : people) {
    bool held_out = false;
    for (const Customer& customer : world_.customers) {
      if (text.find(customer.email) != std::string::npos) held_out = customer.split == Split::kTest;
    }
    EXPECT_TRUE(held_out) << text;
  }
}

}  // namespace
}  // namespace metier::retail
