// The network computes the function of its ModelSpec, and its gradients are those of that function.
#include "train/network.h"

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "model/family.h"
#include "model/model_files.h"
#include "support/fixtures.h"
#include "train/optimizer.h"
#include "unit/train/device.h"
#include "unit/train/gradients.h"

namespace metier::train {
namespace {

using model::ModelSpec;

model::ParameterReader Random(const ModelSpec& spec, double scale = 0.1) {
  return [spec, scale](const std::string& name) {
    return model::RandomParameter(spec, name, 11, scale);
  };
}

Result<Network> TinyNetwork(const ModelSpec& spec, Training training = Training::kAll,
                            at::Device device = TestDevice()) {
  NetworkOptions options;
  options.device = device;
  options.precision = {at::kDouble, at::kDouble};
  options.training = training;
  return Network::Create(spec, options, Random(spec));
}

std::vector<std::int32_t> Tokens(std::int64_t count, std::int64_t vocab, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<std::int32_t>(rng.Below(static_cast<std::uint64_t>(vocab))));
  return tokens;
}

// A scalar of the network that every parameter moves: the loss, or of an encoder a fixed weighing
// of its hidden states.
at::Tensor Objective(const Network& network, const Batch& batch, std::uint64_t key = 0) {
  if (network.spec().head) return network.Loss(batch, 0.25, {.key = key});
  const at::Tensor hidden = network.Hidden(batch);
  const at::Tensor weights =
      at::arange(hidden.numel(), hidden.options().requires_grad(false)).mul(0.37).sin();
  return (hidden.flatten() * weights).sum();
}

// Gradients of the objective, by name; nobody's are left behind.
std::map<std::string, at::Tensor> Gradients(const Network& network, const Batch& batch) {
  std::map<std::string, at::Tensor> found;
  Objective(network, batch).backward();
  for (const Trainable& trainable : network.Trainables()) {
    found[trainable.name] = trainable.value.grad();
    trainable.value.mutable_grad().reset();
  }
  return found;
}

// Linears that PEFT calls "all": every one but the head.
std::size_t LinearsOf(const ModelSpec& spec) {
  std::size_t count = 0;
  for (const model::LinearModule& module : model::LinearModules(spec))
    count += module.parts.front().linear == "head" ? 0 : 1;
  return count;
}

// What modules_to_save can name.
std::vector<std::string> WholePaths(const ModelSpec& spec) {
  std::vector<std::string> paths;
  for (const model::WholeModule& module : model::WholeModules(spec)) paths.push_back(module.path);
  return paths;
}

std::string FamilyName(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

std::vector<std::string> FamilyNames() {
  std::vector<std::string> names;
  for (const model::Family* family : model::Families()) names.emplace_back(family->name);
  return names;
}

class EveryFamily : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto family = model::FindFamily(GetParam());
    ASSERT_OK(family);
    spec_ = (*family)->tiny();
  }
  ModelSpec spec_;
};
INSTANTIATE_TEST_SUITE_P(Families, EveryFamily, ::testing::ValuesIn(FamilyNames()), FamilyName);

void CheckGradients(const Network& network, const Batch& batch, std::uint64_t key = 0) {
  CheckGradients(network.Trainables(), [&] { return Objective(network, batch, key); });
}

TEST_P(EveryFamily, GradientsAreThoseOfTheFunction) {
  ASSERT_OK_AND_ASSIGN(const Network network, TinyNetwork(spec_));
  const Batch batch =
      MakeBatch({Tokens(9, spec_.vocab, 1), Tokens(14, spec_.vocab, 2)}, {}, TestDevice());
  CheckGradients(network, batch);
}

