// The native engine and LibTorch compute the same function of a model and an adapter on disk: every
// family, through the plug-in's verb as `metier parity` asks it.
#include <cmath>
#include <cstring>
#include <limits>

#include "format/safetensors.h"
#include "model/adapter.h"
#include "model/adapter_files.h"
#include "train/lora.h"
#include "train/mixture.h"
#include "train/plugin.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/device.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

constexpr double kTolerance = 1e-3;  // what users are promised in F32

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.empty() || a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double apart = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(apart <= largest)) largest = apart;  // a NaN is never the same
  }
  return largest;
}

struct Sequence {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> types;
};

class NativeAndTorch : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override {
    spec_ = engine::test::TinySpec(*GetParam());
    ASSERT_OK(model::WriteHuggingFaceModel(
        folder_ / "model", spec_, tensor::DType::kF32,
        [&](const std::string& name) { return engine::test::RandomParameterOf(spec_, name); }));
    // As long as the model takes, so that windows close and blocks of keys end inside it; and one
    // token, which attends to nothing else.
    for (const std::int64_t length : {spec_.max_positions, std::int64_t{33}, std::int64_t{1}}) {
      const auto count = static_cast<std::size_t>(length);
      Sequence sequence;
      sequence.tokens = engine::test::RandomTokens(spec_, count, 7 + count);
      for (std::size_t i = 0; spec_.types > 0 && i < count; ++i)
        sequence.types.push_back(static_cast<std::int32_t>(i * 2 / count));
      sequences_.push_back(std::move(sequence));
    }
  }

  // Of each sequence, all of them in one call.
  Result<std::vector<std::vector<float>>> Torch(const std::string& adapter) {
    Json request = {{"model", folder_ / "model"},
                    {"device", TestDeviceName()},
                    {"threads", 1},
                    {"out", folder_ / "torch"}};
    for (const Sequence& sequence : sequences_) {
      request["tokens"].push_back(sequence.tokens);
      if (spec_.types > 0) request["types"].push_back(sequence.types);
    }
    if (!adapter.empty()) request["adapter"] = adapter;
    METIER_TRY(CallVerb("logits", request, {}));
    METIER_ASSIGN(const auto file, format::SafetensorsFile::Open(folder_ / "torch"));
    std::vector<std::vector<float>> all;
    for (std::size_t s = 0; s < sequences_.size(); ++s) {
      const tensor::TensorView* rows =
          file.Find((spec_.head ? "logits." : "hidden.") + std::to_string(s));
      std::vector<float> values(rows == nullptr ? 0 : rows->bytes.size() / sizeof(float));
      if (rows != nullptr) std::memcpy(values.data(), rows->bytes.data(), rows->bytes.size());
      all.push_back(std::move(values));
    }
    return all;
  }

  Result<std::vector<std::vector<float>>> Native(const std::string& folder) {
    METIER_ASSIGN(const auto model, engine::NativeModel::Open(folder_ / "model"));
    engine::NativeBackend backend(model, {.threads = 1});
    model::AdapterId id = model::AdapterId::kNone;
    if (!folder.empty()) {
      METIER_ASSIGN(const auto files, model::OpenAdapter(spec_, folder));
      METIER_ASSIGN(id, model::AddAdapter(backend, files));
    }
    std::vector<std::vector<float>> all;
    for (const Sequence& sequence : sequences_)
      all.push_back(engine::test::RunWhole(backend, sequence.tokens, sequence.types, id));
    return all;
  }

  // An adapter on every linear whose ranks differ and whose B is not zero, with an embedding and a
  // head of its own.
  Status WriteAdapter(const std::string& folder) {
    recipe::LoraConfig config;
    for (const model::WholeModule& module : model::WholeModules(spec_))
      config.modules_to_save.push_back(module.path);
    return WriteAdapter(folder, config, 3);
  }

  Status WriteAdapter(const std::string& folder, recipe::LoraConfig config, std::uint64_t seed) {
    config.rank = 4;
    config.alpha = 6;
    config.rslora = true;
    if (!config.target_modules.empty())
      config.rank_pattern = {{model::LinearModules(spec_).front().path, 2}};
    METIER_ASSIGN(
        const LoraSet lora,
        LoraSet::Create(spec_, config, 5, at::kFloat, at::kCPU, [&](const std::string& name) {
          return engine::test::RandomParameterOf(spec_, name);
        }));
    Rng rng(seed);
    const torch::NoGradGuard no_grad;
    for (const SavedRows& rows : lora.rows())
      for (std::int64_t i = 0; i < rows.own.values.numel(); ++i)
        rows.own.values.data_ptr<float>()[i] += static_cast<float>(rng.Uniform() - 0.5);
    for (const SavedModule& saved : lora.saved())
      for (std::int64_t i = 0; i < saved.value.numel(); ++i)
        saved.value.data_ptr<float>()[i] += static_cast<float>(0.4 * (rng.Uniform() - 0.5));
    for (const LoraModule& module : lora.modules())
      for (std::int64_t i = 0; config.use_dora && i < module.magnitude.numel(); ++i)
        module.magnitude.data_ptr<float>()[i] *= static_cast<float>(0.5 + rng.Uniform());
    for (const LoraModule& module : lora.modules())
      for (std::int64_t i = 0; i < module.b.numel(); ++i)
        module.b.data_ptr<float>()[i] = static_cast<float>(0.4 * (rng.Uniform() - 0.5));
    return lora.Save(folder, folder_ / "model");
  }

  test::TempFolder folder_;
  model::ModelSpec spec_;
  std::vector<Sequence> sequences_;
};
INSTANTIATE_TEST_SUITE_P(Families, NativeAndTorch, ::testing::ValuesIn(model::Families()),
                         engine::test::FamilyName);

