// Runs that train hypernetworks: by texts, by adapters, and what they write for tasks that they
// have not seen (hyper).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "model/adapter_files.h"
#include "model/hyper_files.h"
#include "train/hypernetwork.h"
#include "train/model_source.h"
#include "train/network.h"
#include "train/plugin.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

// Runs with the tasks "a chain of tokens, each so many more than the last".
class HyperRuns : public Trainer {
 protected:
  static constexpr std::int32_t kPrime = 61;

  void WriteChains(const std::string& path, std::int32_t step, int examples) {
    std::vector<std::vector<std::int32_t>> all;
    std::vector<std::vector<std::uint8_t>> loss;
    for (int e = 0; e < examples; ++e) {
      std::vector<std::int32_t> ids = {(e * 17 + 5) % kPrime};
      for (int i = 0; i < 5; ++i) ids.push_back((ids.back() + step) % kPrime);
      loss.push_back(std::vector<std::uint8_t>(ids.size(), 1));
      all.push_back(std::move(ids));
    }
    WriteTokens(path, all, loss);
  }

  Json TaskOf(std::int32_t step) {
    const std::string name = std::to_string(step);
    const std::string file = folder_ / ("chain-" + name + ".safetensors");
    if (!std::filesystem::exists(file)) WriteChains(file, step, 24);
    return {{"name", name},
            {"descriptions", {"Add " + name + ".", name + " more."}},
            {"description_ids", {{62, step, 63}, {step, 62}}},
            {"file", file}};
  }

  Json HyperRun(const std::string& out) {
    Json config = TinyRun(folder_, out);
    config.erase("init");
    config.erase("train_file");
    config["model"] = Base();
    config["stage"] = "sft";
    config["hyper"] = {{"rank", 4}, {"alpha", 8}, {"latent_size", 16}, {"blocks", 1}};
    config["hyper"]["tasks"] = Json::array({TaskOf(1), TaskOf(3), TaskOf(7)});
    return config;
  }
};

TEST_F(HyperRuns, LearnAndResumeToTheBit) {
  Json config = HyperRun("whole");
  config["eval_files"] = Json::array(
      {{{"name", "three"}, {"file", config["hyper"]["tasks"][1]["file"]}, {"task", "3"}}});
  config["max_steps"] = 30;
  config["eval_steps"] = 10;
  config["neftune_noise_alpha"] = 5;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  EXPECT_TRUE(model::IsHyper(folder_ / "whole/final"));
  config["output_dir"] = folder_ / "parts";
  for (const std::int64_t step : {1, 11}) {
    ASSERT_OK_AND_ASSIGN(const Json part, RunTraining(config, StopAt(step)));
    EXPECT_TRUE(part.at("stopped").get<bool>());
  }
  ASSERT_OK_AND_ASSIGN(const Json parts, RunTraining(config));
  for (const char* file : {"hyper.safetensors", "hyper_config.json"}) {
    EXPECT_EQ(HashOf(folder_ / "parts/final/" + file), HashOf(folder_ / "whole/final/" + file))
        << file;
  }
  EXPECT_EQ(parts.at("eval_loss"), whole.at("eval_loss"));
  EXPECT_EQ(parts.at("final_loss"), whole.at("final_loss"));
}

