// What a run may add to plain training: averages of its weights, noise, smoothing, long positions.
#include <cmath>
#include <vector>

#include "model/model_files.h"
#include "train/lora.h"
#include "train/schedule.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

std::string WeightsOf(const Json& reply) {
  return HashOf(reply.at("output").get<std::string>() + "/model.safetensors");
}

// All values of a parameter of a model on disk.
std::vector<double> ValuesOf(const std::string& folder, const std::string& name) {
  const auto files = model::ModelFiles::Open(folder);
  EXPECT_OK(files);
  const auto tensor = files->LoadF32(name);
  EXPECT_OK(tensor);
  return {tensor->f32().begin(), tensor->f32().end()};
}

constexpr const char* kSome = "layers.1.ffn.down.weight";

TEST_F(Trainer, WritesTheMeanOfItsLastCheckpoints) {
  Json config = TinyRun(folder_, "mean");
  config["max_steps"] = 8;
  config["save_steps"] = 3;
  config["save_total_limit"] = 0;
  config["average_checkpoints"] = 3;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  const std::string out = folder_ / "mean";
  const std::vector<double> a = ValuesOf(out + "/checkpoint-3", kSome);
  const std::vector<double> b = ValuesOf(out + "/checkpoint-6", kSome);
  const std::vector<double> c = ValuesOf(out + "/checkpoint-8", kSome);
  const std::vector<double> mean = ValuesOf(reply.at("output"), kSome);
  ASSERT_EQ(mean.size(), a.size());
  bool moved = false;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    // To the bit: summed in double in the order of the steps.
    ASSERT_EQ(mean[i], static_cast<double>(static_cast<float>((a[i] + b[i] + c[i]) / 3))) << i;
    moved = moved || mean[i] != c[i];
  }
  EXPECT_TRUE(moved);

  config["average_checkpoints"] = 4;
  config["output_dir"] = folder_ / "few";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "make 3 checkpoints");
}

TEST_F(Trainer, WritesTheMeanOfAdapters) {
  const std::string base = Base();
  Json config = LoraRun(base, "lora");
  config["max_steps"] = 4;
  config["save_steps"] = 2;
  config["average_checkpoints"] = 2;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  ASSERT_OK_AND_ASSIGN(const auto files, model::ModelFiles::Open(base));
  const auto load = [&](const std::string& folder) {
    Result<LoraSet> lora = LoraSet::Load(files.spec(), folder, at::kFloat, at::kCPU);
    EXPECT_OK(lora);
    return lora->modules().front().b.detach().to(at::kDouble);
  };
  const at::Tensor first = load(folder_ / "lora/checkpoint-2");
  const at::Tensor second = load(folder_ / "lora/checkpoint-4");
  EXPECT_FALSE(first.equal(second));
  EXPECT_TRUE(
      load(reply.at("output")).equal(((first + second) / 2).to(at::kFloat).to(at::kDouble)));
}

// The average follows from the weights after each step, which checkpoints hold.
TEST_F(Trainer, KeepsARunningAverage) {
  Json config = TinyRun(folder_, "ema");
  config["max_steps"] = 6;
  config["save_steps"] = 1;
  config["save_total_limit"] = 0;
  config["ema_decay"] = 0.3;
  WriteLearnable(folder_ / "eval.safetensors", 5);
  config["eval_file"] = folder_ / "eval.safetensors";
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  Json start = TinyRun(folder_, "start");
  start["learning_rate"] = 0;
  start["max_steps"] = 1;
  ASSERT_OK_AND_ASSIGN(const Json begun, RunTraining(start));

  std::vector<double> average = ValuesOf(begun.at("output"), kSome);
  double size = 0;
  for (int step = 1; step <= 6; ++step) {
    const std::vector<double> now =
        ValuesOf(folder_ / "ema" + "/checkpoint-" + std::to_string(step), kSome);
    const double decay = std::min(0.3, (1.0 + step) / (10.0 + step));
    for (std::size_t i = 0; i < now.size(); ++i) {
      average[i] = decay * average[i] + (1 - decay) * now[i];
      size = std::max(size, std::abs(now[i]));
    }
  }
  const std::vector<double> written = ValuesOf(reply.at("output"), kSome);
  for (std::size_t i = 0; i < written.size(); ++i)
    ASSERT_NEAR(written[i], average[i], 6 * 3 * 0x1p-24 * size) << i;  // three roundings a step

  // What is evaluated is what is written.
  Json other = TinyRun(folder_, "again");
  other["init"] = nullptr;
  other["model"] = reply.at("output");
  other["learning_rate"] = 0;
  other["max_steps"] = 1;
  other["eval_file"] = folder_ / "eval.safetensors";
  ASSERT_OK_AND_ASSIGN(const Json evaluated, RunTraining(other));
  EXPECT_EQ(evaluated.at("eval_loss"), reply.at("eval_loss"));
}

