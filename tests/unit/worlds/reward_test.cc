// Tasks, rewards and recorded conversations, on the small worlds.
#include "worlds/reward.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tiny_worlds.h"
#include "worlds/task.h"
#include "worlds/trajectory.h"

namespace metier::worlds {
namespace {

Task CancelTask() {
  return {
      .user_id = "ada",
      .instruction = "Cancel #P1 and say what comes back.",
      .actions = {{"cancel_pending_order", {{"order_id", "#P1"}, {"reason", "ordered by mistake"}}},
                  {"transfer_to_human_agents", {{"summary", "done"}}}},
      .outputs = {"1014.49"}};
}

TEST(Reward, IsForTheDatabaseAndForWhatWasSaid) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  const Task task = CancelTask();
  Episode episode(world);
  EXPECT_FALSE(Score(episode, task).database);
  episode.Call("get_order_details", {{"order_id", "#P1"}});
  episode.Call(task.actions[0].name, task.actions[0].arguments);
  episode.Say("That is 1,014.49 DOLLARS.");
  const Reward open = Score(episode, task);
  EXPECT_TRUE(open.database);
  EXPECT_FALSE(open.ended);
  EXPECT_EQ(open.value(), 0);
  episode.UserLeaves();
  EXPECT_EQ(Score(episode, task).value(), 1);

  Task other = task;
  other.outputs = {"1,014.49 dollars", "goodbye"};
  const Reward half = Score(episode, other);
  EXPECT_EQ(half.outputs, (std::vector<std::pair<std::string, bool>>{{"1,014.49 dollars", true},
                                                                     {"goodbye", false}}));
  EXPECT_EQ(half.value(), 0);

  other.outputs.clear();
  other.actions[0].arguments["reason"] = "no longer needed";
  EXPECT_FALSE(Score(episode, other).database);
  EXPECT_EQ(Score(episode, other).value(), 0);
}

TEST(Reward, AnOutputIsSaidInOneUtterance) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  Episode episode(world);
  episode.UserLeaves();
  episode.Say("That is 10");
  episode.Say("14.49");
  EXPECT_FALSE(Score(episode, CancelTask()).outputs[0].second);
}

TEST(Task, IsReadFromLines) {
  const std::string line =
      R"({"annotator": "x", "user_id": "ada", "instruction": "Hm.",)"
      R"( "actions": [{"name": "think", "kwargs": {"thought": "?"}}], "outputs": ["4"]})";
  ASSERT_OK_AND_ASSIGN(const std::vector<Task> tasks, ReadTaskLines("\n" + line + "\r\n\n" + line));
  ASSERT_EQ(tasks.size(), 2);
  EXPECT_EQ(tasks[0].user_id, "ada");
  EXPECT_EQ(tasks[0].instruction, "Hm.");
  EXPECT_EQ(tasks[1].actions[0].name, "think");
  EXPECT_EQ(tasks[1].actions[0].arguments["thought"], "?");
  EXPECT_EQ(tasks[1].outputs, std::vector<std::string>{"4"});
  EXPECT_ERROR(ReadTaskLines(line + "\n{"), ErrorCode::kDataCorrupt, "line 2: ");
  EXPECT_ERROR(ReadTaskLines("{}"), ErrorCode::kInvalidArgument,
               "line 1: task field 'user_id' is missing");
}

// The user asks, the agent thinks aloud and cancels, the user leaves.
Json RecordedConversation() {
  Json task = {
      {"user_id", "ada"},
      {"instruction", "Cancel."},
      {"actions",
       Json::array({{{"name", "cancel_pending_order"},
                     {"kwargs", {{"order_id", "#P1"}, {"reason", "ordered by mistake"}}}}})},
      {"outputs", Json::array({"done"})}};
  Json call = {{"id", "c1"},
               {"function",
                {{"name", "cancel_pending_order"},
                 {"arguments", R"({"order_id": "#P1", "reason": "ordered by mistake"})"}}}};
  return {{"task_id", 3},
          {"trial", 1},
          {"reward", 1.0},
          {"info", {{"task", task}}},
          {"traj",
           Json::array({{{"role", "system"}, {"content", "Serve."}},
                        {{"role", "user"}, {"content", "Cancel #P1."}},
                        {{"role", "assistant"},
                         {"content", "It is done"},  // beside a call: the user does not hear it
                         {"tool_calls", Json::array({call})}},
                        {{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "recorded"}},
                        {{"role", "assistant"}, {"content", "Cancelled."}, {"tool_calls", nullptr}},
                        {{"role", "user"}, {"content", "Bye ###STOP###"}}})}};
}

Result<Replay> ReplayOne(const World& world, const Json& conversation) {
  METIER_ASSIGN(const std::vector<Trajectory> read,
                ReadTrajectories(DumpCompact(Json::array({conversation}))));
  return ReplayTrajectory(world, read.at(0));
}

TEST(Trajectory, IsReplayed) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  Json conversation = RecordedConversation();
  ASSERT_OK_AND_ASSIGN(const Replay replay, ReplayOne(world, conversation));
  ASSERT_EQ(replay.calls.size(), 1);
  EXPECT_EQ(replay.calls[0].call.name, "cancel_pending_order");
  EXPECT_EQ(replay.calls[0].recorded, "recorded");
  EXPECT_EQ(Parsed(replay.calls[0].observed)["status"], "cancelled");
  EXPECT_EQ(replay.episode.said(), std::vector<std::string>{"Cancelled."});
  EXPECT_EQ(replay.episode.end(), EpisodeEnd::kUserLeft);

  ASSERT_OK_AND_ASSIGN(const std::vector<Trajectory> read,
                       ReadTrajectories(DumpCompact(Json::array({conversation, conversation}))));
  EXPECT_EQ(read[0].task_id, 3);
  EXPECT_EQ(read[0].trial, 1);
  EXPECT_EQ(read[0].reward, 1.0);
  const std::vector<Task> tasks = TasksOf(read);
  ASSERT_EQ(tasks.size(), 1);
  EXPECT_FALSE(Score(replay.episode, tasks[0]).outputs[0].second);

  conversation["traj"].erase(5);
  ASSERT_OK_AND_ASSIGN(const Replay cut, ReplayOne(world, conversation));
  EXPECT_EQ(cut.episode.end(), EpisodeEnd::kOpen);
}

TEST(Trajectory, SaysWhereItIsNone) {
  ASSERT_OK_AND_ASSIGN(const World world, TinyRetail());
  const auto code = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(ReadTrajectories("["), ErrorCode::kDataCorrupt, "");
  EXPECT_ERROR(ReadTrajectories("{}"), code, "expected a list of trajectories");
  Json conversation = RecordedConversation();
  conversation["info"]["task"].erase("outputs");
  EXPECT_ERROR(ReplayOne(world, conversation), code,
               "trajectory 0: task field 'outputs' is missing");
  conversation = RecordedConversation();
  conversation["traj"][3]["tool_call_id"] = "c2";
  EXPECT_ERROR(ReplayOne(world, conversation), code, "message 3: observation of 'c2', which is no");
  conversation["traj"].erase(3);
  EXPECT_ERROR(ReplayOne(world, conversation), code, "call 'c1' has no observation");
  conversation["traj"][2]["tool_calls"][0]["function"]["arguments"] = "{";
  EXPECT_ERROR(ReplayOne(world, conversation), ErrorCode::kDataCorrupt, "message 2: ");
  conversation["traj"][2]["tool_calls"] = 5;
  EXPECT_ERROR(ReplayOne(world, conversation), code, "message 2: tool call is a whole number");
}

}  // namespace
}  // namespace metier::worlds
