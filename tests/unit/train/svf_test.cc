// Singular values that learn (svf).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "format/safetensors.h"
#include "merge/singular_values.h"
#include "model/adapter_files.h"
#include "model/family.h"
#include "model/svf_files.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/plugin.h"
#include "train/singular_values.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomParameterOf;
using engine::test::RandomTokens;

model::ParameterReader SvfBase(const model::ModelSpec& spec) {
  return [spec](const std::string& name) { return RandomParameterOf(spec, name); };
}

class SvfOfEveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override {
    spec_ = engine::test::TinySpec(*GetParam());
    config_.target_modules.clear();
    for (const model::LinearModule& module : model::LinearModules(spec_)) {
      const std::string& linear = module.parts.front().linear;
      if (linear.find(".attn.") == linear.npos && linear.find(".ffn.") == linear.npos) continue;
      config_.target_modules.push_back(module.path);
      for (const auto& part : module.parts) values_ += std::min(part.out, module.in);
    }
  }

  Result<Network> Frozen(at::ScalarType real) const {
    NetworkOptions options;
    options.device = TestDevice();
    options.precision = {real, real};
    options.training = Training::kFrozen;
    return Network::Create(spec_, options, SvfBase(spec_));
  }
  Result<SvfSet> Set(at::ScalarType real) const {
    return SvfSet::Create(spec_, config_, {real, real}, TestDevice(), SvfBase(spec_));
  }
  Batch Texts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, TestDevice());
  }
  at::Tensor Compute(const Network& network) const {
    const torch::NoGradGuard no_grad;
    return spec_.head ? network.Logits(Texts()) : network.Hidden(Texts());
  }
  static void Move(const SvfSet& set) {
    const torch::NoGradGuard no_grad;
    for (const auto& entry : set.linears()) {
      const at::Tensor& z = entry.second.z;
      z.add_(at::arange(z.numel(), z.options().requires_grad(false)).mul(0.9).sin(), 0.3);
    }
  }
  at::Tensor Scalar(const Network& network) const {
    if (spec_.head) return network.Loss(Texts(), 0.25);
    const at::Tensor hidden = network.Hidden(Texts());
    return (hidden.flatten() *
            at::arange(hidden.numel(), hidden.options().requires_grad(false)).mul(0.37).sin())
        .sum();
  }

  model::ModelSpec spec_;
  recipe::SvfConfig config_;
  std::int64_t values_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Families, SvfOfEveryFamily, ::testing::ValuesIn(model::Families()),
                         engine::test::FamilyName);

TEST_P(SvfOfEveryFamily, GradientsAreThoseOfTheFunction) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kDouble));
  ASSERT_OK_AND_ASSIGN(SvfSet set, Set(at::kDouble));
  Move(set);
  network.SetSingularValues(std::move(set));
  CheckGradients(network.Trainables(), [&] { return Scalar(network); });
}

TEST_P(SvfOfEveryFamily, BeginsAsTheBaseAndMovesNotOneBitOfIt) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  const at::Tensor base = Compute(network);
  ASSERT_OK_AND_ASSIGN(SvfSet set, Set(at::kFloat));
  network.SetSingularValues(std::move(set));
  EXPECT_TRUE(Compute(network).equal(base));
  Optimizer optimizer(network.Trainables(), recipe::TrainConfig{});
  std::int64_t values = 0;
  for (const Trainable& trainable : optimizer.trainables()) values += trainable.value.numel();
  EXPECT_EQ(values, values_);
  for (int step = 1; step <= 2; ++step) {
    Scalar(network).backward();
    optimizer.Step(step, 1e-2, 1);
  }
  EXPECT_GT((Compute(network) - base).abs().max().item<double>(), 1e-4);
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor now, network.ReadParameter(parameter.name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor was, SvfBase(spec_)(parameter.name));
    EXPECT_TRUE(std::ranges::equal(now.bytes(), was.bytes())) << parameter.name;
  }
}