// A batch of several tasks is computed as each task alone: its loss and gradients are the mean over
// all predictions, whoever's they are.
TEST_F(HyperRuns, BatchesMixTasksEachWithItsOwnAdapter) {
  Json config = HyperRun("together");
  for (Json& task : config["hyper"]["tasks"]) {
    task["descriptions"].erase(1);
    task["description_ids"].erase(1);
  }
  config["hyper"]["generated_l2"] = 0;
  config["max_steps"] = 2;
  config["per_device_train_batch_size"] = 24 * 3;  // all of it
  config["packing"] = false;
  config["logging_steps"] = 1;
  config["learning_rate"] = 0.05;
  ASSERT_OK_AND_ASSIGN(const Json together, RunTraining(config));
  // The same weights judge each task's file with its adapter.
  config["output_dir"] = folder_ / "apart";
  config["max_steps"] = 1;
  config["eval_files"] = Json::array();
  for (const Json& task : config["hyper"]["tasks"]) {
    config["eval_files"].push_back(
        {{"name", task["name"]}, {"file", task["file"]}, {"task", task["name"]}});
  }
  ASSERT_OK_AND_ASSIGN(const Json apart, RunTraining(config));
  // All files have as many predictions, so the mean of their losses after a step is that of the
  // second step's batch.
  EXPECT_NEAR(apart.at("eval_loss").get<double>(), together.at("final_loss").get<double>(), 1e-5);
  // Adapters are the tasks' own.
  config["output_dir"] = folder_ / "exchanged";
  std::swap(config["eval_files"][0]["task"], config["eval_files"][2]["task"]);
  ASSERT_OK_AND_ASSIGN(const Json exchanged, RunTraining(config));
  EXPECT_GT(
      std::abs(exchanged.at("eval_loss").get<double>() - together.at("final_loss").get<double>()),
      1e-4);
}

TEST_F(HyperRuns, RefuseWhatTheyCannotDo) {
  const auto refused = [&](const std::string& place, const Json& value, ErrorCode code,
                           const std::string& why) {
    Json config = HyperRun("refused");
    config[Json::json_pointer(place)] = value;
    SCOPED_TRACE(place);
    EXPECT_ERROR(RunTraining(config), code, why);
  };
  const auto invalid = ErrorCode::kInvalidArgument;
  refused("/hyper/tasks/0/description_ids", Json::array(), invalid, "lists of ids");
  refused("/hyper/tasks/0/description_ids/0/0", 64, invalid, "token 64, the model's vocabulary");
  refused("/hyper/tasks/0/description_ids/0", std::vector<int>(65, 1), invalid, "expected 1 to 64");
  refused("/hyper/target_modules", {"no_such"}, invalid, "no_such");
  refused("/eval_file", folder_ / "train.safetensors", invalid, "names no task");
  refused("/eval_files",
          Json::array({{{"name", "x"}, {"file", folder_ / "train.safetensors"}, {"task", "9"}}}),
          invalid, "no task of the run's is called so");
  refused("/model", folder_ / "nowhere", ErrorCode::kNotFound, "nowhere");

  Json config = HyperRun("small");
  config["max_steps"] = 1;
  ASSERT_OK(RunTraining(config));
  const std::string trained = folder_ / "small/final";
  // Another shape, another base.
  config["output_dir"] = folder_ / "more";
  config["hyper"]["hypernetwork"] = trained;
  config["hyper"]["rank"] = 5;
  EXPECT_ERROR(RunTraining(config), invalid, "has rank 4, alpha 8");
  config["hyper"]["rank"] = 4;
  ASSERT_OK(RunTraining(config));
  Json other = TinyRun(folder_, "other");
  other["seed"] = 2;
  other["max_steps"] = 1;
  ASSERT_OK(RunTraining(other));
  Json request = {{"hypernetwork", trained},    {"model", folder_ / "other/final"},
                  {"describe", "Add 3."},       {"description_ids", {62, 3, 63}},
                  {"device", TestDeviceName()}, {"out", folder_ / "adapter"}};
  EXPECT_ERROR(CallVerb("write_adapter", request, {}), invalid, "was trained on a base of hash");
  request["model"] = config["model"];
  ASSERT_OK(CallVerb("write_adapter", request, {}));
  const auto spec = OpenModelAt(config["model"]).value().spec;
  EXPECT_ERROR(model::OpenAdapter(spec, trained), ErrorCode::kUnsupported, "metier adapter write");
  ASSERT_OK(model::OpenAdapter(spec, folder_ / "adapter"));
  request["description_ids"] = Json::array();
  EXPECT_ERROR(CallVerb("write_adapter", request, {}), invalid, "has 0 tokens");
  // Weights that are not those of the config.
  Json shape = ParseJson(ReadAll(trained + "/hyper_config.json")).value();
  shape["rank"] = 4096;
  WriteAll(trained + "/hyper_config.json", DumpCompact(shape));
  request["description_ids"] = {62};
  EXPECT_ERROR(CallVerb("write_adapter", request, {}), ErrorCode::kDataCorrupt,
               "bytes of weights, expected");
  Limits few;
  few.max_tensor_elements = 1000;
  EXPECT_ERROR(Hypernetwork::Create(spec, recipe::HyperConfig{}, 1, at::kFloat, TestDevice(), few),
               ErrorCode::kResourceExhausted, "the limit is 1000");
}

