// Facts written into networks: what a pass shows of the down projections, values, rank-one changes.
#include "train/knowledge_edit.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "format/decode.h"
#include "format/safetensors.h"
#include "model/family.h"
#include "model/model_files.h"
#include "train/edit_value.h"
#include "train/edit_verb.h"
#include "train/key_covariance.h"
#include "train/rank_one.h"
#include "unit/engine/tiny_models.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using engine::test::RandomParameterOf;
using engine::test::RandomTokens;

std::vector<const model::Family*> Editable() {
  std::vector<const model::Family*> dense;
  for (const model::Family* family : model::Families()) {
    const model::ModelSpec spec = engine::test::TinySpec(*family);
    if (spec.moe.experts == 0 && spec.causal && spec.head) dense.push_back(family);
  }
  return dense;
}

Fact SomeFact(const model::ModelSpec& spec) {
  Fact fact;
  fact.prompt = RandomTokens(spec, 6, 31);
  fact.subject = 3;
  fact.target = RandomTokens(spec, 2, 32);
  fact.essence = RandomTokens(spec, 5, 33);
  fact.essence_subject = 2;
  return fact;
}

class EditsOfFamily : public ::testing::TestWithParam<const model::Family*> {
 protected:
  void SetUp() override {
    spec_ = engine::test::TinySpec(*GetParam());
    ASSERT_OK(model::WriteHuggingFaceModel(
        folder_ / "m", spec_, tensor::DType::kF32,
        [&](const std::string& name) { return RandomParameterOf(spec_, name); }));
    auto files = model::ModelFiles::Open(folder_ / "m");
    ASSERT_OK(files);
    files_.emplace(*std::move(files));
    for (std::uint64_t i = 0; i < 12; ++i) texts_.push_back(RandomTokens(spec_, 24, 50 + i));
    config_.prefixes = 3;
    config_.prefix_tokens = 4;
    const auto prefixes = DrawPrefixes(texts_, 3, 4, 1);
    ASSERT_OK(prefixes);
    prefixes_ = *prefixes;
  }

  Result<Network> Frozen(at::ScalarType real) const {
    NetworkOptions options;
    options.device = TestDevice();
    options.precision = {real, real};
    options.training = Training::kFrozen;
    return Network::Create(spec_, options,
                           [this](const std::string& name) { return files_->LoadF32(name); });
  }
  FactBatch BatchOf(const Fact& fact) const {
    return MakeFactBatch(fact, {}, prefixes_, TestDevice());
  }

  test::TempFolder folder_;
  model::ModelSpec spec_;
  std::optional<model::ModelFiles> files_;
  std::vector<Ids> texts_;
  std::vector<Ids> prefixes_;
  recipe::EditConfig config_;
};
INSTANTIATE_TEST_SUITE_P(Dense, EditsOfFamily, ::testing::ValuesIn(Editable()),
                         engine::test::FamilyName);

TEST_P(EditsOfFamily, APassShowsItsDownProjections) {
  ASSERT_OK_AND_ASSIGN(const Network network, Frozen(at::kDouble));
  const torch::NoGradGuard no_grad;
  const FactBatch facts = BatchOf(SomeFact(spec_));
  Pass plain;
  plain.rows = facts.batch.predicting;
  const at::Tensor expected = network.Logits(facts.batch, plain);
  std::vector<std::int64_t> layers;
  Pass shown = plain;
  shown.down = [&](const DownSite& site) {
    layers.push_back(site.layer);
    const auto w =
        network.ReadParameter("layers." + std::to_string(site.layer) + ".ffn.down.weight");
    EXPECT_OK(w);
    EXPECT_EQ(site.input.size(1), w->shape()[1]);
    EXPECT_EQ(site.output.size(0), facts.batch.tokens.size(0));
    EXPECT_EQ(site.residual.sizes(), site.output.sizes());
    return site.output;
  };
  // The last layer computes all rows then: products of another shape, in double.
  EXPECT_LT((network.Logits(facts.batch, shown) - expected).abs().max().item<double>(), 1e-11);
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < spec_.layers; ++i) all.push_back(i);
  EXPECT_EQ(layers, all);
  shown.down = [](const DownSite& site) { return site.output * 2; };
  EXPECT_GT((network.Logits(facts.batch, shown) - expected).abs().max().item<double>(), 1e-4);
}

