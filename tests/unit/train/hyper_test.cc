// Hypernetworks that write adapters for descriptions of tasks (hyper).
#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "model/adapter_files.h"
#include "model/family.h"
#include "model/hyper_files.h"
#include "support/differences.h"
#include "train/hyper_tasks.h"
#include "train/hypernetwork.h"
#include "train/network.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomParameterOf;
using engine::test::RandomTokens;

recipe::HyperConfig SmallHyper() {
  recipe::HyperConfig config;
  config.rank = 2;
  config.latent_size = 8;
  config.blocks = 1;
  return config;
}

// Heads and what tasks have in common away from where they begin.
void MoveHyper(const Hypernetwork& hypernetwork, double heads = 2) {
  const torch::NoGradGuard no_grad;
  for (const Trainable& trainable : hypernetwork.Trainables()) {
    const at::Tensor wave =
        at::arange(trainable.value.numel(), trainable.value.options().requires_grad(false))
            .mul(0.7)
            .sin()
            .view(trainable.value.sizes());
    trainable.value.add_(wave, trainable.name.starts_with("heads.") ? heads : 0.1);
  }
}

class HyperOfEveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override { spec_ = engine::test::TinySpec(*GetParam()); }

  Result<Network> Frozen(at::ScalarType real) const {
    NetworkOptions options;
    options.device = TestDevice();
    options.precision = {real, real};
    options.training = Training::kFrozen;
    return Network::Create(
        spec_, options, [this](const std::string& name) { return RandomParameterOf(spec_, name); });
  }
  Result<Hypernetwork> Small(at::ScalarType real) const {
    return Hypernetwork::Create(spec_, SmallHyper(), 3, real, TestDevice());
  }
  Batch Texts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, TestDevice());
  }
  std::vector<std::int64_t> Words(std::uint64_t seed) const {
    const std::vector<model::TokenId> tokens = RandomTokens(spec_, 7, seed);
    return {tokens.begin(), tokens.end()};
  }
  at::Tensor Compute(const Network& network) const {
    const torch::NoGradGuard no_grad;
    return spec_.head ? network.Logits(Texts()) : network.Hidden(Texts());
  }
  at::Tensor Scalar(const Network& network) const {
    if (spec_.head) return network.Loss(Texts(), 0.25);
    const at::Tensor hidden = network.Hidden(Texts());
    return (hidden.flatten() *
            at::arange(hidden.numel(), hidden.options().requires_grad(false)).mul(0.37).sin())
        .sum();
  }

  model::ModelSpec spec_;
};
INSTANTIATE_TEST_SUITE_P(Families, HyperOfEveryFamily, ::testing::ValuesIn(model::Families()),
                         engine::test::FamilyName);

// Of every parameter, the heads' among them: through the written A and B and the frozen network.
TEST_P(HyperOfEveryFamily, GradientsAreThoseOfTheFunction) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kDouble));
  ASSERT_OK_AND_ASSIGN(const at::Tensor read, ReadDescription(network, Words(5)));
  ASSERT_OK_AND_ASSIGN(Hypernetwork hypernetwork, Small(at::kDouble));
  hypernetwork.Standardise(at::stack({read, read * 0.5 + 0.1}));
  MoveHyper(hypernetwork, /*heads=*/0.2);  // nearly straight within a step of the differences
  CheckGradients(hypernetwork.Trainables(), [&] {
    network.SetLora(hypernetwork.AdapterFor(read));
    return Scalar(network) + MeanSquare(network.lora()) * 0.5;
  });
}

TEST_P(HyperOfEveryFamily, BeginsAsTheBaseToTheBit) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  ASSERT_OK_AND_ASSIGN(const at::Tensor read, ReadDescription(network, Words(5)));
  ASSERT_OK_AND_ASSIGN(const Hypernetwork hypernetwork, Small(at::kFloat));
  const at::Tensor base = Compute(network);
  network.SetLora(hypernetwork.AdapterFor(read));
  ASSERT_FALSE(network.lora().empty());
  EXPECT_TRUE(Compute(network).equal(base));
  MoveHyper(hypernetwork);
  network.SetLora(hypernetwork.AdapterFor(read));
  EXPECT_GT((Compute(network) - base).abs().max().item<double>(), 1e-3);
}

