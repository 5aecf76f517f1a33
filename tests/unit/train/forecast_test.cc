// What a run will need, from a few of its layers: against the run's whole model.
#include "train/forecast.h"

#include <filesystem>

#include "base/memory.h"
#include "train/memory_watch.h"
#include "train/probe.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

class ForecastTest : public Trainer {
 protected:
  // A llama of 12 layers, wide enough that bytes of a layer are more than those of the rest.
  Json DeepRun(const std::string& out) {
    Json config = TinyRun(folder_, out);
    Json& spec = config["init"]["spec"];
    spec["num_hidden_layers"] = 12;
    spec["hidden_size"] = 64;
    spec["intermediate_size"] = 160;
    config["per_device_train_batch_size"] = 2;
    return config;
  }

  static Json ForecastOf(const Json& document) {
    const auto config = recipe::ParseTrainConfig(document);
    EXPECT_OK(config);
    const Result<Json> plan = Forecast(*config, {});
    EXPECT_OK(plan);
    return plan.ok() ? *plan : Json();
  }

  // Figures of the whole model, on a batch of 64 tokens.
  static ProbeFigures Whole(const Json& document, const Batch& batch) {
    const auto config = recipe::ParseTrainConfig(document);
    EXPECT_OK(config);
    const auto source = OpenModelSource(*config);
    EXPECT_OK(source);
    const auto figures =
        RunProbe(*config, source->spec, {batch, {batch}, config->gradient_accumulation_steps});
    EXPECT_OK(figures);
    return figures.ok() ? *figures : ProbeFigures();
  }

  // Whether the plan's bytes are those of the whole model: exact where they only add up, within
  // two in a hundred at the peak.
  void ExpectBytes(const Json& document) {
    const Json memory = ForecastOf(document).at("memory");
    const ProbeFigures whole = Whole(document, HeaviestBatch());
    const auto bytes = [&](const char* name) { return memory.at(name).get<std::int64_t>(); };
    EXPECT_EQ(bytes("weights_and_moments"), whole.standing);
    EXPECT_EQ(bytes("gradients"), whole.gradients);
    const std::int64_t peak =
        bytes("weights_and_moments") + bytes("gradients") + bytes("activations");
    EXPECT_NEAR(static_cast<double>(peak), static_cast<double>(whole.peak),
                0.02 * static_cast<double>(whole.peak));
    EXPECT_GE(bytes("peak"), peak);
  }

  // All examples are as long as a pack, so that all batches are as heavy.
  Batch HeaviestBatch() {
    std::vector<std::vector<std::int32_t>> examples;
    for (int e = 0; e < 24; ++e) examples.emplace_back(32, e);
    WriteTokens(folder_ / "train.safetensors", examples, {});
    return MakeBatch({examples[0], examples[1]}, {}, TestDevice());
  }
};

TEST_F(ForecastTest, BytesOfAllLayersFollowFromSome) {
  HeaviestBatch();
  Json run = DeepRun("bf16");
  run["bf16"] = true;
  {
    SCOPED_TRACE("all weights, bf16");
    ExpectBytes(run);
  }
  run["bf16"] = false;
  {
    SCOPED_TRACE("all weights, float");
    ExpectBytes(run);
  }
  run["gradient_accumulation_steps"] = 3;
  {
    SCOPED_TRACE("several batches a step");
    ExpectBytes(run);
  }
  run["ema_decay"] = 0.99;
  {
    SCOPED_TRACE("with an average");
    ExpectBytes(run);
  }
}

TEST_F(ForecastTest, BytesOfAnAdapterFollowFromSomeLayers) {
  HeaviestBatch();
  Json base = DeepRun("base");
  base["max_steps"] = 1;
  EXPECT_OK(RunTraining(base));
  Json run = LoraRun(folder_ / "base/final", "adapter");
  run["per_device_train_batch_size"] = 2;
  ExpectBytes(run);
}

TEST_F(ForecastTest, LayersThatDifferAreTriedByKind) {
  HeaviestBatch();
  Json run = DeepRun("pyramid");
  Json& spec = run["init"]["spec"];
  spec["model_type"] = "metier_experts";
  spec["num_experts"] = {0, 4, 0, 4, 0, 4, 0, 4, 0, 8, 0, 8};
  spec["num_experts_per_tok"] = 2;
  const Json plan = ForecastOf(run);
  const ProbeFigures whole = Whole(run, HeaviestBatch());
  EXPECT_EQ(plan.at("memory").at("weights_and_moments"), whole.standing);
  EXPECT_EQ(plan.at("trainable_parameters"), whole.trained);
  EXPECT_EQ(plan.at("parameters"), whole.trained);
}