// Sixteen adapters of chance: nothing about one follows from the others.
TEST_F(HyperRuns, ReconstructSixteenAdapters) {
  Json config = HyperRun("reconstruction");
  ASSERT_OK_AND_ASSIGN(const ModelSource base, OpenModelAt(config["model"]));
  recipe::LoraConfig lora;
  lora.rank = 4;
  lora.alpha = 8;
  config["hyper"]["mode"] = "reconstruction";
  config["hyper"]["latent_size"] = 64;
  Json tasks = Json::array();
  Rng rng(9);
  for (std::uint64_t t = 0; t < 16; ++t) {
    ASSERT_OK_AND_ASSIGN(const LoraSet set,
                         LoraSet::Create(base.spec, lora, 1, at::kFloat, at::kCPU));
    const torch::NoGradGuard no_grad;
    for (const LoraModule& module : set.modules()) {
      for (const auto& [factor, size] : {std::pair(module.a, 0.03), std::pair(module.b, 0.1)}) {
        for (std::int64_t i = 0; i < factor.numel(); ++i)
          factor.data_ptr<float>()[i] += static_cast<float>(size * rng.Normal());
      }
    }
    const std::string name = "task" + std::to_string(t);
    ASSERT_OK(set.Save(folder_ / name, config["model"]));
    Json ids = Json::array();
    for (int i = 0; i < 5; ++i) ids.push_back(rng.Below(64));
    tasks.push_back({{"name", name},
                     {"descriptions", {name}},
                     {"description_ids", Json::array({ids})},
                     {"adapter", folder_ / name}});
  }
  config["hyper"]["tasks"] = tasks;
  config["per_device_train_batch_size"] = 16;
  config["learning_rate"] = 6e-3;
  config["max_grad_norm"] = 0;
  config["logging_steps"] = 1;
  for (const std::string distance : {"l1", "l2"}) {
    SCOPED_TRACE(distance);
    config["hyper"]["distance"] = distance;
    config["output_dir"] = folder_ / distance;
    // The gradient of l1 is as long near its end as far from it.
    config["max_steps"] = distance == "l1" ? 450 : 150;
    ASSERT_OK(RunTraining(config));
    // It begins at their mean, which is none of them.
    const std::string log = ReadAll(folder_ / distance + "/trainer_log.jsonl");
    const Json first = ParseJson(log.substr(0, log.find('\n'))).value();
    EXPECT_GT(first.at("reconstruction_error").get<double>(), 0.2);
    double worst = 0;
    for (const Json& task : tasks) {
      ASSERT_OK(CallVerb("write_adapter",
                         {{"hypernetwork", folder_ / distance + "/final"},
                          {"model", config["model"]},
                          {"describe", task["name"]},
                          {"description_ids", task["description_ids"][0]},
                          {"device", TestDeviceName()},
                          {"out", folder_ / "written"}},
                         {}));
      ASSERT_OK_AND_ASSIGN(const LoraSet ours,
                           LoraSet::Load(base.spec, folder_ / "written", at::kDouble, at::kCPU));
      ASSERT_OK_AND_ASSIGN(const LoraSet theirs,
                           LoraSet::Load(base.spec, task["adapter"], at::kDouble, at::kCPU));
      double error = 0;
      double size = 0;
      for (std::size_t m = 0; m < ours.modules().size(); ++m) {
        const at::Tensor delta = at::mm(ours.modules()[m].b, ours.modules()[m].a);
        const at::Tensor wanted = at::mm(theirs.modules()[m].b, theirs.modules()[m].a);
        error += (delta - wanted).square().sum().item<double>();
        size += wanted.square().sum().item<double>();
      }
      worst = std::max(worst, std::sqrt(error / size));
    }
    EXPECT_LT(worst, 0.05);
    std::printf("%s: relative error of the worst of 16: %.4f\n", distance.c_str(), worst);
  }
}

