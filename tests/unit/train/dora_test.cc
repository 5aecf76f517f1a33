// DoRA: lengths and directions of weights' rows that learn apart (lora.use_dora).
#include <algorithm>
#include <map>

#include "model/adapter_files.h"
#include "model/family.h"
#include "model/merge.h"
#include "train/lora.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomParameterOf;
using engine::test::RandomTokens;

model::ParameterReader WeightsOf(const model::ModelSpec& spec) {
  return [spec](const std::string& name) { return RandomParameterOf(spec, name); };
}

Result<Network> DoraNetwork(const model::ModelSpec& spec, at::ScalarType real) {
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = {real, real};
  options.training = Training::kFrozen;
  return Network::Create(spec, options, WeightsOf(spec));
}

recipe::LoraConfig DoraConfig() {
  recipe::LoraConfig config;
  config.rank = 3;
  config.use_dora = true;
  return config;
}

// B and magnitudes away from where they begin.
void Perturb(const LoraSet& lora) {
  const torch::NoGradGuard no_grad;
  const auto wave = [](const at::Tensor& like) {
    return at::arange(like.numel(), like.options().requires_grad(false))
        .mul(0.7)
        .sin()
        .view(like.sizes());
  };
  for (const LoraModule& module : lora.modules()) {
    module.b.copy_(wave(module.b) * 0.1);
    module.magnitude.mul_(1 + 0.2 * wave(module.magnitude));
  }
}

at::Tensor DoraScalar(const Network& network, const Batch& batch, std::uint64_t key) {
  if (network.spec().head) return network.Loss(batch, 0.25, {.key = key});
  const at::Tensor hidden = network.Hidden(batch, {.key = key});
  return (hidden.flatten() *
          at::arange(hidden.numel(), hidden.options().requires_grad(false)).mul(0.37).sin())
      .sum();
}

// |W + s B A| of a module's rows, from the weights themselves; double [out].
at::Tensor LengthsOf(const model::ModelSpec& spec, const LoraModule& lora) {
  const at::Tensor lengths = at::zeros({lora.module.out}, at::kDouble);
  const at::Tensor a = lora.a.detach().to(at::kCPU, at::kDouble);
  const at::Tensor b = lora.b.detach().to(at::kCPU, at::kDouble);
  for (const auto& part : lora.module.parts) {
    const tensor::Tensor stored = RandomParameterOf(spec, part.linear + ".weight").value();
    const std::int64_t run = part.rows.run == 0 ? part.out : part.rows.run;
    for (std::int64_t i = 0; i < part.out; ++i) {
      const std::int64_t row = part.rows.first + i / run * part.rows.stride + i % run;
      at::Tensor sum = lora.scale * at::matmul(b[row], a);
      for (std::int64_t j = 0; j < lora.module.in; ++j)
        sum[j] +=
            static_cast<double>(stored.f32()[static_cast<std::size_t>(i * lora.module.in + j)]);
      lengths[row] = sum.norm();
    }
  }
  return lengths;
}

class DoraOfEveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override { spec_ = engine::test::TinySpec(*GetParam()); }

  Batch Texts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, TestDevice());
  }

  model::ModelSpec spec_;
};
INSTANTIATE_TEST_SUITE_P(Families, DoraOfEveryFamily, ::testing::ValuesIn(model::Families()),
                         engine::test::FamilyName);

// Gradients take the lengths n = |W + s B A| for constants. So the function's derivative along a
// direction of A or B is the gradient's plus what the moving lengths do: the scales are m / n, so
// df/dn = -(m / n) df/dm.
TEST_P(DoraOfEveryFamily, GradientsAreThoseOfTheFunctionAtConstantLengths) {
  for (const double dropout : {0.0, 0.3}) {
    ASSERT_OK_AND_ASSIGN(Network network, DoraNetwork(spec_, at::kDouble));
    recipe::LoraConfig config = DoraConfig();
    config.dropout = dropout;
    // Few modules: the lengths are measured slowly here.
    config.target_modules.clear();
    for (const model::LinearModule& module : model::LinearModules(spec_)) {
      const std::string& linear = module.parts.front().linear;
      if (linear.starts_with("layers.0.")) config.target_modules.push_back(module.path);
    }
    ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec_, config, 5, at::kDouble, TestDevice(),
                                                       WeightsOf(spec_)));
    Perturb(lora);
    network.SetLora(std::move(lora));
    const Batch batch = Texts();
    const std::uint64_t key = dropout > 0 ? 77 : 0;
    const auto loss = [&] { return DoraScalar(network, batch, key); };
    loss().backward();
    const torch::NoGradGuard no_grad;
    for (const LoraModule& module : network.lora().modules()) {
      for (const at::Tensor& tensor : {module.a, module.b, module.magnitude}) {
        SCOPED_TRACE(module.module.path);
        ASSERT_TRUE(tensor.grad().defined());
        const at::Tensor value = tensor.detach();
        const at::Tensor u =
            at::arange(value.numel(), value.options()).mul(1.3).cos().view(value.sizes());
        constexpr double kStep = 1e-5;
        value.add_(u, kStep);
        const double above = loss().item<double>();
        const at::Tensor longer = LengthsOf(spec_, module);
        value.sub_(u, 2 * kStep);
        const double below = loss().item<double>();
        const at::Tensor shorter = LengthsOf(spec_, module);
        value.add_(u, kStep);
        const double measured = (above - below) / (2 * kStep);
        const at::Tensor products = tensor.grad() * u;
        const at::Tensor m = module.magnitude.detach().to(at::kCPU);
        const at::Tensor dm = module.magnitude.grad().to(at::kCPU);
        const at::Tensor moved = (longer - shorter) / (2 * kStep);
        const double by_lengths = -(dm * m / LengthsOf(spec_, module) * moved).sum().item<double>();
        const double size = products.abs().sum().item<double>();
        EXPECT_NEAR(products.sum().item<double>() + by_lengths, measured,
                    1e-6 * std::max(1.0, size));
      }
    }
  }
}

