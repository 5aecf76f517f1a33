// The airline world against 200 recorded conversations: observations, databases and rewards.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "shared_worlds.h"
#include "support/fixtures.h"
#include "worlds/reward.h"
#include "worlds/trajectory.h"

namespace metier::worlds {
namespace {

// How Python prints a value with every object as a tuple of (name, value), sorted: what the
// recordings hashed.
void AppendAsTuples(const Json& value, std::string& text) {
  if (value.is_string()) {
    text += "'" + value.get_ref<const std::string&>() + "'";
  } else if (value.is_object()) {
    std::vector<std::pair<std::string_view, const Json*>> fields;
    for (const auto& [name, field] : value.items()) fields.emplace_back(name, &field);
    std::sort(fields.begin(), fields.end());
    text += '(';
    for (const auto& [name, field] : fields) {
      text.append(name == fields[0].first ? "('" : ", ('").append(name).append("', ");
      AppendAsTuples(*field, text);
      text += ')';
    }
    text += fields.size() == 1 ? ",)" : ")";
  } else if (value.is_array()) {
    text += '(';
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) text += ", ";
      AppendAsTuples(value[i], text);
    }
    text += value.size() == 1 ? ",)" : ")";
  } else {
    text += DumpPython(value);
  }
}

// Hashes databases as the recordings did. Keeps the text of records that nobody changed.
class RecordedHashes {
 public:
  std::string Of(const Episode& episode) {
    std::string text;
    for (const Table& table : *episode.world().database()) {  // their names are sorted already
      std::map<std::string, const Json*> sorted;
      episode.records().Visit(table.name(), [&](const std::string& key, const Json& record) {
        sorted[key] = &record;
        return true;
      });
      text.append(text.empty() ? "(('" : ", ('").append(table.name()).append("', (");
      for (const auto& [key, record] : sorted) {
        if (text.back() == ')') text += ", ";
        text.append("('").append(key).append("', ");
        text.append(record == table.Find(key) ? Kept(table, record) : Render(table, *record));
        text += ')';
      }
      text += "))";
    }
    return Sha256Hex(text + ")");
  }

 private:
  static std::string Render(const Table& table, const Json& record) {
    std::string text;
    AppendAsTuples(table.name() == "users" ? WithRenamed(record, "state", "province") : record,
                   text);
    return text;
  }

  const std::string& Kept(const Table& table, const Json* record) {
    std::string& text = kept_[record];
    if (text.empty()) text = Render(table, *record);
    return text;
  }

  std::map<const Json*, std::string> kept_;
};

class RecordedAirline : public testing::Test {
 protected:
  void SetUp() override {
    METIER_NEEDS_SHARED(shared);
    const std::string folder = shared + "/data/cs-tau-bench-airline";
    ASSERT_OK_AND_ASSIGN(world_, LoadShared(Domain::kAirline, folder));
    text_ = test::ReadZstd(folder + "/gpt-4o-airline-trajectories.json.zst");
    ASSERT_OK_AND_ASSIGN(trajectories_, ReadTrajectories(text_));
    ASSERT_EQ(trajectories_.size(), 200);
  }

  std::optional<World> world_;
  std::string text_;
  std::vector<Trajectory> trajectories_;
};

TEST_F(RecordedAirline, ReplayGivesTheRecordedObservationsAndRewards) {
  std::map<Agreement, int> calls;
  int equal_rewards = 0;
  for (const Trajectory& trajectory : trajectories_) {
    SCOPED_TRACE(testing::Message()
                 << "task " << trajectory.task_id << " trial " << trajectory.trial);
    ASSERT_OK_AND_ASSIGN(const Replay replay, ReplayTrajectory(*world_, trajectory));
    for (const ReplayedCall& call : replay.calls) {
      const Agreement agreement = Compare(call.recorded, call.observed);
      ++calls[agreement];
      EXPECT_TRUE(agreement != Agreement::kDifferent)
          << call.call.name << DumpPython(call.call.arguments) << "\nrecorded " << call.recorded
          << "\nobserved " << call.observed;
      if (agreement == Agreement::kEqualButForTheName) {
        EXPECT_EQ(call.call.name, "get_user_details");
      }
    }
    const Reward reward = Score(replay.episode, trajectory.task);
    EXPECT_EQ(reward.value(), trajectory.reward) << reward.ended << reward.database;
    equal_rewards += reward.value() == trajectory.reward ? 1 : 0;
  }
  EXPECT_EQ(calls[Agreement::kEqual], 1044);
  EXPECT_EQ(calls[Agreement::kEqualButForTheName], 120);
  EXPECT_EQ(equal_rewards, 200);
}

TEST_F(RecordedAirline, ActionsLeaveTheDatabaseThatWasHashed) {
  ASSERT_OK_AND_ASSIGN(const Json raw, ParseJson(text_));
  RecordedHashes hashes;
  std::map<std::int64_t, std::string> hash_of_task;
  for (std::size_t i = 0; i < trajectories_.size(); ++i) {
    const Trajectory& trajectory = trajectories_[i];
    // Absent where the conversation was cut short; without a hash where outputs decided.
    const Json outcome = raw[i]["info"].value("reward_info", Json());
    if (outcome.is_null() || !outcome["info"].contains("gt_data_hash")) continue;
    const auto recorded = outcome["info"]["gt_data_hash"].get<std::string>();
    std::string& hash = hash_of_task[trajectory.task_id];
    if (hash.empty()) hash = hashes.Of(PlayActions(*world_, trajectory.task));
    EXPECT_EQ(hash, recorded) << "task " << trajectory.task_id;
  }
  EXPECT_EQ(hash_of_task.size(), 46);
  EXPECT_EQ(TasksOf(trajectories_).size(), 50);
}

}  // namespace
}  // namespace metier::worlds