// Merged weights are U diag(s z) V^T, and the engine computes with them what LibTorch does with z.
TEST_P(SvfOfEveryFamily, IsSavedLoadedAndMerged) {
  ASSERT_OK_AND_ASSIGN(SvfSet set, Set(at::kFloat));
  Move(set);
  const test::TempFolder folder;
  ASSERT_OK(set.Save(folder / "svf", "base"));
  ASSERT_OK_AND_ASSIGN(const SvfSet loaded,
                       SvfSet::Continue(spec_, config_, folder / "svf", {at::kFloat, at::kFloat},
                                        TestDevice(), SvfBase(spec_)));
  ASSERT_EQ(loaded.linears().size(), set.linears().size());
  for (const auto& [linear, values] : set.linears())
    EXPECT_TRUE(loaded.Find(linear)->z.equal(values.z)) << linear;
  ASSERT_OK_AND_ASSIGN(model::SvfFiles files, model::OpenSvf(folder / "svf"));
  ASSERT_OK_AND_ASSIGN(const model::ParameterReader merged,
                       merge::WithSingularValues(spec_, SvfBase(spec_), std::move(files)));
  for (const auto& [linear, values] : set.linears()) {
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor weight, merged(linear + ".weight"));
    const at::Tensor exact =
        at::matmul(values.u.act * (values.s * values.z.detach()), values.v.act).to(at::kCPU);
    double worst = 0;
    for (std::int64_t i = 0; i < exact.numel(); ++i) {
      const double apart = std::abs(static_cast<double>(exact.contiguous().data_ptr<float>()[i]) -
                                    static_cast<double>(weight.f32()[static_cast<std::size_t>(i)]));
      worst = std::max(worst, apart);
    }
    EXPECT_LE(worst, 1e-5) << linear;
  }
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  const at::Tensor base = Compute(network);
  network.SetSingularValues(std::move(set));
  const at::Tensor ours = Compute(network);
  EXPECT_GT((ours - base).abs().max().item<double>(), 0.05);
  ASSERT_OK_AND_ASSIGN(const auto model, engine::NativeModel::FromReader(spec_, merged));
  engine::NativeBackend backend(model, {.threads = 1});
  const std::vector<float> native = engine::test::RunWhole(backend, RandomTokens(spec_, 9, 1));
  const at::Tensor first = ours.to(at::kCPU).narrow(0, 0, 9).contiguous();
  ASSERT_EQ(static_cast<std::size_t>(first.numel()), native.size());
  for (std::size_t i = 0; i < native.size(); ++i)
    ASSERT_NEAR(native[i], first.data_ptr<float>()[i], 1e-3);
}

TEST(Svf, RefusesWhatItCannotDo) {
  const model::ModelSpec moe = (*model::FindFamily("mixtral"))->tiny();
  EXPECT_ERROR(SvfSet::Create(moe, {}, {}, TestDevice(), SvfBase(moe)), ErrorCode::kUnsupported,
               "of attention and of dense feed-forwards learn");
  const model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  ASSERT_OK_AND_ASSIGN(const SvfSet set, SvfSet::Create(spec, {}, {}, TestDevice(), SvfBase(spec)));
  const test::TempFolder folder;
  ASSERT_OK(set.Save(folder.path(), "base"));
  EXPECT_ERROR(model::OpenAdapter(spec, folder.path()), ErrorCode::kUnsupported, "metier merge");
  recipe::SvfConfig fewer;
  fewer.target_modules = {"q_proj"};
  EXPECT_ERROR(SvfSet::Continue(spec, fewer, folder.path(), {}, TestDevice(), SvfBase(spec)),
               ErrorCode::kInvalidArgument, "target_modules do not choose");
  model::ModelSpec wide = spec;
  wide.width *= 2;
  wide.hidden *= 2;
  ASSERT_OK_AND_ASSIGN(model::SvfFiles files, model::OpenSvf(folder.path()));
  EXPECT_ERROR(merge::WithSingularValues(wide, SvfBase(wide), std::move(files)),
               ErrorCode::kInvalidArgument, "is this the model that they were trained on?");
  WriteAll(folder / "svf_config.json", R"({"format": "metier-svf", "version": 2})");
  EXPECT_ERROR(model::OpenSvf(folder.path()), ErrorCode::kDataCorrupt, "of version 1");
}

TEST_F(Trainer, LearnsSingularValues) {
  Json config = LoraRun(Base(), "svf");
  config.erase("lora");
  config["svf"] = Json::object();
  config["eval_file"] = config["train_file"];
  const double before = EvalLoss(config, "still", 0, 1);
  EXPECT_LT(EvalLoss(config, "svf", 0.02, 200), 0.8 * before);
  EXPECT_TRUE(model::IsSvf(folder_ / "svf/final"));
  // What it wrote computes on in the plug-in.
  ASSERT_OK(CallVerb("logits",
                     {{"model", config["model"]},
                      {"adapter", folder_ / "svf/final"},
                      {"tokens", {{1, 2, 3}}},
                      {"device", TestDeviceName()},
                      {"out", folder_ / "rows"}},
                     {}));
}

}  // namespace
}  // namespace metier::train
