// Elastic weight consolidation: what matters to earlier data, and that it stays.
#include "train/consolidation.h"

#include <cmath>
#include <filesystem>
#include <optional>
#include <vector>

#include "model/family.h"
#include "model/model_files.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

// The tiny run's network in double, with random weights, and its data twice: to learn, and old.
class Consolidating : public Trainer {
 protected:
  void SetUp() override {
    Trainer::SetUp();
    WriteLearnable(folder_ / "old.safetensors", 9);
    Json document = TinyRun(folder_, "run");
    document["model"] = "m";
    document.erase("init");
    document["ewc"] = {{"file", folder_ / "old.safetensors"}, {"weight", 3}};
    auto config = recipe::ParseTrainConfig(document);
    ASSERT_OK(config);
    config_ = *std::move(config);
    const auto family = model::FindFamilyByModelType("llama");
    ASSERT_OK(family);
    const auto spec = (*family)->from_config(TinyRun(folder_, "run")["init"]["spec"]);
    ASSERT_OK(spec);
    NetworkOptions options;
    options.precision = {at::kDouble, at::kDouble};
    options.device = TestDevice();
    options.longest = 12;  // some examples are longer
    auto network = Network::Create(*spec, options, [&](const std::string& name) {
      return model::RandomParameter(*spec, name, 11, 0.3);
    });
    ASSERT_OK(network);
    network_.emplace(*std::move(network));
    auto data = RunData::Open(config_, spec->vocab, {});
    ASSERT_OK(data);
    data_.emplace(*std::move(data));
  }

  Consolidation Measured(std::int64_t count) {
    Consolidation measured(network_->Trainables(), 3);
    EXPECT_TRUE(measured.Measure(*network_, *data_, data_->old(), count,
                                 [](std::int64_t, std::int64_t) { return false; }));
    for (const Trainable& trainable : network_->Trainables())
      EXPECT_FALSE(trainable.value.grad().defined()) << trainable.name;
    return measured;
  }
  double NegativeLogLikelihood(std::int64_t example) {
    const torch::NoGradGuard no_grad;
    const Piece piece = {example, 0,
                         std::min<std::int64_t>(data_->old().corpus.Length(example), 12)};
    return network_->Loss(data_->MakeBatch(data_->old(), {{piece}}, TestDevice()), 1)
        .item<double>();
  }

  recipe::TrainConfig config_;
  std::optional<Network> network_;
  std::optional<RunData> data_;
};

TEST_F(Consolidating, ImportanceIsTheMeanOfTheExamplesSquaredGradients) {
  // Examples 0, 3 and 6 of 9.
  Consolidation measured = Measured(3);
  const torch::NoGradGuard no_grad;
  for (const Trainable& trainable : network_->Trainables()) {
    const at::Tensor values = trainable.value.detach().view({-1});
    for (const std::int64_t at : {std::int64_t{0}, values.numel() / 2, values.numel() - 1}) {
      constexpr double kStep = 1e-5;
      double expected = 0;
      for (const std::int64_t example : {0, 3, 6}) {
        values[at] += kStep;
        const double above = NegativeLogLikelihood(example);
        values[at] -= 2 * kStep;
        const double below = NegativeLogLikelihood(example);
        values[at] += kStep;
        expected += std::pow((above - below) / (2 * kStep), 2) / 3;
      }
      // Moved by 1, the penalty's gradient is the weight times the importance.
      values[at] += 1;
      measured.AddGradients();
      const double found = trainable.value.grad().view({-1})[at].item<double>() / 3;
      values[at] -= 1;
      for (const Trainable& other : network_->Trainables()) other.value.mutable_grad().reset();
      EXPECT_NEAR(found, expected, 1e-6 * std::max(1.0, expected)) << trainable.name << " " << at;
    }
  }
}

TEST_F(Consolidating, ThePenaltyIsTheWeighedSquareOfWhatMoved) {
  Consolidation measured = Measured(100);  // all there are
  const torch::NoGradGuard no_grad;
  EXPECT_EQ(measured.AddGradients(), 0);
  double linear = 0;
  for (const Trainable& trainable : network_->Trainables()) {
    trainable.value.mutable_grad() = at::ones_like(trainable.value);  // of the loss itself
    trainable.value.detach().add_(0.01);
  }
  const double penalty = measured.AddGradients();
  for (const Trainable& trainable : network_->Trainables())
    linear += (trainable.value.grad() - 1).sum().item<double>();
  EXPECT_GT(penalty, 0);
  EXPECT_NEAR(penalty, linear * 0.01 / 2, 1e-9 * penalty);  // a square: half of gradient . move
}

