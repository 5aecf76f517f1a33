// Whole runs of the trainer on a tiny model.
#include "train/trainer.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/hash.h"
#include "base/rng.h"
#include "metier/train_plugin.h"
#include "support/fixtures.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using ::testing::HasSubstr;

Result<Json> RunTraining(const Json& document, const EventSink& sink = {}) {
  METIER_ASSIGN(const recipe::TrainConfig config, recipe::ParseTrainConfig(document));
  return Train(config, sink);
}

std::string HashOf(const std::string& path) {
  const Result<std::string> hash = Sha256OfFile(path);
  return hash.ok() ? *hash : hash.error().message();
}

std::string WeightsOf(const Json& reply, const char* file = "/model.safetensors") {
  return HashOf(reply.at("output").get<std::string>() + file);
}

// Stops when `step` is reached.
EventSink StopAt(std::int64_t step) {
  return [step](const Json& event) {
    return event.at("event") == "step" && event.at("step").get<std::int64_t>() >= step;
  };
}

class Trainer : public ::testing::Test {
 protected:
  void SetUp() override { WriteLearnable(folder_ / "train.safetensors", 30); }

  // A model to put adapters on. Its head, which they cannot move, has weights large enough to say
  // something with certainty.
  std::string Base() {
    Json config = TinyRun(folder_, "base");
    config["max_steps"] = 2;
    config["init"]["std"] = 0.5;
    const Result<Json> reply = RunTraining(config);
    EXPECT_OK(reply);
    return folder_ / "base/final";
  }

  Json LoraRun(const std::string& base, const std::string& out) {
    Json config = TinyRun(folder_, out);
    config.erase("init");
    config["model"] = base;
    config["stage"] = "sft";
    config["lora"] = {{"rank", 8}, {"alpha", 16}};
    return config;
  }

  TempFolder folder_;
};

TEST_F(Trainer, OverfitsOneBatch) {
  WriteTokens(folder_ / "one", {{3, 9, 27, 17, 51, 29, 23, 5, 15, 45}}, {});
  Json config = TinyRun(folder_, "one-run");
  config["train_file"] = folder_ / "one";
  config["max_steps"] = 150;
  config["learning_rate"] = 1e-2;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  EXPECT_LT(reply.at("final_loss").get<double>(), 0.01);
}

TEST_F(Trainer, OverfitsOneBatchWithExperts) {
  WriteTokens(folder_ / "one", {{3, 9, 27, 17, 51, 29, 23, 5, 15, 45}}, {});
  Json config = TinyRun(folder_, "moe-run");
  Json& spec = config["init"]["spec"];
  spec["model_type"] = "mixtral";
  spec["num_local_experts"] = 4;
  spec["num_experts_per_tok"] = 2;
  config["train_file"] = folder_ / "one";
  config["max_steps"] = 150;
  config["learning_rate"] = 1e-2;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  EXPECT_LT(reply.at("final_loss").get<double>(), 0.01);
}

TEST_F(Trainer, AccumulationChangesNothingButRounding) {
  Json large = TinyRun(folder_, "large");
  large["per_device_train_batch_size"] = 4;
  large["max_steps"] = 3;
  Json small = TinyRun(folder_, "small");
  small["gradient_accumulation_steps"] = 4;
  small["max_steps"] = 3;
  ASSERT_OK_AND_ASSIGN(const Json a, RunTraining(large));
  ASSERT_OK_AND_ASSIGN(const Json b, RunTraining(small));
  EXPECT_EQ(a.at("tokens"), b.at("tokens"));
  // Losses near 4 in float, after three steps whose gradients differ in rounding only.
  EXPECT_NEAR(a.at("final_loss").get<double>(), b.at("final_loss").get<double>(), 2e-5);
}

class Resume : public Trainer, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Steps, Resume, ::testing::Values(1, 4, 11));

