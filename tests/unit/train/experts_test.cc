// Kinds of experts: capacity and drops, a dense feed-forward beside them, experts by task, experts
// that choose; and models with experts made of dense ones. Gradients and the other promises of
// every family are in network_test.cc, what the engine computes in parity_test.cc.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/family.h"
#include "model/task_model.h"
#include "train/network.h"
#include "train/objective.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using model::ModelSpec;

ModelSpec Tiny(const char* family) {
  const auto found = model::FindFamily(family);
  EXPECT_OK(found);
  return (*found)->tiny();
}

model::ParameterReader RandomOf(const ModelSpec& spec) {
  return [spec](const std::string& name) { return engine::test::RandomParameterOf(spec, name); };
}

Network Make(const ModelSpec& spec, const model::ParameterReader& read,
             const CapacityOptions& capacity = {}, at::ScalarType real = at::kDouble) {
  NetworkOptions options;
  options.device = TestDevice();
  options.precision = {real, real};
  options.capacity = capacity;
  auto network = Network::Create(spec, options, read);
  EXPECT_OK(network);
  return std::move(network).value();
}

std::vector<std::int32_t> Ids(std::size_t count, std::uint64_t seed) {
  ModelSpec spec;
  spec.vocab = 320;
  return engine::test::RandomTokens(spec, count, seed);
}

double Apart(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// The best choices first: each row's first before any row's second, in the order of `rows`.
std::vector<std::vector<bool>> PlainCapacity(const std::vector<std::vector<std::int64_t>>& chosen,
                                             std::int64_t experts, std::int64_t capacity) {
  std::vector<std::vector<bool>> stands(chosen.size(), std::vector<bool>(chosen[0].size()));
  std::vector<std::int64_t> taken(static_cast<std::size_t>(experts));
  for (std::size_t k = 0; k < chosen[0].size(); ++k) {
    for (std::size_t row = 0; row < chosen.size(); ++row) {
      std::int64_t& count = taken[static_cast<std::size_t>(chosen[row][k])];
      stands[row][k] = count < capacity;
      ++count;
    }
  }
  return stands;
}

struct Choices {
  std::vector<std::vector<std::int64_t>> rows;
  at::Tensor tensor;
};
Choices RandomChoices(std::int64_t rows, std::int64_t experts, std::int64_t top_k,
                      std::uint64_t seed) {
  Rng rng(seed);
  Choices choices;
  std::vector<std::int64_t> flat;
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<std::int64_t> row;
    while (static_cast<std::int64_t>(row.size()) < top_k) {
      // Squared, so that some experts are liked.
      const double u = rng.Uniform();
      const auto expert = static_cast<std::int64_t>(u * u * static_cast<double>(experts));
      if (std::ranges::find(row, expert) == row.end()) row.push_back(expert);
    }
    flat.insert(flat.end(), row.begin(), row.end());
    choices.rows.push_back(row);
  }
  choices.tensor = torch::tensor(flat, at::kLong).view({rows, top_k}).to(TestDevice());
  return choices;
}

TEST(Capacity, ByPositionIsThatOfAPlainLoop) {
  for (std::int64_t n = 1; n <= 64; ++n) {
    for (const std::int64_t top_k : {1, 2}) {
      for (const double factor : {0.5, 1.0, 1.25}) {
        for (const std::int64_t least : {1, 4}) {
          constexpr std::int64_t kExperts = 5;
          const CapacityOptions options{factor, least, /*random=*/false};
          const Choices choices = RandomChoices(n, kExperts, top_k, static_cast<std::uint64_t>(n));
          const auto capacity = std::max<std::int64_t>(
              least, std::llround(std::ceil(factor * static_cast<double>(n * top_k) / kExperts)));
          EXPECT_EQ(std::min(ExpertCapacity(options, n * top_k, kExperts), n * top_k),
                    std::min(capacity, n * top_k));
          const auto expected = PlainCapacity(choices.rows, kExperts, capacity);
          const at::Tensor found =
              WithinCapacity(options, choices.tensor, kExperts, n, /*key=*/7).to(at::kCPU);
          for (std::int64_t r = 0; r < n; ++r) {
            for (std::int64_t k = 0; k < top_k; ++k)
              ASSERT_EQ(found[r][k].item<bool>(),
                        expected[static_cast<std::size_t>(r)][static_cast<std::size_t>(k)])
                  << n << " rows, top " << top_k << ", factor " << factor << ", row " << r;
          }
        }
      }
    }
  }
}

