// tests/unit/engine/scheduling.h - requests to a scheduler on a tiny model, and what each would be
// answered alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/generate.h"
#include "engine/scheduler.h"
#include "tiny_models.h"
#include "words.h"

namespace metier::engine::test {

constexpr std::int64_t kPage = 64;

struct Ask {
  std::vector<text::TokenId> prompt;
  GenerateOptions options;
  model::AdapterId adapter = model::AdapterId::kNone;  // 0: the first of the backend
  std::string client;
};

// What was heard of one request.
struct Heard {
  std::vector<text::TokenId> tokens;
  std::string text;
  std::vector<Result<Generation>> done;

  bool ended() const { return !done.empty(); }
};

class Scheduling : public ::testing::Test {
 protected:
  static model::ModelSpec Spec() {
    model::ModelSpec spec = model::FindFamily("llama").value()->tiny();
    spec.max_positions = 640;
    return spec;
  }

  Scheduling() : spec_(Spec()), model_(RandomModel(spec_)), words_(Words(spec_.vocab)) {}

  // pages of the cache: 0: as many as one wants, none kept.
  std::unique_ptr<NativeBackend> Backend(std::int64_t pages, int threads = 1) const {
    NativeOptions options{.threads = threads, .page_hash = &NoHash};
    options.max_cache_bytes = static_cast<std::uint64_t>(pages) * KvCache(spec_, {}).page_bytes();
    auto backend = std::make_unique<NativeBackend>(model_, options);
    EXPECT_TRUE(backend->AddAdapter(RandomAdapter(spec_, 3)).ok());
    return backend;
  }

  std::vector<text::TokenId> Prompt(std::size_t count, std::uint64_t seed) const {
    return RandomTokens(spec_, count, seed);
  }

  // Greedy, or with a stream of its own; never ended by an end token, which a random model may say
  // at any time.
  Ask Asked(std::vector<text::TokenId> prompt, std::int64_t max_tokens,
            std::uint64_t seed = 0) const {
    Ask ask{.prompt = std::move(prompt)};
    ask.options.max_tokens = max_tokens;
    ask.options.ignore_end_tokens = true;
    ask.options.sampler.temperature = seed == 0 ? 0 : 1.5;
    ask.options.sampler.seed = seed;
    return ask;
  }

  // All kinds: short and long, beginning alike or not, greedy or sampled, with penalties, stop
  // texts, end tokens, probabilities, adapters, several clients.
  std::vector<Ask> Mixture() const {
    const std::vector<text::TokenId> system = Prompt(130, 100);
    std::vector<Ask> asks;
    for (std::uint64_t i = 0; i < 10; ++i) {
      std::vector<text::TokenId> prompt = Prompt(1 + 13 * i, i);
      if (i % 3 == 1) prompt.insert(prompt.begin(), system.begin(), system.end());
      if (i % 5 == 3) prompt.insert(prompt.begin(), system.begin(), system.begin() + 64);
      Ask ask = Asked(std::move(prompt), static_cast<std::int64_t>(5 + 7 * i), i % 2 * (i + 1));
      if (i % 4 == 1) ask.options.sampler.repetition_penalty = 1.3;
      if (i % 4 == 2) ask.options.stop = {"a", "word3"};
      if (i % 4 == 3) ask.options.ignore_end_tokens = false;
      if (i == 6) ask.options.sampler.top_logprobs = 2;
      if (i % 3 == 2) ask.adapter = model::AdapterId{0};
      ask.client = std::string(1, static_cast<char>('a' + i % 3));
      asks.push_back(std::move(ask));
    }
    asks.push_back(Asked(system, 3));
    asks.push_back(Asked(system, 0));  // nothing to say
    asks.push_back(Asked(system, 30, 9));
    return asks;
  }

  // In a conversation on a backend of its own.
  Generation Alone(const Ask& ask) const {
    const auto backend = Backend(0);
    auto session = Session::Open(*backend, ask.adapter);
    auto result = Generate(*session, words_, ask.prompt, ask.options);
    EXPECT_TRUE(result.ok()) << result.error().message();
    return std::move(result).value();
  }
  std::vector<Generation> EachAlone(const std::vector<Ask>& asks) const {
    std::vector<Generation> alone;
    for (const Ask& ask : asks) alone.push_back(Alone(ask));
    return alone;
  }

  // `heard` must stay where it is until on_done.
  Request RequestOf(const Ask& ask, Heard& heard) const {
    Request request{
        .prompt = ask.prompt, .adapter = ask.adapter, .options = ask.options, .client = ask.client};
    request.options.on_token = [&heard, also = ask.options.on_token](const Choice& choice) {
      heard.tokens.push_back(choice.token);
      if (also) also(choice);
    };
    request.options.on_text = [&heard](std::string_view piece) { heard.text += piece; };
    request.on_done = [&heard](Result<Generation> result) {
      heard.done.push_back(std::move(result));
    };
    return request;
  }

  static void ExpectSame(const Heard& heard, const Generation& alone, const std::string& what) {
    ASSERT_EQ(heard.done.size(), 1U) << what;
    ASSERT_TRUE(heard.done[0].ok()) << what << ": " << heard.done[0].error().message();
    const Generation& answer = *heard.done[0];
    EXPECT_EQ(answer.tokens, alone.tokens) << what;
    EXPECT_EQ(answer.text, alone.text) << what;
    EXPECT_EQ(answer.finish, alone.finish) << what;
    EXPECT_EQ(answer.stop, alone.stop) << what;
    EXPECT_EQ(answer.prompt_tokens, alone.prompt_tokens) << what;
    ASSERT_EQ(answer.choices.size(), alone.choices.size()) << what;
    for (std::size_t i = 0; i < answer.choices.size(); ++i)
      EXPECT_EQ(answer.choices[i].logprob, alone.choices[i].logprob) << what;
    EXPECT_EQ(heard.tokens, alone.tokens) << what;
    EXPECT_EQ(heard.text, alone.text) << what;
  }

  // Nothing runs, waits or holds a page, and everything that came in is accounted for.
  static void ExpectAllGivenBack(const Scheduler& scheduler, const NativeBackend& backend) {
    const SchedulerStats stats = scheduler.stats();
    EXPECT_EQ(stats.running, 0);
    EXPECT_EQ(stats.waiting, 0);
    EXPECT_EQ(stats.submitted, stats.finished + stats.cancelled + stats.failed);
    EXPECT_EQ(backend.cache().used_bytes(), 0U);
    EXPECT_EQ(stats.cache.used_pages, 0);
  }

  model::ModelSpec spec_;
  std::shared_ptr<const NativeModel> model_;
  text::Tokenizer words_;
};

}  // namespace metier::engine::test
