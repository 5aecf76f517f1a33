// What keys and values of fewer bits cost, in memory and in exactness.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using model::AdapterId;
using model::SequenceStep;
using model::TokenId;
using model::Want;

TEST(KvTypes, ASessionTakesWhatItsTypeSays) {
  model::ModelSpec spec = TinySpec(*model::FindFamily("llama").value());
  const auto model = RandomModel(spec);
  const std::vector<TokenId> tokens = RandomTokens(spec, 70, 1);  // two pages
  const auto dim = static_cast<std::uint64_t>(spec.head_dim);
  const std::uint64_t padded = (dim + 15) / 16 * 16;
  const auto used = [&](KvType type) {
    NativeBackend backend(model, {.threads = 1, .kv_type = type});
    const auto sequence = backend.OpenSequence(AdapterId::kNone);
    const SequenceStep step{
        .sequence = *sequence, .tokens = tokens, .types = {}, .want = Want::kNothing};
    EXPECT_TRUE(backend.Forward({&step, 1}).ok());
    return backend.cache().used_bytes();
  };
  const auto heads = static_cast<std::uint64_t>(spec.layers * spec.kv_heads);
  EXPECT_EQ(used(KvType::kF32), 2 * 64 * heads * 4 * (dim + padded));
  EXPECT_EQ(used(KvType::kBF16), 2 * 64 * heads * 2 * (dim + padded));
  EXPECT_EQ(used(KvType::kInt8), 2 * 64 * heads * (dim + padded + 2 * sizeof(float)));
}

// Of a trained model's answers to a text of its own kind.
struct Answers {
  std::vector<float> logits;  // [tokens, vocab]
  double mean_nll = 0;        // of the tokens that follow
};

Answers AnswersOf(const std::shared_ptr<const NativeModel>& model,
                  const std::vector<TokenId>& tokens, KvType type) {
  NativeBackend backend(model, {.threads = 2, .kv_type = type});
  Answers answers{.logits = RunWhole(backend, tokens)};
  const auto vocab = static_cast<std::size_t>(model->spec().vocab);
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    const float* row = answers.logits.data() + i * vocab;
    double sum = 0;
    for (std::size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(row[v]));
    answers.mean_nll += std::log(sum) - static_cast<double>(row[tokens[i + 1]]);
  }
  answers.mean_nll /= static_cast<double>(tokens.size() - 1);
  return answers;
}

// A number is off by 2^-9 of itself in bfloat16, and by up to 1/254 of the largest of its head in 8
// bits. What that does to logits (9.2 in the root mean square) has no bound worth stating but
// the measured one, with some room: of the worst of 100 thousand, of all, and of what the text is
// worth (1.191 nats a token). Heads of 8 numbers and a sharp attention make this model a hard case.
TEST(KvTypes, ATrainedModelSaysNearlyTheSame) {
  METIER_NEEDS_SHARED(shared);
  const metier::test::TempFolder folder;
  metier::test::UnpackTarZstd(shared + "/fixtures/stories260k/model.tar.zst", folder.path());
  ASSERT_OK_AND_ASSIGN(
      const Json text,
      ParseJson(metier::test::ReadAll(shared + "/fixtures/stories260k/text200.json")));
  const auto tokens = text["ids"].get<std::vector<TokenId>>();
  ASSERT_OK_AND_ASSIGN(const auto model, NativeModel::Open(folder / "stories260k.gguf"));
  const Answers exact = AnswersOf(model, tokens, KvType::kF32);
  EXPECT_NEAR(exact.mean_nll, text["mean_nll"].get<double>(), 1e-4);
  struct Bound {
    KvType type;
    double worst;
    double root_mean_square;
    double mean_nll;
  };
  for (const Bound& bound :
       {Bound{KvType::kBF16, 0.4, 0.05, 0.002}, Bound{KvType::kInt8, 2.0, 0.2, 0.01}}) {
    const Answers rounded = AnswersOf(model, tokens, bound.type);
    double worst = 0;
    double squares = 0;
    for (std::size_t i = 0; i < exact.logits.size(); ++i) {
      const double difference = static_cast<double>(rounded.logits[i]) - exact.logits[i];
      worst = std::max(worst, std::abs(difference));
      squares += difference * difference;
    }
    const double rms = std::sqrt(squares / static_cast<double>(exact.logits.size()));
    EXPECT_LE(worst, bound.worst) << static_cast<int>(bound.type);
    EXPECT_LE(rms, bound.root_mean_square) << static_cast<int>(bound.type);
    EXPECT_GT(rms, bound.root_mean_square / 4) << "nothing was rounded";
    EXPECT_NEAR(rounded.mean_nll, exact.mean_nll, bound.mean_nll);
  }
}

}  // namespace
}  // namespace metier::engine::test
