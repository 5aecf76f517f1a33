// Mixtures of adapters: what they compute, their gradients, and routers that learn their domains.
#include "train/mixture.h"

#include <cmath>
#include <filesystem>

#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "engine/scoring.h"
#include "engine/session.h"
#include "model/adapter_files.h"
#include "model/mixture_files.h"
#include "train/network.h"
#include "train/objective.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/gradients.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using model::ModelSpec;

model::ParameterReader Random(const ModelSpec& spec) {
  return [spec](const std::string& name) { return engine::test::RandomParameterOf(spec, name); };
}

// An adapter whose B is not zero.
Status WriteExpert(const ModelSpec& spec, const std::vector<std::string>& targets,
                   std::int64_t rank, std::uint64_t seed, const std::string& folder) {
  recipe::LoraConfig config;
  config.rank = rank;
  config.target_modules = targets;
  METIER_ASSIGN(const LoraSet lora, LoraSet::Create(spec, config, seed, at::kFloat, at::kCPU));
  Rng rng(seed);
  const torch::NoGradGuard no_grad;
  for (const LoraModule& module : lora.modules())
    for (std::int64_t i = 0; i < module.b.numel(); ++i)
      module.b.data_ptr<float>()[i] = static_cast<float>(0.4 * (rng.Uniform() - 0.5));
  return lora.Save(folder, "");
}

class Mixtures : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(const model::Family* family, model::FindFamily("llama"));
    spec_ = family->tiny();
    // The second leaves some linears alone.
    ASSERT_OK(WriteExpert(spec_, {"all-linear"}, 3, 1, folder_ / "one"));
    ASSERT_OK(WriteExpert(spec_, {"q_proj", "v_proj", "down_proj"}, 2, 2, folder_ / "two"));
    config_.experts = {{"one", folder_ / "one"}, {"two", folder_ / "two"}};
  }

  Network TinyNetwork() const {
    NetworkOptions options;
    options.device = TestDevice();
    options.precision = {at::kDouble, at::kDouble};
    options.training = Training::kFrozen;
    Result<Network> network = Network::Create(spec_, options, Random(spec_));
    EXPECT_OK(network);
    return *std::move(network);
  }

  Result<MixtureSet> Make() const {
    return MixtureSet::Create(spec_, config_, 7, at::kDouble, TestDevice());
  }

  // Two sequences of two domains, the second's first tokens its prompt; filled up.
  Batch TwoDomains() const {
    BatchBuilder builder;
    for (std::int64_t s = 0; s < 2; ++s) {
      for (std::int64_t i = 0; i < 9 + s; ++i) {
        builder.Add((5 * i + 11 * s + 3) % spec_.vocab,
                    i > 2 ? BatchBuilder::Role::kPredicted : BatchBuilder::Role::kRead);
      }
      builder.EndSequence({.domain = s});
    }
    return std::move(builder).Build(TestDevice(), 8);
  }

  test::TempFolder folder_;
  ModelSpec spec_;
  recipe::RouterConfig config_;
};

// Sends every row to one expert with weight 1.
void Force(const MixtureSet& mixture, std::int64_t expert) {
  const torch::NoGradGuard no_grad;
  for (const MixtureRouter& router : mixture.routers()) {
    router.weight.zero_();
    router.bias.zero_();
    router.bias[expert] = 1000;
  }
}

TEST_F(Mixtures, OfOneExpertForAllAreThatExpert) {
  const Batch batch = TwoDomains();
  for (const char* routers : {"layer", "input"}) {
    config_.routers = routers;
    for (const std::int64_t expert : {0, 1}) {
      Network network = TinyNetwork();
      ASSERT_OK_AND_ASSIGN(MixtureSet mixture, Make());
      EXPECT_EQ(mixture.routers().size(),
                static_cast<std::size_t>(spec_.layers) * (config_.routers == "layer" ? 1 : 4));
      Force(mixture, expert);
      network.SetMixture(std::move(mixture));
      const at::Tensor mixed = network.Logits(batch).detach();
      Network other = TinyNetwork();
      const at::Tensor base = other.Logits(batch).detach();
      ASSERT_OK_AND_ASSIGN(
          LoraSet lora,
          LoraSet::Load(spec_, folder_ / (expert == 0 ? "one" : "two"), at::kDouble, TestDevice()));
      other.SetLora(std::move(lora));
      const at::Tensor alone = other.Logits(batch).detach();
      // Sums in double, over the ranks of both instead of one's.
      EXPECT_LT((mixed - alone).abs().max().item<double>(), 1e-12) << expert;
      EXPECT_GT((base - alone).abs().max().item<double>(), 1e-3) << expert;
    }
  }
}

