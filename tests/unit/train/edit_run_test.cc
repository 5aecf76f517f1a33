// Facts of a model that knows some: counterfactuals written into it by both methods are answered,
// its other facts stay, and all of it is taken back. The gate of edits: efficacy at least 95 %,
// drift of what is near at most 2 %, reverted to the bit.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "format/safetensors.h"
#include "model/edit_files.h"
#include "model/model_files.h"
#include "train/edit_verb.h"
#include "unit/train/training.h"

namespace metier::train {
namespace {

using Tokens = std::vector<std::int32_t>;

// "code of FIRST LAST: WORD .": names of two words, so that only both together say which fact.
constexpr std::int32_t kCode = 1;
constexpr std::int32_t kOf = 2;
constexpr std::int32_t kStop = 3;
constexpr std::int32_t kWho = 4;
constexpr std::int32_t kNames = 12;  // first names, and last names
constexpr std::int32_t kFirst = 5;
constexpr std::int32_t kLast = kFirst + kNames;
constexpr std::int32_t kWord = kLast + kNames;
constexpr std::int32_t kWords = 20;
constexpr std::int32_t kVocab = kWord + kWords;

struct Person {
  std::int32_t first = 0;
  std::int32_t last = 0;
  std::int32_t word = 0;

  Tokens Prompt() const { return {kCode, kOf, kFirst + first, kLast + last}; }
};

class FactsOfAModel : public ::testing::Test {
 protected:
  static constexpr int kEdited = 20;

  // One model for all tests of this folder of facts.
  static void SetUpTestSuite() {
    folder_ = new test::TempFolder();
    Rng rng(11);
    for (std::int32_t first = 0; first < kNames; ++first) {
      for (std::int32_t last = 0; last < kNames; ++last)
        people_.push_back({first, last, static_cast<std::int32_t>(rng.Below(kWords))});
    }
    for (std::size_t i = people_.size() - 1; i > 0; --i)
      std::swap(people_[i], people_[rng.Below(i + 1)]);
    std::vector<std::vector<std::uint8_t>> loss;
    for (int text = 0; text < 400; ++text) {
      Tokens ids;
      for (int i = 0; i < 6; ++i) {
        const Person& person = people_[rng.Below(people_.size())];
        const Tokens prompt = person.Prompt();
        ids.insert(ids.end(), prompt.begin(), prompt.end());
        ids.push_back(kWord + person.word);
        ids.push_back(kStop);
      }
      // Of a sentence the word alone can be known.
      std::vector<std::uint8_t> counts;
      for (const std::int32_t id : ids) counts.push_back(id >= kWord ? 1 : 0);
      loss.push_back(std::move(counts));
      texts_.push_back(std::move(ids));
    }
    WriteTokens(*folder_ / "train.safetensors", texts_, loss);
    Json run = TinyRun(*folder_, "run");
    run["init"]["spec"] = {
        {"model_type", "llama"},    {"vocab_size", kVocab},          {"hidden_size", 64},
        {"intermediate_size", 192}, {"num_hidden_layers", 3},        {"num_attention_heads", 4},
        {"num_key_value_heads", 4}, {"max_position_embeddings", 64}, {"rms_norm_eps", 1e-5}};
    run["max_seq_len"] = 48;
    run["per_device_train_batch_size"] = 8;
    run["learning_rate"] = 5e-3;
    run["warmup_ratio"] = 0.05;
    run["max_steps"] = 600;
    run["num_train_epochs"] = 1000;
    run["logging_steps"] = 100;
    const Result<Json> trained = RunTraining(run);
    ASSERT_OK(trained);
    model_ = trained->at("output").get<std::string>();
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
    people_.clear();
    texts_.clear();
  }

  // The first people's words become others; all the others' stay.
  static Json Request(const std::string& model, const Json& settings, const std::string& out,
                      int from = 0, int count = kEdited) {
    Json facts = Json::array();
    Json keep = Json::array();
    for (std::size_t i = 0; i < people_.size(); ++i) {
      const Person& person = people_[i];
      const auto number = static_cast<int>(i);
      if (number >= from && number < from + count) {
        facts.push_back({{"prompt", person.Prompt()},
                         {"subject", 3},
                         {"target", {Counterfactual(person)}},
                         {"essence", {kFirst + person.first, kLast + person.last, kWho}},
                         {"essence_subject", 1}});
      } else if (number >= kEdited) {
        keep.push_back({{"prompt", person.Prompt()}, {"answer", {kWord + person.word}}});
      }
    }
    Json all = {{"device", TestDeviceName()}, {"threads", 1}};
    all.update(settings);
    return {{"model", model},  {"facts", facts},  {"keep", keep},
            {"texts", texts_}, {"settings", all}, {"out", *folder_ / out}};
  }
  static std::int32_t Counterfactual(const Person& person) {
    return kWord + (person.word + 7) % kWords;
  }

