// A frozen base that stays in blocks while adapters learn (quantization_bit).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "format/decode.h"
#include "model/adapter_files.h"
#include "model/family.h"
#include "train/lora.h"
#include "train/mixture.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/quantised_source.h"
#include "train/weight.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomTokens;
using tensor::DType;

tensor::Tensor RandomBlocks(DType type, std::int64_t rows, std::int64_t in, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(rows * in));
  Rng rng(seed);
  for (float& value : values) value = static_cast<float>(rng.Uniform() - 0.5);
  tensor::Tensor blocks(type, {rows, in});
  EXPECT_OK(format::EncodeFromF32(type, values, blocks.bytes()));
  return blocks;
}

// Pieces of several types, products in tiles that cut through them and through their rows.
TEST(PackedWeights, MultiplyInTilesAsTheirValuesDo) {
  constexpr std::int64_t kIn = 1280;  // more than is decoded at once
  for (const at::ScalarType act : {at::kDouble, at::kFloat, at::kBFloat16}) {
    PackedWeight packed(kIn, act);
    std::vector<at::Tensor> values;
    std::int64_t bytes = 0;
    for (const auto& [type, rows] : std::map<DType, std::int64_t>{
             {DType::kQ4_0, 37}, {DType::kQ8_0, 3}, {DType::kQ4_K, 20}, {DType::kIQ4_NL, 9}}) {
      const tensor::Tensor blocks = RandomBlocks(type, rows, kIn, 3);
      ASSERT_OK(packed.Fill(packed.AddRows(rows), blocks));
      ASSERT_OK_AND_ASSIGN(const tensor::Tensor wide, format::DecodeTensor(blocks.view()));
      const at::Tensor copy = at::empty({rows, kIn}, at::kFloat);
      std::memcpy(copy.data_ptr(), wide.bytes().data(), wide.bytes().size());
      values.push_back(copy);
      bytes += static_cast<std::int64_t>(blocks.bytes().size());
    }
    const at::Tensor w = at::cat(values).to(act);
    EXPECT_EQ(packed.bytes(), bytes);
    EXPECT_TRUE(packed.Decode(0, packed.rows(), 0, kIn).equal(w));
    EXPECT_TRUE(packed.Decode(30, 25, 256, 512).equal(w.narrow(0, 30, 25).narrow(1, 256, 512)));
    const at::Tensor x = at::arange(5 * kIn, at::kDouble).mul(0.7).sin().view({5, kIn}).to(act);
    const at::Tensor bias = at::arange(packed.rows(), at::kDouble).to(act);
    const at::Tensor dy =
        at::arange(5 * packed.rows(), at::kDouble).mul(0.3).cos().view({5, -1}).to(act);
    // One element at least as large as what rounding an element of act makes of a sum.
    const double bound = act == at::kBFloat16 ? 0.3 : act == at::kFloat ? 1e-4 : 1e-11;
    const std::int64_t row = kIn * static_cast<std::int64_t>(w.element_size());
    for (const std::int64_t tile : {std::int64_t{1}, 7 * row, 100 * row}) {
      at::Tensor y = at::full({5, packed.rows()}, 9, x.options());
      packed.Multiply(x, 0, bias, y, tile);
      EXPECT_LE((y.to(at::kDouble) -
                 (at::mm(x.to(at::kDouble), w.to(at::kDouble).t()) + bias.to(at::kDouble)))
                    .abs()
                    .max()
                    .item<double>(),
                bound);
      at::Tensor some = at::full({5, 11}, 9, x.options());  // of rows in the middle
      packed.Multiply(x, 33, at::Tensor(), some, tile);
      EXPECT_LE((some - at::mm(x, w.narrow(0, 33, 11).t())).abs().max().item<double>(), bound);
      at::Tensor dx = at::full({5, kIn}, 9, x.options());
      packed.MultiplyBack(dy, 0, dx, tile);
      EXPECT_LE((dx.to(at::kDouble) - at::mm(dy.to(at::kDouble), w.to(at::kDouble)))
                    .abs()
                    .max()
                    .item<double>(),
                bound);
    }
  }
  PackedWeight packed(64, at::kFloat);
  packed.AddRows(2);
  EXPECT_ERROR(packed.Fill(0, tensor::Tensor(DType::kF32, {2, 64})), ErrorCode::kInvalidArgument,
               "expected blocks");
  EXPECT_ERROR(packed.Fill(0, RandomBlocks(DType::kQ4_0, 3, 64, 1)), ErrorCode::kInvalidArgument,
               "[2, 64]");
}