// In training embeddings move and targets are smoothed, the same each time for a key.
TEST_P(EveryFamily, GradientsWithNoiseAndSmoothingAreThoseOfTheFunction) {
  if (!spec_.head) return;
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = {at::kDouble, at::kDouble};
  options.noise = 5;
  options.smoothing = 0.1;
  ASSERT_OK_AND_ASSIGN(const Network network, Network::Create(spec_, options, Random(spec_)));
  const Batch batch =
      MakeBatch({Tokens(9, spec_.vocab, 1), Tokens(14, spec_.vocab, 2)}, {}, TestDevice());
  const double plain = network.Loss(batch, 0.25).item<double>();
  const double noisy = network.Loss(batch, 0.25, {.key = 77}).item<double>();
  EXPECT_NE(noisy, plain);
  EXPECT_NE(network.Loss(batch, 0.25, {.key = 78}).item<double>(), noisy);
  EXPECT_EQ(network.Loss(batch, 0.25, {.key = 77}).item<double>(), noisy);
  CheckGradients(network, batch, /*key=*/77);
}

TEST_P(EveryFamily, AdapterGradientsAreThoseOfTheFunctionAndTheBaseGetsNone) {
  ASSERT_OK_AND_ASSIGN(Network network, TinyNetwork(spec_, Training::kFrozen));
  recipe::LoraConfig config;
  config.rank = 3;
  config.rslora = true;
  config.modules_to_save = WholePaths(spec_);
  ASSERT_OK_AND_ASSIGN(LoraSet lora,
                       LoraSet::Create(spec_, config, 5, at::kDouble, TestDevice(), Random(spec_)));
  for (const LoraModule& module : lora.modules()) {  // B starts at zero, which hides A's gradient
    const torch::NoGradGuard no_grad;
    module.b.copy_(at::arange(module.b.numel(), module.b.options().requires_grad(false))
                       .mul(0.7)
                       .sin()
                       .mul(0.1)
                       .view(module.b.sizes()));
  }
  network.SetLora(std::move(lora));
  const Batch batch = MakeBatch({Tokens(12, spec_.vocab, 1)}, {}, TestDevice());
  CheckGradients(network, batch);
}

TEST_P(EveryFamily, PackedSequencesDoNotSeeEachOther) {
  ASSERT_OK_AND_ASSIGN(const Network network, TinyNetwork(spec_));
  const std::vector<std::vector<std::int32_t>> sequences = {
      Tokens(7, spec_.vocab, 1), Tokens(40, spec_.vocab, 2), Tokens(1, spec_.vocab, 3)};
  const at::Tensor packed = network.Hidden(MakeBatch(sequences, {}, TestDevice()));
  std::int64_t first = 0;
  for (const auto& sequence : sequences) {
    const at::Tensor alone = network.Hidden(MakeBatch({sequence}, {}, TestDevice()));
    const auto length = static_cast<std::int64_t>(sequence.size());
    EXPECT_LT((packed.narrow(0, first, length) - alone).abs().max().item<double>(), 1e-12);
    first += length;
  }
}

TEST_P(EveryFamily, SomeRowsAreTheRowsOfAll) {
  ASSERT_OK_AND_ASSIGN(const Network network, TinyNetwork(spec_));
  const Batch batch =
      MakeBatch({Tokens(9, spec_.vocab, 1), Tokens(14, spec_.vocab, 2)}, {}, TestDevice());
  const at::Tensor rows = torch::tensor({20, 3, 4, 9}, at::kLong).to(TestDevice());
  const at::Tensor some = network.Hidden(batch, {.rows = rows});
  // The same sums, in products of other sizes.
  const at::Tensor all = network.Hidden(batch).index_select(0, rows);
  ASSERT_EQ(some.sizes(), all.sizes());
  EXPECT_LT((some - all).abs().max().item<double>(), 1e-12);
}

