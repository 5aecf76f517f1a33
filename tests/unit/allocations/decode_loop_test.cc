// What a step of decoding allocates: nothing. Answers of several requests on one scheduler, and of
// one conversation, while every one of them has begun and none ends.
//
// Where an answer needs the memory of one more page than the cache ever had, the cache and what is
// noted of its pages grow; all of that is kept, so a cache that has grown before, as a server's has
// after its first minutes, allocates nothing at the ends of pages either.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "counted_new.h"
#include "engine/generate.h"
#include "engine/scheduler.h"
#include "unit/engine/mixing.h"
#include "unit/engine/tiny_models.h"
#include "unit/engine/words.h"

namespace metier::engine::test {
namespace {

using metier::test::AllocationsSoFar;
using model::AdapterId;
using text::TokenId;

struct Scenario {
  const char* name;
  const char* family;
  bool adapters = false;  // two, on half of the requests
  bool mixture = false;   // of two more, instead of the first of these
  bool sampled = false;   // by temperature, top-k and penalties
  bool stops = false;     // texts to look for
  int threads = 1;
  Arithmetic arithmetic = Arithmetic::kExact;
  std::optional<std::uint64_t> expert_bytes = {};
};

class DecodeLoop : public ::testing::TestWithParam<Scenario> {
 protected:
  // Several pages, of which each begins while steps are counted.
  static constexpr std::int64_t kAnswer = 150;
  static constexpr std::size_t kStreams = 6;

  DecodeLoop() {
    spec_ = model::FindFamily(GetParam().family).value()->tiny();
    spec_.max_positions = 400;
    const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
    const std::string path = folder_ / "model";
    EXPECT_OK(model::WriteHuggingFaceModel(path, spec_, tensor::DType::kBF16, read));
    auto opened = NativeModel::Open(path, {}, {.max_expert_bytes = GetParam().expert_bytes});
    EXPECT_OK(opened);
    backend_ = std::make_unique<NativeBackend>(
        *opened, NativeOptions{.threads = GetParam().threads, .arithmetic = GetParam().arithmetic});
    for (const std::uint64_t seed : {3, 4})
      EXPECT_OK(backend_->AddAdapter(RandomAdapter(spec_, seed)));
    if (GetParam().mixture) AddMixture();
  }

  void AddMixture() {
    std::vector<AdapterId> experts;
    for (const std::uint64_t seed : {5, 6})
      experts.push_back(backend_->AddAdapter(RandomExpert(spec_, seed)).value());
    const auto mixed = backend_->AddMixture(RandomMixture(spec_, 2, 1, 7), experts);
    EXPECT_OK(mixed);
    mixture_ = *mixed;
  }

  AdapterId AdapterOf(std::size_t i) const {
    if (!GetParam().adapters || i % 2 == 0) return AdapterId::kNone;
    if (GetParam().mixture && i / 2 % 2 == 0) return mixture_;
    return AdapterId{static_cast<std::int64_t>(i / 2 % 2)};
  }

  // Text and tokens are streamed to places that have room.
  GenerateOptions Options(std::uint64_t seed) {
    GenerateOptions options;
    options.max_tokens = kAnswer;
    options.ignore_end_tokens = true;
    options.sampler.temperature = GetParam().sampled ? 1.2 : 0;
    options.sampler.seed = seed;
    if (GetParam().sampled) {
      options.sampler.top_k = 40;
      options.sampler.top_p = 0.95;
      options.sampler.repetition_penalty = 1.1;
      options.sampler.frequency_penalty = 0.2;
    }
    if (GetParam().stops) options.stop = {"word, that is never said"};
    options.on_token = [this](const Choice& /*choice*/) { ++tokens_; };
    options.on_text = [this](std::string_view piece) { bytes_ += piece.size(); };
    return options;
  }

  struct Counts {
    std::int64_t inside_pages = 0;  // by steps that took no page
    std::int64_t new_pages = 0;     // by the others
  };

  // Steps until every request has two tokens, then all but the last, counted.
  Counts CountSteps(std::uint64_t seed) {
    Scheduler scheduler(*backend_, words_);
    tokens_ = 0;
    for (std::size_t i = 0; i < kStreams; ++i) {
      Request request{.prompt = RandomTokens(spec_, 3 + 17 * i, seed + i),
                      .adapter = AdapterOf(i),
                      .options = Options(seed + i),
                      .client = std::string(1, static_cast<char>('a' + i % 3))};
      EXPECT_OK(scheduler.Submit(std::move(request)));
    }
    for (int i = 0; i < 2; ++i) scheduler.Step();
    EXPECT_EQ(tokens_, 2 * kStreams);
    Counts counted;
    while (tokens_ < (kAnswer - 1) * kStreams) {
      const std::int64_t pages = backend_->cache_stats().used_pages;
      const std::int64_t before = AllocationsSoFar();
      scheduler.Step();
      const bool took = backend_->cache_stats().used_pages > pages;
      (took ? counted.new_pages : counted.inside_pages) += AllocationsSoFar() - before;
    }
    while (scheduler.Step()) continue;
    EXPECT_EQ(scheduler.stats().finished, static_cast<std::int64_t>(kStreams));
    EXPECT_EQ(scheduler.stats().preempted, 0);
    return counted;
  }

  metier::test::TempFolder folder_;
  model::ModelSpec spec_;
  std::unique_ptr<NativeBackend> backend_;
  AdapterId mixture_ = AdapterId::kNone;
  text::Tokenizer words_ = Words(320);
  std::size_t tokens_ = 0;
  std::size_t bytes_ = 0;
};

TEST_P(DecodeLoop, ASchedulersStepsAllocateNothing) {
  const Counts growing = CountSteps(1);
  EXPECT_EQ(growing.inside_pages, 0);
  EXPECT_GT(growing.new_pages, 0) << "no page began";
  const Counts grown = CountSteps(100);
  EXPECT_EQ(grown.inside_pages, 0);
  EXPECT_EQ(grown.new_pages, 0);
}

TEST_P(DecodeLoop, AConversationsStepsAllocateNothing) {
  const std::vector<TokenId> prompt = RandomTokens(spec_, 20, 5);
  std::int64_t counted = 0;
  for (int round = 0; round < 2; ++round) {
    ASSERT_OK_AND_ASSIGN(auto session, Session::Open(*backend_, AdapterOf(1)));
    GenerateOptions options = Options(9);
    std::int64_t before = 0;
    tokens_ = 0;
    options.on_token = [&](const Choice& /*choice*/) {
      ++tokens_;
      if (tokens_ == 2) before = AllocationsSoFar();
      if (tokens_ == kAnswer - 1) counted = AllocationsSoFar() - before;
    };
    ASSERT_OK(Generate(session, words_, prompt, options));
  }
  EXPECT_EQ(counted, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Scenarios, DecodeLoop,
    ::testing::Values(
        Scenario{.name = "Dense", .family = "llama"},
        Scenario{.name = "OnTwoThreads", .family = "llama", .threads = 2},
        Scenario{.name = "Sampled", .family = "llama", .sampled = true, .stops = true},
        Scenario{.name = "Adapters", .family = "llama", .adapters = true},
        Scenario{
            .name = "Fast", .family = "qwen2", .adapters = true, .arithmetic = Arithmetic::kFast},
        Scenario{.name = "Mixture", .family = "llama", .adapters = true, .mixture = true},
        Scenario{.name = "Experts", .family = "mixtral", .adapters = true},
        Scenario{.name = "EarlyRouter", .family = "smallthinker"},
        Scenario{.name = "ExpertCache", .family = "smallthinker", .expert_bytes = 8 * 12288}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace metier::engine::test