// Whoever is over is drawn: as many stand as in any order, another key draws others, and over many
// keys every row is left out about as often.
TEST(Capacity, ByChanceTreatsAllRowsAlike) {
  const CapacityOptions options{0.5, 1, /*random=*/true};
  constexpr std::int64_t kRows = 40;
  const at::Tensor one = at::zeros({kRows, 1}, at::kLong).to(TestDevice());
  ASSERT_EQ(ExpertCapacity(options, kRows, 2), 10);
  at::Tensor stood = at::zeros({kRows}, at::kLong);
  constexpr int kKeys = 2000;
  for (std::uint64_t key = 1; key <= kKeys; ++key) {
    const at::Tensor found = WithinCapacity(options, one, 2, kRows, key).to(at::kCPU).squeeze(1);
    ASSERT_EQ(found.sum().item<std::int64_t>(), 10) << key;
    stood += found;
  }
  EXPECT_TRUE(
      WithinCapacity(options, one, 2, kRows, 3).equal(WithinCapacity(options, one, 2, kRows, 3)));
  // Binomial(2000, 1/4): five deviations are 97.
  EXPECT_GT(stood.min().item<std::int64_t>(), 500 - 97);
  EXPECT_LT(stood.max().item<std::int64_t>(), 500 + 97);
}

TEST(Capacity, FirstChoicesStandBeforeSecondOnesAndFillingNever) {
  const at::Tensor chosen =
      torch::tensor({{1, 0}, {1, 0}, {0, 1}, {0, 1}, {0, 1}}, at::kLong).to(TestDevice());
  for (const bool random : {false, true}) {
    const at::Tensor found =
        WithinCapacity({0.5, 2, random}, chosen, 2, /*read=*/4, /*key=*/5).to(at::kCPU);
    const at::Tensor expected = torch::tensor(
        {{true, false}, {true, false}, {true, false}, {true, false}, {false, false}}, at::kBool);
    EXPECT_TRUE(found.equal(expected)) << found;
  }
}

// One layer, Switch (top 1, weighed by its probability).
ModelSpec Switch() {
  ModelSpec spec = Tiny("metier_experts");
  spec.layers = 1;
  spec.layer.resize(1);
  spec.moe.of_layer.clear();
  spec.moe.residual = false;
  EXPECT_OK(model::Validate(spec));
  return spec;
}

// What is over an expert's capacity goes on as if the layer had no experts; others are untouched.
TEST(Capacity, RowsOverItPassTheirExpertsBy) {
  const ModelSpec spec = Switch();
  const Batch batch = MakeBatch({Ids(30, 1), Ids(17, 2)}, {}, TestDevice());
  const CapacityOptions capacity{0.5, 1, true};
  const Network network = Make(spec, RandomOf(spec), capacity);
  const Network plain = Make(spec, RandomOf(spec));
  const Network mute = Make(spec, [&](const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor values, engine::test::RandomParameterOf(spec, name));
    if (name.find(".down.") != name.npos) std::ranges::fill(values.f32(), 0.0F);
    return values;
  });
  std::vector<RouterNote> notes;
  const at::Tensor hidden = network.Hidden(batch, {.key = 9, .notes = &notes}).detach();
  ASSERT_EQ(notes.size(), 1U);
  const at::Tensor within = notes[0].within.squeeze(1);
  const auto over = within.logical_not().sum().item<std::int64_t>();
  EXPECT_GT(over, 5);
  EXPECT_LT(over, 42);
  const at::Tensor expected =
      at::where(within.unsqueeze(1), plain.Hidden(batch).detach(), mute.Hidden(batch).detach());
  EXPECT_LT(Apart(hidden, expected), 1e-12);
  // Outside of training nothing is left out.
  EXPECT_TRUE(network.Hidden(batch).equal(plain.Hidden(batch)));
}

TEST(Capacity, GradientsAreThoseOfTheFunctionAndFillingChangesNothing) {
  for (const std::int64_t top_k : {1, 2}) {
    ModelSpec spec = Tiny("metier_experts");
    spec.moe.top_k = top_k;
    const CapacityOptions capacity{0.5, 1, true};
    const Network network = Make(spec, RandomOf(spec), capacity);
    const auto build = [](std::int64_t multiple) {
      BatchBuilder builder;
      for (const std::uint64_t seed : {1, 2}) {
        const std::vector<std::int32_t> ids = Ids(9 + seed, seed);
        for (std::size_t i = 0; i < ids.size(); ++i)
          builder.Add(ids[i], i > 0 ? BatchBuilder::Role::kPredicted : BatchBuilder::Role::kRead);
        builder.EndSequence();
      }
      return std::move(builder).Build(TestDevice(), multiple);
    };
    const Batch batch = build(1);
    CheckGradients(network.Trainables(), [&] { return network.Loss(batch, 0.25, {.key = 5}); });
    const double loss = network.Loss(batch, 0.25, {.key = 5}).item<double>();
    EXPECT_NEAR(network.Loss(build(16), 0.25, {.key = 5}).item<double>(), loss, 1e-12);
    EXPECT_NE(network.Loss(batch, 0.25).item<double>(), loss);
  }
}