  // Writes what the verb changed, as `metier edit` does.
  static void Apply(const std::string& from, const Json& request, const std::string& to) {
    ASSERT_OK_AND_ASSIGN(const auto changed,
                         format::SafetensorsFile::Open(request.at("out").get<std::string>()));
    ASSERT_OK_AND_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(from));
    std::vector<model::FileTensor> tensors;
    for (const std::string& name : changed.Names()) {
      const tensor::TensorView* view = changed.Find(name);
      tensor::Tensor values(view->dtype, view->shape);
      std::copy(view->bytes.begin(), view->bytes.end(), values.bytes().begin());
      ASSERT_OK_AND_ASSIGN(model::FileTensor tensor, files.Encode(name, values));
      tensors.push_back(std::move(tensor));
    }
    ASSERT_OK(model::WriteEdit(from, to, tensors, {{"settings", request.at("settings")}}));
    std::filesystem::copy_file(from + "/config.json", to + "/config.json");
  }

  static inline test::TempFolder* folder_ = nullptr;
  static inline std::vector<Person> people_;
  static inline std::vector<Tokens> texts_;
  static inline std::string model_;
};

const Json kRome = {{"method", "rome"}, {"layer", 0}};
const Json kMemit = {{"method", "memit"}, {"layer", 1}, {"layers", 2}, {"covariance", 5}};

class ByMethod : public FactsOfAModel, public ::testing::WithParamInterface<Json> {};
INSTANTIATE_TEST_SUITE_P(Methods, ByMethod, ::testing::Values(kRome, kMemit),
                         [](const auto& shown) {
                           return shown.param["method"].template get<std::string>();
                         });

TEST_P(ByMethod, TwentyCounterfactualsPassTheGate) {
  const std::string name = GetParam()["method"].get<std::string>();
  const Json request = Request(model_, GetParam(), name + ".safetensors");
  ASSERT_OK_AND_ASSIGN(const Json reply, EditModel(request, {}));
  RecordProperty("efficacy", reply["efficacy"].dump());
  RecordProperty("drift", reply["keep"]["drift"].dump());
  for (const Json& fact : reply["facts"]) {
    EXPECT_FALSE(fact["answered_before"].get<bool>());
    EXPECT_LT(fact["probability_before"].get<double>(), 0.1);  // the model knew another answer
  }
  EXPECT_GT(reply["keep"]["probability_before"].get<double>(), 0.9);  // it knew the others
  EXPECT_GE(reply["efficacy"].get<double>(), 0.95) << reply.dump();
  EXPECT_LE(reply["keep"]["drift"].get<double>(), 0.02) << reply.dump();

  const std::string edited = *folder_ / (name + "-edited");
  Apply(model_, request, edited);
  EXPECT_NE(HashOf(edited + "/model.safetensors"), HashOf(model_ + "/model.safetensors"));
  // The directory answers as the network did when it was measured.
  ASSERT_OK_AND_ASSIGN(
      const Json again,
      EditModel(Request(edited, {{"steps", 1}, {"learning_rate", 1e-9}, {"prefixes", 0}},
                        "again.safetensors"),
                {}));
  for (std::size_t i = 0; i < kEdited; ++i) {
    EXPECT_EQ(again["facts"][i]["probability_before"], reply["facts"][i]["probability_after"]);
  }
  ASSERT_OK(model::WriteReverted(edited, edited + "-back", 1));
  EXPECT_EQ(HashOf(edited + "-back/model.safetensors"), HashOf(model_ + "/model.safetensors"));
}

TEST_F(FactsOfAModel, EditsOnTopOfEachOtherHoldAndComeOffInTurn) {
  const Json first = Request(model_, kRome, "first.safetensors", 0, 4);
  ASSERT_OK(EditModel(first, {}));
  Apply(model_, first, *folder_ / "one");
  const Json second = Request(*folder_ / "one", kMemit, "second.safetensors", 4, 4);
  ASSERT_OK(EditModel(second, {}));
  Apply(*folder_ / "one", second, *folder_ / "two");
  ASSERT_OK_AND_ASSIGN(
      const Json both,
      EditModel(Request(*folder_ / "two", {{"steps", 1}}, "x.safetensors", 0, 8), {}));
  for (const Json& fact : both["facts"]) EXPECT_TRUE(fact["answered_before"].get<bool>());
  ASSERT_OK(model::WriteReverted(*folder_ / "two", *folder_ / "two-back", 1));
  EXPECT_EQ(HashOf(*folder_ / "two-back/model.safetensors"),
            HashOf(*folder_ / "one/model.safetensors"));
  ASSERT_OK(model::WriteReverted(*folder_ / "two", *folder_ / "all-back", 2));
  EXPECT_EQ(HashOf(*folder_ / "all-back/model.safetensors"), HashOf(model_ + "/model.safetensors"));
}

TEST_F(FactsOfAModel, TheSameRequestGivesTheSameBits) {
  const Json one = Request(model_, kRome, "one.safetensors", 0, 2);
  const Json two = Request(model_, kRome, "two.safetensors", 0, 2);
  ASSERT_OK(EditModel(one, {}));
  ASSERT_OK(EditModel(two, {}));
  EXPECT_EQ(HashOf(*folder_ / "one.safetensors"), HashOf(*folder_ / "two.safetensors"));
}

}  // namespace
}  // namespace metier::train