// The fused operations of the CPU against the others where the tests compute. `make`: the same
// network on a device.
template <class Make>
void ExpectFusedAndReferenceAgree(const model::ModelSpec& spec, Make&& make) {
  std::vector<std::vector<std::int32_t>> sequences;  // alone in their class of lengths, and padded
  for (const std::int64_t length : {spec.max_positions, std::int64_t{5}, spec.max_positions - 7,
                                    std::int64_t{12}, std::int64_t{1}})
    sequences.push_back(Tokens(length, spec.vocab, static_cast<std::uint64_t>(length)));
  ASSERT_OK_AND_ASSIGN(const Network network, make(at::Device(at::kCPU)));
  const Batch batch = MakeBatch(sequences, {}, at::kCPU);
  const at::Tensor fused = network.Hidden(batch).detach();
  const std::map<std::string, at::Tensor> fused_gradients = Gradients(network, batch);
  ASSERT_OK_AND_ASSIGN(const Network other_network, make(TestDevice()));
  const Batch other_batch = MakeBatch(sequences, {}, TestDevice());
  const ReferenceOps guard;
  const at::Tensor reference = other_network.Hidden(other_batch).detach().to(at::kCPU);
  // Two orders of summation in double over at most a few thousand terms of size 1.
  EXPECT_LT((fused - reference).abs().max().item<double>(), 1e-10);
  for (const auto& [name, found] : Gradients(other_network, other_batch)) {
    const at::Tensor& other = fused_gradients.at(name);
    ASSERT_EQ(found.defined(), other.defined()) << name;
    if (!found.defined()) continue;
    const at::Tensor gradient = found.to(at::kCPU);
    const double size = std::max(1.0, gradient.abs().max().item<double>());
    EXPECT_LT((gradient - other).abs().max().item<double>(), 1e-10 * size) << name;
  }
}

TEST_P(EveryFamily, FusedAndReferenceOperationsAgree) {
  ExpectFusedAndReferenceAgree(
      spec_, [&](at::Device device) { return TinyNetwork(spec_, Training::kAll, device); });
}

// Ranks that differ from module to module, so that what is fused has blocks of its own.
TEST_P(EveryFamily, FusedAndReferenceAdaptersAgree) {
  ExpectFusedAndReferenceAgree(spec_, [&](at::Device device) -> Result<Network> {
    METIER_ASSIGN(Network network, TinyNetwork(spec_, Training::kFrozen, device));
    recipe::LoraConfig config;
    config.rank = 9;
    for (const char* narrow : {"k_proj", "key", "gate_proj", "fc1"})
      config.rank_pattern[narrow] = 2;
    METIER_ASSIGN(LoraSet lora, LoraSet::Create(spec_, config, 5, at::kDouble, device));
    const torch::NoGradGuard no_grad;
    double next = 0;
    for (const LoraModule& module : lora.modules()) {
      const at::Tensor values =
          at::arange(module.b.numel(), at::kDouble).add(++next).sin().mul(0.2);
      module.b.copy_(values.view(module.b.sizes()));
    }
    network.SetLora(std::move(lora));
    return network;
  });
}

// A run goes on elsewhere with the masks it had.
TEST(Dropout, DrawsTheSameMasksInFusedAndReferenceOperations) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const at::Tensor in = at::arange(1, 50001, at::kDouble).sin().view({-1, 100}).to(type);
    for (const std::uint64_t key : {std::uint64_t{1}, ~std::uint64_t{2}}) {
      const at::Tensor fused = Dropout(in, 0.3, key);
      const ReferenceOps guard;
      const at::Tensor reference = Dropout(in.to(TestDevice()), 0.3, key);
      EXPECT_TRUE(fused.equal(reference.to(at::kCPU))) << at::toString(type) << " " << key;
    }
  }
}