TEST_F(Mixtures, HaveTheGradientsOfTheirFunction) {
  const Batch batch = TwoDomains();
  recipe::TrainConfig config;
  for (const std::int64_t top_k : {1, 2}) {
    for (const bool normalised : {false, true}) {
      if (top_k == 1 && normalised) continue;  // weights of 1, whose gradient is 0
      config_.routers = top_k == 1 ? "layer" : "input";
      config_.top_k = top_k;
      config_.norm_topk_prob = normalised;
      config_.train_experts = true;
      config_.domain_loss = 0.7;
      config.router = config_;
      const Objective objective(config);
      Network network = TinyNetwork();
      ASSERT_OK_AND_ASSIGN(MixtureSet mixture, Make());
      network.SetMixture(std::move(mixture));
      Tally tally;
      const auto loss = [&] { return objective.Loss(network, batch, {0.25, 1}, 0, tally); };
      EXPECT_EQ(network.Trainables().size(),
                2 * network.mixture().routers().size() +
                    2 * (network.mixture().experts()[0].modules().size() +
                         network.mixture().experts()[1].modules().size()));
      CheckGradients(network.Trainables(), loss);
    }
  }
}

// By sequence only the routers' own loss moves the routers, and each expert learns from its own.
TEST_F(Mixtures, BySequenceLearnFromTheDomains) {
  config_.route_by = "sequence";
  config_.train_experts = true;
  recipe::TrainConfig config;
  config.router = config_;
  const Objective objective(config);
  Network network = TinyNetwork();
  ASSERT_OK_AND_ASSIGN(MixtureSet mixture, Make());
  network.SetMixture(std::move(mixture));
  Batch batch = TwoDomains();
  Tally tally;
  objective.Loss(network, batch, {0.25, 1}, 0, tally).backward();
  for (const Trainable& trainable : network.Trainables())
    EXPECT_GT(trainable.value.grad().abs().max().item<double>(), 0) << trainable.name;

  for (const Trainable& trainable : network.Trainables()) trainable.value.mutable_grad().reset();
  batch.domains.fill_(0);
  objective.Loss(network, batch, {0.25, 1}, 0, tally).backward();
  for (const Trainable& trainable : network.Trainables()) {
    const at::Tensor gradient = trainable.value.grad();
    if (!trainable.name.starts_with("two.")) continue;
    EXPECT_EQ(gradient.abs().max().item<double>(), 0) << trainable.name;
  }
}

TEST_F(Mixtures, RefuseWhatDoesNotFitTogether) {
  recipe::RouterConfig config = config_;
  config.experts[1].name = "one";
  EXPECT_ERROR(MixtureSet::Create(spec_, config, 1, at::kFloat, at::kCPU),
               ErrorCode::kInvalidArgument, "two experts are called 'one'");
  config = config_;
  config.top_k = 3;
  EXPECT_ERROR(MixtureSet::Create(spec_, config, 1, at::kFloat, at::kCPU),
               ErrorCode::kInvalidArgument, "goes to 3 experts, but there are 2");
  ASSERT_OK_AND_ASSIGN(const MixtureSet mixture,
                       MixtureSet::Create(spec_, config_, 1, at::kFloat, at::kCPU));
  ASSERT_OK(mixture.Save(folder_ / "mix", "base"));
  config = config_;
  config.experts.clear();
  config.mixture = folder_ / "mix";
  config.route_by = "sequence";
  EXPECT_ERROR(MixtureSet::Create(spec_, config, 1, at::kFloat, at::kCPU),
               ErrorCode::kInvalidArgument, "routes by token, route_by is sequence");
}

