// Rows of the embedding, and of a head that is tied to it, that learn beside an adapter or alone
// (trainable_token_indices).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/adapter_files.h"
#include "model/family.h"
#include "model/merge.h"
#include "train/lora.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/plugin.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomParameterOf;
using engine::test::RandomTokens;

model::ParameterReader Reader(const model::ModelSpec& spec) {
  return [spec](const std::string& name) { return RandomParameterOf(spec, name); };
}

// Learns the rows of every third token.
recipe::LoraConfig RowsConfig(const model::ModelSpec& spec, bool alone) {
  recipe::LoraConfig config;
  config.rank = 2;
  if (alone) config.target_modules.clear();
  for (std::int64_t token = 1; token < spec.vocab; token += 3)
    config.trainable_token_indices.push_back(token);
  return config;
}

Result<Network> FrozenNetwork(const model::ModelSpec& spec, at::ScalarType real) {
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = {real, real};
  options.training = Training::kFrozen;
  return Network::Create(spec, options, Reader(spec));
}

class TokenRowsOfEveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override { spec_ = engine::test::TinySpec(*GetParam()); }

  Batch TwoTexts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, TestDevice());
  }

  model::ModelSpec spec_;
};
INSTANTIATE_TEST_SUITE_P(Families, TokenRowsOfEveryFamily, ::testing::ValuesIn(model::Families()),
                         engine::test::FamilyName);

at::Tensor Scalar(const Network& network, const Batch& batch, bool by_row) {
  if (!network.spec().head) {
    const at::Tensor hidden = network.Hidden(batch);
    return (hidden.flatten() *
            at::arange(hidden.numel(), at::kDouble).mul(0.37).sin().to(hidden.device()))
        .sum();
  }
  if (!by_row) return network.Loss(batch, 0.25);
  const at::Tensor rows = network.LogProbs(batch);
  return (rows * at::arange(rows.numel(), at::kDouble).mul(0.37).sin().to(rows.device())).sum();
}

TEST_P(TokenRowsOfEveryFamily, GradientsAreThoseOfTheFunction) {
  for (const bool alone : {false, true}) {
    for (const bool by_row : {false, true}) {
      SCOPED_TRACE(alone ? "alone" : "beside an adapter");
      ASSERT_OK_AND_ASSIGN(Network network, FrozenNetwork(spec_, at::kDouble));
      recipe::LoraConfig config = RowsConfig(spec_, alone);
      if (!alone) config.target_modules = {model::LinearModules(spec_).front().path};
      ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec_, config, 5, at::kDouble,
                                                         TestDevice(), Reader(spec_)));
      for (const LoraModule& module : lora.modules()) {
        const torch::NoGradGuard no_grad;
        module.b.fill_(0.01);
      }
      EXPECT_EQ(lora.modules().empty(), alone);
      network.SetLora(std::move(lora));
      const Batch batch = TwoTexts();
      CheckGradients(network.Trainables(), [&] { return Scalar(network, batch, by_row); });
    }
  }
}

// At first the rows are the base's, and then they are all that moves.
TEST_P(TokenRowsOfEveryFamily, LearnAndNotOneBitElse) {
  ASSERT_OK_AND_ASSIGN(Network network, FrozenNetwork(spec_, at::kFloat));
  const Batch batch = TwoTexts();
  const auto compute = [&] {
    const torch::NoGradGuard no_grad;
    return spec_.head ? network.Logits(batch) : network.Hidden(batch);
  };
  const at::Tensor base = compute();
  recipe::TrainConfig config;
  config.lora = RowsConfig(spec_, /*alone=*/true);
  ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec_, *config.lora, 5, at::kFloat,
                                                     TestDevice(), Reader(spec_)));
  const at::Tensor values = lora.rows()[0].own.values;
  EXPECT_EQ(lora.rows()[0].modules.size(), spec_.head && spec_.tied_head ? 2U : 1U);
  network.SetLora(std::move(lora));
  EXPECT_LE((compute() - base).abs().max().item<double>(), 1e-5);
  const at::Tensor before = values.detach().clone();
  Optimizer optimizer(network.Trainables(), config);
  ASSERT_EQ(optimizer.trainables().size(), 1U);
  for (int step = 1; step <= 2; ++step) {
    Scalar(network, batch, false).backward();
    optimizer.Step(step, 1e-2, 1);
  }
  EXPECT_FALSE(values.detach().equal(before));
  EXPECT_GT((compute() - base).abs().max().item<double>(), 1e-3);
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor now, network.ReadParameter(parameter.name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor was, Reader(spec_)(parameter.name));
    EXPECT_TRUE(std::ranges::equal(now.bytes(), was.bytes())) << parameter.name;
  }
}