// Context by context, each a batch of its own, by plain indexing.
TEST_P(EditsOfFamily, ObjectiveIsTheFormula) {
  ASSERT_OK_AND_ASSIGN(const Network network, Frozen(at::kDouble));
  const torch::NoGradGuard no_grad;
  const Fact fact = SomeFact(spec_);
  const FactBatch facts = BatchOf(fact);
  config_.kl = 0.7;
  config_.decay = 0.3;
  const auto options = at::TensorOptions().dtype(at::kDouble).device(TestDevice());
  const at::Tensor change = (at::arange(spec_.width, options) * 1.7).sin();
  // ln p of the last `last` tokens' places, with the change at one token of layer 0.
  const auto read = [&](const Ids& ids, std::int64_t subject, double scale) {
    Pass pass;
    pass.down = [&](const DownSite& site) {
      const at::Tensor out = site.output.clone();
      if (site.layer == 0) out[subject] += scale * change;
      return out;
    };
    return at::log_softmax(network.Logits(MakeBatch({ids}, {}, TestDevice()), pass), 1);
  };
  double expected = 0;
  for (std::size_t c = 0; c <= prefixes_.size(); ++c) {
    Ids ids = c == 0 ? Ids() : prefixes_[c - 1];
    const auto before = static_cast<std::int64_t>(ids.size());
    ids.insert(ids.end(), fact.prompt.begin(), fact.prompt.end());
    ids.insert(ids.end(), fact.target.begin(), fact.target.end());
    const at::Tensor log_p = read(ids, before + fact.subject, 1);
    for (std::size_t t = 0; t < fact.target.size(); ++t) {
      const std::int64_t row = before + static_cast<std::int64_t>(fact.prompt.size() + t) - 1;
      // The prompt alone counts as much as the three with a prefix.
      expected -= (c == 0 ? 1.0 / 2 : 1.0 / 6) * log_p[row][fact.target[t]].item<double>() /
                  static_cast<double>(fact.target.size());
    }
  }
  const at::Tensor after = read(fact.essence, fact.essence_subject, 1)[-1];
  const at::Tensor before = read(fact.essence, fact.essence_subject, 0)[-1];
  expected += 0.7 * (after.exp() * (after - before)).sum().item<double>();
  expected += 0.3 * change.square().sum().item<double>() / 4;
  const ValueObjective objective(network, facts, 0, 2, config_);
  EXPECT_NEAR(objective(change).item<double>(), expected, 1e-9 * expected);
}

// The error of the difference is h^2 L''' / 6 + eps L / h, far under the bound for h = 1e-5.
TEST_P(EditsOfFamily, ObjectiveHasTheGradientOfItsDifferences) {
  ASSERT_OK_AND_ASSIGN(const Network network, Frozen(at::kDouble));
  const FactBatch facts = BatchOf(SomeFact(spec_));
  config_.kl = 0.7;
  config_.decay = 0.3;
  for (std::int64_t layer = 0; layer < spec_.layers; ++layer) {
    const ValueObjective objective(network, facts, layer, 2, config_);
    const auto options = at::TensorOptions().dtype(at::kDouble).device(TestDevice());
    const at::Tensor at = (at::arange(spec_.width, options) * 1.7).sin().mul(0.1);
    const at::Tensor leaf = at.clone().requires_grad_(true);
    const at::Tensor gradient = torch::autograd::grad({objective(leaf)}, {leaf})[0];
    const torch::NoGradGuard no_grad;
    for (int way = 0; way < 3; ++way) {
      const at::Tensor direction = (at::arange(spec_.width, options) * (0.9 + way)).cos();
      constexpr double kStep = 1e-5;
      const double above = objective(at + kStep * direction).item<double>();
      const double below = objective(at - kStep * direction).item<double>();
      const double measured = (above - below) / (2 * kStep);
      const double computed = at::dot(gradient, direction).item<double>();
      const double size = (gradient * direction).abs().sum().item<double>();
      EXPECT_NEAR(computed, measured, 1e-6 * std::max(1.0, size)) << layer;
    }
  }
}

