// Conversations: calls that are no calls, their end, their independence; worlds that do not load.
#include "worlds/episode.h"

#include <gtest/gtest.h>

#include <string>

#include "tiny_worlds.h"

namespace metier::worlds {
namespace {

TEST(Episode, SaysWhatIsWrongWithACall) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  Episode episode(world);
  EXPECT_EQ(episode.Call("get_order", Json::object()), "Error: unknown tool 'get_order'");
  EXPECT_EQ(episode.Call("get_order_detials", Json::object()),
            "Error: unknown tool 'get_order_detials', the nearest is 'get_order_details'");
  EXPECT_EQ(episode.Call("get_order_details", Json::object()),
            "Error: argument 'order_id' is missing");
  EXPECT_EQ(episode.Call("get_order_details", {{"order_id", 5}}),
            "Error: argument 'order_id' is a whole number, expected a string");
  EXPECT_EQ(episode.Call("get_order_details", {{"order_id", "#P1"}, {"verbose", true}}),
            "Error: unknown argument 'verbose'");
  EXPECT_EQ(episode.Call("list_all_product_types", Json()),
            "Error: argument is null, expected an object");
  EXPECT_TRUE(IsError(episode.Call("", Json())));
  EXPECT_FALSE(IsError("Errors happen"));
}

TEST(Episode, CountsAndThinks) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyAirline());
  Episode episode(world);
  EXPECT_EQ(episode.Call("calculate", {{"expression", "(158 + 141) * 1.5"}}), "448.5");
  EXPECT_EQ(episode.Call("calculate", {{"expression", "2 + 2"}}), "4.0");
  EXPECT_EQ(episode.Call("calculate", {{"expression", "1 / 0"}}), "Error: division by zero");
  EXPECT_EQ(episode.Call("think", {{"thought", "What now?"}}), "");
}

TEST(Episode, EndsWithATransferOrTheUser) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  Episode transferred(world);
  EXPECT_TRUE(IsError(transferred.Call("transfer_to_human_agents", Json::object())));
  EXPECT_EQ(transferred.end(), EpisodeEnd::kOpen);
  EXPECT_EQ(transferred.Call("transfer_to_human_agents", {{"summary", "wants a refund"}}),
            "Transfer successful");
  EXPECT_EQ(transferred.end(), EpisodeEnd::kTransferred);
  EXPECT_EQ(transferred.Call("get_user_details", {{"user_id", "ada"}}),
            "Error: the conversation has ended");
  transferred.UserLeaves();
  EXPECT_EQ(transferred.end(), EpisodeEnd::kTransferred);

  Episode left(world);
  left.UserLeaves();
  EXPECT_EQ(left.end(), EpisodeEnd::kUserLeft);
}

TEST(Episode, CopiesGoTheirOwnWays) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  Episode episode(world);
  Episode other = episode;
  const Json cancel = {{"order_id", "#P1"}, {"reason", "ordered by mistake"}};
  EXPECT_FALSE(IsError(episode.Call("cancel_pending_order", cancel)));
  EXPECT_NE(episode.records(), other.records());
  EXPECT_FALSE(IsError(other.Call("cancel_pending_order", cancel)));
  EXPECT_EQ(episode.records(), other.records());
  EXPECT_EQ(episode.records().Digest(), other.records().Digest());
}

TEST(Episode, ReadsWhatAWorldHas) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  EXPECT_EQ(world.domain(), Domain::kRetail);
  EXPECT_EQ(world.tools().size(), 16);
  EXPECT_EQ(world.ToolNames().size(), 16);
  EXPECT_EQ(world.policy(), "Ask before you change anything.\n");
  EXPECT_EQ(world.rules(), std::vector<std::string>{"One call at a time."});
  ASSERT_OK_AND_ASSIGN(const World airline, TinyAirline());
  EXPECT_EQ(airline.tools().size(), 14);
  EXPECT_TRUE(airline.rules().empty());  // it has no such file
}

TEST(World, RefusesAFolderThatIsNotOne) {
  ASSERT_OK_AND_ASSIGN(const Domain retail, DomainByName("retail"));
  EXPECT_EQ(retail, Domain::kRetail);
  ASSERT_OK_AND_ASSIGN(const Domain airline, DomainByName("airline"));
  EXPECT_EQ(airline, Domain::kAirline);
  EXPECT_ERROR(DomainByName("railway"), ErrorCode::kNotFound,
               "world 'railway' is unknown; there are retail, airline");

  const test::TempFolder folder;
  EXPECT_ERROR(World::Load(retail, folder.path()), ErrorCode::kNotFound, "tools.json");
  WriteRetail(folder.path());
  EXPECT_OK(World::Load(retail, folder.path()));
  EXPECT_ERROR(World::Load(airline, folder.path()), ErrorCode::kNotFound, "flights.json");

  test::WriteAll(folder / "rules.json", R"([5])");
  EXPECT_ERROR(World::Load(retail, folder.path()), ErrorCode::kInvalidArgument,
               "rule '0' is a whole number");
  test::WriteAll(folder / "rules.json", "[]");

  const auto with_tools = [&](const Json& tools) {
    test::WriteAll(folder / "tools.json", DumpPretty(tools));
    return World::Load(retail, folder.path());
  };
  EXPECT_ERROR(with_tools({{"think", 1}}), ErrorCode::kInvalidArgument, "a list of functions");
  EXPECT_ERROR(with_tools(Json::array({"think"})), ErrorCode::kInvalidArgument,
               "field is a string, expected an object");
  EXPECT_ERROR(with_tools(Declarations({{"pay_bribe", {}}})), ErrorCode::kUnsupported,
               "tool 'pay_bribe': the retail world has no such tool");
  EXPECT_ERROR(with_tools(Declarations({{"think", {"idea"}}})), ErrorCode::kInvalidArgument,
               "tool 'think': declares other arguments than ours, which are: thought");
  ASSERT_OK_AND_ASSIGN(const World thinker, with_tools(Declarations({{"think", {"thought"}}})));
  EXPECT_EQ(Episode(thinker).Call("calculate", {{"expression", "1"}}),
            "Error: unknown tool 'calculate'");

  test::WriteAll(folder / "data/users.json", R"({"ada": {"email": "a@b"}})");
  EXPECT_ERROR(World::Load(retail, folder.path()), ErrorCode::kInvalidArgument,
               "users.json': users 'ada': field 'name' is missing");
}

}  // namespace
}  // namespace metier::worlds