TEST_F(Mixtures, AreReadAsTheyWereWritten) {
  ASSERT_OK_AND_ASSIGN(const MixtureSet made,
                       MixtureSet::Create(spec_, config_, 1, at::kFloat, at::kCPU));
  ASSERT_OK(made.Save(folder_ / "mix", "base"));
  ASSERT_OK_AND_ASSIGN(
      const MixtureSet read,
      MixtureSet::Load(spec_, folder_ / "mix", MixtureSet::Learns::kNothing, at::kFloat, at::kCPU));
  EXPECT_EQ(read.names(), made.names());
  ASSERT_EQ(read.routers().size(), made.routers().size());
  for (std::size_t r = 0; r < made.routers().size(); ++r) {
    EXPECT_EQ(read.routers()[r].linears, made.routers()[r].linears);
    EXPECT_TRUE(read.routers()[r].weight.equal(made.routers()[r].weight));
  }
  // Experts leave as they came.
  EXPECT_EQ(HashOf(folder_ / "mix" + "/experts/one/adapter_model.safetensors"),
            HashOf(folder_ / "one" + "/adapter_model.safetensors"));
  // A third expert leaves what the first two are chosen by.
  ASSERT_OK(WriteExpert(spec_, {"q_proj"}, 2, 3, folder_ / "three"));
  recipe::RouterConfig more;
  more.mixture = folder_ / "mix";
  more.experts = {{"three", folder_ / "three"}};
  ASSERT_OK_AND_ASSIGN(const MixtureSet grown,
                       MixtureSet::Create(spec_, more, 1, at::kFloat, at::kCPU));
  EXPECT_EQ(grown.names(), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(grown.routers()[0].weight.size(0), 3);
  EXPECT_TRUE(grown.routers()[0].weight.narrow(0, 0, 2).equal(made.routers()[0].weight));
}

// Sentences of one of two domains, whose tokens are their own: the first three are the prompt.
void WriteDomain(const std::string& path, std::int32_t first, int examples) {
  std::vector<std::vector<std::int32_t>> all;
  std::vector<std::vector<std::uint8_t>> loss;
  for (int e = 0; e < examples; ++e) {
    std::vector<std::int32_t> ids = {first + (e * 17 + 5) % 13};
    for (int i = 0; i < 8 + e % 7; ++i) ids.push_back(first + (2 * (ids.back() - first) + 1) % 13);
    loss.emplace_back(ids.size(), 1);
    std::fill_n(loss.back().begin(), 3, 0);
    all.push_back(std::move(ids));
  }
  WriteTokens(path, all, loss);
}

class RoutedRuns : public Trainer, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    Trainer::SetUp();
    base_ = Base();
    WriteDomain(folder_ / "a", 0, 30);
    WriteDomain(folder_ / "b", 30, 30);
    for (const char* domain : {"a", "b"}) {
      Json config = LoraRun(base_, std::string("lora-") + domain);
      config["train_file"] = folder_ / domain;
      config["learning_rate"] = 2e-2;
      config["max_steps"] = 60;
      ASSERT_OK(RunTraining(config));
    }
  }

  Json RouterRun(const std::string& out) {
    Json config = TinyRun(folder_, out);
    for (const char* key : {"init", "train_file"}) config.erase(key);
    config["model"] = base_;
    config["stage"] = "sft";
    config["learning_rate"] = 2e-2;
    config["max_steps"] = 60;
    config["per_device_train_batch_size"] = 2;
    config["train_mixture"]["sources"] = Json::array(
        {{{"file", folder_ / "a"}, {"expert", "a"}}, {{"file", folder_ / "b"}, {"expert", "b"}}});
    config["eval_files"] = Json::array({{{"name", "a"}, {"file", folder_ / "a"}, {"expert", "a"}},
                                        {{"name", "b"}, {"file", folder_ / "b"}, {"expert", "b"}}});
    config["router"] = {
        {"route_by", GetParam()},
        {"experts", Json::array({{{"name", "a"}, {"adapter", folder_ / "lora-a" + "/final"}},
                                 {{"name", "b"}, {"adapter", folder_ / "lora-b" + "/final"}}})}};
    return config;
  }

  // eval_loss of an adapter alone on one domain.
  double Alone(const std::string& adapter, const std::string& domain) {
    Json config = LoraRun(base_, "alone-" + adapter + domain);
    config["lora"]["adapter"] = folder_ / ("lora-" + adapter) + "/final";
    config["learning_rate"] = 0;
    config["max_steps"] = 1;
    config["train_file"] = folder_ / domain;
    config["eval_file"] = folder_ / domain;
    const Result<Json> reply = RunTraining(config);
    EXPECT_OK(reply);
    return reply->at("eval_loss").get<double>();
  }

  std::string base_;
};
INSTANTIATE_TEST_SUITE_P(By, RoutedRuns, ::testing::Values("token", "sequence"),
                         [](const auto& by) { return by.param; });