TEST_P(EditsOfFamily, TheKeyHasItsNewValueInTheNetwork) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  ASSERT_OK_AND_ASSIGN(const auto covariances, KeyCovariances(network, texts_, {}, 24, {0}, 0.01,
                                                              [](std::int64_t) { return false; }));
  const FactBatch facts = BatchOf(SomeFact(spec_));
  const SubjectReading before = ReadSubject(network, facts, {0}).front();
  const at::Tensor residual = at::linspace(-1, 1, spec_.width, at::kDouble).to(TestDevice());
  ASSERT_OK_AND_ASSIGN(const at::Tensor change,
                       RomeChange(covariances.at(0), before.key, residual));
  EditedWeights weights(network, *files_);
  ASSERT_OK(weights.Add(0, change));
  const SubjectReading after = ReadSubject(network, facts, {0}).front();
  EXPECT_TRUE(at::equal(after.key, before.key));  // the layer's input is what it was
  // Rounding of W' and of the products of floats: a few of eps |W'| |k|, and the outlier's share.
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor w, network.ReadParameter("layers.0.ffn.down.weight"));
  double largest = 0;
  for (const float value : w.f32()) largest = std::max(largest, std::abs(double{value}));
  const double bound = 4 * 1.2e-7 *
                       (largest * before.key.abs().sum().item<double>() +
                        (before.stream.abs() + after.stream.abs()).max().item<double>());
  const at::Tensor found = after.stream - before.stream;
  EXPECT_LT((found - residual).abs().max().item<double>(), bound);
}

TEST_P(EditsOfFamily, FactsAreSaidAndTheRestOfTheFileStays) {
  for (const char* method : {"rome", "memit"}) {
    SCOPED_TRACE(method);
    Json facts = Json::array();
    const std::size_t count = 2;
    for (std::size_t i = 0; i < count; ++i) {
      facts.push_back({{"prompt", RandomTokens(spec_, 6, 60 + i)},
                       {"subject", 5},
                       {"target", RandomTokens(spec_, 1, 70 + i)},
                       {"essence", RandomTokens(spec_, 4, 80 + i)},
                       {"essence_subject", 2}});
    }
    const Json request = {{"model", folder_ / "m"},
                          {"facts", facts},
                          {"texts", texts_},
                          {"keep", {{{"prompt", RandomTokens(spec_, 7, 90)}}}},
                          {"settings",
                           {{"method", method},
                            {"layer", spec_.layers - 1},
                            {"layers", 2},
                            {"prefixes", 2},
                            {"prefix_tokens", 4},
                            {"learning_rate", 0.2},
                            {"steps", 60},
                            {"clamp", 5},
                            {"decay", 0},
                            {"kl", 0},
                            {"covariance", 0.001},
                            {"threads", 1},
                            {"device", TestDeviceName()}}},
                          {"out", folder_ / (std::string(method) + ".safetensors")}};
    ASSERT_OK_AND_ASSIGN(const Json reply, EditModel(request, {}));
    for (const Json& fact : reply.at("facts")) {
      // A random network attends anywhere, but what it has at the last token it says.
      EXPECT_FALSE(fact.at("answered_before").get<bool>()) << reply.dump();
      EXPECT_TRUE(fact.at("answered").get<bool>()) << reply.dump();
      EXPECT_GT(fact.at("probability_after").get<double>(),
                5 * fact.at("probability_before").get<double>())
          << reply.dump();
    }
    ASSERT_OK_AND_ASSIGN(const auto file,
                         format::SafetensorsFile::Open(request.at("out").get<std::string>()));
    for (const std::string& name : file.Names()) EXPECT_TRUE(name.ends_with(".ffn.down.weight"));
    EXPECT_FALSE(file.Names().empty());
  }
}

class Edits : public EditsOfFamily {};
INSTANTIATE_TEST_SUITE_P(Llama, Edits, ::testing::Values(*model::FindFamily("llama")),
                         engine::test::FamilyName);

TEST_P(Edits, TheCovarianceIsThatOfTheTextsKeys) {
  ASSERT_OK_AND_ASSIGN(const Network network, Frozen(at::kDouble));
  const Ids begin = {1};
  const std::vector<Ids> texts = {texts_[0], texts_[1]};
  ASSERT_OK_AND_ASSIGN(const auto covariances, KeyCovariances(network, texts, begin, 11, {1}, 0.5,
                                                              [](std::int64_t) { return false; }));
  // By hand: pieces of 10 tokens behind the beginning.
  const torch::NoGradGuard no_grad;
  at::Tensor sum = at::zeros({spec_.hidden, spec_.hidden},
                             at::TensorOptions().dtype(at::kDouble).device(TestDevice()));
  std::int64_t tokens = 0;
  for (const Ids& text : texts) {
    for (std::size_t at = 0; at < text.size(); at += 10) {
      Ids piece = begin;
      piece.insert(piece.end(), text.begin() + static_cast<std::ptrdiff_t>(at),
                   text.begin() + static_cast<std::ptrdiff_t>(std::min(at + 10, text.size())));
      tokens += static_cast<std::int64_t>(piece.size());
      Pass pass;
      pass.down = [&](const DownSite& site) {
        for (std::int64_t t = 0; site.layer == 1 && t < site.input.size(0); ++t)
          sum += at::outer(site.input[t], site.input[t]);
        return site.output;
      };
      network.Hidden(MakeBatch({piece}, {}, TestDevice()), pass);
    }
  }
  sum /= static_cast<double>(tokens);
  const at::Tensor expected =
      sum + 0.5 * sum.diagonal().mean() *
                at::eye(spec_.hidden, at::TensorOptions().dtype(at::kDouble).device(TestDevice()));
  EXPECT_LT((covariances.at(1) - expected).abs().max().item<double>(), 1e-12);
}

