// Runs that are killed, and disks that fill up: the last good state stays, and goes on to the bits
// of a run that nobody disturbed.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/rng.h"
#include "unit/train/train_process.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;

// Everything a finished run left, by path inside its folder: hashes of files, and JSON without what
// may differ (where the run stood and how long it took).
std::map<std::string, std::string> StateOf(const std::string& folder) {
  const auto settled = [](Json document) {
    for (const char* key :
         {"elapsed_time", "remaining_time", "tokens_per_second", "elapsed_seconds"})
      document.erase(key);
    if (document.contains("config")) document["config"].erase("output_dir");
    return DumpCompact(document);
  };
  std::map<std::string, std::string> state;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) continue;
    const std::string name = fs::relative(entry.path(), folder).string();
    const std::string base = entry.path().filename().string();
    std::string& value = state[name];
    if (base == "manifest.json" || base == "trainer_state.json") {
      value = settled(ReadJsonFile(entry.path().string()).value());
    } else if (base == "trainer_log.jsonl") {
      std::istringstream lines(ReadAll(entry.path().string()));
      for (std::string line; std::getline(lines, line);)
        value += settled(ParseJson(line).value()) + "\n";
    } else {
      value = HashOf(entry.path().string());
    }
  }
  return state;
}

class Killed : public Trainer, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kinds, Killed, ::testing::Values("full", "lora", "rows", "dora", "svf"),
                         [](const auto& kind) { return std::string(kind.param); });

// METIER_KILLS asks for more of them than the usual few.
TEST_P(Killed, AtRandomMomentsEndsWithTheBitsOfAnUndisturbedRun) {
  Json config = TinyRun(folder_, "whole");
  if (std::string(GetParam()) == "lora") {
    config = LoraRun(Base(), "whole");
    config["lora"]["dropout"] = 0.2;
    config["lora"]["modules_to_save"] = {"lm_head"};
  }
  if (std::string(GetParam()) == "rows") {
    config = LoraRun(Base(), "whole");
    config["lora"] = {{"target_modules", Json::array()}, {"trainable_token_indices", {11, 3, 23}}};
  }
  if (std::string(GetParam()) == "dora") {
    config = LoraRun(Base(), "whole");
    config["lora"]["use_dora"] = true;
  }
  if (std::string(GetParam()) == "svf") {
    config = LoraRun(Base(), "whole");
    config.erase("lora");
    config["svf"] = Json::object();
  }
  config["max_steps"] = 12;
  config["save_steps"] = 1;  // half of the time goes into checkpoints: kills shall hit them too
  config["gradient_accumulation_steps"] = 2;
  config["weight_decay"] = 0.1;
  const TrainProcess undisturbed(folder_.path(), config);
  const Clock::time_point start = Clock::now();
  ASSERT_TRUE(Succeeded(undisturbed.Wait()));
  const auto whole_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
  const auto expected = StateOf(folder_ / "whole");
  EXPECT_EQ(expected.count("final/manifest.json"), 1U);
  EXPECT_EQ(expected.count("checkpoint-12/optimizer.safetensors"), 1U);

  const char* asked = std::getenv("METIER_KILLS");
  const int kills = asked == nullptr ? 4 : std::atoi(asked);
  const auto seed = static_cast<std::uint64_t>(::getpid());
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  int killed = 0;
  int killed_here = 0;
  for (int run = 0; killed < kills || killed_here > 0; ++run) {
    config["output_dir"] = folder_ / ("run-" + std::to_string(run));
    killed_here = 0;
    // Killed until it comes through before the next kill, or there have been enough.
    for (bool done = false; !done;) {
      const TrainProcess child(folder_.path(), config);
      if (killed < kills) {
        std::this_thread::sleep_for(std::chrono::microseconds(rng.Below(whole_us * 3 / 4)));
        child.Kill();
      }
      const int status = child.Wait();
      done = Succeeded(status);
      const bool hit = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      ASSERT_TRUE(done || hit) << "a resumed run failed with status " << status;
      killed += hit ? 1 : 0;
      killed_here += hit ? 1 : 0;
    }
    EXPECT_EQ(StateOf(config["output_dir"].get<std::string>()), expected) << "run " << run;
    if (killed == kills) break;
  }
  EXPECT_EQ(killed, kills);
}

class Disk : public Trainer, public ::testing::WithParamInterface<rlim_t> {
 protected:
  // The error of a run whose files may have `bytes` each.
  std::string ErrorWith(const Json& config, rlim_t bytes) {
    const TrainProcess child(folder_.path(), config, {.bytes = std::to_string(bytes)});
    const std::string error = child.ReadLine();
    const int status = child.Wait();
    EXPECT_TRUE(WIFEXITED(status));
    return Succeeded(status) ? "no error" : error;
  }

  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / "run"))
      names.insert(entry.path().filename().string());
    return names;
  }
};
// Ends in the first bytes of the weights, amid them (78 KB), in the moments (twice that).
INSTANTIATE_TEST_SUITE_P(Limits, Disk, ::testing::Values(400, 20000, 100000));

TEST_P(Disk, ThatIsFullLeavesTheLastGoodCheckpoint) {
  Json config = TinyRun(folder_, "run");
  config["save_steps"] = 4;
  config["logging_steps"] = 12;
  ASSERT_OK(RunTraining(config, StopAt(5)));
  fs::remove_all(folder_ / "run/checkpoint-5");  // written by the stop
  const auto before = StateOf(folder_ / "run/checkpoint-4");
  const std::set<std::string> names = Names();
  const std::string error = ErrorWith(config, GetParam());
  EXPECT_THAT(error, ::testing::StartsWith(std::string(ErrorCodeName(ErrorCode::kIo))));
  EXPECT_THAT(error, ::testing::HasSubstr("checkpoint-8"));
  EXPECT_THAT(error, ::testing::HasSubstr(GetParam() == 100000 ? "optimizer.safetensors"
                                                               : "model.safetensors"));
  EXPECT_EQ(StateOf(folder_ / "run/checkpoint-4"), before);
  EXPECT_EQ(Names(), names);  // and nothing half-written

  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  config["output_dir"] = folder_ / "whole";
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  EXPECT_EQ(HashOf(rest.at("output").get<std::string>() + "/model.safetensors"),
            HashOf(whole.at("output").get<std::string>() + "/model.safetensors"));
}

TEST_P(Disk, ThatIsFullAtTheEndLeavesTheFormerResult) {
  Json config = TinyRun(folder_, "run");
  ASSERT_OK(RunTraining(config));
  const auto before = StateOf(folder_ / "run/final");
  config["seed"] = 2;
  config["logging_steps"] = 20;
  const std::string error = ErrorWith(config, std::min<rlim_t>(GetParam(), 20000));
  EXPECT_THAT(error, ::testing::StartsWith(std::string(ErrorCodeName(ErrorCode::kIo))));
  EXPECT_EQ(StateOf(folder_ / "run/final"), before);
  config["logging_steps"] = 3;
  ASSERT_OK(RunTraining(config));
  EXPECT_NE(StateOf(folder_ / "run/final"), before);
}

TEST_F(Trainer, OutputThatCannotBeMadeIsAnError) {
  WriteAll(folder_ / "file", "in the way");
  Json config = TinyRun(folder_, "file/run");
  EXPECT_ERROR(RunTraining(config), ErrorCode::kNotFound, "file/run");
  EXPECT_EQ(ReadAll(folder_ / "file"), "in the way");
}

}  // namespace
}  // namespace metier::train