// Linears whose rows are whole blocks of 32.
model::ModelSpec BlockSpec(const std::string& family) {
  model::ModelSpec spec = (*model::FindFamily(family))->tiny();
  spec.width = 64;
  spec.heads = 4;
  spec.head_dim = 16;
  spec.kv_heads = family == "gpt2" ? 4 : 2;
  spec.hidden = family == "gpt2" ? 256 : 96;
  return spec;
}

class Quantised : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    spec_ = BlockSpec(GetParam());
    config_.model = folder_ / "model";
    config_.quantization_bit = 4;
    ASSERT_OK(model::WriteHuggingFaceModel(
        config_.model, spec_, DType::kF32,
        [&](const std::string& name) { return engine::test::RandomParameterOf(spec_, name); }));
  }

  // `blocks`: kept as them; else the same weights decoded.
  Result<Network> Base(bool blocks, Precision precision) {
    METIER_ASSIGN(ModelSource source, OpenModelAt(config_.model));
    METIER_ASSIGN(blocks_, QuantiseSource(config_, source));
    source_ = source;
    NetworkOptions options;
    options.precision = precision;
    options.training = Training::kFrozen;
    BlockSource kept;
    if (blocks) {
      kept.holds = blocks_.holds;
      kept.read = [this](const std::string& name) -> Result<tensor::Tensor> {
        METIER_ASSIGN(held_[name], blocks_.read(name));
        return held_[name];  // shares its memory with the network
      };
    }
    return Network::Create(source.spec, options, source.read, kept);
  }

  Result<LoraSet> Adapter(at::ScalarType real, bool dora) const {
    recipe::LoraConfig lora;
    lora.rank = 3;
    lora.use_dora = dora;
    METIER_ASSIGN(LoraSet set,
                  LoraSet::Create(source_.spec, lora, 5, real, at::kCPU, source_.read));
    const torch::NoGradGuard no_grad;
    for (const LoraModule& module : set.modules())
      module.b.add_(at::arange(module.b.numel(), at::kDouble).sin().view_as(module.b), 0.05);
    return set;
  }

  Batch Texts() const {
    return MakeBatch({RandomTokens(spec_, 9, 1), RandomTokens(spec_, 14, 2)}, {}, at::kCPU);
  }

  test::TempFolder folder_;
  model::ModelSpec spec_;
  recipe::TrainConfig config_;
  BlockSource blocks_;
  ModelSource source_;
  std::map<std::string, tensor::Tensor> held_;
};
INSTANTIATE_TEST_SUITE_P(Families, Quantised,
                         ::testing::Values("llama", "gpt2", "qwen3", "mixtral"),
                         [](const auto& family) { return std::string(family.param); });

// Losses and gradients are those over a base of the decoded weights: not nearly, the same.
TEST_P(Quantised, ComputesToTheBitWhatTheDecodedBaseDoes) {
  const Batch batch = Texts();
  for (const std::int64_t bits : {4, 8}) {
    config_.quantization_bit = bits;
    config_.quantization_head = bits == 8 && !spec_.tied_head;
    for (const at::ScalarType act : {at::kFloat, at::kBFloat16}) {
      for (const bool dora : {false, true}) {
        SCOPED_TRACE(fmt::format("{} bits, {}, dora {}", bits, c10::toString(act), dora));
        std::vector<at::Tensor> results[2];
        for (const bool blocks : {false, true}) {
          ASSERT_OK_AND_ASSIGN(Network network, Base(blocks, {at::kFloat, act}));
          ASSERT_OK_AND_ASSIGN(LoraSet lora, Adapter(at::kFloat, dora));
          network.SetLora(std::move(lora));
          const at::Tensor loss = network.Loss(batch, 0.25) + network.LogProbs(batch).sum();
          loss.backward();
          results[blocks ? 1 : 0] = {loss.detach(), network.Logits(batch).detach()};
          for (const Trainable& trainable : network.Trainables())
            results[blocks ? 1 : 0].push_back(trainable.value.grad());
        }
        ASSERT_EQ(results[0].size(), results[1].size());
        for (std::size_t i = 0; i < results[0].size(); ++i)
          EXPECT_TRUE(results[0][i].equal(results[1][i])) << i;
        EXPECT_GT(results[0].back().abs().max().item<double>(), 0);
      }
    }
  }
}

