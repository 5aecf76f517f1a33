// Keys and values before each sequence that learn (prefix).
#include "train/prefix.h"

#include <algorithm>
#include <cmath>

#include "engine/native_backend.h"
#include "format/prefix_tuning.h"
#include "model/adapter_files.h"
#include "model/family.h"
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

model::ParameterReader PrefixBase(const model::ModelSpec& spec) {
  return [spec](const std::string& name) { return RandomParameterOf(spec, name); };
}

Result<Network> PrefixNetwork(const model::ModelSpec& spec, Precision precision) {
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = precision;
  options.training = Training::kFrozen;
  return Network::Create(spec, options, PrefixBase(spec));
}

class PrefixOfEveryFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override { spec_ = engine::test::TinySpec(*GetParam()); }

  Result<PrefixSet> Set(std::int64_t tokens, at::ScalarType real) const {
    return PrefixSet::Create(spec_, {.num_virtual_tokens = tokens}, 3, real, TestDevice());
  }
  Batch Texts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, TestDevice());
  }
  at::Tensor Compute(const Network& network, const Batch& batch) const {
    const torch::NoGradGuard no_grad;
    return spec_.head ? network.Logits(batch) : network.Hidden(batch);
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
INSTANTIATE_TEST_SUITE_P(Families, PrefixOfEveryFamily, ::testing::ValuesIn(model::Families()),
                         engine::test::FamilyName);

TEST_P(PrefixOfEveryFamily, GradientsAreThoseOfTheFunction) {
  ASSERT_OK_AND_ASSIGN(Network network, PrefixNetwork(spec_, {at::kDouble, at::kDouble}));
  ASSERT_OK_AND_ASSIGN(PrefixSet set, Set(5, at::kDouble));
  network.SetPrefix(std::move(set));
  ASSERT_EQ(network.Trainables().size(), 1U);
  CheckGradients(network.Trainables(), [&] { return Scalar(network); });
  EXPECT_GT(network.Trainables()[0].value.grad().abs().max().item<double>(), 1e-6);
}

// A sequence sees its prefix and nothing of another's, and only the prefix moves.
TEST_P(PrefixOfEveryFamily, LearnsAndMovesNotOneBitOfTheBase) {
  ASSERT_OK_AND_ASSIGN(Network network, PrefixNetwork(spec_, {}));
  const at::Tensor base = Compute(network, Texts());
  ASSERT_OK_AND_ASSIGN(PrefixSet set, Set(5, at::kFloat));
  network.SetPrefix(std::move(set));
  const at::Tensor first = Compute(network, Texts());
  EXPECT_GT((first - base).abs().max().item<double>(), 1e-3);
  std::vector<at::Tensor> alone;
  for (const auto& [length, seed] : {std::pair<std::size_t, std::uint64_t>{9, 1}, {14, 2}})
    alone.push_back(
        Compute(network, MakeBatch({RandomTokens(spec_, length, seed)}, {}, TestDevice())));
  EXPECT_LE((at::cat(alone) - first).abs().max().item<double>(), 1e-5);
  Optimizer optimizer(network.Trainables(), recipe::TrainConfig{});
  for (int step = 1; step <= 2; ++step) {
    Scalar(network).backward();
    optimizer.Step(step, 1e-2, 1);
  }
  EXPECT_GT((Compute(network, Texts()) - first).abs().max().item<double>(), 1e-5);
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor now, network.ReadParameter(parameter.name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor was, PrefixBase(spec_)(parameter.name));
    EXPECT_TRUE(std::ranges::equal(now.bytes(), was.bytes())) << parameter.name;
  }
}

