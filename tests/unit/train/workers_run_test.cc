// Runs of several processes over 127.0.0.1: they learn what one process learns, resume as any other
// number of them, and end together.
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "train/socket.h"
#include "unit/train/train_process.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

namespace fs = std::filesystem;

using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;

// Sums of floats in another order; the losses are near 1.
constexpr double kSameLoss = 1e-5;

class WorkersRun : public Trainer {
 protected:
  // Starts worker `rank`, as torchrun would.
  std::unique_ptr<TrainProcess> StartWorker(const Json& config, int rank, int count) {
    if (port_ == 0) port_ = Socket::Listen("127.0.0.1", 0).value().LocalPort();
    return std::make_unique<TrainProcess>(
        folder_.path(), config,
        TrainProcess::Options{
            .environment = {"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(count),
                            "LOCAL_RANK=" + std::to_string(rank), "MASTER_ADDR=127.0.0.1",
                            "MASTER_PORT=" + std::to_string(port_)},
            .name = "worker-" + std::to_string(rank)});
  }

  std::vector<std::unique_ptr<TrainProcess>> Start(const Json& config, int count) {
    port_ = 0;
    std::vector<std::unique_ptr<TrainProcess>> workers;
    for (int rank = 0; rank < count; ++rank) workers.push_back(StartWorker(config, rank, count));
    return workers;
  }

  // The replies of a run that comes to its end.
  std::vector<Json> RunWorkers(const Json& config, int count) {
    std::vector<Json> replies;
    const auto workers = Start(config, count);
    for (const auto& worker : workers) {
      const std::string said = worker->ReadLine();
      EXPECT_TRUE(Succeeded(worker->Wait())) << said;
      const Result<Json> reply = ParseJson(said);
      replies.push_back(reply.ok() ? *reply : Json::object());
    }
    return replies;
  }

  // "loss", "grad_norm" and "eval_loss" of the log, by step.
  static std::vector<Json> LogOf(const Json& config) {
    std::istringstream lines(
        ReadAll(config.at("output_dir").get<std::string>() + "/trainer_log.jsonl"));
    std::vector<Json> log;
    for (std::string line; std::getline(lines, line);) log.push_back(ParseJson(line).value());
    return log;
  }

  // The largest relative difference of two runs' losses.
  static double Apart(const Json& config, const Json& other) {
    const std::vector<Json> log = LogOf(config);
    const std::vector<Json> expected = LogOf(other);
    EXPECT_EQ(log.size(), expected.size());
    EXPECT_GT(log.size(), 8U);
    double most = 0;
    for (std::size_t i = 0; i < std::min(log.size(), expected.size()); ++i) {
      EXPECT_EQ(log[i].at("current_steps"), expected[i].at("current_steps"));
      for (const char* key : {"loss", "eval_loss"}) {
        EXPECT_EQ(log[i].contains(key), expected[i].contains(key));
        if (!log[i].contains(key) || !expected[i].contains(key)) continue;
        const double want = expected[i].at(key).get<double>();
        most = std::max(most, std::abs(log[i].at(key).get<double>() - want) / want);
      }
    }
    return most;
  }

  Json Config(const std::string& kind, const std::string& out) {
    Json config = kind == "full" ? TinyRun(folder_, out) : LoraRun(Base(), out);
    if (kind == "ewc") {
      config.erase("lora");
      config["ewc"] = {{"file", config["train_file"]}, {"weight", 1000}, {"max_examples", 10}};
    }
    config["logging_steps"] = 1;
    config["eval_file"] = config["train_file"];
    config["eval_steps"] = 5;
    config["max_grad_norm"] = 0.5;
    config["weight_decay"] = 0.1;
    config["ddp_bucket_cap_mb"] = 0.02;  // some buckets even here
    config["ddp_timeout"] = 60;
    return config;
  }

  std::uint16_t port_ = 0;
};

struct RunKind {
  const char* kind;
  int workers;
  int accumulation;
  bool sharding;
};

class SameCurve : public WorkersRun, public ::testing::WithParamInterface<RunKind> {};
INSTANTIATE_TEST_SUITE_P(
    Setups, SameCurve,
    ::testing::Values(RunKind{"full", 2, 1, true}, RunKind{"full", 2, 2, false},
                      RunKind{"full", 3, 2, true}, RunKind{"full", 3, 1, false},
                      RunKind{"lora", 2, 2, true}, RunKind{"lora", 2, 1, false},
                      RunKind{"ewc", 2, 1, true}, RunKind{"ewc", 2, 1, false}),
    [](const auto& setup) {
      const RunKind& s = setup.param;
      return std::string(s.kind) + std::to_string(s.workers) + "workers" +
             std::to_string(s.accumulation) + (s.sharding ? "shares" : "whole");
    });