TEST_P(Resume, GivesTheBitsOfAnUninterruptedRun) {
  Json config = TinyRun(folder_, "whole");
  config["gradient_accumulation_steps"] = 2;
  config["weight_decay"] = 0.1;
  config["bf16"] = true;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK_AND_ASSIGN(const Json stopped, RunTraining(config, StopAt(GetParam())));
  EXPECT_TRUE(stopped.at("stopped").get<bool>());
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(WeightsOf(rest), WeightsOf(whole));
  EXPECT_EQ(rest.at("final_loss"), whole.at("final_loss"));
}

TEST_P(Resume, OfLoraWithDropoutToo) {
  Json config = LoraRun(Base(), "whole");
  config["lora"]["dropout"] = 0.3;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(GetParam())));
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(WeightsOf(rest, "/adapter_model.safetensors"),
            WeightsOf(whole, "/adapter_model.safetensors"));
  config["lora"]["dropout"] = 0.0;  // the masks were real
  config["output_dir"] = folder_ / "dry";
  ASSERT_OK_AND_ASSIGN(const Json dry, RunTraining(config));
  EXPECT_NE(WeightsOf(dry, "/adapter_model.safetensors"),
            WeightsOf(whole, "/adapter_model.safetensors"));
}

TEST_F(Trainer, ResumeRefusesAnotherRun) {
  Json config = TinyRun(folder_, "run");
  ASSERT_OK(RunTraining(config, StopAt(2)));
  config["learning_rate"] = 1e-3;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "learning_rate");
  config["learning_rate"] = 3e-3;
  WriteLearnable(folder_ / "train.safetensors", 31);
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "train_file");
  config["resume_from_checkpoint"] = "never";
  EXPECT_OK(RunTraining(config));
}

TEST_F(Trainer, KilledAtAnyMomentResumesToTheSameBits) {
  Json config = TinyRun(folder_, "whole");
  config["save_steps"] = 1;
  config["max_steps"] = 20;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "killed";
  const char* asked = std::getenv("METIER_TEST_KILLS");
  const int kills = asked == nullptr ? 5 : std::atoi(asked);
  Rng rng(static_cast<std::uint64_t>(::getpid()));
  for (int i = 0; i < kills; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const bool ok = RunTraining(config).ok();
      ::_exit(ok ? 0 : 1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + rng.Below(400)));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "a resumed run failed";
  }
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(WeightsOf(rest), WeightsOf(whole));
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "killed"))
    EXPECT_THAT(entry.path().filename().string(), ::testing::Not(HasSubstr("tmp-")));
}

TEST_F(Trainer, KeepsAsManyCheckpointsAsAsked) {
  Json config = TinyRun(folder_, "run");
  config["save_steps"] = 2;
  config["save_total_limit"] = 2;
  ASSERT_OK(RunTraining(config));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/checkpoint-8"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoint-10/trainer_state.json"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoint-12/optimizer.safetensors"));
}

TEST_F(Trainer, AFullDiskLeavesTheLastGoodCheckpoint) {
  Json config = TinyRun(folder_, "run");
  config["save_steps"] = 4;
  ASSERT_OK(RunTraining(config, StopAt(5)));
  const std::string before = HashOf(folder_ / "run/checkpoint-4/model.safetensors");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {20000, 20000};  // less than the weights need
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Result<Json> failed = RunTraining(config);
    const bool clear =
        !failed.ok() && failed.error().message().find("checkpoint-8") != std::string::npos;
    ::_exit(clear ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(HashOf(folder_ / "run/checkpoint-4/model.safetensors"), before);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/checkpoint-8"));
  EXPECT_OK(RunTraining(config));
}

TEST_F(Trainer, StopsWhenTheLossIsNotFinite) {
  Json config = TinyRun(folder_, "run");
  config["learning_rate"] = 1e30;
  config["max_grad_norm"] = 0;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kDataCorrupt, "learning_rate");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/final"));
}