// Rajbhandari et al. 2022: with shares (0, 1) the layer is its dense feed-forward, to the bit.
TEST(Residual, WithAllOfItsShareTheDensePartIsADenseModel) {
  ModelSpec spec = Tiny("metier_experts");
  const auto forced = [&](float experts) -> model::ParameterReader {
    return [&spec, experts](const std::string& name) -> Result<tensor::Tensor> {
      METIER_ASSIGN(tensor::Tensor values, engine::test::RandomParameterOf(spec, name));
      if (name.find(".mix.") != name.npos) std::ranges::fill(values.f32(), 0.0F);
      if (name.ends_with(".mix.bias")) values.f32()[0] = experts;
      return values;
    };
  };
  ModelSpec dense = spec;
  dense.moe = {};
  const Batch batch = MakeBatch({Ids(30, 1), Ids(17, 2)}, {}, TestDevice());
  for (const at::ScalarType real : {at::kDouble, at::kFloat}) {
    const at::Tensor expected = Make(dense, RandomOf(spec), {}, real).Hidden(batch);
    EXPECT_TRUE(Make(spec, forced(-2000), {}, real).Hidden(batch).equal(expected));
    EXPECT_GT(Apart(Make(spec, forced(0), {}, real).Hidden(batch), expected), 1e-2);
  }
  ModelSpec experts = spec;
  experts.moe.residual = false;
  const at::Tensor expected = Make(experts, RandomOf(spec)).Hidden(batch);
  EXPECT_LT(Apart(Make(spec, forced(2000)).Hidden(batch), expected), 1e-12);
}

// Fedus et al. 2021: 1 where all are used alike, and no less.
TEST(Balance, IsOneForUniformRoutersAndMoreOtherwise) {
  const ModelSpec spec = Tiny("metier_experts");  // layers of 0, 2 and 4 experts
  recipe::TrainConfig config;
  config.router_aux_loss_coef = 1;
  const Objective objective(config);
  const Batch batch = MakeBatch({Ids(40, 1), Ids(37, 2)}, {}, TestDevice());
  const auto balance = [&](float scale) {
    const Network network = Make(spec, [&](const std::string& name) -> Result<tensor::Tensor> {
      METIER_ASSIGN(tensor::Tensor values, engine::test::RandomParameterOf(spec, name));
      if (name.ends_with(".router.weight")) {
        for (float& value : values.f32()) value *= scale;
      }
      return values;
    });
    Tally tally;
    const double all =
        objective.Loss(network, batch, {1.0 / static_cast<double>(batch.counted), 1}, 0, tally)
            .item<double>();
    EXPECT_EQ(tally.expert_tokens.size(0), 2);
    return all - network.Loss(batch, 1.0 / static_cast<double>(batch.counted)).item<double>();
  };
  EXPECT_NEAR(balance(0), 1, 1e-12);  // all probabilities alike
  EXPECT_GT(balance(20), 1.01);
}

ModelSpec ThreeTasks() {
  ModelSpec spec = Tiny("metier_task_experts");
  spec.moe.experts = 6;
  spec.moe.of_layer = {5, 6};
  spec.moe.tasks = {"returns", "orders", "advice"};
  spec.moe.residual = true;
  EXPECT_OK(model::Validate(spec));
  return spec;
}

Batch OfTasks(const std::vector<std::vector<std::int32_t>>& sequences,
              const std::vector<std::int64_t>& tasks) {
  Batch batch = MakeBatch(sequences, {}, TestDevice());
  batch.domains = torch::tensor(tasks, at::kLong).to(TestDevice());
  return batch;
}