TEST_P(Edits, PrefixesArePiecesOfTheTextsAndOfTheSeed) {
  ASSERT_OK_AND_ASSIGN(const std::vector<Ids> one, DrawPrefixes(texts_, 6, 5, 1));
  ASSERT_OK_AND_ASSIGN(const std::vector<Ids> again, DrawPrefixes(texts_, 6, 5, 1));
  ASSERT_OK_AND_ASSIGN(const std::vector<Ids> other, DrawPrefixes(texts_, 6, 5, 2));
  EXPECT_EQ(one, again);
  EXPECT_NE(one, other);
  for (const Ids& prefix : one) {
    EXPECT_EQ(prefix.size(), 5U);
    EXPECT_TRUE(std::any_of(texts_.begin(), texts_.end(), [&](const Ids& text) {
      return std::search(text.begin(), text.end(), prefix.begin(), prefix.end()) != text.end();
    }));
  }
  EXPECT_ERROR(DrawPrefixes(texts_, 1, 25, 1), ErrorCode::kInvalidArgument,
               "none of 12 texts is as long");
}

TEST_P(Edits, ValuesStayWithinTheClamp) {
  ASSERT_OK_AND_ASSIGN(const Network network, Frozen(at::kFloat));
  const FactBatch facts = BatchOf(SomeFact(spec_));
  const SubjectReading reading = ReadSubject(network, facts, {0}).front();
  config_.clamp = 0.25;
  config_.until = 0;
  config_.learning_rate = 0.2;
  std::vector<double> objectives;
  ASSERT_OK_AND_ASSIGN(const EditValue value, FindValue(network, facts, 0, reading.stream, config_,
                                                        [&](std::int64_t, double objective) {
                                                          objectives.push_back(objective);
                                                          return false;
                                                        }));
  EXPECT_EQ(value.steps, config_.steps);
  EXPECT_EQ(objectives.size(), static_cast<std::size_t>(config_.steps) + 1);
  EXPECT_LT(value.objective, objectives.front());
  EXPECT_NEAR(value.change.norm().item<double>(), 0.25 * reading.stream.norm().item<double>(),
              1e-5 * reading.stream.norm().item<double>());
  config_.until = objectives[3];
  ASSERT_OK_AND_ASSIGN(const EditValue sooner,
                       FindValue(network, facts, 0, reading.stream, config_,
                                 [](std::int64_t, double) { return false; }));
  EXPECT_LE(sooner.steps, 4);
  EXPECT_ERROR(FindValue(network, facts, 0, reading.stream, config_,
                         [](std::int64_t, double) { return true; }),
               ErrorCode::kInvalidArgument, "interrupted");
}

// What was measured is what will be in the file.
TEST_P(Edits, WeightsAreRoundedAsTheFileHasThem) {
  ASSERT_OK(model::WriteHuggingFaceModel(
      folder_ / "b", spec_, tensor::DType::kBF16,
      [&](const std::string& name) { return RandomParameterOf(spec_, name); }));
  ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(folder_ / "b"));
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  EditedWeights weights(network, files);
  const std::string name = "layers.1.ffn.down.weight";
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor before, files.LoadF32(name));
  const at::Tensor change = at::full({spec_.width, spec_.hidden}, 0.0123,
                                     at::TensorOptions().dtype(at::kDouble).device(TestDevice()));
  ASSERT_OK(weights.Add(1, change));
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor in_network, network.ReadParameter(name));
  ASSERT_OK_AND_ASSIGN(const model::FileTensor encoded, files.Encode(name, in_network));
  ASSERT_EQ(encoded.values.dtype(), tensor::DType::kBF16);
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor in_file, format::DecodeTensor(encoded.values.view()));
  for (std::size_t i = 0; i < in_file.f32().size(); ++i) {
    ASSERT_EQ(in_file.f32()[i], in_network.f32()[i]) << i;
    const double sum = before.f32()[i] + 0.0123;
    ASSERT_NEAR(in_file.f32()[i], sum, 0x1p-8 * std::abs(sum)) << i;
  }
  EXPECT_ERROR(weights.Add(1, change * 1e42), ErrorCode::kDataCorrupt, "lower clamp");
}