TEST_P(HyperOfEveryFamily, IsSavedAndLoadedToTheBit) {
  ASSERT_OK_AND_ASSIGN(Hypernetwork hypernetwork, Small(at::kFloat));
  ASSERT_OK_AND_ASSIGN(const Network network, Frozen(at::kFloat));
  ASSERT_OK_AND_ASSIGN(const at::Tensor read, ReadDescription(network, Words(5)));
  ASSERT_OK_AND_ASSIGN(const at::Tensor other, ReadDescription(network, Words(6)));
  hypernetwork.Standardise(at::stack({read, other}));
  MoveHyper(hypernetwork);
  const test::TempFolder folder;
  ASSERT_OK(hypernetwork.Save(folder.path(), "base", std::string(64, 'a'), true));
  ASSERT_OK_AND_ASSIGN(const Hypernetwork loaded,
                       Hypernetwork::Load(spec_, folder.path(), at::kFloat, TestDevice()));
  EXPECT_EQ(loaded.config().base_model, "base");
  EXPECT_EQ(loaded.config().base_hash, std::string(64, 'a'));
  EXPECT_TRUE(loaded.config().bf16);
  ASSERT_EQ(loaded.Trainables().size(), hypernetwork.Trainables().size());
  for (std::size_t i = 0; i < loaded.Trainables().size(); ++i) {
    EXPECT_EQ(loaded.Trainables()[i].name, hypernetwork.Trainables()[i].name);
    EXPECT_TRUE(loaded.Trainables()[i].value.equal(hypernetwork.Trainables()[i].value));
  }
  const LoraSet ours = hypernetwork.AdapterFor(read);
  const LoraSet theirs = loaded.AdapterFor(read);
  const LoraSet apart = loaded.AdapterFor(other);
  bool differ = false;
  for (std::size_t m = 0; m < ours.modules().size(); ++m) {
    EXPECT_TRUE(ours.modules()[m].a.equal(theirs.modules()[m].a));
    EXPECT_TRUE(ours.modules()[m].b.equal(theirs.modules()[m].b));
    differ = differ || !apart.modules()[m].b.equal(theirs.modules()[m].b);
  }
  EXPECT_TRUE(differ) << "two descriptions, one adapter";
}

// What is written is a plain adapter to everyone: the same logits from its file, in both executors.
TEST_P(HyperOfEveryFamily, ItsAdaptersAreReadByBothExecutors) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  ASSERT_OK_AND_ASSIGN(const at::Tensor read, ReadDescription(network, Words(5)));
  ASSERT_OK_AND_ASSIGN(const Hypernetwork hypernetwork, Small(at::kFloat));
  MoveHyper(hypernetwork);
  const at::Tensor base = Compute(network);
  network.SetLora(hypernetwork.AdapterFor(read));
  const at::Tensor written = Compute(network);
  EXPECT_GT((written - base).abs().max().item<double>(), 0.05);
  const test::TempFolder folder;
  ASSERT_OK(network.lora().Save(folder.path(), "base"));
  ASSERT_OK_AND_ASSIGN(LoraSet loaded,
                       LoraSet::Load(spec_, folder.path(), at::kFloat, TestDevice()));
  network.SetLora(std::move(loaded));
  EXPECT_TRUE(Compute(network).equal(written));

  engine::NativeBackend backend(engine::test::RandomModel(spec_), {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const model::AdapterFiles files, model::OpenAdapter(spec_, folder.path()));
  ASSERT_OK_AND_ASSIGN(const model::AdapterId id, model::AddAdapter(backend, files));
  const std::vector<float> native =
      engine::test::RunWhole(backend, RandomTokens(spec_, 9, 1), {}, id);
  const at::Tensor first = written.to(at::kCPU).narrow(0, 0, 9).contiguous();
  const auto* values = first.data_ptr<float>();
  EXPECT_LE(test::LargestDifference(native, {values, values + first.numel()}), 1e-3);
}