TEST_P(RoutedRuns, LearnWhoseDomainASequenceIs) {
  Json seen;
  const EventSink sink = [&](const Json& event) {
    if (event.at("event") == "eval") seen = event;
    return false;
  };
  Json config = RouterRun("routed");
  config["max_steps"] = 250;
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(config, sink));
  EXPECT_GE(seen.at("eval_router_accuracy").get<double>(), 0.95);
  // Each domain is as well off as with its own adapter, and worse with the other's.
  for (const char* domain : {"a", "b"}) {
    const double own = Alone(domain, domain);
    const double other = Alone(*domain == 'a' ? "b" : "a", domain);
    const double routed = seen.at(std::string("eval_loss_") + domain);
    EXPECT_GT(other, own + 0.5) << domain;
    EXPECT_LT(routed, own + 0.05 * (other - own)) << domain;
  }
  // The experts are those that went in, to the bit.
  const std::string out = reply.at("output").get<std::string>();
  EXPECT_EQ(HashOf(out + "/experts/a/adapter_model.safetensors"),
            HashOf(folder_ / "lora-a" + "/final/adapter_model.safetensors"));
}

TEST_P(RoutedRuns, ResumeToTheSameBits) {
  Json config = RouterRun("whole");
  config["max_steps"] = 6;
  config["router"]["train_experts"] = true;
  ASSERT_OK_AND_ASSIGN(const Json whole, RunTraining(config));
  config["output_dir"] = folder_ / "parts";
  ASSERT_OK(RunTraining(config, StopAt(4)));
  ASSERT_OK_AND_ASSIGN(const Json rest, RunTraining(config));
  for (const char* file : {"/router.safetensors", "/experts/b/adapter_model.safetensors"}) {
    EXPECT_EQ(HashOf(rest.at("output").get<std::string>() + file),
              HashOf(whole.at("output").get<std::string>() + file))
        << file;
  }
  EXPECT_NE(HashOf(whole.at("output").get<std::string>() + "/experts/b/adapter_model.safetensors"),
            HashOf(folder_ / "lora-b" + "/final/adapter_model.safetensors"));
}

// What is evaluated here is what the engine serves.
TEST_P(RoutedRuns, AreServedAsTheyWereTrained) {
  ASSERT_OK_AND_ASSIGN(const Json reply, RunTraining(RouterRun("routed")));
  ASSERT_OK_AND_ASSIGN(const auto model, engine::NativeModel::Open(base_));
  engine::NativeBackend backend(model, {.threads = 1});
  ASSERT_OK_AND_ASSIGN(const model::AdapterFiles files,
                       model::OpenAdapter(model->spec(), reply.at("output")));
  ASSERT_OK_AND_ASSIGN(const model::AdapterId mixture, model::AddAdapter(backend, files));
  EXPECT_EQ(backend.RoutesSequences(mixture), GetParam() == "sequence");
  double total = 0;
  for (const char* domain : {"a", "b"}) {
    ASSERT_OK_AND_ASSIGN(const auto tokens, format::TokenFile::Open(folder_ / domain));
    double loss = 0;
    std::int64_t count = 0;
    for (std::int64_t e = 0; e < tokens.examples(); ++e) {
      const auto ids = tokens.Ids(e);
      ASSERT_OK_AND_ASSIGN(engine::Session session, engine::Session::Open(backend, mixture));
      ASSERT_OK_AND_ASSIGN(const auto first, session.Set(ids.first(3)));
      std::vector<float> logits(first.begin(), first.end());
      for (std::size_t i = 3; i < ids.size(); ++i) {
        double sum = 0;
        for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
        loss += std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(ids[i])]);
        ++count;
        ASSERT_OK_AND_ASSIGN(const auto next, session.Append(ids[i]));
        logits.assign(next.begin(), next.end());
      }
    }
    total += loss / static_cast<double>(count) / 2;
  }
  EXPECT_NEAR(total, reply.at("eval_loss").get<double>(), 1e-3);
}

}  // namespace
}  // namespace metier::train