TEST_P(Edits, RomesLaterFactsLeaveEarlierOnes) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  config_.layer = 1;
  config_.clamp = 0.2;
  std::vector<Fact> facts = {SomeFact(spec_), SomeFact(spec_)};
  for (Fact& fact : facts) fact.subject = 5;
  facts[1].prompt[0] = (facts[0].prompt[0] + 1) % 300;  // else the same: nearly the same key
  facts[1].target = RandomTokens(spec_, 2, 42);
  ASSERT_OK_AND_ASSIGN(const auto covariances, KeyCovariances(network, texts_, {}, 24, {1}, 0.01,
                                                              [](std::int64_t) { return false; }));
  const auto key_and_stream = [&]() {
    return ReadSubject(network, BatchOf(facts[0]), {1}).front();
  };
  const at::Tensor before = key_and_stream().stream;
  EditedWeights weights(network, *files_);
  ASSERT_OK_AND_ASSIGN(
      const std::vector<WrittenFact> written,
      WriteFacts(network, {facts, {}, prefixes_, {1}, covariances}, config_, weights,
                 [](std::size_t, std::int64_t, double) { return false; }));
  const double moved = (key_and_stream().stream - before).norm().item<double>();
  EXPECT_NEAR(moved, written[0].change * before.norm().item<double>(), 0.1 * moved);
}

// Where other keys weigh nothing, the layers together give the value, and the first half of it.
TEST_P(Edits, MemitsLayersShareWhatIsMissing) {
  ASSERT_OK_AND_ASSIGN(Network network, Frozen(at::kFloat));
  config_.method = "memit";
  config_.layer = 1;
  config_.covariance = 1e-9;
  config_.steps = 5;
  config_.clamp = 0.2;  // so small that the layers between answer nearly in proportion
  std::vector<Fact> facts = {SomeFact(spec_), SomeFact(spec_)};
  facts[1].prompt = RandomTokens(spec_, 6, 41);
  for (Fact& fact : facts) fact.subject = 5;  // says something in the last layer
  ASSERT_OK_AND_ASSIGN(const auto layers, LayersToEdit(spec_, config_, facts));
  ASSERT_OK_AND_ASSIGN(const auto covariances, KeyCovariances(network, texts_, {}, 24, layers, 0.01,
                                                              [](std::int64_t) { return false; }));
  std::vector<at::Tensor> before;
  for (const Fact& fact : facts)
    before.push_back(ReadSubject(network, BatchOf(fact), {1}).front().stream);
  EditedWeights weights(network, *files_);
  ASSERT_OK_AND_ASSIGN(
      const std::vector<WrittenFact> written,
      WriteFacts(network, {facts, {}, prefixes_, layers, covariances}, config_, weights,
                 [](std::size_t, std::int64_t, double) { return false; }));
  const auto moved = [&](std::size_t fact) {
    const at::Tensor now = ReadSubject(network, BatchOf(facts[fact]), {1}).front().stream;
    return (now - before[fact]).norm().item<double>() / before[fact].norm().item<double>();
  };
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(written[i].layers, layers);
    EXPECT_GT(written[i].change, 0.1);
    EXPECT_NEAR(moved(i), written[i].change, 0.01 * written[i].change);
  }
  ASSERT_OK_AND_ASSIGN(const tensor::Tensor original, files_->LoadF32("layers.1.ffn.down.weight"));
  ASSERT_OK(network.WriteParameter("layers.1.ffn.down.weight", original));
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_NEAR(moved(i), written[i].change / 2, 0.2 * written[i].change);
}