TEST_P(Quantised, GradientsAreThoseOfTheFunction) {
  config_.quantization_head = !spec_.tied_head;
  const Batch batch = Texts();
  for (const bool dora : {false, true}) {
    for (const bool by_row : {false, true}) {
      ASSERT_OK_AND_ASSIGN(Network network, Base(true, {at::kDouble, at::kDouble}));
      ASSERT_OK_AND_ASSIGN(LoraSet lora, Adapter(at::kDouble, dora));
      std::vector<Trainable> trainables;
      network.SetLora(std::move(lora));
      for (const Trainable& trainable : network.Trainables()) {
        // The length of DoRA's denominator counts as a constant, for all but magnitudes.
        if (!dora || trainable.name.ends_with("magnitude_vector")) trainables.push_back(trainable);
      }
      CheckGradients(trainables, [&] {
        if (!by_row) return network.Loss(batch, 0.25);
        const at::Tensor rows = network.LogProbs(batch);
        return (rows * at::arange(rows.numel(), at::kDouble).mul(0.37).sin()).sum();
      });
    }
  }
}

// No byte of a block moves, and blocks are all that linears take.
TEST_P(Quantised, HoldsBlocksThatStayToTheBit) {
  config_.quantization_type = "Q4_0";
  ASSERT_OK_AND_ASSIGN(Network network, Base(true, {at::kFloat, at::kBFloat16}));
  std::map<std::string, std::vector<std::byte>> before;
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : held_) {
    before[name].assign(tensor.bytes().begin(), tensor.bytes().end());
    EXPECT_EQ(tensor.dtype(), DType::kQ4_0) << name;
    elements += tensor::ElementCount(tensor.shape());
  }
  std::int64_t plain = 0;
  for (const model::Parameter& parameter : model::Parameters(spec_)) {
    const bool linear = parameter.name.find("attn.") != std::string::npos ||
                        parameter.name.find("ffn.") != std::string::npos ||
                        parameter.name.find("experts.") != std::string::npos;
    EXPECT_EQ(before.contains(parameter.name),
              linear && parameter.name.ends_with(".weight") && parameter.shape.size() == 2)
        << parameter.name;
    if (before.contains(parameter.name)) continue;
    const bool in_act = parameter.name == "embed.tokens" || parameter.name == "head.weight";
    plain += tensor::ElementCount(parameter.shape) * (in_act ? 2 : 4);
  }
  EXPECT_EQ(network.WeightBytes().blocks, elements / 32 * 18);
  EXPECT_EQ(network.WeightBytes().plain, plain);
  const at::Tensor base = network.Logits(Texts()).detach();
  ASSERT_OK_AND_ASSIGN(LoraSet lora, Adapter(at::kFloat, false));
  network.SetLora(std::move(lora));
  Optimizer optimizer(network.Trainables(), recipe::TrainConfig{});
  for (int step = 1; step <= 2; ++step) {
    network.Loss(Texts(), 0.25).backward();
    optimizer.Step(step, 1e-2, 1);
  }
  EXPECT_GT((network.Logits(Texts()).detach() - base).abs().max().item<double>(), 1e-2);
  for (const auto& [name, tensor] : held_) {
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), before.at(name))) << name;
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor now, network.ReadParameter(name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor was, source_.read(name));
    EXPECT_TRUE(std::ranges::equal(now.bytes(), was.bytes())) << name;
  }
}