// Twenty-four tasks on pairs of letters, each followed by what it becomes: the first is moved on by
// one of six numbers, the second by one of four. Four pairs of numbers nobody learns from, the base
// included.
class DescribedTasks : public Trainer {
 protected:
  using Ids = std::vector<std::int32_t>;
  struct Task {
    std::int32_t first = 0;   // 1 to 6
    std::int32_t second = 0;  // 0 to 3
    bool operator==(const Task&) const = default;
  };
  static constexpr std::int32_t kLetters = 12;
  static constexpr std::int32_t kFirst = 20;  // tokens
  static constexpr std::int32_t kSecond = 30;
  static constexpr std::int32_t kWords = 40;
  static constexpr std::int32_t kBegin = 50;
  static inline const std::vector<std::uint8_t> kAnswers = {0, 0, 1, 0, 1};

  static std::vector<Task> Unseen() { return {{2, 0}, {5, 1}, {3, 2}, {4, 3}}; }
  static std::vector<Task> Seen() {
    const std::vector<Task> unseen = Unseen();
    std::vector<Task> tasks;
    for (std::int32_t second = 0; second < 4; ++second)
      for (std::int32_t first = 1; first <= 6; ++first)
        if (std::ranges::find(unseen, Task{first, second}) == unseen.end())
          tasks.push_back({first, second});
    return tasks;
  }
  static std::string NameOf(const Task& task) {
    return "first" + std::to_string(task.first) + "-second" + std::to_string(task.second);
  }
  static Ids Describe(const Task& task, std::int32_t way) {
    if (way == 0) return {kWords, kFirst + task.first, kWords + 1, kSecond + task.second};
    if (way == 1) return {kSecond + task.second, kWords + 2, kFirst + task.first};
    return {kWords + 3, kSecond + task.second, kWords + 1, kFirst + task.first};
  }

  // A pair of letters and its answers behind `ids`.
  void Append(const Task& task, Ids& ids) {
    const auto first = static_cast<std::int32_t>(rng_.Below(kLetters));
    const auto second = static_cast<std::int32_t>(rng_.Below(kLetters));
    ids.insert(ids.end(), {kBegin, first, (first + task.first) % kLetters, second,
                           (second + 3 * task.second + 1) % kLetters});
  }

  std::string Examples(const Task& task, const std::string& part, int count) {
    std::string path = folder_ / (part + NameOf(task) + ".safetensors");
    std::vector<Ids> all;
    for (int i = 0; i < count; ++i) {
      all.emplace_back();
      Append(task, all.back());
    }
    WriteTokens(path, all, std::vector(all.size(), kAnswers));
    return path;
  }

  Json Settings(const std::string& out, int steps, double rate) {
    Json config = TinyRun(folder_, out);
    config.erase("init");
    config.erase("train_file");
    config["max_steps"] = steps;
    config["learning_rate"] = rate;
    config["lr_scheduler_type"] = "cosine";
    config["warmup_ratio"] = 0.05;
    config["per_device_train_batch_size"] = 16;
    config["logging_steps"] = 100;
    config["threads"] = 0;
    return config;
  }

  // It has seen the tasks, three times in four described.
  std::string Knowing() {
    std::vector<Ids> rows;
    const std::vector<Task> seen = Seen();
    for (int i = 0; i < 12000; ++i) {
      const Task& task = seen[rng_.Below(seen.size())];
      rows.emplace_back();
      if (i % 4 != 0) rows.back() = Describe(task, static_cast<std::int32_t>(rng_.Below(3)));
      Append(task, rows.back());
    }
    WriteTokens(folder_ / "base.safetensors", rows, {});
    Json config = Settings("base", kBaseSteps, 3e-3);
    config["init"] = TinyRun(folder_, "base")["init"];
    config["init"]["spec"]["hidden_size"] = 64;
    config["init"]["spec"]["intermediate_size"] = 128;
    config["stage"] = "pretrain";
    config["train_file"] = folder_ / "base.safetensors";
    const Result<Json> reply = RunTraining(config);
    EXPECT_OK(reply);
    return folder_ / "base/final";
  }