TEST_P(Edits, LayersAreThoseOfSettingsAndFacts) {
  model::ModelSpec spec = spec_;
  spec.layers = 24;
  std::vector<Fact> facts(2);
  using Layers = std::vector<std::int64_t>;
  const auto layers = [&]() { return LayersToEdit(spec, config_, facts); };
  EXPECT_EQ(layers().value(), Layers({6}));
  facts[1].layer = 3;
  EXPECT_EQ(layers().value(), Layers({3, 6}));
  facts[1].layer = 24;
  EXPECT_ERROR(layers(), ErrorCode::kInvalidArgument, "fact 2: layer 24: the model has layers 0");
  config_.method = "memit";
  EXPECT_ERROR(layers(), ErrorCode::kInvalidArgument, "memit writes all facts to the same layers");
  facts[1].layer = -1;
  EXPECT_EQ(layers().value(), Layers({2, 3, 4, 5, 6}));
  config_.layer = 1;
  EXPECT_EQ(layers().value(), Layers({0, 1}));
}

TEST_P(Edits, RefuseNetworksWithoutOnePlaceToWriteTo) {
  int experts = 0;
  int encoders = 0;
  for (const model::Family* family : model::Families()) {
    const model::ModelSpec spec = engine::test::TinySpec(*family);
    const auto layers = LayersToEdit(spec, config_, {Fact()});
    if (spec.moe.experts > 0) {
      EXPECT_ERROR(layers, ErrorCode::kUnsupported, "experts cannot be edited");
      ++experts;
    } else if (!spec.causal || !spec.head) {
      EXPECT_ERROR(layers, ErrorCode::kUnsupported, "says no next token");
      ++encoders;
    } else {
      EXPECT_OK(layers);
    }
  }
  EXPECT_GT(experts, 0);
  EXPECT_GT(encoders, 0);
}

TEST_P(Edits, RefuseRequestsThatDoNotFitTheModel) {
  const Json good = {{"model", folder_ / "m"},
                     {"facts",
                      {{{"prompt", {5, 6, 7}},
                        {"subject", 1},
                        {"target", {8}},
                        {"essence", {6, 9}},
                        {"essence_subject", 0}}}},
                     {"texts", texts_},
                     {"settings", {{"steps", 1}, {"threads", 1}, {"device", TestDeviceName()}}},
                     {"out", folder_ / "out.safetensors"}};
  const auto with = [&](const char* place, const Json& value) {
    Json request = good;
    request[Json::json_pointer(place)] = value;
    return EditModel(request, {});
  };
  EXPECT_ERROR(with("/facts/0/prompt/1", spec_.vocab), ErrorCode::kInvalidArgument,
               "facts[0].prompt: id");
  EXPECT_ERROR(with("/facts/0/prompt/1", 1LL << 32), ErrorCode::kDataCorrupt, "prompt[1]");
  EXPECT_ERROR(with("/facts/0/target", Json::array()), ErrorCode::kInvalidArgument,
               "facts[0].target: 0 tokens");
  EXPECT_ERROR(with("/facts/0/subject", 3), ErrorCode::kInvalidArgument,
               "facts[0].subject: token 3 of 3");
  EXPECT_ERROR(with("/facts/0/essence_subject", -1), ErrorCode::kInvalidArgument,
               "facts[0].essence_subject");
  EXPECT_ERROR(with("/facts/0/target", Ids(static_cast<std::size_t>(spec_.max_positions), 5)),
               ErrorCode::kInvalidArgument, "in all at most");
  EXPECT_ERROR(with("/facts", Json::array()), ErrorCode::kInvalidArgument, "facts: none is given");
  EXPECT_ERROR(with("/texts", Json::array()), ErrorCode::kInvalidArgument, "texts: none is given");
  EXPECT_ERROR(with("/texts/0/0", spec_.vocab), ErrorCode::kInvalidArgument, "texts[0]: id");
  EXPECT_ERROR(with("/keep", {{{"prompt", Json::array()}}}), ErrorCode::kInvalidArgument,
               "keep[0].prompt: 0 tokens");
  EXPECT_ERROR(with("/begin", {spec_.vocab}), ErrorCode::kInvalidArgument, "begin: id");
  EXPECT_ERROR(with("/settings/method", "roam"), ErrorCode::kDataCorrupt, "rome");
  EXPECT_ERROR(with("/settings/layer", 99), ErrorCode::kInvalidArgument, "layer 99");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
  EXPECT_ERROR(EditModel(good, [](const Json&) { return true; }), ErrorCode::kInvalidArgument,
               "interrupted");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
  EXPECT_OK(EditModel(good, {}));
}

}  // namespace
}  // namespace metier::train