TEST_P(PrefixOfEveryFamily, IsWrittenAsPeftDoesAndReadAgain) {
  ASSERT_OK_AND_ASSIGN(const PrefixSet set, Set(5, at::kFloat));
  const test::TempFolder folder;
  ASSERT_OK(set.Save(folder / "prefix", "base"));
  ASSERT_OK_AND_ASSIGN(const Json config, ReadJsonFile(folder / "prefix/adapter_config.json"));
  EXPECT_EQ(config.at("peft_type"), "PREFIX_TUNING");
  EXPECT_EQ(config.at("num_virtual_tokens"), 5);
  EXPECT_EQ(config.at("num_layers"), spec_.layers);
  EXPECT_EQ(config.at("num_attention_heads"), spec_.kv_heads);
  EXPECT_EQ(config.at("token_dim"), spec_.kv_width());
  EXPECT_EQ(config.at("prefix_projection"), false);
  ASSERT_OK_AND_ASSIGN(const auto file,
                       format::SafetensorsFile::Open(folder / "prefix/adapter_model.safetensors"));
  EXPECT_EQ(file.Names(), std::vector<std::string>{"prompt_embeddings"});
  EXPECT_EQ(file.Find("prompt_embeddings")->shape,
            (tensor::Shape{5, spec_.layers * 2 * spec_.kv_width()}));
  ASSERT_OK_AND_ASSIGN(const PrefixSet loaded,
                       PrefixSet::Continue(spec_, {.num_virtual_tokens = 5}, folder / "prefix",
                                           at::kFloat, TestDevice()));
  EXPECT_TRUE(loaded.values().equal(set.values()));
  EXPECT_TRUE(loaded.values().requires_grad());
  EXPECT_ERROR(PrefixSet::Continue(spec_, {.num_virtual_tokens = 4}, folder / "prefix", at::kFloat,
                                   TestDevice()),
               ErrorCode::kInvalidArgument, "has 5 tokens, the configuration asks for 4");
}

// What the engine computes behind a prefix: as LibTorch does, and to the bit whatever else is in a
// step, however the text is cut, and whether or not it was adopted from another sequence.
TEST_P(PrefixOfEveryFamily, IsServedAsItWasTrained) {
  constexpr std::int64_t kPrefix = 5;
  spec_.max_positions = 160;  // room for a page of the cache that is full
  const test::TempFolder folder;
  ASSERT_OK_AND_ASSIGN(PrefixSet set, Set(kPrefix, at::kFloat));
  ASSERT_OK(set.Save(folder / "prefix", "base"));
  ASSERT_OK_AND_ASSIGN(const model::AdapterFiles files,
                       model::OpenAdapter(spec_, folder / "prefix"));
  ASSERT_OK_AND_ASSIGN(auto weights, engine::NativeModel::FromReader(spec_, PrefixBase(spec_)));
  engine::NativeBackend backend(std::move(weights), {.threads = 2, .max_cache_bytes = 1 << 24});
  const Result<model::AdapterId> adapter = model::AddAdapter(backend, files);
  if (!spec_.causal) {
    EXPECT_ERROR(adapter, ErrorCode::kUnsupported, "a prefix is a past");
    return;
  }
  ASSERT_OK(adapter);
  EXPECT_EQ(backend.PrefixTokens(*adapter), kPrefix);
  const auto text = RandomTokens(spec_, 90, 1);
  ASSERT_OK_AND_ASSIGN(Network network, PrefixNetwork(spec_, {}));
  network.SetPrefix(std::move(set));
  const at::Tensor expected = Compute(network, MakeBatch({text}, {}, TestDevice())).to(at::kCPU);

  using Floats = std::vector<float>;
  const auto append = [](const model::Rows& rows, Floats& all) {
    for (std::int64_t r = 0; r < rows.count; ++r)
      all.insert(all.end(), rows.Row(r).begin(), rows.Row(r).end());
  };
  // In steps of so many tokens, beside another sequence without the prefix.
  const auto serve = [&](std::size_t step, bool adopts) -> Result<Floats> {
    METIER_ASSIGN(const model::SequenceId own, backend.OpenSequence(*adapter));
    METIER_ASSIGN(const model::SequenceId other, backend.OpenSequence(model::AdapterId::kNone));
    std::size_t begin = adopts ? static_cast<std::size_t>(backend.Adopt(own, text)) : 0;
    EXPECT_EQ(begin > 0, adopts);
    Floats all(begin * static_cast<std::size_t>(spec_.vocab));
    for (; begin < text.size(); begin += step) {
      const auto part = std::span(text).subspan(begin, std::min(step, text.size() - begin));
      const model::SequenceStep steps[] = {
          {.sequence = other, .tokens = part, .want = model::Want::kLast},
          {.sequence = own, .tokens = part, .want = model::Want::kAll}};
      METIER_ASSIGN(const auto rows, backend.Forward(steps));
      append(rows[1], all);
    }
    EXPECT_EQ(backend.Length(own), static_cast<std::int64_t>(text.size()));
    backend.CloseSequence(own);
    backend.CloseSequence(other);
    return all;
  };
  ASSERT_OK_AND_ASSIGN(const Floats whole, serve(text.size(), false));
  const auto* wanted = expected.data_ptr<float>();
  double apart = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    apart = std::max(apart, std::abs(static_cast<double>(whole[i]) - wanted[i]));
  EXPECT_LE(apart, 1e-3);
  ASSERT_OK_AND_ASSIGN(const Floats parts, serve(7, false));
  EXPECT_EQ(parts, whole);
  const auto known = backend.FindPrefix(*adapter, text).tokens;
  ASSERT_GT(known, 0);
  ASSERT_OK_AND_ASSIGN(const Floats adopted, serve(7, true));
  const auto rest = static_cast<std::ptrdiff_t>(known * spec_.vocab);
  EXPECT_TRUE(std::equal(whole.begin() + rest, whole.end(), adopted.begin() + rest));

  ASSERT_OK_AND_ASSIGN(const model::SequenceId open, backend.OpenSequence(*adapter));
  const auto most = RandomTokens(spec_, static_cast<std::size_t>(spec_.max_positions) - 4, 2);
  const model::SequenceStep long_step{.sequence = open, .tokens = most};
  EXPECT_ERROR(backend.Forward({&long_step, 1}), ErrorCode::kInvalidArgument, "positions");
  EXPECT_ERROR(backend.RemoveAdapter(*adapter), ErrorCode::kInvalidArgument, "open sequences");
  backend.CloseSequence(open);
  ASSERT_OK(backend.RemoveAdapter(*adapter));
  EXPECT_EQ(backend.cache_stats().used_pages, 0);
}