TEST(Tasks, GradientsAreThoseOfTheFunction) {
  const ModelSpec spec = ThreeTasks();
  const Network network = Make(spec, RandomOf(spec));
  const Batch batch = OfTasks({Ids(9, 1), Ids(14, 2), Ids(3, 3)}, {0, 2, 1});
  recipe::TrainConfig config;
  config.router_aux_loss_coef = 0.3;
  config.router_z_loss_coef = 0.2;
  const Objective objective(config);
  Tally tally;
  CheckGradients(network.Trainables(), [&] {
    return objective.Loss(network, batch, {0.25, 1}, 0, tally);
  });
}

// What one task's model computes is what the whole computes for that task, to the bit.
TEST(Tasks, OneTakenOutComputesTheSameBits) {
  const ModelSpec spec = ThreeTasks();
  const Network whole = Make(spec, RandomOf(spec), {}, at::kFloat);
  const std::vector<std::vector<std::int32_t>> texts = {Ids(30, 1), Ids(17, 2)};
  std::vector<at::Tensor> logits;
  for (std::int64_t task = 0; task < 3; ++task) {
    const std::string& name = spec.moe.tasks[static_cast<std::size_t>(task)];
    ASSERT_OK_AND_ASSIGN(const model::MergedModel taken,
                         model::TakeTask(spec, RandomOf(spec), name));
    EXPECT_EQ(taken.spec.moe.tasks, std::vector<std::string>{name});
    EXPECT_EQ(taken.spec.moe.experts, 2);
    EXPECT_TRUE(taken.spec.moe.of_layer.empty());
    ASSERT_OK(model::Validate(taken.spec));
    // Shared parameters, one embedding of a task, and two experts and their router rows a layer.
    const std::int64_t expert = 3 * spec.hidden * spec.width + spec.width;
    EXPECT_EQ(model::ParameterCount(taken.spec),
              model::ParameterCount(spec) - 2 * spec.width - (3 + 4) * expert);
    const Network alone = Make(taken.spec, taken.read, {}, at::kFloat);
    logits.push_back(whole.Logits(OfTasks(texts, {task, task})).detach());
    EXPECT_TRUE(alone.Logits(MakeBatch(texts, {}, TestDevice())).equal(logits.back())) << name;
  }
  EXPECT_GT(Apart(logits[0], logits[1]), 0.1);
  EXPECT_GT(Apart(logits[1], logits[2]), 0.1);
  // Tasks beside each other in a batch: each as alone, up to products of other sizes.
  const at::Tensor mixed = whole.Logits(OfTasks(texts, {2, 0})).detach();
  EXPECT_LT(Apart(mixed.narrow(0, 0, 30), logits[2].narrow(0, 0, 30)), 1e-4);
  EXPECT_LT(Apart(mixed.narrow(0, 30, 17), logits[0].narrow(0, 30, 17)), 1e-4);
}

TEST(Tasks, UnknownOnesAreRefusedWithThoseThereAre) {
  const ModelSpec spec = ThreeTasks();
  EXPECT_ERROR(model::TakeTask(spec, RandomOf(spec), "order"), ErrorCode::kInvalidArgument,
               "(did you mean 'orders'?); it has: returns, orders, advice");
  const ModelSpec other = Tiny("metier_experts");
  EXPECT_ERROR(model::TakeTask(other, RandomOf(other), "orders"), ErrorCode::kInvalidArgument,
               "the model has no tasks");
  EXPECT_ERROR(engine::NativeModel::FromReader(spec, RandomOf(spec)), ErrorCode::kUnsupported,
               "metier convert MODEL --task NAME --out DIR): returns, orders, advice");
}

// Zhou et al. 2022: every expert gets exactly its number of tokens, ties or not.
TEST(ExpertChoice, EveryExpertTakesItsNumberOfTokensEvenOfEqualOnes) {
  model::MoeSpec moe;
  moe.capacity = 1.5;
  const std::vector<std::int64_t> starts = {0, 8, 9, 40};
  for (const bool equal : {false, true}) {
    const at::Tensor scores = equal ? at::zeros({40, 4}, at::kDouble)
                                    : at::arange(160, at::kDouble).mul(0.7).sin().view({40, 4});
    const TokenChoice choice = ChooseTokens(moe, scores.to(TestDevice()), starts);
    ASSERT_EQ(choice.each, 3 + 1 + 12);  // ceil(1.5 n / 4)
    ASSERT_EQ(choice.tokens.numel(), 4 * choice.each);
    const at::Tensor probabilities = at::softmax(scores, -1);
    for (std::int64_t e = 0; e < 4; ++e) {
      std::vector<std::int64_t> expected;
      for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
        std::vector<std::int64_t> order(static_cast<std::size_t>(starts[s + 1] - starts[s]));
        std::iota(order.begin(), order.end(), starts[s]);
        std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
          return probabilities[a][e].item<double>() > probabilities[b][e].item<double>();
        });
        order.resize(std::vector<std::size_t>{3, 1, 12}[s]);
        std::ranges::sort(order);
        expected.insert(expected.end(), order.begin(), order.end());
      }
      const at::Tensor found = choice.tokens.narrow(0, e * choice.each, choice.each);
      EXPECT_TRUE(found.to(at::kCPU).equal(torch::tensor(expected, at::kLong))) << e << found;
      const at::Tensor weights = choice.weights.narrow(0, e * choice.each, choice.each);
      EXPECT_LT(Apart(weights.to(at::kCPU), probabilities.select(1, e).index_select(
                                                0, torch::tensor(expected, at::kLong))),
                1e-15);
    }
  }
}