// What a GGUF has in blocks is kept, byte for byte, and the engine serves base and adapter with the
// same numbers.
TEST(QuantisedGguf, KeepsItsBlocksAndIsServed) {
  const model::ModelSpec spec = BlockSpec("llama");
  const test::TempFolder folder;
  recipe::TrainConfig config;
  config.model = folder / "m.gguf";
  config.quantization_bit = 4;
  ASSERT_OK(model::WriteGgufModel(
      config.model, spec, {.dtype = DType::kQ4_0, .head_dtype = DType::kQ8_0}, {},
      [&](const std::string& name) { return engine::test::RandomParameterOf(spec, name); }));
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(config.model));
  ASSERT_OK_AND_ASSIGN(ModelSource source, OpenModelAt(config.model));
  ASSERT_OK_AND_ASSIGN(const BlockSource blocks, QuantiseSource(config, source));
  for (const model::Parameter& parameter : model::Parameters(spec)) {
    const bool held =
        tensor::IsQuantised(files.StoredType(parameter.name)) && parameter.name != "embed.tokens";
    EXPECT_EQ(blocks.holds(parameter.name), held) << parameter.name;
    if (!held) continue;
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor kept, blocks.read(parameter.name));
    ASSERT_OK_AND_ASSIGN(const tensor::Tensor stored, files.Load(parameter.name));
    EXPECT_EQ(kept.dtype(), parameter.name == "head.weight" ? DType::kQ8_0 : DType::kQ4_0);
    EXPECT_TRUE(std::ranges::equal(kept.bytes(), stored.bytes())) << parameter.name;
  }
  NetworkOptions options;
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(spec, options, source.read, blocks));
  ASSERT_OK_AND_ASSIGN(LoraSet lora,
                       LoraSet::Create(spec, {}, 5, at::kFloat, at::kCPU, source.read));
  {
    const torch::NoGradGuard no_grad;
    for (const LoraModule& module : lora.modules()) module.b.fill_(0.02);
  }
  ASSERT_OK(lora.Save(folder / "adapter", config.model));
  network.SetLora(std::move(lora));
  const auto tokens = RandomTokens(spec, 17, 3);
  const at::Tensor torch = network.Logits(MakeBatch({tokens}, {}, at::kCPU)).detach().contiguous();
  ASSERT_OK_AND_ASSIGN(const auto native, engine::NativeModel::Open(config.model));
  engine::NativeBackend backend(native, {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const auto opened, model::OpenAdapter(native->spec(), folder / "adapter"));
  ASSERT_OK_AND_ASSIGN(const auto id, model::AddAdapter(backend, opened));
  const std::vector<float> served = engine::test::RunWhole(backend, tokens, {}, id);
  ASSERT_EQ(served.size(), static_cast<std::size_t>(torch.numel()));
  const std::vector<float> plain = engine::test::RunWhole(backend, tokens);
  double worst = 0;
  double moved = 0;
  for (std::size_t i = 0; i < served.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(served[i]) - torch.data_ptr<float>()[i]));
    moved = std::max(moved, std::abs(static_cast<double>(served[i]) - plain[i]));
  }
  EXPECT_LE(worst, 1e-3);
  EXPECT_GT(moved, 0.1);

  // A type by its name makes new ones of all linears.
  config.quantization_bit = 8;
  config.quantization_type = "Q8_0";
  ASSERT_OK_AND_ASSIGN(ModelSource again, OpenModelAt(config.model));
  ASSERT_OK_AND_ASSIGN(const BlockSource made, QuantiseSource(config, again));
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor q, made.read("layers.0.attn.q.weight"));
  EXPECT_EQ(q.dtype(), DType::kQ8_0);
  EXPECT_FALSE(made.holds("head.weight"));
}