// The keys and values that real tokens leave behind are a prefix like any other: what follows is
// computed as after these tokens. Keys are those of the first layer and of the second, rotated to
// the tokens' own places, as PEFT's are taken for.
TEST(Prefix, IsThePastOfACache) {
  model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  spec.layers = 2;
  spec.layer.resize(2);
  constexpr std::int64_t kPast = 6;
  const auto past = RandomTokens(spec, kPast, 1);
  const auto text = RandomTokens(spec, 11, 2);
  std::vector<model::TokenId> both = past;
  both.insert(both.end(), text.begin(), text.end());
  const Precision real{at::kDouble, at::kDouble};
  const torch::NoGradGuard no_grad;
  ASSERT_OK_AND_ASSIGN(Network network, PrefixNetwork(spec, real));
  const auto parameter = [&](const std::string& name) {
    const tensor::Tensor values = RandomParameterOf(spec, name).value();
    const at::Tensor copy = at::empty(values.shape(), at::kFloat);
    std::memcpy(copy.data_ptr(), values.bytes().data(), values.bytes().size());
    return copy.to(at::kDouble).to(TestDevice());
  };
  // Of one layer alone, without its norm: what the second layer reads.
  model::ModelSpec lower = spec;
  lower.layers = 1;
  lower.layer.resize(1);
  lower.final_norm = false;
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = real;
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(const Network first, Network::Create(lower, options, PrefixBase(spec)));
  const Batch batch = MakeBatch({past}, {}, TestDevice());
  const at::Tensor inputs[] = {parameter("embed.tokens").index_select(0, batch.tokens),
                               first.Hidden(batch)};
  std::vector<at::Tensor> parts;
  const std::vector<float> speeds = model::RopeFrequencies(spec);
  const at::Tensor angle =
      at::outer(at::arange(kPast, at::kDouble), torch::tensor(speeds, at::kFloat).to(at::kDouble))
          .unsqueeze(1)
          .to(TestDevice());
  for (std::int64_t l = 0; l < 2; ++l) {
    const std::string prefix = fmt::format("layers.{}.", l);
    const at::Tensor& x = inputs[l];
    const at::Tensor normed = x / (x.square().mean(-1, true) + spec.norm.epsilon).sqrt() *
                              parameter(prefix + "attn_norm.weight");
    const auto project = [&](const std::string& linear) {
      return at::mm(normed, parameter(prefix + linear + ".weight").t()) +
             parameter(prefix + linear + ".bias");
    };
    const at::Tensor k = project("attn.k").view({kPast, spec.kv_heads, spec.head_dim});
    const std::int64_t half = spec.head_dim / 2;
    const at::Tensor a = k.narrow(2, 0, half);
    const at::Tensor b = k.narrow(2, half, half);
    const at::Tensor rotated =
        at::cat({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, 2);
    parts.push_back(rotated.reshape({kPast, spec.kv_width()}));
    parts.push_back(project("attn.v"));
  }
  ASSERT_OK_AND_ASSIGN(PrefixSet set, PrefixSet::Create(spec, {.num_virtual_tokens = kPast}, 3,
                                                        at::kDouble, TestDevice()));
  set.values().copy_(at::cat(parts, 1));
  const at::Tensor whole = network.Logits(MakeBatch({both}, {}, TestDevice())).narrow(0, kPast, 11);
  const at::Tensor base = network.Logits(MakeBatch({text}, {}, TestDevice()));
  network.SetPrefix(std::move(set));
  const at::Tensor behind = network.Logits(MakeBatch({text}, {}, TestDevice()));
  // Rotation speeds are floats in the network's tables; all else is in double.
  EXPECT_LE((behind - whole).abs().max().item<double>(), 1e-9);
  EXPECT_GT((base - whole).abs().max().item<double>(), 1e-3);
}

TEST(Prefix, RefusesWhatDoesNotFit) {
  const model::ModelSpec spec = (*model::FindFamily("llama"))->tiny();
  EXPECT_ERROR(PrefixSet::Create(spec, {.num_virtual_tokens = spec.max_positions}, 1, at::kFloat,
                                 TestDevice()),
               ErrorCode::kInvalidArgument, "a text needs some of them");
  ASSERT_OK_AND_ASSIGN(const PrefixSet set,
                       PrefixSet::Create(spec, {}, 1, at::kFloat, TestDevice()));
  const test::TempFolder folder;
  ASSERT_OK(set.Save(folder / "prefix", "base"));
  model::ModelSpec deeper = spec;
  ++deeper.layers;
  EXPECT_ERROR(PrefixSet::Load(deeper, folder / "prefix", at::kFloat, TestDevice()),
               ErrorCode::kInvalidArgument, "is this the model that it was trained on?");
  EXPECT_ERROR(model::OpenAdapter(deeper, folder / "prefix"), ErrorCode::kInvalidArgument,
               "is this the model that it was trained on?");
  deeper = spec;
  deeper.max_positions = set.tokens();
  EXPECT_ERROR(model::OpenAdapter(deeper, folder / "prefix"), ErrorCode::kInvalidArgument,
               "leave no room for a text");
}

TEST_F(Trainer, LearnsAPrefixAndGoesOnToTheBit) {
  Json config = LoraRun(Base(), "prefix");
  config.erase("lora");
  config["prefix"] = {{"num_virtual_tokens", 16}, {"init_std", 0.5}};
  config["eval_file"] = config["train_file"];
  const double before = EvalLoss(config, "still", 0, 1);
  EXPECT_LT(EvalLoss(config, "prefix", 0.1, 300), 0.8 * before);
  const std::string file = "/final/adapter_model.safetensors";
  EXPECT_LT(EvalLoss(config, "whole", 0.05, 12), before);
  Json parts = config;
  parts["output_dir"] = folder_ / "parts";
  parts["learning_rate"] = 0.05;
  parts["max_steps"] = 12;
  for (const std::int64_t step : {3, 8}) ASSERT_OK(RunTraining(parts, StopAt(step)));
  ASSERT_OK(RunTraining(parts));
  EXPECT_EQ(HashOf(folder_ / "whole" + file), HashOf(folder_ / "parts" + file));
  // What it wrote computes on in the plug-in, and goes on learning.
  ASSERT_OK(CallVerb("logits",
                     {{"model", config["model"]},
                      {"adapter", folder_ / "prefix/final"},
                      {"tokens", {{1, 2, 3}}},
                      {"device", TestDeviceName()},
                      {"out", folder_ / "rows"}},
                     {}));
  config["prefix"]["adapter"] = folder_ / "prefix/final";
  EXPECT_LT(EvalLoss(config, "more", 0, 1), 0.8 * before);
  config["max_seq_len"] = 60;
  config["output_dir"] = folder_ / "long";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "behind a prefix of 16");
}

}  // namespace
}  // namespace metier::train