// Epochs end within a run, so that the last step of one has fewer batches than workers.
TEST_P(SameCurve, AsOneProcessWithTheirBatches) {
  const RunKind& setup = GetParam();
  Json config = Config(setup.kind, "workers");
  config["gradient_accumulation_steps"] = setup.accumulation;
  config["optimizer_sharding"] = setup.sharding;
  config.erase("max_steps");
  config["num_train_epochs"] = 3;
  const std::vector<Json> replies = RunWorkers(config, setup.workers);
  Json one = config;
  one["output_dir"] = folder_ / "one";
  one["per_device_train_batch_size"] = setup.workers;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(one));
  ASSERT_TRUE(replies.front().contains("tokens"));
  const double apart = Apart(config, one);
  RecordProperty("relative difference", std::to_string(apart));
  EXPECT_LT(apart, kSameLoss);
  EXPECT_EQ(replies.front().at("tokens"), reply.at("tokens"));
  EXPECT_EQ(replies.front().at("steps"), reply.at("steps"));
  EXPECT_EQ(replies.front().at("workers"), setup.workers);
  EXPECT_TRUE(fs::exists(folder_ / "workers/final"));
  // What one process with their batches makes as accumulated ones draws the same dropout too.
  Json accumulated = config;
  accumulated["output_dir"] = folder_ / "accumulated";
  accumulated["gradient_accumulation_steps"] = setup.accumulation * setup.workers;
  if (std::string(setup.kind) == "lora") {
    accumulated["lora"]["dropout"] = 0.3;
    config["lora"]["dropout"] = 0.3;
    config["output_dir"] = folder_ / "dropout";
    RunWorkers(config, setup.workers);
  }
  ASSERT_OK(RunTraining(accumulated));
  EXPECT_LT(Apart(config, accumulated), kSameLoss);
}

class OtherNumber : public WorkersRun, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Sharding, OtherNumber, ::testing::Bool());

TEST_P(OtherNumber, OfWorkersGoesOnFromACheckpoint) {
  Json two = Config("full", "run");
  two["optimizer_sharding"] = GetParam();
  two["ema_decay"] = 0.9;
  two["save_steps"] = 4;
  two["save_total_limit"] = 0;
  Json one = two;
  one["gradient_accumulation_steps"] = 2;
  one["output_dir"] = folder_ / "whole";
  ASSERT_OK(RunTraining(one));
  RunWorkers(two, 2);
  EXPECT_LT(Apart(two, one), kSameLoss);
  EXPECT_EQ(ReadJsonFile(folder_ / "run/checkpoint-4/trainer_state.json").value().at("config"),
            ReadJsonFile(folder_ / "whole/checkpoint-4/trainer_state.json").value().at("config"));

  // 2 -> 1, and 1 -> 2.
  for (const char* later : {"checkpoint-8", "checkpoint-12"})
    for (const char* run : {"run/", "whole/"}) fs::remove_all(folder_ / (std::string(run) + later));
  fs::rename(folder_ / "run", folder_ / "as-one");
  fs::rename(folder_ / "whole", folder_ / "as-two");
  Json as_one = one;
  as_one["output_dir"] = folder_ / "as-one";
  ASSERT_OK(RunTraining(as_one));
  Json as_two = two;
  as_two["output_dir"] = folder_ / "as-two";
  RunWorkers(as_two, 2);
  one["output_dir"] = folder_ / "again";
  ASSERT_OK(RunTraining(one));
  EXPECT_LT(Apart(as_one, one), kSameLoss);
  EXPECT_LT(Apart(as_two, one), kSameLoss);

  // With other batches a step it is another run.
  two["output_dir"] = folder_ / "as-one";
  two["max_steps"] = 16;
  const auto workers = Start(two, 3);
  EXPECT_THAT(workers[0]->ReadLine(), HasSubstr("gradient_accumulation_steps: 2, now 3"));
  for (const auto& worker : workers) EXPECT_FALSE(Succeeded(worker->Wait()));
}