// Adapters that a router chooses from, and what learns of it, over blocks as over their values.
TEST(QuantisedGguf, MixesAdaptersToTheBit) {
  const model::ModelSpec spec = BlockSpec("llama");
  const test::TempFolder folder;
  recipe::TrainConfig config;
  config.model = folder / "m.gguf";
  config.quantization_bit = 4;
  ASSERT_OK(model::WriteGgufModel(
      config.model, spec, {.dtype = DType::kQ4_0}, {},
      [&](const std::string& name) { return engine::test::RandomParameterOf(spec, name); }));
  recipe::RouterConfig router;
  for (const std::string name : {"one", "two"}) {
    ASSERT_OK_AND_ASSIGN(const LoraSet lora,
                         LoraSet::Create(spec, {}, name == "one" ? 1 : 2, at::kFloat, at::kCPU));
    const torch::NoGradGuard no_grad;
    for (const LoraModule& module : lora.modules()) module.b.fill_(name == "one" ? 0.02 : -0.03);
    ASSERT_OK(lora.Save(folder / name, config.model));
    router.experts.push_back({name, folder / name});
  }
  router.train_experts = true;
  std::vector<at::Tensor> results[2];
  for (std::vector<at::Tensor>& result : results) {
    ASSERT_OK_AND_ASSIGN(ModelSource source, OpenModelAt(config.model));
    ASSERT_OK_AND_ASSIGN(const BlockSource blocks, QuantiseSource(config, source));
    NetworkOptions options;
    options.precision = {at::kFloat, at::kBFloat16};
    options.training = Training::kFrozen;
    ASSERT_OK_AND_ASSIGN(
        Network network,
        Network::Create(spec, options, source.read, &result == results ? blocks : BlockSource()));
    EXPECT_EQ(network.WeightBytes().blocks > 0, &result == results);
    ASSERT_OK_AND_ASSIGN(MixtureSet mixture,
                         MixtureSet::Create(spec, router, 7, at::kFloat, at::kCPU));
    network.SetMixture(std::move(mixture));
    const at::Tensor loss = network.Loss(MakeBatch({RandomTokens(spec, 9, 1)}, {}, at::kCPU), 1);
    loss.backward();
    result.push_back(loss.detach());
    for (const Trainable& trainable : network.Trainables())
      result.push_back(trainable.value.grad());
  }
  ASSERT_EQ(results[0].size(), results[1].size());
  for (std::size_t i = 0; i < results[0].size(); ++i)
    EXPECT_TRUE(results[0][i].equal(results[1][i])) << i;
}

TEST(QuantisedGguf, RefusesRowsThatAreNoWholeBlocks) {
  model::ModelSpec spec = BlockSpec("llama");
  const test::TempFolder folder;
  recipe::TrainConfig config;
  config.model = folder / "model";
  config.quantization_bit = 4;
  const auto quantise = [&]() -> Status {
    METIER_TRY(model::WriteHuggingFaceModel(
        config.model, spec, DType::kF32,
        [&](const std::string& name) { return engine::test::RandomParameterOf(spec, name); }));
    METIER_ASSIGN(ModelSource source, OpenModelAt(config.model));
    return QuantiseSource(config, source).ok() ? Ok() : QuantiseSource(config, source).error();
  };
  config.quantization_type = "Q4_K";
  EXPECT_ERROR(quantise(), ErrorCode::kInvalidArgument,
               "has rows of 64 weights, Q4_K has blocks of 256; use Q4_0");
  config.quantization_type = "auto";
  spec.hidden = 80;
  EXPECT_ERROR(quantise(), ErrorCode::kInvalidArgument, "leave quantization_bit out");
  spec.hidden = 96;
  spec.tied_head = true;
  config.quantization_head = true;
  EXPECT_ERROR(quantise(), ErrorCode::kInvalidArgument, "the model's head is its embedding");
}

class QuantisedRun : public Trainer {
 protected:
  Json Run(const std::string& out) {
    Json config = TinyRun(folder_, "base");
    config["max_steps"] = 2;
    config["init"]["std"] = 0.5;
    config["init"]["spec"]["intermediate_size"] = 64;
    if (!made_) EXPECT_OK(RunTraining(config));
    made_ = true;
    Json run = LoraRun(folder_ / "base/final", out);
    run["quantization_bit"] = 4;
    run["device"] = "cpu";
    return run;
  }
  bool made_ = false;
};

TEST_F(QuantisedRun, LearnsAndGoesOnToTheBit) {
  Json config = Run("whole");
  config["bf16"] = true;
  std::string text;
  ASSERT_OK(RunTraining(config, [&](const Json& event) {
    if (event.at("event") == "log") text += event.at("text").get<std::string>() + "\n";
    return false;
  }));
  EXPECT_NE(text.find("MiB in blocks"), std::string::npos) << text;
  config["output_dir"] = folder_ / "parts";
  for (const std::int64_t step : {3, 8}) ASSERT_OK(RunTraining(config, StopAt(step)));
  ASSERT_OK(RunTraining(config));
  EXPECT_EQ(HashOf(folder_ / "whole/final/adapter_model.safetensors"),
            HashOf(folder_ / "parts/final/adapter_model.safetensors"));
  // Other blocks are another run.
  config["output_dir"] = folder_ / "other";
  ASSERT_OK(RunTraining(config, StopAt(3)));
  config["quantization_bit"] = 8;
  const Result<Json> other = RunTraining(config);
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message().find("quantization_bit"), std::string::npos)
      << other.error().message();
}