// Tokens that nobody takes go on unchanged.
TEST(ExpertChoice, TokensNobodyTakesPassBy) {
  ModelSpec spec = Tiny("metier_expert_choice");
  spec.layers = 1;
  spec.layer.resize(1);
  spec.moe.of_layer.clear();
  spec.moe.residual = false;
  spec.moe.capacity = 0.5;
  ASSERT_OK(model::Validate(spec));
  const Batch batch = MakeBatch({Ids(32, 1)}, {}, TestDevice());
  const Network network = Make(spec, RandomOf(spec));
  const Network mute = Make(spec, [&](const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor values, engine::test::RandomParameterOf(spec, name));
    if (name.find(".down.") != name.npos) std::ranges::fill(values.f32(), 0.0F);
    return values;
  });
  std::vector<RouterNote> notes;
  const at::Tensor hidden = network.Hidden(batch, {.notes = &notes}).detach();
  const TokenChoice choice = ChooseTokens(spec.moe, notes.at(0).scores, batch.layout.starts);
  EXPECT_EQ(choice.each, 4);
  const at::Tensor taken = at::zeros({32}, at::kBool).to(TestDevice());
  taken.index_fill_(0, choice.tokens, true);
  const at::Tensor changed = (hidden - mute.Hidden(batch).detach()).abs().amax(1).gt(1e-9);
  EXPECT_TRUE(changed.equal(taken));
  EXPECT_LT(taken.sum().item<std::int64_t>(), 17);
}

TEST(ExpertChoice, IsRefusedWhereTextIsReadFromLeftToRight) {
  ModelSpec spec = Tiny("metier_expert_choice");
  spec.causal = true;
  EXPECT_ERROR(model::Validate(spec), ErrorCode::kInvalidArgument,
               "whether a token is chosen hangs on those that come after it");
}

// Runs of the trainer with experts of each kind.
class ExpertRuns : public Trainer, public ::testing::WithParamInterface<std::string> {
 protected:
  Json Run(const std::string& out) {
    Json config = TinyRun(folder_, out);
    Json& spec = config["init"]["spec"];
    config["router_aux_loss_coef"] = 0.01;
    config["per_device_train_batch_size"] = 2;
    if (GetParam() == "capacity") {
      spec["model_type"] = "metier_experts";
      spec["num_experts"] = {2, 4};
      spec["residual_experts"] = true;
      config["expert_capacity_factor"] = 0.5;
      config["expert_min_capacity"] = 1;
    } else {
      spec["model_type"] = "metier_task_experts";
      spec["num_experts"] = 4;
      spec["tasks"] = {"forth", "back"};
      config.erase("train_file");
      Json sources = Json::array();
      for (const char* task : {"forth", "back"}) {
        WriteLearnable(folder_ / task, 30);
        sources.push_back({{"file", folder_ / task}, {"task", task}});
      }
      config["train_mixture"] = {{"sources", sources}};
    }
    return config;
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, ExpertRuns, ::testing::Values("capacity", "tasks"),
                         [](const auto& kind) { return kind.param; });

std::string WeightsHash(const Json& reply) {
  return HashOf(reply.at("output").get<std::string>() + "/model.safetensors");
}

TEST_P(ExpertRuns, ThreadsAndStopsChangeNoBit) {
  Json config = Run("whole");
  config["bf16"] = true;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "threads";
  config["threads"] = 2;
  ASSERT_OK_AND_ASSIGN(const Json threads, RunTraining(config));
  EXPECT_EQ(WeightsHash(threads), WeightsHash(whole));
  config["threads"] = 1;
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(5)));
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  EXPECT_EQ(WeightsHash(rest), WeightsHash(whole));
  const std::string log = ReadAll(folder_ / "whole/trainer_log.jsonl");
  EXPECT_NE(log.find("expert_tokens"), log.npos);
  EXPECT_EQ(log.find("\"choices_over_capacity\":") != log.npos, GetParam() == "capacity") << log;
}

