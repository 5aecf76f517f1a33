// The retail world against its training tasks, and against what the tools said in recorded
// dialogues.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "shared_worlds.h"
#include "support/fixtures.h"
#include "worlds/reward.h"
#include "worlds/task.h"

namespace metier::worlds {
namespace {

// The dialogues show what tools said, not what they were asked. Most observations tell: an order
// that is cancelled for a reason was asked to be cancelled for it. These functions collect the
// calls that may have given an observation.

void AddItemChanges(const Json& order, const Json& now, std::vector<ToolCall>& calls) {
  Json old_ids = Json::array();
  Json new_ids = Json::array();
  for (std::size_t i = 0; i < order["items"].size() && i < now["items"].size(); ++i) {
    if (order["items"][i]["item_id"] == now["items"][i]["item_id"]) continue;
    old_ids.push_back(now["items"][i]["item_id"]);
    new_ids.push_back(order["items"][i]["item_id"]);
  }
  if (old_ids.empty()) {  // changed for itself
    old_ids.push_back(order["items"][0]["item_id"]);
    new_ids = old_ids;
  }
  calls.push_back({"modify_pending_order_items",
                   {{"order_id", order["order_id"]},
                    {"item_ids", old_ids},
                    {"new_item_ids", new_ids},
                    {"payment_method_id", order["payment_history"].back()["payment_method_id"]}}});
}

// The two lists are sorted each for itself: which item was to become which is tried.
void AddExchanges(const Json& order, std::vector<ToolCall>& calls) {
  auto new_ids = order["exchange_new_items"].get<std::vector<std::string>>();
  do {
    calls.push_back({"exchange_delivered_order_items",
                     {{"order_id", order["order_id"]},
                      {"item_ids", order["exchange_items"]},
                      {"new_item_ids", new_ids},
                      {"payment_method_id", order["exchange_payment_method_id"]}}});
  } while (std::next_permutation(new_ids.begin(), new_ids.end()));
}

Json WithAddress(const char* name, const Json& id, const Json& record) {
  Json arguments = {{name, id}};
  for (const auto& [field, value] : record["address"].items()) arguments[field] = value;
  return arguments;
}

std::vector<ToolCall> OrderCalls(const Json& order, const Records& records) {
  const Json& id = order["order_id"];
  std::vector<ToolCall> calls = {{"get_order_details", {{"order_id", id}}}};
  const Json* now = records.Find("orders", id.get<std::string>());
  if (now == nullptr) return calls;
  if (order.contains("cancel_reason"))
    calls.push_back(
        {"cancel_pending_order", {{"order_id", id}, {"reason", order["cancel_reason"]}}});
  if (order.contains("return_items")) {
    calls.push_back({"return_delivered_order_items",
                     {{"order_id", id},
                      {"item_ids", order["return_items"]},
                      {"payment_method_id", order["return_payment_method_id"]}}});
  }
  if (order.contains("exchange_items")) AddExchanges(order, calls);
  if (order["status"] == "pending (item modified)") AddItemChanges(order, *now, calls);
  if (order["payment_history"].size() == 3) {
    calls.push_back({"modify_pending_order_payment",
                     {{"order_id", id},
                      {"payment_method_id", order["payment_history"][1]["payment_method_id"]}}});
  }
  calls.push_back({"modify_pending_order_address", WithAddress("order_id", id, order)});
  return calls;
}

std::vector<ToolCall> UserCalls(const Json& user, const Records& records) {
  std::string id;
  records.Visit("users", [&](const std::string& key, const Json& record) {
    if (record["email"] == user["email"]) id = key;
    return id.empty();
  });
  return {{"get_user_details", {{"user_id", id}}},
          {"modify_user_address", WithAddress("user_id", id, user)}};
}

std::vector<ToolCall> CallsThatMayGive(const std::string& observation, const Records& records) {
  const Result<Json> json = ParseJson(observation);
  if (json.ok() && json->is_object()) {
    if (json->contains("order_id")) return OrderCalls(*json, records);
    if (json->contains("email")) return UserCalls(*json, records);
    if (json->contains("variants"))
      return {{"get_product_details", {{"product_id", (*json)["product_id"]}}}};
    return {{"list_all_product_types", Json::object()}};
  }
  if (const Json* user = records.Find("users", observation))
    return {{"find_user_id_by_email", {{"email", (*user)["email"]}}},
            {"find_user_id_by_name_zip",
             {{"first_name", (*user)["name"]["first_name"]},
              {"last_name", (*user)["name"]["last_name"]},
              {"zip", (*user)["address"]["zip"]}}}};
  return {};
}

struct Replayed {
  int same = 0;
  int texts = 0;  // errors, sums, thoughts: what was asked cannot be told
  std::vector<std::string> different;
};

void ReplayDialogue(const World& world, const std::string& dialogue, Replayed& replayed) {
  constexpr std::string_view kTool = "tool: ";
  Episode episode(world);
  std::istringstream lines(dialogue);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(kTool)) continue;
    const std::string observation = line.substr(kTool.size());
    const std::vector<ToolCall> calls = CallsThatMayGive(observation, episode.records());
    if (calls.empty()) {
      ++replayed.texts;
      continue;
    }
    const bool found = std::any_of(calls.begin(), calls.end(), [&](const ToolCall& call) {
      Episode attempt = episode;
      const std::string observed = attempt.Call(call.name, call.arguments);
      if (Compare(observation, observed) == Agreement::kDifferent) return false;
      episode = attempt;
      return true;
    });
    if (found) {
      ++replayed.same;
    } else {
      replayed.different.push_back(observation);
    }
  }
}