TEST_P(NativeAndTorch, ComputeTheSame) {
  ASSERT_OK_AND_ASSIGN(const auto torch, Torch(""));
  ASSERT_OK_AND_ASSIGN(const auto native, Native(""));
  for (std::size_t s = 0; s < sequences_.size(); ++s)
    EXPECT_LE(LargestDifference(torch[s], native[s]), kTolerance) << "sequence " << s;
  // Values that are far apart, so that agreeing says something.
  const auto [low, high] = std::minmax_element(native[0].begin(), native[0].end());
  EXPECT_GT(*high - *low, 1);
}

TEST_P(NativeAndTorch, ComputeTheSameWithAnAdapter) {
  ASSERT_OK(WriteAdapter(folder_ / "adapter"));
  ASSERT_OK_AND_ASSIGN(const auto torch, Torch(folder_ / "adapter"));
  ASSERT_OK_AND_ASSIGN(const auto native, Native(folder_ / "adapter"));
  ASSERT_OK_AND_ASSIGN(const auto without, Native(""));
  for (std::size_t s = 0; s < sequences_.size(); ++s) {
    EXPECT_LE(LargestDifference(torch[s], native[s]), kTolerance) << "sequence " << s;
    EXPECT_GT(LargestDifference(native[s], without[s]), 0.1) << "the adapter did nothing";
  }
}

TEST_P(NativeAndTorch, ComputeTheSameWithRowsOfTokens) {
  recipe::LoraConfig config;
  for (std::int64_t token = 0; token < spec_.vocab; token += 3)
    config.trainable_token_indices.push_back(token);
  ASSERT_OK_AND_ASSIGN(const auto without, Native(""));
  for (const bool alone : {false, true}) {
    if (alone) config.target_modules.clear();
    const std::string adapter = folder_ / (alone ? "alone" : "beside");
    ASSERT_OK(WriteAdapter(adapter, config, 3));
    ASSERT_OK_AND_ASSIGN(const auto torch, Torch(adapter));
    ASSERT_OK_AND_ASSIGN(const auto native, Native(adapter));
    for (std::size_t s = 0; s < sequences_.size(); ++s)
      EXPECT_LE(LargestDifference(torch[s], native[s]), kTolerance) << "sequence " << s;
    EXPECT_GT(LargestDifference(native[0], without[0]), 0.1) << "the rows did nothing";
  }
}

TEST_P(NativeAndTorch, ComputeTheSameWithDora) {
  recipe::LoraConfig config;
  config.use_dora = true;
  ASSERT_OK(WriteAdapter(folder_ / "dora", config, 3));
  config.use_dora = false;
  ASSERT_OK(WriteAdapter(folder_ / "plain", config, 3));
  ASSERT_OK_AND_ASSIGN(const auto torch, Torch(folder_ / "dora"));
  ASSERT_OK_AND_ASSIGN(const auto native, Native(folder_ / "dora"));
  ASSERT_OK_AND_ASSIGN(const auto plain, Native(folder_ / "plain"));
  for (std::size_t s = 0; s < sequences_.size(); ++s)
    EXPECT_LE(LargestDifference(torch[s], native[s]), kTolerance) << "sequence " << s;
  EXPECT_GT(LargestDifference(native[0], plain[0]), 0.1) << "the magnitudes did nothing";
}

// Both choose the same experts for every token, with the same weights.
TEST_P(NativeAndTorch, ComputeTheSameWithAMixture) {
  if (!spec_.head) return;  // an encoder has no prompts to route by
  recipe::RouterConfig config;
  config.top_k = 2;
  config.routers = "input";
  for (const std::uint64_t seed : {1, 2, 3}) {
    recipe::LoraConfig targets;
    targets.target_modules.clear();
    for (const model::LinearModule& module : model::LinearModules(spec_)) {
      const std::string& linear = module.parts.front().linear;
      if (linear.find(".attn.") != std::string::npos || linear.find(".ffn.") != std::string::npos)
        targets.target_modules.push_back(module.path);
    }
    const std::string name = "expert" + std::to_string(seed);
    ASSERT_OK(WriteAdapter(folder_ / name, targets, seed));
    config.experts.push_back({name, folder_ / name});
  }
  ASSERT_OK_AND_ASSIGN(const MixtureSet mixture,
                       MixtureSet::Create(spec_, config, 5, at::kFloat, at::kCPU));
  {
    const torch::NoGradGuard no_grad;
    for (const MixtureRouter& router : mixture.routers()) router.weight.mul_(50);
  }
  ASSERT_OK(mixture.Save(folder_ / "mixture", "model"));
  ASSERT_OK_AND_ASSIGN(const auto torch, Torch(folder_ / "mixture"));
  ASSERT_OK_AND_ASSIGN(const auto native, Native(folder_ / "mixture"));
  ASSERT_OK_AND_ASSIGN(const auto base, Native(""));
  for (std::size_t s = 0; s < sequences_.size(); ++s) {
    EXPECT_LE(LargestDifference(torch[s], native[s]), kTolerance) << "sequence " << s;
    EXPECT_GT(LargestDifference(base[s], native[s]), 0.1) << "sequence " << s;
  }
}

}  // namespace
}  // namespace metier::train