TEST_F(Trainer, ResumesAverageAndNoiseToTheBit) {
  Json config = TinyRun(folder_, "whole");
  config["ema_decay"] = 0.9;
  config["neftune_noise_alpha"] = 5;
  config["label_smoothing_factor"] = 0.1;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK_AND_ASSIGN(const Json part, RunTraining(config, StopAt(5)));
  EXPECT_TRUE(part.at("stopped").get<bool>());
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(WeightsOf(rest), WeightsOf(whole));

  for (const char* left_out : {"ema_decay", "neftune_noise_alpha", "label_smoothing_factor"}) {
    Json without = config;
    without.erase(left_out);
    without["output_dir"] = folder_ / (std::string("without-") + left_out);
    ASSERT_OK_AND_ASSIGN(const Json other, RunTraining(without));
    EXPECT_NE(WeightsOf(other), WeightsOf(whole)) << left_out;
  }
}

TEST_F(Trainer, MakesPositionsLonger) {
  WriteTokens(folder_ / "long.safetensors", {std::vector<std::int32_t>(100, 7)}, {});
  Json config = TinyRun(folder_, "scaled");
  config["train_file"] = folder_ / "long.safetensors";
  config["max_seq_len"] = 128;
  config["max_steps"] = 1;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "rope_scaling");
  config["rope_scaling"] = {{"factor", 2}};
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  ASSERT_OK_AND_ASSIGN(const auto files, model::ModelFiles::Open(reply.at("output")));
  EXPECT_EQ(files.spec().max_positions, 128);
  EXPECT_EQ(files.spec().rope.scaling, model::RopeScaling::kLinear);
  // The angle at position p is the unscaled one at p / 2 (Chen et al. 2023, equation 4).
  model::ModelSpec plain = files.spec();
  plain.rope = {.theta = plain.rope.theta};
  const std::vector<float> scaled = model::RopeFrequencies(files.spec());
  const std::vector<float> unscaled = model::RopeFrequencies(plain);
  for (std::size_t i = 0; i < scaled.size(); ++i)
    EXPECT_NEAR(100 * scaled[i], 50 * unscaled[i], 1e-6) << i;

  Json twice = config;
  twice.erase("init");
  twice["model"] = reply.at("output");
  twice["output_dir"] = folder_ / "twice";
  EXPECT_ERROR(RunTraining(twice), ErrorCode::kInvalidArgument, "scales its positions");
}

TEST_F(Trainer, EvaluatesSeveralFilesByName) {
  WriteLearnable(folder_ / "a.safetensors", 5);
  WriteTokens(folder_ / "b.safetensors", {{1, 2, 3, 4}, {4, 3, 2}}, {});
  Json config = TinyRun(folder_, "run");
  config["eval_files"] = Json::array({{{"name", "a"}, {"file", folder_ / "a.safetensors"}},
                                      {{"name", "b"}, {"file", folder_ / "b.safetensors"}}});
  Json seen;
  const EventSink sink = [&](const Json& event) {
    if (event.at("event") == "eval") seen = event;
    return false;
  };
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config, sink));
  const double a = seen.at("eval_loss_a");
  const double b = seen.at("eval_loss_b");
  EXPECT_NE(a, b);
  EXPECT_DOUBLE_EQ(reply.at("eval_loss"), (a + b) / 2);
  config.erase("eval_files");
  config["eval_file"] = folder_ / "b.safetensors";
  config["output_dir"] = folder_ / "alone";
  ASSERT_OK_AND_ASSIGN(const Json alone, RunTraining(config));
  EXPECT_EQ(alone.at("eval_loss"), b);
}

}  // namespace
}  // namespace metier::train