class RecordedRetail : public testing::Test {
 protected:
  void SetUp() override {
    METIER_NEEDS_SHARED(shared);
    folder_ = shared + "/data/ecom-tau-bench-retail";
    ASSERT_OK_AND_ASSIGN(world_, LoadShared(Domain::kRetail, folder_));
  }

  std::string folder_;
  std::optional<World> world_;
};

TEST_F(RecordedRetail, ActionsOfTrainingTasksRun) {
  ASSERT_OK_AND_ASSIGN(const std::vector<Task> tasks,
                       ReadTaskLines(test::ReadAll(folder_ + "/tasks_train.jsonl")));
  ASSERT_EQ(tasks.size(), 500);
  int without_error = 0;
  int refused = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "task " << i);
    Episode episode(*world_);
    const int refused_before = refused;
    for (const ToolCall& action : tasks[i].actions) {
      const std::string observation = episode.Call(action.name, action.arguments);
      if (!IsError(observation)) continue;
      ++refused;
      // The policy has it so: a gift card must cover what it pays. These tasks did not look.
      EXPECT_THAT(observation, testing::HasSubstr("insufficient gift card balance"));
    }
    without_error += refused == refused_before ? 1 : 0;
    // Who does what the task says earns its reward; who only waits does where nothing is to change.
    episode.UserLeaves();
    EXPECT_EQ(Score(episode, tasks[i]).value(), 1);
    Episode idle(*world_);
    idle.UserLeaves();
    EXPECT_EQ(Score(idle, tasks[i]).value(), idle.records() == episode.records() ? 1 : 0);
  }
  EXPECT_EQ(without_error, 481);
  EXPECT_EQ(refused, 20);
}

TEST_F(RecordedRetail, ToolsSayWhatTheySaidInDialogues) {
  std::istringstream lines(test::ReadZstd(folder_ + "/few_shot.jsonl.zst"));
  Replayed replayed;
  int dialogues = 0;
  for (std::string line; std::getline(lines, line); ++dialogues) {
    const Json dialogue = *ParseJson(line);
    ReplayDialogue(*world_, dialogue["messages_display"].get<std::string>(), replayed);
  }
  EXPECT_EQ(dialogues, 69);
  EXPECT_EQ(replayed.same, 425);
  EXPECT_EQ(replayed.texts, 54);
  EXPECT_THAT(replayed.different, testing::IsEmpty());
}

}  // namespace
}  // namespace metier::worlds