// Three kinds of news, told apart by words that the base has no answer for (Liu et al. 2023,
// FinGPT: "int4-base+LoRA" on sentiment).
class News {
 public:
  static constexpr std::int32_t kAnswer = 2;
  struct Row {
    std::vector<std::int32_t> tokens;  // its label behind kAnswer
    std::int32_t label = 0;            // 0 to 2: token 3 + label
  };
  static std::vector<Row> Make(int count, std::uint64_t seed) {
    Rng rng(seed);
    std::vector<Row> rows;
    for (int r = 0; r < count; ++r) {
      Row row;
      row.label = static_cast<std::int32_t>(rng.Below(3));
      for (int i = 0; i < 7; ++i)
        row.tokens.push_back(10 + static_cast<std::int32_t>(rng.Below(30)));
      row.tokens[rng.Below(7)] = 40 + 6 * row.label + static_cast<std::int32_t>(rng.Below(6));
      row.tokens.push_back(kAnswer);
      row.tokens.push_back(3 + row.label);
      rows.push_back(std::move(row));
    }
    return rows;
  }
  static void Write(const std::string& path, const std::vector<Row>& rows) {
    std::vector<std::vector<std::int32_t>> tokens;
    std::vector<std::vector<std::uint8_t>> loss;
    for (const Row& row : rows) {
      tokens.push_back(row.tokens);
      loss.emplace_back(row.tokens.size(), 0);
      loss.back().back() = 1;
    }
    WriteTokens(path, tokens, loss);
  }
};

// F1 of each label, weighted by how many rows have it; the label with the largest logit answers.
double WeightedF1(const Network& network, const std::vector<News::Row>& rows) {
  double right[3] = {};
  double said[3] = {};
  double are[3] = {};
  for (const News::Row& row : rows) {
    const std::vector<std::int32_t> prompt(row.tokens.begin(), row.tokens.end() - 1);
    const torch::NoGradGuard no_grad;
    const at::Tensor logits = network.Logits(MakeBatch({prompt}, {}, at::kCPU));
    const auto answer = logits[logits.size(0) - 1].narrow(0, 3, 3).argmax().item<std::int64_t>();
    said[answer] += 1;
    are[row.label] += 1;
    if (answer == row.label) right[answer] += 1;
  }
  double f1 = 0;
  for (int c = 0; c < 3; ++c)
    if (right[c] > 0)
      f1 += are[c] / static_cast<double>(rows.size()) * 2 * right[c] / (said[c] + are[c]);
  return f1;
}

TEST_F(QuantisedRun, TellsThreeKindsOfNewsApart) {
  Json config = Run("news");
  News::Write(folder_ / "news.safetensors", News::Make(2000, 1));
  const std::vector<News::Row> held_out = News::Make(150, 2);
  config["train_file"] = folder_ / "news.safetensors";
  config["per_device_train_batch_size"] = 16;
  config["max_steps"] = 400;
  config["learning_rate"] = 1e-2;
  ASSERT_OK(RunTraining(config));
  ASSERT_OK_AND_ASSIGN(const recipe::TrainConfig parsed, recipe::ParseTrainConfig(config));
  ASSERT_OK_AND_ASSIGN(ModelSource source, OpenModelAt(parsed.model));
  ASSERT_OK_AND_ASSIGN(const BlockSource blocks, QuantiseSource(parsed, source));
  NetworkOptions options;
  options.training = Training::kFrozen;
  ASSERT_OK_AND_ASSIGN(Network network, Network::Create(source.spec, options, source.read, blocks));
  const double base = WeightedF1(network, held_out);
  ASSERT_OK_AND_ASSIGN(LoraSet lora,
                       LoraSet::Load(source.spec, folder_ / "news/final", at::kFloat, at::kCPU));
  network.SetLora(std::move(lora));
  const double learned = WeightedF1(network, held_out);
  RecordProperty("base_f1", std::to_string(base));
  RecordProperty("learned_f1", std::to_string(learned));
  EXPECT_LE(base, 0.5);
  EXPECT_GE(learned, 0.9);
}

}  // namespace
}  // namespace metier::train