TEST_F(ForecastTest, SaysStepsTokensAndTimeAndWritesNothing) {
  const std::string base = Base();
  HeaviestBatch();
  Json run = TinyRun(folder_, "planned");
  run.erase("init");
  run["model"] = base;
  run["per_device_train_batch_size"] = 2;
  run["max_steps"] = 10;
  const Json plan = ForecastOf(run);
  EXPECT_EQ(plan.at("steps"), 10);
  EXPECT_EQ(plan.at("tokens"), 10 * 2 * 32);
  const Json& seconds = plan.at("seconds");
  EXPECT_GT(seconds.at("step").get<double>(), 0);
  EXPECT_EQ(seconds.at("evaluation"), 0.0);
  EXPECT_EQ(seconds.at("before"), 0.0);
  EXPECT_DOUBLE_EQ(seconds.at("total").get<double>(), 10 * seconds.at("step").get<double>());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "planned"));

  run["eval_file"] = folder_ / "train.safetensors";
  run["eval_steps"] = 3;  // after 3, 6, 9 and 10
  run["ewc"] = {{"file", folder_ / "train.safetensors"}};
  const Json more = ForecastOf(run);
  EXPECT_GT(more.at("seconds").at("evaluation").get<double>(), 0);
  EXPECT_GT(more.at("seconds").at("before").get<double>(), 0);
  const auto standing = [](const Json& of) {
    return of.at("memory").at("weights_and_moments").get<std::int64_t>();
  };
  EXPECT_EQ(standing(more) - standing(plan),
            8 * plan.at("trainable_parameters").get<std::int64_t>());
}

TEST_F(ForecastTest, RefusesWhatTheMachineHasNoMemoryFor) {
  if (!TestDevice().is_cpu()) GTEST_SKIP() << "what a GPU has is not asked";
  if (AvailableMemoryBytes() == 0) GTEST_SKIP() << "this system does not say what memory it has";
  Json run = TinyRun(folder_, "huge");
  Json& spec = run["init"]["spec"];
  spec["hidden_size"] = 16384;
  spec["intermediate_size"] = 53248;
  spec["num_hidden_layers"] = 126;
  spec["num_attention_heads"] = 128;
  spec["num_key_value_heads"] = 8;
  const auto config = recipe::ParseTrainConfig(run);
  ASSERT_OK(config);
  const Result<Json> plan = Forecast(*config, {});
  EXPECT_ERROR(plan, ErrorCode::kResourceExhausted,
               "the run's weights, gradients and moments alone take");
  EXPECT_ERROR(Train(*config, {}), ErrorCode::kResourceExhausted, "GiB can be had");
}

TEST_F(ForecastTest, RefusesARouter) {
  Json run = LoraRun(Base(), "routed");
  run.erase("lora");
  run["router"] = {{"experts", {{{"name", "a"}, {"adapter", "a"}}}}};
  const auto config = recipe::ParseTrainConfig(run);
  ASSERT_OK(config);
  EXPECT_ERROR(Forecast(*config, {}), ErrorCode::kUnsupported, "found a router");
}

TEST(MemoryWatch, CountsWhatLivesAndTheMostAtOnce) {
  MemoryWatch watch(TestDevice());
  const auto options = at::TensorOptions().dtype(at::kFloat).device(TestDevice());
  at::Tensor kept = at::empty({1 << 18}, options);
  EXPECT_EQ(watch.in_use(), 1 << 20);
  { const at::Tensor passing = at::empty({1 << 20}, options); }
  EXPECT_EQ(watch.in_use(), 1 << 20);
  EXPECT_EQ(watch.TakePeak(), 5 << 20);
  EXPECT_EQ(watch.TakePeak(), 1 << 20);
  kept.requires_grad_(true);
  (kept * 2).sum().backward();
  EXPECT_EQ(watch.in_use(), 2 << 20) << "the gradient";
  EXPECT_GE(watch.TakePeak(), 3 << 20);
}

}  // namespace
}  // namespace metier::train