  static constexpr int kBaseSteps = 500;
  static constexpr int kSteps = 120;
  Rng rng_{11};
};

TEST_F(DescribedTasks, UnseenOnesAreWrittenFromTheirDescriptions) {
  const std::string base = Knowing();
  Json config = Settings("hyper", kSteps, 6e-3);
  config["model"] = base;
  config["stage"] = "sft";
  config["hyper"] = {
      {"rank", 4}, {"alpha", 8}, {"latent_size", 32}, {"blocks", 0}, {"tasks", Json::array()}};
  for (const Task& task : Seen()) {
    Json ids = Json::array();
    for (std::int32_t way = 0; way < 3; ++way) ids.push_back(Describe(task, way));
    config["hyper"]["tasks"].push_back({{"name", NameOf(task)},
                                        {"descriptions", {"one", "two", "three"}},
                                        {"description_ids", ids},
                                        {"file", Examples(task, "learn-", 200)}});
  }
  ASSERT_OK(RunTraining(config));

  ASSERT_OK_AND_ASSIGN(const ModelSource source, OpenModelAt(base));
  NetworkOptions options;
  options.device = TestDevice();
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(source.spec, options, source.read));
  ASSERT_OK_AND_ASSIGN(
      const Hypernetwork hypernetwork,
      Hypernetwork::Load(source.spec, folder_ / "hyper/final", at::kFloat, TestDevice()));
  const torch::NoGradGuard no_grad;
  const auto written = [&](const Task& task) {
    network.SetLora(LoraSet());
    const Ids ids = Describe(task, 0);
    return hypernetwork.AdapterFor(*ReadDescription(network, {ids.begin(), ids.end()}));
  };
  // The mean of what is written for the tasks that were learned.
  std::vector<LoraSet::Factors> sums;
  LoraSet mean;
  for (const Task& task : Seen()) {
    mean = written(task);
    sums.resize(mean.modules().size());
    for (std::size_t m = 0; m < sums.size(); ++m) {
      const LoraModule& module = mean.modules()[m];
      const double share = 1.0 / static_cast<double>(Seen().size());
      sums[m].a = sums[m].a.defined() ? sums[m].a + module.a * share : module.a * share;
      sums[m].b = sums[m].b.defined() ? sums[m].b + module.b * share : module.b * share;
    }
  }
  mean = mean.With(sums);

  double aligned = 0;
  double exchanged = 0;
  const std::vector<Task> unseen = Unseen();
  for (std::size_t t = 0; t < unseen.size(); ++t) {
    SCOPED_TRACE(NameOf(unseen[t]));
    std::vector<Ids> all(100);
    for (Ids& ids : all) Append(unseen[t], ids);
    const Batch batch = MakeBatch(all, std::vector(all.size(), kAnswers), TestDevice());
    const auto loss_with = [&](const LoraSet& lora) {
      network.SetLora(lora);
      return network.Loss(batch, 1.0 / static_cast<double>(batch.counted)).item<double>();
    };
    const double ours = loss_with(written(unseen[t]));
    const double others = loss_with(written(unseen[(t + 1) % unseen.size()]));
    const double of_mean = loss_with(mean);
    const double of_base = loss_with(LoraSet());
    std::printf("%s: written %.3f, base %.3f, mean %.3f, another's %.3f\n",
                NameOf(unseen[t]).c_str(), ours, of_base, of_mean, others);
    EXPECT_LT(ours, of_base);
    EXPECT_LT(ours, of_mean);
    EXPECT_LT(ours, others);
    aligned += ours;
    exchanged += others;
  }
  EXPECT_LT(aligned, 0.5 * exchanged);
}

}  // namespace
}  // namespace metier::train