// W' = m (W + 0) / |W| is W: the first step computes what the base does.
TEST_P(DoraOfEveryFamily, BeginsAsTheBaseAndMovesNotOneBitOfIt) {
  ASSERT_OK_AND_ASSIGN(Network network, DoraNetwork(spec_, at::kFloat));
  const Batch batch = Texts();
  const auto compute = [&] {
    const torch::NoGradGuard no_grad;
    return spec_.head ? network.Logits(batch) : network.Hidden(batch);
  };
  const at::Tensor base = compute();
  recipe::TrainConfig config;
  config.lora = DoraConfig();
  ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec_, *config.lora, 5, at::kFloat,
                                                     TestDevice(), WeightsOf(spec_)));
  network.SetLora(std::move(lora));
  EXPECT_LE((compute() - base).abs().max().item<double>(), 1e-5);
  Optimizer optimizer(network.Trainables(), config);
  std::vector<at::Tensor> before;
  std::size_t magnitudes = 0;
  for (const Trainable& trainable : optimizer.trainables()) {
    before.push_back(trainable.value.detach().clone());
    if (!trainable.name.ends_with(".lora_magnitude_vector")) continue;
    ++magnitudes;
    EXPECT_FALSE(trainable.decays);
  }
  EXPECT_EQ(magnitudes, network.lora().modules().size());
  const Batch longer =
      MakeBatch({RandomTokens(spec_, 90, 1), RandomTokens(spec_, 90, 2)}, {}, TestDevice());
  for (int step = 1; step <= 3; ++step) {
    DoraScalar(network, longer, 0).backward();
    optimizer.Step(step, 1e-2, 1);
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_FALSE(optimizer.trainables()[i].value.detach().equal(before[i]))
        << optimizer.trainables()[i].name;
  }
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor now, network.ReadParameter(parameter.name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor was, WeightsOf(spec_)(parameter.name));
    EXPECT_TRUE(std::ranges::equal(now.bytes(), was.bytes())) << parameter.name;
  }
}

TEST_P(DoraOfEveryFamily, IsSavedLoadedAndMerged) {
  ASSERT_OK_AND_ASSIGN(LoraSet lora, LoraSet::Create(spec_, DoraConfig(), 5, at::kFloat,
                                                     TestDevice(), WeightsOf(spec_)));
  Perturb(lora);
  const test::TempFolder folder;
  ASSERT_OK(lora.Save(folder.path(), "base"));
  ASSERT_OK_AND_ASSIGN(const LoraSet loaded, LoraSet::Continue(spec_, DoraConfig(), folder.path(),
                                                               at::kFloat, TestDevice()));
  EXPECT_TRUE(loaded.dora());
  for (std::size_t i = 0; i < lora.modules().size(); ++i)
    EXPECT_TRUE(loaded.modules()[i].magnitude.equal(lora.modules()[i].magnitude));
  recipe::LoraConfig plain = DoraConfig();
  plain.use_dora = false;
  EXPECT_ERROR(LoraSet::Continue(spec_, plain, folder.path(), at::kFloat, TestDevice()),
               ErrorCode::kInvalidArgument, "DoRA, the configuration asks for rank 3");

  ASSERT_OK_AND_ASSIGN(const auto files, model::OpenAdapter(spec_, folder.path()));
  ASSERT_OK_AND_ASSIGN(const model::MergedModel merged,
                       model::Merge(spec_, WeightsOf(spec_), files.adapters.front()));
  NetworkOptions options;
  options.device = TestDevice();
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(const Network whole, Network::Create(merged.spec, options, merged.read));
  ASSERT_OK_AND_ASSIGN(Network network, DoraNetwork(spec_, at::kFloat));
  network.SetLora(std::move(lora));
  const torch::NoGradGuard no_grad;
  const Batch batch = Texts();
  const auto compute = [&](const Network& one) {
    return spec_.head ? one.Logits(batch) : one.Hidden(batch);
  };
  EXPECT_LE((compute(network) - compute(whole)).abs().max().item<double>(), 1e-4);
}

// A row of zeros, of a pruned model say, stays one and makes no NaN.
TEST(Dora, ARowOfZerosStaysOne) {
  const at::Tensor w = at::zeros({2, 4});
  w[1].fill_(0.5);
  const at::Tensor squares = RowSquares({w});
  EXPECT_EQ(squares[0].item<double>(), 0);
  EXPECT_EQ(squares[1].item<double>(), 1);
  const model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  const model::ParameterReader zeros = [&](const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor values, RandomParameterOf(spec, name));
    if (name == "layers.0.attn.q.weight") std::ranges::fill(values.f32(), 0.0F);
    return values;
  };
  ASSERT_OK_AND_ASSIGN(LoraSet lora,
                       LoraSet::Create(spec, DoraConfig(), 5, at::kFloat, TestDevice(), zeros));
  NetworkOptions options;
  options.device = TestDevice();
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(spec, options, zeros));
  network.SetLora(std::move(lora));
  const Batch batch = MakeBatch({RandomTokens(spec, 9, 1)}, {}, TestDevice());
  network.Loss(batch, 1).backward();
  for (const Trainable& trainable : network.Trainables())
    EXPECT_TRUE(trainable.value.grad().isfinite().all().item<bool>()) << trainable.name;
}

}  // namespace
}  // namespace metier::train
