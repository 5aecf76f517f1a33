// Whole runs of the trainer on a tiny model.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "format/peft.h"
#include "model/adapter.h"
#include "train/cpu/kernels.h"
#include "train/lora.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using ::testing::HasSubstr;

std::string WeightsOf(const Json& reply, const char* file = "/model.safetensors") {
  return HashOf(reply.at("output").get<std::string>() + file);
}

// One batch is learnt by heart: every token but the first, which has no past.
const std::vector<std::int32_t> kByHeart = {3, 9, 27, 17, 51, 29, 23, 5, 15, 45};

class Overfit : public Trainer, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override { WriteTokens(folder_ / "one", {kByHeart}, {}); }
};
INSTANTIATE_TEST_SUITE_P(Families, Overfit, ::testing::Values("llama", "mixtral"),
                         [](const auto& family) { return family.param; });

TEST_P(Overfit, OneBatch) {
  Json config = TinyRun(folder_, "run");
  SetFamily(config, GetParam());
  config["train_file"] = folder_ / "one";
  config["max_steps"] = 150;
  config["learning_rate"] = 1e-2;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  EXPECT_LT(reply.at("final_loss").get<double>(), 0.01);
}

// Mean loss of kByHeart under a model and an adapter on disk, by the engine that serves them.
Result<double> ServedLoss(const std::string& base, const std::string& folder) {
  METIER_ASSIGN(const auto model, engine::NativeModel::Open(base));
  engine::NativeBackend backend(model, {.threads = 1});
  model::AdapterId id = model::AdapterId::kNone;
  if (!folder.empty()) {
    METIER_ASSIGN(const auto peft, format::OpenPeftAdapter(folder));
    METIER_ASSIGN(const model::Adapter adapter, model::ToAdapter(model->spec(), peft));
    METIER_ASSIGN(id, backend.AddAdapter(adapter));
  }
  const std::vector<float> logits = engine::test::RunWhole(backend, kByHeart, {}, id);
  const auto vocab = static_cast<std::size_t>(model->spec().vocab);
  double total = 0;
  for (std::size_t i = 1; i < kByHeart.size(); ++i) {
    const float* row = logits.data() + (i - 1) * vocab;
    double sum = 0;
    const double target = row[kByHeart[i]];
    for (std::size_t v = 0; v < vocab; ++v) sum += std::exp(row[v] - target);
    total += std::log(sum);
  }
  return total / static_cast<double>(kByHeart.size() - 1);
}

TEST_P(Overfit, OneBatchWithLoraWhichMovesEveryAdapterAndLeavesTheBaseAlone) {
  WriteLearnable(folder_ / "train.safetensors", 30);
  const std::string base = Base(GetParam());
  const std::string before = HashOf(base + "/model.safetensors");
  Json config = LoraRun(base, "lora");
  config["train_file"] = folder_ / "one";
  config["max_steps"] = 300;
  config["learning_rate"] = 2e-2;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  EXPECT_LT(reply.at("final_loss").get<double>(), 0.01);
  EXPECT_EQ(HashOf(base + "/model.safetensors"), before);

  // What was learnt is in the adapter's file, and in nothing else.
  const std::string output = reply.at("output").get<std::string>();
  ASSERT_OK_AND_ASSIGN(const double served, ServedLoss(base, output));
  EXPECT_LT(served, 0.01);
  ASSERT_OK_AND_ASSIGN(const double without, ServedLoss(base, ""));
  EXPECT_GT(without, 1);

  ASSERT_OK_AND_ASSIGN(const recipe::TrainConfig parsed, recipe::ParseTrainConfig(config));
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(base));
  ASSERT_OK_AND_ASSIGN(const LoraSet first, LoraSet::Create(files.spec(), *parsed.lora,
                                                            static_cast<std::uint64_t>(parsed.seed),
                                                            at::kFloat, at::kCPU));
  ASSERT_OK_AND_ASSIGN(const LoraSet last,
                       LoraSet::Load(files.spec(), output, at::kFloat, at::kCPU));
  ASSERT_EQ(first.modules().size(), last.modules().size());
  for (std::size_t i = 0; i < first.modules().size(); ++i) {
    const LoraModule& module = first.modules()[i];
    const LoraModule& moved = last.modules()[i];
    ASSERT_EQ(module.module.path, moved.module.path);
    EXPECT_FALSE(module.a.equal(moved.a)) << module.module.path;
    EXPECT_FALSE(module.b.equal(moved.b)) << module.module.path;
  }
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

