// Many prompts alone and in company: batches, threads, chunks, what the cache holds and proposals
// change no token, of greedy and of sampled answers, with exact and with fast arithmetic.
// METIER_DETERMINISM_PROMPTS=200 is the long form, with every run below.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>

#include "base/rng.h"
#include "engine/prompt_lookup.h"
#include "engine/scheduler.h"
#include "mixing.h"
#include "scheduling.h"

namespace metier::engine::test {
namespace {

struct Kind {
  const char* name;
  const char* family;
  tensor::DType dtype;
  Arithmetic arithmetic;
};

// How the prompts are run together, on a cache that holds nothing yet and once more on what that
// left behind.
struct Company {
  std::int64_t batch = 1;
  int threads = 1;
  std::int64_t chunk_tokens = 512;
};

// The first three are the short form.
constexpr Company kCompanies[] = {
    {3, 2, 64},   {8, 1, 16},  {64, 2, 512}, {1, 2, 512},  {2, 1, 16},
    {2, 2, 100},  {4, 1, 512}, {8, 2, 256},  {16, 1, 64},  {16, 2, 16},
    {32, 1, 128}, {32, 2, 32}, {64, 1, 16},  {64, 2, 200}, {48, 1, 512},
};

constexpr model::AdapterId kMixed{3};

class Determinism : public Scheduling, public ::testing::WithParamInterface<Kind> {
 protected:
  Determinism() {
    spec_ = model::FindFamily(GetParam().family).value()->tiny();
    spec_.max_positions = 640;
    spec_.hidden = 64;  // whole blocks
    if (spec_.moe.experts > 0) {
      spec_.moe.experts = 8;
      spec_.moe.top_k = 3;
    }
    const std::string path = folder_ / "model.gguf";
    EXPECT_OK(model::WriteGgufModel(
        path, spec_, {.dtype = GetParam().dtype}, {},
        [this](const std::string& name) { return RandomParameterOf(spec_, name); }));
    auto opened = NativeModel::Open(path);
    EXPECT_OK(opened);
    model_ = *opened;
  }

  // pages: 0: as many as one wants, none kept.
  std::unique_ptr<NativeBackend> Backend(std::uint64_t pages, int threads) const {
    auto backend = std::make_unique<NativeBackend>(
        model_, NativeOptions{.threads = threads,
                              .max_cache_bytes = pages * KvCache(spec_, {}).page_bytes(),
                              .arithmetic = GetParam().arithmetic});
    EXPECT_OK(backend->AddAdapter(RandomAdapter(spec_, 3)));
    for (const std::uint64_t seed : {4, 5})
      EXPECT_OK(backend->AddAdapter(RandomExpert(spec_, seed)));
    const std::vector<model::AdapterId> experts = {model::AdapterId{1}, model::AdapterId{2}};
    EXPECT_EQ(*backend->AddMixture(RandomMixture(spec_, 2, 1, 6), experts), kMixed);
    return backend;
  }

  // Shorter than a page and up to several, a third with a beginning that others have, half of them
  // sampled, some with an adapter, some with a mixture of two.
  std::vector<Ask> Asks(std::size_t count) const {
    Rng rng(11);
    const std::vector<text::TokenId> system = Prompt(130, 1000);
    std::vector<Ask> asks;
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<text::TokenId> prompt = Prompt(1 + rng.Below(i % 8 == 7 ? 400 : 80), i);
      if (i % 3 == 1) prompt.insert(prompt.begin(), system.begin(), system.end());
      const auto most = static_cast<std::int64_t>(4 + rng.Below(24));
      Ask ask = Asked(std::move(prompt), most, i % 2 == 0 ? 0 : i);
      if (i % 4 == 3) ask.options.sampler.repetition_penalty = 1.2;
      if (i % 4 == 2) ask.adapter = i % 8 == 2 ? model::AdapterId{0} : kMixed;
      ask.client = std::string(1, static_cast<char>('a' + i % 3));
      asks.push_back(std::move(ask));
    }
    return asks;
  }

  std::vector<Generation> EachAloneOn(NativeBackend& backend, const std::vector<Ask>& asks) const {
    std::vector<Generation> alone;
    for (const Ask& ask : asks) {
      auto session = Session::Open(backend, ask.adapter);
      auto answer = Generate(*session, words_, ask.prompt, ask.options);
      EXPECT_OK(answer);
      alone.push_back(std::move(answer).value());
    }
    return alone;
  }

  // Every second request has a proposer. Expects what was answered alone; returns what was done.
  StepCounters RunTogether(NativeBackend& backend, const Company& company, std::vector<Ask> asks,
                           const std::vector<Generation>& alone, const std::string& what) {
    Scheduler scheduler(backend, words_,
                        {.step_tokens = company.chunk_tokens, .max_running = company.batch});
    std::deque<PromptLookup> proposers;
    std::vector<Heard> heard(asks.size());
    for (std::size_t i = 0; i < asks.size(); ++i) {
      if (i / 2 % 2 == 0) {
        proposers.emplace_back(PromptLookupOptions{.min_match = 1, .max_match = 3});
        asks[i].options.proposer = &proposers.back();
      }
      EXPECT_OK(scheduler.Submit(RequestOf(asks[i], heard[i])));
    }
    while (scheduler.Step()) continue;
    for (std::size_t i = 0; i < asks.size(); ++i)
      ExpectSame(heard[i], alone[i], what + ", prompt " + std::to_string(i));
    return scheduler.stats().work;
  }

  metier::test::TempFolder folder_;
};

TEST_P(Determinism, CompanyChangesNoToken) {
  const char* asked = std::getenv("METIER_DETERMINISM_PROMPTS");
  const std::size_t prompts = asked == nullptr ? 24 : std::strtoull(asked, nullptr, 10);
  const std::vector<Ask> asks = Asks(prompts);
  const std::vector<Generation> alone = EachAloneOn(*Backend(0, 1), asks);
  std::int64_t accepted = 0;
  for (const Company& company : std::span(kCompanies).first(asked == nullptr ? 3 : 15)) {
    const std::string what = fmt::format("{} at once on {} threads, chunks of {}", company.batch,
                                         company.threads, company.chunk_tokens);
    const auto backend = Backend(5 * prompts, company.threads);
    const StepCounters cold = RunTogether(*backend, company, asks, alone, what + ", cold");
    const StepCounters warm = RunTogether(*backend, company, asks, alone, what + ", warm");
    EXPECT_GT(cold.reused_tokens, 0) << what;  // of others with the same beginning
    EXPECT_GT(warm.reused_tokens, cold.reused_tokens) << what;
    accepted += cold.accepted_tokens + warm.accepted_tokens;
  }
  EXPECT_GT(accepted, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Determinism,
    ::testing::Values(Kind{"DenseExact", "llama", tensor::DType::kQ4_0, Arithmetic::kExact},
                      Kind{"DenseFast", "llama", tensor::DType::kQ4_0, Arithmetic::kFast},
                      Kind{"Bf16Fast", "llama", tensor::DType::kBF16, Arithmetic::kFast},
                      Kind{"ExpertsExact", "qwen3moe", tensor::DType::kQ8_0, Arithmetic::kExact},
                      Kind{"ExpertsFast", "qwen3moe", tensor::DType::kQ8_0, Arithmetic::kFast}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace metier::engine::test