class LostWorker : public WorkersRun, public ::testing::WithParamInterface<int> {
 protected:
  void WaitForCheckpoint(const std::string& run) {
    const Clock::time_point end = Clock::now() + std::chrono::seconds(60);
    while (!fs::exists(folder_ / (run + "/checkpoint-6")) && Clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
};
INSTANTIATE_TEST_SUITE_P(Ranks, LostWorker, ::testing::Values(0, 1, 2));

TEST_P(LostWorker, EndsTheOthersWhoNameIt) {
  const int gone = GetParam();
  Json config = Config("full", "run");
  config["max_steps"] = 90;
  config["save_steps"] = 3;
  config.erase("eval_file");
  config.erase("eval_steps");
  const auto workers = Start(config, 3);
  WaitForCheckpoint("run");
  workers[static_cast<std::size_t>(gone)]->Kill();
  const Clock::time_point killed = Clock::now();
  for (int rank = 0; rank < 3; ++rank) {
    const TrainProcess& worker = *workers[static_cast<std::size_t>(rank)];
    const std::string said = worker.ReadLine();
    const int status = worker.Wait();
    if (rank == gone) continue;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    EXPECT_THAT(said, HasSubstr("worker " + std::to_string(gone) + " of 3 is gone"));
    EXPECT_THAT(said, HasSubstr("the last checkpoint is '" + folder_ / "run/checkpoint-"));
    EXPECT_THAT(said, HasSubstr("start all workers again with the same command"));
  }
  // Its system closes its connections: nobody waits for ddp_timeout.
  EXPECT_LT(Clock::now() - killed, std::chrono::seconds(30));
  EXPECT_FALSE(fs::exists(folder_ / "run/final"));
  const std::vector<Json> replies = RunWorkers(config, 3);
  EXPECT_EQ(replies.front().at("steps"), 90);
  Json whole = config;
  whole["output_dir"] = folder_ / "whole";
  whole["gradient_accumulation_steps"] = 3;
  ASSERT_OK(RunTraining(whole));
  EXPECT_LT(Apart(config, whole), 1e-3);  // after so many steps roundings have grown
}

TEST_F(LostWorker, ThatIsSilentCountsAsGoneAfterTheTimeout) {
  Json config = Config("full", "run");
  config["max_steps"] = 100000;
  config["save_steps"] = 3;
  config["ddp_timeout"] = 10;
  const auto workers = Start(config, 2);
  WaitForCheckpoint("run");
  workers[1]->Send(SIGSTOP);
  EXPECT_THAT(workers[0]->ReadLine(),
              HasSubstr("worker 1 of 2 is gone: nothing was heard of it for 10 s"));
  EXPECT_FALSE(Succeeded(workers[0]->Wait()));
}

TEST_F(WorkersRun, StopTogetherAtOneStepWithACheckpoint) {
  Json config = Config("full", "run");
  config["max_steps"] = 100000;
  const auto workers = Start(config, 2);
  const Clock::time_point end = Clock::now() + std::chrono::seconds(60);
  const auto logged = [&] {
    std::error_code none;
    return fs::file_size(folder_ / "run/trainer_log.jsonl", none) > 200 && !none;
  };
  while (!logged() && Clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  workers[1]->Send(SIGTERM);
  std::vector<Json> replies;
  for (const auto& worker : workers) {
    const std::string said = worker->ReadLine();
    const Result<Json> reply = ParseJson(said);
    ASSERT_TRUE(reply.ok()) << said;
    replies.push_back(*reply);
    EXPECT_TRUE(Succeeded(worker->Wait()));
    EXPECT_TRUE(replies.back().at("stopped").get<bool>());
  }
  EXPECT_EQ(replies[0].at("steps"), replies[1].at("steps"));
  EXPECT_EQ(replies[0].at("checkpoint"), replies[1].at("checkpoint"));
  EXPECT_TRUE(
      fs::exists(replies[0].at("checkpoint").get<std::string>() + "/optimizer.safetensors"));
}

TEST_F(WorkersRun, RefuseWhatDiffersBeforeTheFirstStep) {
  WriteLearnable(folder_ / "other.safetensors", 29);
  Json config = Config("full", "run");
  config["ddp_timeout"] = 60;
  for (const char* what : {"learning_rate", "train_file"}) {
    port_ = 0;
    Json other = config;
    if (std::string(what) == "learning_rate") {
      other["learning_rate"] = 4e-3;
    } else {
      fs::create_directories(folder_ / "elsewhere");
      fs::copy(folder_ / "other.safetensors", folder_ / "elsewhere/train.safetensors");
      // The same name in another folder: what counts is the contents.
      config["train_file"] = "train.safetensors";
      config.erase("eval_file");
      config.erase("eval_steps");
      other = config;
    }
    const fs::path before = fs::current_path();
    fs::current_path(folder_.path());
    const auto first = StartWorker(config, 0, 2);
    if (std::string(what) == "train_file") fs::current_path(folder_ / "elsewhere");
    const auto second = StartWorker(other, 1, 2);
    fs::current_path(before);
    const std::string expected =
        std::string("worker 1 differs from worker 0 in ") +
        (std::string(what) == "train_file" ? "train_file's hash: "
                                           : "config.learning_rate: 0.004, worker 0 has 0.003");
    for (const auto* worker : {first.get(), second.get()}) {
      EXPECT_THAT(worker->ReadLine(), HasSubstr(expected));
      EXPECT_FALSE(Succeeded(worker->Wait()));
    }
    EXPECT_FALSE(fs::exists(folder_ / "run/trainer_log.jsonl"));
  }
}

}  // namespace
}  // namespace metier::train