TEST_P(TokenRowsOfEveryFamily, AreSavedAndLoadedToTheBit) {
  recipe::LoraConfig config = RowsConfig(spec_, /*alone=*/true);
  std::ranges::reverse(config.trainable_token_indices);  // any order
  ASSERT_OK_AND_ASSIGN(const LoraSet lora,
                       LoraSet::Create(spec_, config, 5, at::kFloat, TestDevice(), Reader(spec_)));
  {
    const torch::NoGradGuard no_grad;
    lora.rows()[0].own.values.mul_(1.25);
  }
  const test::TempFolder folder;
  ASSERT_OK(lora.Save(folder / "adapter", "base"));
  ASSERT_OK_AND_ASSIGN(const LoraSet loaded, LoraSet::Continue(spec_, config, folder / "adapter",
                                                               at::kFloat, TestDevice()));
  ASSERT_EQ(loaded.rows().size(), 1U);
  EXPECT_EQ(loaded.rows()[0].tokens, lora.rows()[0].tokens);
  EXPECT_EQ(loaded.rows()[0].modules.size(), lora.rows()[0].modules.size());
  EXPECT_TRUE(loaded.rows()[0].own.values.equal(lora.rows()[0].own.values));
  ASSERT_OK(loaded.Save(folder / "again", "base"));
  for (const char* file : {"/adapter_config.json", "/adapter_model.safetensors"})
    EXPECT_EQ(HashOf(folder / "adapter" + file), HashOf(folder / "again" + file));
  config.trainable_token_indices.pop_back();
  EXPECT_ERROR(LoraSet::Continue(spec_, config, folder / "adapter", at::kFloat, TestDevice()),
               ErrorCode::kInvalidArgument, "rows of its own for tokens 1 4 7");
}

TEST(TokenRows, MustBeTheModelsAndNotLearnTwice) {
  model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  recipe::LoraConfig config = RowsConfig(spec, true);
  config.modules_to_save = {"embed_tokens"};
  const auto create = [&] {
    return LoraSet::Create(spec, config, 5, at::kFloat, TestDevice(), Reader(spec));
  };
  EXPECT_ERROR(create(), ErrorCode::kInvalidArgument, "learns as a whole already");
  config.modules_to_save.clear();
  config.trainable_token_indices.push_back(spec.vocab);
  EXPECT_ERROR(create(), ErrorCode::kInvalidArgument, "the model has");
}

// Over 8-bit blocks LibTorch computes with what they stand for, and so does the engine.
TEST(TokenRows, ComputeTheSameInBothOverABaseOfBlocks) {
  model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  spec.width = 64;
  spec.hidden = 96;
  spec.tied_head = true;
  const test::TempFolder folder;
  const std::string base = folder / "m.gguf";
  ASSERT_OK(model::WriteGgufModel(base, spec, {.dtype = tensor::DType::kQ8_0}, {}, Reader(spec)));
  recipe::LoraConfig config = RowsConfig(spec, /*alone=*/false);
  ASSERT_OK_AND_ASSIGN(const LoraSet lora,
                       LoraSet::Create(spec, config, 5, at::kFloat, TestDevice(), Reader(spec)));
  {
    const torch::NoGradGuard no_grad;
    lora.rows()[0].own.values.mul_(1.25);
    for (const LoraModule& module : lora.modules()) module.b.fill_(0.02);
  }
  ASSERT_OK(lora.Save(folder / "adapter", base));
  const auto tokens = RandomTokens(spec, 17, 3);
  ASSERT_OK(CallVerb("logits",
                     {{"model", base},
                      {"adapter", folder / "adapter"},
                      {"tokens", {tokens}},
                      {"device", TestDeviceName()},
                      {"threads", 1},
                      {"out", folder / "torch"}},
                     {}));
  ASSERT_OK_AND_ASSIGN(const auto file, format::SafetensorsFile::Open(folder / "torch"));
  const tensor::TensorView* rows = file.Find("logits.0");
  ASSERT_NE(rows, nullptr);
  ASSERT_OK_AND_ASSIGN(const auto native, engine::NativeModel::Open(base));
  engine::NativeBackend backend(native, {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const auto files, model::OpenAdapter(native->spec(), folder / "adapter"));
  ASSERT_OK_AND_ASSIGN(const auto id, model::AddAdapter(backend, files));
  const std::vector<float> values = engine::test::RunWhole(backend, tokens, {}, id);
  ASSERT_EQ(values.size() * sizeof(float), rows->bytes.size());
  std::vector<float> torch(values.size());
  std::memcpy(torch.data(), rows->bytes.data(), rows->bytes.size());
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    worst = std::max(worst, static_cast<double>(std::abs(values[i] - torch[i])));
  EXPECT_LE(worst, 1e-3);
}

// A run that learns nothing but rows learns, and goes on from what it wrote.
TEST_F(Trainer, LearnsRowsOfTokensAlone) {
  Json config = LoraRun(Base(), "rows");
  Json tokens = Json::array();
  for (int token = 0; token < 64; ++token) tokens.push_back(token);
  config["lora"] = {{"target_modules", Json::array()}, {"trainable_token_indices", tokens}};
  config["eval_file"] = config["train_file"];
  const double before = EvalLoss(config, "still", 0, 1);
  const double after = EvalLoss(config, "rows", 0.01, 200);
  EXPECT_LT(after, 0.8 * before);
  config["lora"]["adapter"] = folder_ / "rows/final";
  EXPECT_NEAR(EvalLoss(config, "more", 0, 1), after, 1e-5);
}

}  // namespace
}  // namespace metier::train