TEST_P(ExpertRuns, LearnByHeart) {
  Json config = Run("run");
  config["max_steps"] = 300;
  config["learning_rate"] = 1e-2;
  config.erase("expert_capacity_factor");
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  EXPECT_LT(reply.at("final_loss").get<double>(), 0.7);
}

TEST_F(Trainer, AsksForTheTaskOfEverySource) {
  Json config = TinyRun(folder_, "run");
  config["init"]["spec"]["model_type"] = "metier_task_experts";
  config["init"]["spec"]["num_experts"] = 4;
  config["init"]["spec"]["tasks"] = {"forth", "back"};
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument,
               "names no task, and the model's experts go by one: say `task`");
  config.erase("train_file");
  config["train_mixture"] = {
      {"sources", Json::array({{{"file", folder_ / "train.safetensors"}, {"task", "forht"}}})}};
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument,
               "task 'forht': no task of the model's is called so, expected one of forth, back");
  config["init"]["spec"]["model_type"] = "llama";
  for (const char* key : {"tasks", "num_experts"}) config["init"]["spec"].erase(key);
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "there is none; leave it out");
  config["train_mixture"]["sources"][0].erase("task");
  config["expert_capacity_factor"] = 1;
  EXPECT_ERROR(RunTraining(config), ErrorCode::kInvalidArgument, "expert_capacity_factor");
}

// Komatsuzaki et al. 2023: what is made of a dense model begins as that model.
TEST_F(Trainer, UpcyclesADenseModelToOneThatComputesTheSame) {
  const std::string base = Base();
  ASSERT_OK_AND_ASSIGN(const ModelSource dense, OpenModelAt(base));
  Batch batch = MakeBatch({Ids(30, 1)}, {}, TestDevice());
  batch.tokens = batch.tokens.remainder(64);
  const at::Tensor expected = Make(dense.spec, dense.read).Logits(batch).detach();
  for (const std::int64_t every : {1, 2}) {
    for (const bool residual : {false, true}) {
      Json config = TinyRun(folder_, "up");
      config["init"] = {{"upcycle",
                         {{"model", base},
                          {"experts", 4},
                          {"top_k", 2},
                          {"every", every},
                          {"residual", residual}}}};
      ASSERT_OK_AND_ASSIGN(const recipe::TrainConfig parsed, recipe::ParseTrainConfig(config));
      ASSERT_OK_AND_ASSIGN(const ModelSource made, OpenModelSource(parsed));
      EXPECT_EQ(made.spec.family, "metier_experts");
      EXPECT_EQ(made.spec.experts_of(0), every == 1 ? 4 : 0);
      EXPECT_EQ(made.spec.experts_of(1), 4);
      const Network network = Make(made.spec, made.read);
      EXPECT_LT(Apart(network.Logits(batch).detach(), expected), 1e-12);
      const Network rounded = Make(made.spec, made.read, {}, at::kFloat);
      EXPECT_LT(Apart(rounded.Logits(batch).detach(), expected), 1e-4);
      ASSERT_OK_AND_ASSIGN(const tensor::Tensor router,
                           network.ReadParameter("layers.1.router.weight"));
      EXPECT_NE(router.f32()[0], router.f32()[1]);
    }
  }
}

TEST_F(Trainer, UpcyclesTrainsAndServes) {
  Json config = TinyRun(folder_, "up");
  config["init"] = {{"upcycle", {{"model", Base()}, {"experts", 4}}}};
  config["stage"] = "sft";
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config));
  ASSERT_OK_AND_ASSIGN(const auto served,
                       engine::NativeModel::Open(reply.at("output").get<std::string>()));
  EXPECT_EQ(served->spec().moe.experts, 4);
  config["init"]["upcycle"]["model"] = reply.at("output");
  config["output_dir"] = folder_ / "again";
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported, "has experts already");
  config["init"]["upcycle"] = {{"model", Base()}, {"every", 3}};
  EXPECT_ERROR(RunTraining(config), ErrorCode::kUnsupported, "lower `every`");
  config["init"]["vocab_size"] = 70;
  EXPECT_ERROR(recipe::ParseTrainConfig(config), ErrorCode::kDataCorrupt, "init.vocab_size");
}

}  // namespace
}  // namespace metier::train