// A processor without products of bf16 would imitate them, dozens of times slower than floats.
TEST_F(Trainer, TakesFloatsWhereTheProcessorHasNoBf16) {
  Json config = TinyRun(folder_, "floats");
  ASSERT_OK_AND_ASSIGN(const Json floats, RunTraining(config));
  config["bf16"] = true;
  config["output_dir"] = folder_ / "asked";
  std::string text;
  ASSERT_OK_AND_ASSIGN(const Json asked, RunTraining(config, [&](const Json& event) {
                         if (event.at("event") == "log") text += event.at("text");
                         return false;
                       }));
  const bool imitated = TestDevice().is_cpu() && !cpu::MultipliesBf16();
  EXPECT_EQ(WeightsOf(asked) == WeightsOf(floats), imitated);
  EXPECT_EQ(text.find("products in float") != text.npos, imitated) << text;
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

// Wherever a stop falls, the evaluations of the whole run are made, each once.
TEST_F(Trainer, AStopEndsAnEvaluationWhichTheNextRunMakes) {
  WriteLearnable(folder_ / "eval.safetensors", 9);
  Json config = TinyRun(folder_, "whole");
  config["eval_file"] = folder_ / "eval.safetensors";
  config["eval_steps"] = 6;
  config["save_steps"] = 6;
  config["max_seq_len"] = 24;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  const auto evaluations = [&](const std::string& run) {
    std::vector<std::pair<std::int64_t, double>> found;
    std::istringstream log(ReadAll(folder_ / (run + "/trainer_log.jsonl")));
    for (std::string line; std::getline(log, line);) {
      const Json entry = Json::parse(line);
      if (entry.contains("eval_loss"))
        found.emplace_back(entry.at("current_steps"), entry.at("eval_loss"));
    }
    return found;
  };
  ASSERT_EQ(evaluations("whole").size(), 2U);
  const struct {
    const char* event;
    std::int64_t step;
    std::size_t evaluations;
  } stops[] = {{"step", 6, 0},
               {"evaluating", 6, 0},
               {"checkpoint", 6, 1},
               {"step", 12, 1},
               {"evaluating", 12, 1}};
  for (const auto& at : stops) {
    const std::string run = fmt::format("{}-{}", at.event, at.step);
    SCOPED_TRACE(run);
    config["output_dir"] = folder_ / run;
    ASSERT_OK_AND_ASSIGN(const Json stopped, RunTraining(config, [&](const Json& event) {
                           return event.at("event") == at.event && event.at("step") == at.step;
                         }));
    EXPECT_EQ(stopped.at("stopped"), true);
    EXPECT_EQ(stopped.at("steps"), at.step);
    EXPECT_EQ(evaluations(run).size(), at.evaluations) << "it was to stop at once";
    ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
    EXPECT_EQ(WeightsOf(rest), WeightsOf(whole));
    EXPECT_EQ(rest.at("eval_loss"), whole.at("eval_loss"));
    EXPECT_EQ(evaluations(run), evaluations("whole"));
    EXPECT_EQ(ReadAll(folder_ / (run + "/training_loss.svg")),
              ReadAll(folder_ / "whole/training_loss.svg"));
  }
}

// JSON has no number for a loss that is not finite.
TEST_F(Trainer, ResumesBehindAnEvaluationWithoutANumber) {
  WriteLearnable(folder_ / "eval.safetensors", 9);
  Json config = TinyRun(folder_, "run");
  config["eval_file"] = folder_ / "eval.safetensors";
  config["eval_steps"] = 6;
  config["save_steps"] = 6;
  ASSERT_OK(RunTraining(config, [](const Json& event) {
    return event.at("event") == "checkpoint" && event.at("step") == 6;
  }));
  const std::string path = folder_ / "run/checkpoint-6/trainer_state.json";
  ASSERT_OK_AND_ASSIGN(Json state, ReadJsonFile(path));
  ASSERT_TRUE(state.at("log_history").back().contains("eval_loss"));
  state["log_history"].back()["eval_loss"] = nullptr;
  WriteAll(path, state.dump());
  EXPECT_OK(RunTraining(config));
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

TEST_F(Trainer, StartingAnewRemovesTheCheckpointsOfBefore) {
  Json config = TinyRun(folder_, "run");
  ASSERT_OK(RunTraining(config, StopAt(5)));
  ASSERT_TRUE(std::filesystem::exists(folder_ / "run/checkpoint-5"));
  config["resume_from_checkpoint"] = "never";
  ASSERT_OK(RunTraining(config, StopAt(2)));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/checkpoint-2"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run/checkpoint-5"));
}

TEST_F(Trainer, ResumeRefusesACheckpointOfAnotherNetwork) {
  Json config = TinyRun(folder_, "run");
  ASSERT_OK(RunTraining(config, StopAt(2)));
  const std::string path = folder_ / "run/checkpoint-2/config.json";
  ASSERT_OK_AND_ASSIGN(Json changed, ReadJsonFile(path));
  changed["max_position_embeddings"] = 16;  // fewer than the sequences of this run need
  WriteAll(path, DumpPretty(changed));
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "another network");
}

TEST_F(Trainer, SaysWhatIsWrongWithTheEvalFileBeforeTheFirstStep) {
  WriteTokens(folder_ / "eval", {std::vector<std::int32_t>(33, 1)}, {});
  Json config = LoraRun(Base(), "run");
  config["eval_file"] = folder_ / "eval";
  int steps = 0;
  const EventSink count = [&](const Json& event) {
    steps += event.at("event") == "step" ? 1 : 0;
    return false;
  };
  EXPECT_ERROR(RunTraining(config, count), ErrorCode::kDataCorrupt, "eval_file");
  EXPECT_EQ(steps, 0);
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

}  // namespace
}  // namespace metier::train