// Filled up to a multiple, a batch reads and predicts more; the loss does not see it.
TEST_P(EveryFamily, FillingChangesNeitherLossNorGradients) {
  if (!spec_.head) return;  // an encoder has no predictions to fill
  ASSERT_OK_AND_ASSIGN(const Network network, TinyNetwork(spec_));
  const std::vector<std::int32_t> sequence = Tokens(11, spec_.vocab, 1);
  const auto build = [&sequence](std::int64_t multiple) {
    BatchBuilder builder;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      builder.Add(sequence[i],
                  i % 3 == 1 ? BatchBuilder::Role::kPredicted : BatchBuilder::Role::kRead);
    }
    builder.EndSequence();
    return std::move(builder).Build(TestDevice(), multiple);
  };
  const Batch plain = build(1);
  const Batch filled = build(8);
  EXPECT_EQ(plain.tokens.numel(), 11);
  EXPECT_EQ(plain.targets.numel(), 4);
  EXPECT_EQ(filled.tokens.numel(), 16);
  EXPECT_EQ(filled.targets.numel(), 8);
  EXPECT_EQ(filled.read, 11);
  EXPECT_EQ(filled.counted, 4);
  const double loss = Objective(network, plain).item<double>();
  EXPECT_NEAR(Objective(network, filled).item<double>(), loss, 1e-12 * std::max(1.0, loss));
  const std::map<std::string, at::Tensor> expected = Gradients(network, plain);
  for (const auto& [name, gradient] : Gradients(network, filled)) {
    const at::Tensor& other = expected.at(name);
    ASSERT_EQ(gradient.defined(), other.defined()) << name;
    if (!gradient.defined()) continue;
    // Sums over 16 tokens instead of 11, in double.
    const double size = std::max(1.0, other.abs().max().item<double>());
    EXPECT_LT((gradient - other).abs().max().item<double>(), 1e-12 * size) << name;
  }
}

// Sequences' log-probabilities, each with a weight of its own: the gradient that preferences need.
TEST_P(EveryFamily, LogProbsAreTheLossRowByRow) {
  if (!spec_.head) return;
  const Batch batch =
      MakeBatch({Tokens(9, spec_.vocab, 1), Tokens(14, spec_.vocab, 2)}, {}, TestDevice());
  for (const Training training : {Training::kAll, Training::kFrozen}) {
    ASSERT_OK_AND_ASSIGN(Network network, TinyNetwork(spec_, training));
    if (training == Training::kFrozen) {
      recipe::LoraConfig config;
      config.rank = 2;
      ASSERT_OK_AND_ASSIGN(LoraSet lora,
                           LoraSet::Create(spec_, config, 5, at::kDouble, TestDevice()));
      network.SetLora(std::move(lora));
    }
    const at::Tensor log_probs = network.LogProbs(batch);
    EXPECT_NEAR(-0.25 * log_probs.sum().item<double>(), Objective(network, batch).item<double>(),
                1e-12 * static_cast<double>(log_probs.numel()));
    const at::Tensor weights =
        at::arange(log_probs.numel(), log_probs.options().requires_grad(false)).mul(0.9).sin();
    (log_probs * weights).sum().backward();
    const auto trainables = network.Trainables();
    std::vector<at::Tensor> found;
    for (const Trainable& trainable : trainables) {
      found.push_back(trainable.value.grad());
      trainable.value.mutable_grad().reset();
    }
    // The same from all logits at once.
    const at::Tensor logits = network.Logits(batch).index_select(0, batch.predicting);
    const at::Tensor expected =
        at::log_softmax(logits, -1).gather(1, batch.targets.unsqueeze(1)).squeeze(1);
    (expected * weights).sum().backward();
    for (std::size_t i = 0; i < trainables.size(); ++i) {
      const at::Tensor other = trainables[i].value.grad();
      ASSERT_EQ(found[i].defined(), other.defined()) << trainables[i].name;
      if (!other.defined()) continue;
      EXPECT_LT((found[i] - other).abs().max().item<double>(),
                1e-11 * std::max(1.0, other.abs().max().item<double>()))
          << trainables[i].name;
    }
  }
}