TEST_F(Consolidating, KeepsItsFileAndKnowsAnothersRun) {
  Consolidation measured = Measured(2);
  const Json run = {{"name", "this"}};
  ASSERT_OK(measured.Save(folder_ / "", run));
  const auto penalty_of = [&](Consolidation& one) {
    const torch::NoGradGuard no_grad;
    for (const Trainable& trainable : network_->Trainables()) trainable.value.detach().add_(0.5);
    const double penalty = one.AddGradients();
    for (const Trainable& trainable : network_->Trainables()) trainable.value.detach().sub_(0.5);
    return penalty;
  };
  Consolidation loaded(network_->Trainables(), 3);
  ASSERT_OK_AND_ASSIGN(const bool other, loaded.Load(folder_ / "", {{"name", "another"}}));
  EXPECT_FALSE(other);
  EXPECT_EQ(penalty_of(loaded), 0);
  ASSERT_OK_AND_ASSIGN(const bool same, loaded.Load(folder_ / "", run));
  EXPECT_TRUE(same);
  const double expected = penalty_of(measured);
  EXPECT_NEAR(penalty_of(loaded), expected, 1e-6 * expected);  // the file is in F32
}

TEST_F(Trainer, ForgetsLessOfWhatIsConsolidated) {
  WriteLearnable(folder_ / "old.safetensors", 20);
  std::vector<std::vector<std::int32_t>> other;
  for (int e = 0; e < 30; ++e) {
    std::vector<std::int32_t> ids = {(e * 7 + 3) % 61};
    for (int i = 0; i < 12; ++i) ids.push_back((5 * ids.back() + 2) % 61);
    other.push_back(std::move(ids));
  }
  Json first = TinyRun(folder_, "first");
  first["max_steps"] = 60;
  first["train_file"] = folder_ / "old.safetensors";
  first["num_train_epochs"] = 1000;
  first["learning_rate"] = 1e-2;
  first["eval_file"] = folder_ / "old.safetensors";
  ASSERT_OK_AND_ASSIGN(const Json base, RunTraining(first));
  WriteTokens(folder_ / "train.safetensors", other, {});
  Json next = TinyRun(folder_, "plain");
  next.erase("init");
  next["model"] = base.at("output");
  next["eval_file"] = folder_ / "old.safetensors";
  next["max_steps"] = 40;
  next["num_train_epochs"] = 1000;
  ASSERT_OK_AND_ASSIGN(const Json plain, RunTraining(next));
  next["output_dir"] = folder_ / "kept";
  next["ewc"] = {{"file", folder_ / "old.safetensors"}, {"weight", 100000}, {"max_examples", 20}};
  ASSERT_OK_AND_ASSIGN(const Json kept, RunTraining(next));
  const auto forgotten = [&](const Json& reply) {
    return reply.at("eval_loss").get<double>() - base.at("eval_loss").get<double>();
  };
  EXPECT_GT(forgotten(plain), 0.5);
  EXPECT_LT(forgotten(kept), 0.7 * forgotten(plain));
  EXPECT_NE(ReadAll(folder_ / "kept" + "/trainer_log.jsonl").find("ewc_penalty"),
            std::string::npos);
}

TEST_F(Trainer, ResumesConsolidationToTheBit) {
  Json config = TinyRun(folder_, "whole");
  config.erase("init");
  config["model"] = Base();
  config["ewc"] = {{"file", folder_ / "train.safetensors"}, {"weight", 10}};
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(5)));
  const std::string kept = folder_ / "parts" + "/consolidation.safetensors";
  std::filesystem::rename(kept, kept + ".away");
  EXPECT_ERROR(RunTraining(config), ErrorCode::kNotFound, "has no consolidation of this run");
  std::filesystem::rename(kept + ".away", kept);
  ASSERT_OK_AND_ASSIGN(const Json parts, RunTraining(config));
  EXPECT_EQ(HashOf(whole.at("output").get<std::string>() + "/model.safetensors"),
            HashOf(parts.at("output").get<std::string>() + "/model.safetensors"));
}

}  // namespace
}  // namespace metier::train
