// Activation checkpointing: the same bits for less memory.
#include "train/recompute.h"

#include <map>
#include <vector>

#include "model/family.h"
#include "train/memory_watch.h"
#include "train/network.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomParameterOf;
using engine::test::RandomTokens;

Network Make(const model::ModelSpec& spec, Training training, bool checkpointing) {
  NetworkOptions options;
  options.device = TestDevice();
  options.training = training;
  options.noise = training == Training::kAll ? 5 : 0;
  options.checkpointing = checkpointing;
  auto network = Network::Create(
      spec, options, [&spec](const std::string& name) { return RandomParameterOf(spec, name); });
  EXPECT_OK(network);
  return std::move(network).value();
}

std::map<std::string, at::Tensor> GradientsOf(const Network& network, const Batch& batch) {
  constexpr std::uint64_t kKey = 7;  // of noise and dropout
  network.Loss(batch, 0.25, {.key = kKey}).backward();
  std::map<std::string, at::Tensor> gradients;
  for (const Trainable& trainable : network.Trainables())
    gradients[trainable.name] = trainable.value.grad();
  return gradients;
}

void ExpectSameGradients(const Network& kept, const Network& again, const Batch& batch) {
  const auto expected = GradientsOf(kept, batch);
  const auto found = GradientsOf(again, batch);
  ASSERT_FALSE(expected.empty());
  double largest = 0;
  for (const auto& [name, gradient] : expected) {
    ASSERT_EQ(gradient.defined(), found.at(name).defined()) << name;
    if (!gradient.defined()) continue;
    EXPECT_TRUE(gradient.equal(found.at(name))) << name;
    largest = std::max(largest, gradient.abs().max().item<double>());
  }
  EXPECT_GT(largest, 1e-6);
}

// Those that have a loss of their own, and no experts.
std::vector<const model::Family*> FamiliesToTry() {
  std::vector<const model::Family*> families;
  for (const model::Family* family : model::Families()) {
    const model::ModelSpec spec = family->tiny();
    if (spec.head && spec.moe.experts == 0) families.push_back(family);
  }
  return families;
}

class RecomputeOfEveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override { spec_ = engine::test::TinySpec(*GetParam()); }
  Batch Texts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, TestDevice());
  }
  model::ModelSpec spec_;
};
INSTANTIATE_TEST_SUITE_P(Families, RecomputeOfEveryFamily, ::testing::ValuesIn(FamiliesToTry()),
                         engine::test::FamilyName);

TEST_P(RecomputeOfEveryFamily, ChangesNoBitOfAGradient) {
  ExpectSameGradients(Make(spec_, Training::kAll, false), Make(spec_, Training::kAll, true),
                      Texts());
}

// Where nothing that goes into the first layer learns.
TEST_P(RecomputeOfEveryFamily, ChangesNoBitOfAnAdaptersGradient) {
  const auto adapted = [&](bool checkpointing) {
    Network network = Make(spec_, Training::kFrozen, checkpointing);
    recipe::LoraConfig config;
    config.dropout = 0.3;
    auto lora =
        LoraSet::Create(spec_, config, 3, at::kFloat, TestDevice(),
                        [&](const std::string& name) { return RandomParameterOf(spec_, name); });
    EXPECT_OK(lora);
    network.SetLora(*std::move(lora));
    return network;
  };
  ExpectSameGradients(adapted(false), adapted(true), Texts());
}

TEST(Recompute, TakesLessMemory) {
  model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  spec.layers = 24;
  spec.layer.resize(24);
  const Batch batch =
      MakeBatch({RandomTokens(spec, 60, 1), RandomTokens(spec, 64, 2)}, {}, TestDevice());
  const auto peak = [&](bool checkpointing) {
    const Network network = Make(spec, Training::kAll, checkpointing);
    for (const Trainable& trainable : network.Trainables())
      trainable.value.mutable_grad() = at::zeros_like(trainable.value);
    MemoryWatch watch(TestDevice());
    network.Loss(batch, 1, {.key = 1}).backward();
    return watch.TakePeak();
  };
  const std::int64_t kept = peak(false);
  const std::int64_t again = peak(true);
  EXPECT_GT(again, 0);
  EXPECT_LT(again, kept / 3) << kept;
}

TEST_F(Trainer, RunsWithCheckpointingEndAlike) {
  Json config = TinyRun(folder_, "kept");
  config["bf16"] = true;
  ASSERT_OK(RunTraining(config));
  config["output_dir"] = folder_ / "again";
  config["gradient_checkpointing"] = true;
  ASSERT_OK(RunTraining(config));
  const std::string file = "/final/model.safetensors";
  EXPECT_EQ(HashOf(folder_ / "again" + file), HashOf(folder_ / "kept" + file));

  config["init"]["spec"]["model_type"] = "metier_experts";
  config["init"]["spec"]["num_experts"] = 2;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported,
               "gradient_checkpointing: the model has experts");
  Json hyper = {
      {"stage", "sft"},
      {"model", folder_ / "kept/final"},
      {"output_dir", folder_ / "hyper"},
      {"gradient_checkpointing", true},
      {"hyper",
       {{"tasks",
         {{{"name", "one"}, {"descriptions", {"do"}}, {"file", folder_ / "train.safetensors"}}}}}}};
  EXPECT_ERROR(RunTraining(hyper), ErrorCode::kDataCorrupt,
               "gradient_checkpointing: found with 'hyper'");
}

}  // namespace
}  // namespace metier::train