// The config of a hypernetwork with one byte changed, or cut off anywhere, is refused or is within
// its bounds; it is never more than an error.
TEST(HyperConfig, SurvivesAnyByte) {
  const test::TempFolder folder;
  model::HyperFiles files;
  files.base_model = "base";
  files.base_hash = std::string(64, 'f');
  files.rank = 8;
  files.alpha = 16;
  files.target_modules = {"q_proj", "v_proj"};
  files.latent_size = 64;
  files.blocks = 2;
  ASSERT_OK(model::WriteHyper(folder.path(), files));
  ASSERT_OK_AND_ASSIGN(const model::HyperFiles same, model::OpenHyper(folder.path()));
  EXPECT_EQ(same, files);
  const std::string text = ReadAll(folder / "hyper_config.json");
  std::size_t refused = 0;
  const auto read = [&](const std::string& changed) {
    WriteAll(folder / "hyper_config.json", changed);
    const auto found = model::OpenHyper(folder.path());
    if (!found.ok()) {
      ++refused;
      EXPECT_EQ(found.error().code(), ErrorCode::kDataCorrupt) << changed;
      return;
    }
    EXPECT_TRUE(found->rank >= 1 && found->rank <= 4096 && found->alpha > 0 &&
                std::isfinite(found->alpha) && found->latent_size >= 4 &&
                found->latent_size <= 65536 && found->latent_size % 4 == 0 && found->blocks >= 0 &&
                found->blocks <= 64 && found->base_hash.size() == 64)
        << changed;
  };
  for (std::size_t cut = 0; cut + 2 < text.size(); ++cut) read(text.substr(0, cut));
  EXPECT_EQ(refused, text.size() - 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const char byte : {'\0', '"', '-', '9', '}', ',', 'e', '\xff'}) {
      std::string changed = text;
      changed[i] = byte;
      read(changed);
    }
  }
  const std::pair<const char*, Json> wrong[] = {{"rank", 0},
                                                {"rank", 4097},
                                                {"rank", 1e30},
                                                {"rank", "8"},
                                                {"alpha", 0},
                                                {"alpha", "x"},
                                                {"latent_size", 66},
                                                {"latent_size", 1 << 20},
                                                {"blocks", -1},
                                                {"blocks", 65},
                                                {"target_modules", Json::array()},
                                                {"target_modules", {1}},
                                                {"base_hash", "f00"},
                                                {"base_hash", std::string(64, 'G')},
                                                {"dtype", "float8"},
                                                {"version", 2},
                                                {"format", "metier-svf"},
                                                {"rank", 18446744073709551615ULL}};
  for (const auto& [key, value] : wrong) {
    Json changed = ParseJson(text).value();
    changed[key] = value;
    WriteAll(folder / "hyper_config.json", DumpCompact(changed));
    EXPECT_ERROR(model::OpenHyper(folder.path()), ErrorCode::kDataCorrupt, "expected");
    changed.erase(key);
    WriteAll(folder / "hyper_config.json", DumpCompact(changed));
    EXPECT_ERROR(model::OpenHyper(folder.path()), ErrorCode::kDataCorrupt, "expected");
  }
}

TEST(HyperConfig, RefusesRunsThatMakeNoSense) {
  const Json task = {{"name", "a"}, {"descriptions", {"Do a."}}, {"file", "a.safetensors"}};
  const Json good = {
      {"model", "m"}, {"output_dir", "out"}, {"hyper", {{"tasks", Json::array({task})}}}};
  ASSERT_OK(recipe::ParseTrainConfig(good));
  const auto refused = [&](const std::string& place, const Json& value, const std::string& why) {
    Json config = good;
    config[Json::json_pointer(place)] = value;
    SCOPED_TRACE(place);
    EXPECT_ERROR(recipe::ParseTrainConfig(config), ErrorCode::kDataCorrupt, why);
  };
  refused("/hyper/tasks", Json::array(), "found an empty list");
  refused("/hyper/tasks/1", task, "two of the name 'a'");
  refused("/hyper/tasks/0/descriptions", Json::array(), "found none, expected at least one");
  refused("/hyper/tasks/0/descriptions/1", " \n", "found a blank one");
  refused("/hyper/tasks/0/description_ids", {{1}, {2}}, "2 lists of ids for 1 descriptions");
  refused("/hyper/tasks/0/description_ids", Json::array({Json::array()}), "without an id");
  refused("/hyper/tasks/0/file", "", "expected 'file' and no 'adapter' in mode sft");
  refused("/hyper/tasks/0/adapter", "a", "expected 'file' and no 'adapter' in mode sft");
  refused("/hyper/mode", "reconstruction", "expected 'adapter' and no 'file'");
  refused("/hyper/latent_size", 6, "a multiple of 4");
  refused("/hyper/blocks", 65, "blocks");
  refused("/train_file", "t", "found with 'train_file'");
  refused("/lora", Json::object(), "found with 'lora'");
  refused("/svf", Json::object(), "found with 'svf'");
  refused("/ewc", {{"file", "t"}}, "found with 'ewc'");
  refused("/distill", {{"teacher", "t"}}, "found with 'distill'");
  refused("/average_checkpoints", 2, "found with 'average_checkpoints'");
  refused("/stage", "dpo", "found in stage dpo");
  refused("/embedding_learning_rate", 1e-3, "embedding_learning_rate");
}

}  // namespace
}  // namespace metier::train