TEST_P(EveryFamily, OptimiserMovesEveryAdapterAndNotOneBitOfTheBase) {
  NetworkOptions options;
  options.device = TestDevice();
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(spec_, options, Random(spec_)));
  recipe::TrainConfig config;
  config.lora = recipe::LoraConfig{};
  config.lora->rank = 2;
  config.lora->modules_to_save = WholePaths(spec_);
  ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec_, *config.lora, 5, at::kFloat,
                                                     TestDevice(), Random(spec_)));
  EXPECT_EQ(lora.modules().size(), LinearsOf(spec_));
  network.SetLora(std::move(lora));
  Optimizer optimizer(network.Trainables(), config);
  std::vector<at::Tensor> before;
  for (const Trainable& adapter : optimizer.trainables()) {
    EXPECT_EQ(adapter.rate == Rate::kLoraB, adapter.name.ends_with(".lora_B.weight"));
    EXPECT_EQ(adapter.rate == Rate::kEmbedding, adapter.name.find("lora") == std::string::npos);
    before.push_back(adapter.value.detach().clone());
  }
  // Long enough that every expert gets a token.
  const Batch batch = MakeBatch(
      {Tokens(spec_.max_positions, spec_.vocab, 1), Tokens(spec_.max_positions, spec_.vocab, 2)},
      {}, TestDevice());
  for (int step = 1; step <= 3; ++step) {  // A moves once B has left zero
    Objective(network, batch).backward();
    optimizer.Step(step, 1e-2, 1);
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Trainable& adapter = optimizer.trainables()[i];
    EXPECT_FALSE(adapter.value.detach().equal(before[i])) << adapter.name;
  }
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor now, network.ReadParameter(parameter.name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor was, Random(spec_)(parameter.name));
    EXPECT_TRUE(std::ranges::equal(now.bytes(), was.bytes())) << parameter.name;
  }
}

TEST(Lora, SavesAndLoadsAsPeft) {
  ASSERT_OK_AND_ASSIGN(const model::Family* family, model::FindFamily("gpt2"));
  const ModelSpec spec = family->tiny();
  recipe::LoraConfig config;
  config.rank = 4;
  config.target_modules = {"c_attn", "c_fc"};
  config.rank_pattern = {{"c_fc", 2}};
  config.alpha_pattern = {{"c_fc", 5}};
  ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec, config, 5, at::kDouble, TestDevice()));
  for (const LoraModule& module : lora.modules()) {
    const torch::NoGradGuard no_grad;
    module.b.fill_(0.25);  // exact in F32
  }
  const test::TempFolder folder;
  ASSERT_OK(lora.Save(folder / "adapter", "base"));
  ASSERT_OK_AND_ASSIGN(LoraSet loaded,
                       LoraSet::Load(spec, folder / "adapter", at::kDouble, TestDevice()));
  const Batch batch = MakeBatch({Tokens(12, spec.vocab, 1)}, {}, TestDevice());
  ASSERT_OK_AND_ASSIGN(Network network, TinyNetwork(spec, Training::kFrozen));
  const at::Tensor base = network.Logits(batch);
  network.SetLora(std::move(lora));
  const at::Tensor before = network.Logits(batch);
  network.SetLora(std::move(loaded));
  EXPECT_TRUE(network.Logits(batch).equal(before));
  EXPECT_FALSE(before.equal(base));
}

TEST(Lora, SavesAndLoadsAWeightThatIsTiedAsOne) {
  ASSERT_OK_AND_ASSIGN(const model::Family* family, model::FindFamily("gpt2"));
  ModelSpec spec = family->tiny();
  const test::TempFolder folder;
  for (const bool tied : {true, false}) {
    spec.tied_head = tied;
    recipe::LoraConfig config;
    config.modules_to_save = {"lm_head"};
    ASSERT_OK_AND_ASSIGN(LoraSet lora,
                         LoraSet::Create(spec, config, 5, at::kFloat, TestDevice(), Random(spec)));
    ASSERT_EQ(lora.saved().size(), 1U);
    EXPECT_EQ(lora.saved()[0].modules.size(), tied ? 2U : 1U);
    {
      const torch::NoGradGuard no_grad;
      lora.saved()[0].value.add_(0.5);
    }
    const std::string adapter = folder / (tied ? "tied" : "untied");
    ASSERT_OK(lora.Save(adapter, "base"));
    ASSERT_OK_AND_ASSIGN(const format::PeftAdapter peft, format::OpenPeftAdapter(adapter));
    EXPECT_EQ(peft.saved.size(), tied ? 2U : 1U);
    EXPECT_EQ(peft.config.ensure_weight_tying, tied);
    ASSERT_OK_AND_ASSIGN(const LoraSet loaded,
                         LoraSet::Load(spec, adapter, at::kFloat, TestDevice()));
    ASSERT_EQ(loaded.saved().size(), 1U);
    EXPECT_EQ(loaded.saved()[0].modules.size(), tied ? 2U : 1U);
    EXPECT_TRUE(loaded.saved()[0].value.equal(lora.saved()[0].value));
  }
}