TEST_F(Trainer, WritesLogsStateCurveAndManifest) {
  WriteLearnable(folder_ / "eval.safetensors", 7);
  Json config = TinyRun(folder_, "run");
  config["eval_file"] = folder_ / "eval.safetensors";
  config["eval_steps"] = 6;
  config["save_steps"] = 6;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  EXPECT_TRUE(reply.at("eval_loss").is_number());
  const std::string log = ReadAll(folder_ / "run/trainer_log.jsonl");
  ASSERT_OK_AND_ASSIGN(const Json line, ParseJson(log.substr(0, log.find('\n'))));
  for (const char* key : {"current_steps", "total_steps", "loss", "lr", "epoch", "percentage",
                          "elapsed_time", "remaining_time"})
    EXPECT_TRUE(line.contains(key)) << key;
  EXPECT_THAT(log, HasSubstr("eval_loss"));
  ASSERT_OK_AND_ASSIGN(const Json state,
                       ReadJsonFile(folder_ / "run/checkpoint-12/trainer_state.json"));
  for (const char* key : {"step", "epoch", "loss", "grad_norm", "learning_rate"})
    EXPECT_TRUE(state.at("log_history")[0].contains(key)) << key;
  ASSERT_OK_AND_ASSIGN(const Json manifest, ReadJsonFile(folder_ / "run/final/manifest.json"));
  EXPECT_EQ(manifest.at("steps"), 12);
  EXPECT_EQ(manifest.at("inputs").at("train_file"), HashOf(folder_ / "train.safetensors"));
  EXPECT_THAT(ReadAll(folder_ / "run/training_loss.svg"), HasSubstr("<svg"));
}

struct PluginEvents {
  int steps = 0;
};

TEST_F(Trainer, LoadsAsAPlugIn) {
  const char* folder = std::getenv("METIER_BIN");
  ASSERT_NE(folder, nullptr);
  void* handle =
      ::dlopen((std::string(folder) + "/libmetier_train.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr) << ::dlerror();
  const auto abi = reinterpret_cast<metier_train_abi_fn>(::dlsym(handle, "metier_train_abi"));
  const auto call = reinterpret_cast<metier_train_call_fn>(::dlsym(handle, "metier_train_call"));
  const auto release = reinterpret_cast<metier_train_free_fn>(::dlsym(handle, "metier_train_free"));
  ASSERT_TRUE(abi != nullptr && call != nullptr && release != nullptr);
  EXPECT_EQ(abi(), METIER_TRAIN_ABI);
  const auto ask = [&](const char* verb, const std::string& request,
                       const metier_train_callbacks* callbacks, int expected) {
    char* reply = nullptr;
    EXPECT_EQ(call(verb, request.c_str(), callbacks, &reply), expected);
    const std::string text = reply == nullptr ? "" : reply;
    release(reply);
    const Result<Json> parsed = ParseJson(text);
    return parsed.ok() ? *parsed : Json();
  };
  EXPECT_TRUE(ask("info", "{}", nullptr, 0).at("libtorch").is_string());
  EXPECT_EQ(ask("trian", "{}", nullptr, 1).at("error").at("code"), "invalid argument");
  EXPECT_THAT(ask("train", "{\"oops\": 1}", nullptr, 1).dump(), HasSubstr("unknown key"));
  PluginEvents events;
  const metier_train_callbacks callbacks = {
      &events, [](void* context, const char* json) {
        auto* seen = static_cast<PluginEvents*>(context);
        if (std::string_view(json).find("\"step\"") != std::string_view::npos) ++seen->steps;
        return seen->steps >= 3 ? 1 : 0;
      }};
  const Json reply = ask("train", DumpCompact(TinyRun(folder_, "plugged")), &callbacks, 0);
  EXPECT_EQ(reply.at("steps"), 3);
  EXPECT_TRUE(reply.at("stopped").get<bool>());
}

}  // namespace
}  // namespace metier::train