TEST(Lora, ContinuesWhatTheConfigurationDescribes) {
  ASSERT_OK_AND_ASSIGN(const model::Family* family, model::FindFamily("gpt2"));
  const ModelSpec spec = family->tiny();
  recipe::LoraConfig config;
  config.rank = 4;
  config.modules_to_save = {"lm_head"};
  const test::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(const LoraSet first,
                       LoraSet::Create(spec, config, 5, at::kFloat, TestDevice(), Random(spec)));
  ASSERT_OK(first.Save(folder.path(), "base"));
  const auto again = [&](const recipe::LoraConfig& asked) {
    return LoraSet::Continue(spec, asked, folder.path(), at::kFloat, TestDevice());
  };
  recipe::LoraConfig other = config;
  other.dropout = 0.25;
  ASSERT_OK_AND_ASSIGN(const LoraSet next, again(other));
  EXPECT_EQ(next.dropout(), 0.25);
  EXPECT_TRUE(next.modules()[0].a.equal(first.modules()[0].a));

  other = config;
  other.rank = 8;
  EXPECT_ERROR(again(other), ErrorCode::kInvalidArgument,
               "rank 4, scale 8, the configuration asks for rank 8");
  other = config;
  other.alpha = 16;
  EXPECT_ERROR(again(other), ErrorCode::kInvalidArgument, "asks for rank 4, scale 4");
  other = config;
  other.target_modules = {"c_fc"};
  EXPECT_ERROR(again(other), ErrorCode::kInvalidArgument, "asks for nothing");
  other = config;
  other.modules_to_save.clear();
  EXPECT_ERROR(again(other), ErrorCode::kInvalidArgument, "a weight of its own");
}

class Fixture : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, Fixture,
                         ::testing::Values("bert", "bloom", "gemma", "gpt2", "llama",
                                           "llama_rope_linear", "llama_rope_llama3", "mixtral",
                                           "qwen2", "qwen3", "smallthinker"),
                         FamilyName);

TEST_P(Fixture, EqualsTheReference) {
  METIER_NEEDS_SHARED(shared);
  const std::string fixture = shared + "/fixtures/models/" + GetParam();
  const test::TempFolder folder;
  test::UnpackTarZstd(fixture + "/model.tar.zst", folder.path());
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(folder / "hf"));
  NetworkOptions options;
  options.device = TestDevice();
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(const Network network,
                       Network::Create(files.spec(), options, [&](const std::string& name) {
                         return files.LoadF32(name);
                       }));
  ASSERT_OK_AND_ASSIGN(const Json tokens, ReadJsonFile(fixture + "/tokens.json"));
  for (const std::string name : {"seq17", "seq64"}) {
    const auto ids = tokens[name].get<std::vector<std::int32_t>>();
    const Batch batch = MakeBatch({ids}, {}, TestDevice());
    const bool decoder = files.spec().head;
    const at::Tensor ours = (decoder ? network.Logits(batch) : network.Hidden(batch)).to(at::kCPU);
    const std::vector<float> expected =
        test::ReadF32(fixture + "/" + name + (decoder ? ".ref_f32.bin" : ".ref_none_f32.bin"));
    ASSERT_EQ(static_cast<std::int64_t>(expected.size()), ours.numel());
    const at::Tensor reference = torch::tensor(expected).view(ours.sizes());
    EXPECT_LT((ours - reference).abs().max().item<double>(), 1e-4) << name;
  }
}

}  // namespace
}  // namespace metier::train
