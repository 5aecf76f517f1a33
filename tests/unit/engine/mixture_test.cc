// Mixtures of adapters: what rows get, against sums in double; and whole models, by equivalences.
#include "engine/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/adapted_linears.h"
#include "engine/generate.h"
#include "engine/scheduler.h"
#include "engine/session.h"
#include "kernels/dispatch.h"
#include "mixing.h"
#include "words.h"

namespace metier::engine::test {
namespace {

using model::AdapterId;
using model::AdapterMixture;
using model::SequenceStep;
using model::TokenId;
using model::Want;

constexpr std::int64_t kExperts = 3;

class Mixtures : public ::testing::Test {
 protected:
  Mixtures()
      : spec_(TinySpec(**model::FindFamily("llama"))),
        model_(RandomModel(spec_)),
        text_(RandomTokens(spec_, 40, 7)) {}

  // A backend whose first adapters are the experts.
  std::unique_ptr<NativeBackend> Backend(const NativeOptions& options) const {
    auto backend = std::make_unique<NativeBackend>(model_, options);
    for (std::int64_t e = 0; e < kExperts; ++e)
      EXPECT_OK(backend->AddAdapter(RandomExpert(spec_, static_cast<std::uint64_t>(e))));
    return backend;
  }
  static std::vector<AdapterId> Experts() { return {AdapterId{0}, AdapterId{1}, AdapterId{2}}; }

  model::ModelSpec spec_;
  std::shared_ptr<const NativeModel> model_;
  std::vector<TokenId> text_;
};

// y = scale * b (a x), in double.
void AddDelta(const model::LoraDelta& delta, double weight, std::span<const float> x,
              std::span<double> y) {
  const std::size_t in = x.size();
  const std::size_t rank = delta.a.f32().size() / in;
  for (std::size_t k = 0; k < rank; ++k) {
    double low = 0;
    for (std::size_t i = 0; i < in; ++i)
      low += static_cast<double>(delta.a.f32()[k * in + i]) * static_cast<double>(x[i]);
    for (std::size_t o = 0; o < y.size(); ++o)
      y[o] += weight * delta.scale * low * static_cast<double>(delta.b.f32()[o * rank + k]);
  }
}

const model::LoraDelta& DeltaOf(const model::Adapter& adapter, const std::string& linear) {
  return *std::find_if(adapter.deltas.begin(), adapter.deltas.end(),
                       [&](const auto& delta) { return delta.linear == linear; });
}

// The best `top_k` experts of a row and the softmax of their scores, in double.
std::map<std::size_t, double> ChosenBy(const tensor::Tensor& router, std::span<const float> x,
                                       std::size_t top_k) {
  std::vector<std::pair<double, std::size_t>> scores;
  for (std::size_t e = 0; e < router.f32().size() / x.size(); ++e) {
    double score = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      score += static_cast<double>(router.f32()[e * x.size() + i]) * static_cast<double>(x[i]);
    scores.emplace_back(-score, e);
  }
  std::sort(scores.begin(), scores.end());
  scores.resize(top_k);
  double sum = 0;
  for (const auto& [score, e] : scores) sum += std::exp(scores.front().first - score);
  std::map<std::size_t, double> chosen;
  for (const auto& [score, e] : scores) chosen[e] = std::exp(scores.front().first - score) / sum;
  return chosen;
}

TEST_F(Mixtures, RowsGetWhatTheirRouterChose) {
  constexpr std::size_t kRows = 9;
  constexpr std::size_t kTopK = 2;
  const Weights& weights = model_->weights();
  std::vector<model::Adapter> adapters;
  std::vector<LoadedAdapter> loaded;
  for (std::uint64_t e = 0; e < kExperts; ++e) {
    adapters.push_back(RandomExpert(spec_, e));
    ASSERT_OK_AND_ASSIGN(LoadedAdapter expert, LoadedAdapter::Create(adapters.back(), weights,
                                                                     kernels::FactorType::kF32));
    loaded.push_back(std::move(expert));
  }
  const AdapterMixture asked = RandomMixture(spec_, kExperts, kTopK, 5);
  const std::vector<const LoadedAdapter*> experts = {&loaded[0], &loaded[1], &loaded[2]};
  ASSERT_OK_AND_ASSIGN(LoadedMixture made, LoadedMixture::Create(asked, experts, weights));
  const LoadedAdapter mixed = LoadedAdapter::Of(
      {.mixture = std::make_shared<const LoadedMixture>(std::move(made))}, weights);

  Compute compute(kernels::Kernels(), 2, Arithmetic::kExact);
  AdaptedLinears linears(compute);
  Rng rng(8);
  const auto width = static_cast<std::size_t>(spec_.width);
  const tensor::Tensor x = RandomRows(kRows, spec_.width, rng, 0.5);
  const tensor::Tensor later = RandomRows(kRows, spec_.q_width(), rng, 0.5);
  // Two rows of the base between rows of the mixture, then one of an expert alone.
  const std::vector<AdapterRun> runs = {
      {&mixed, 0, 3}, {nullptr, 3, 5}, {&mixed, 5, 8}, {&loaded[1], 8, 9}};
  const std::vector<AdapterRun> base = {{nullptr, 0, kRows}};
  std::set<std::size_t> used;

  const auto expect = [&](const std::string& name, const tensor::Tensor& input,
                          const tensor::Tensor& router, std::span<const float> found) {
    const Linear& linear = weights.linears().at("layers.0." + name);
    const auto out = static_cast<std::size_t>(linear.w.rows);
    const auto in = static_cast<std::size_t>(linear.w.columns);
    std::vector<float> plain(kRows * out);
    linears.Multiply(linear, base, input.f32().data(), kRows, plain.data());
    for (const AdapterRun& run : runs) {
      for (std::size_t r = run.begin; r < run.end; ++r) {
        std::vector<double> expected(plain.begin() + static_cast<std::ptrdiff_t>(r * out),
                                     plain.begin() + static_cast<std::ptrdiff_t>((r + 1) * out));
        std::map<std::size_t, double> chosen;
        if (run.adapter == &mixed)
          chosen = ChosenBy(router, x.f32().subspan(r * width, width), kTopK);
        if (run.adapter == &loaded[1]) chosen = {{1, 1.0}};
        for (const auto& [e, weight] : chosen) {
          AddDelta(DeltaOf(adapters[e], "layers.0." + name), weight,
                   input.f32().subspan(r * in, in), expected);
          used.insert(e);
        }
        for (std::size_t o = 0; o < out; ++o)
          ASSERT_NEAR(found[r * out + o], expected[o], 1e-4) << name << " " << r << " " << o;
      }
    }
  };
  const auto kv = static_cast<std::size_t>(spec_.kv_width());
  std::vector<float> q(kRows * static_cast<std::size_t>(spec_.q_width()));
  std::vector<float> k(kRows * kv);
  std::vector<float> v(kRows * kv);
  std::vector<float> o(kRows * width);
  const LayerWeights& layer = weights.layers[0];
  const LinearOutput outputs[] = {{.linear = &layer.k, .out = k.data()},
                                  {.linear = &layer.v, .out = v.data()},
                                  {.linear = &layer.q, .out = q.data()}};
  linears.Multiply(outputs, runs, x.f32().data(), kRows);
  linears.Multiply(layer.o, runs, later.f32().data(), kRows, o.data());
  const tensor::Tensor& first = asked.routers[0].weight;
  expect("attn.q", x, first, q);
  expect("attn.k", x, first, k);
  expect("attn.v", x, asked.routers[1].weight, v);
  expect("attn.o", later, first, o);
  EXPECT_EQ(used.size(), static_cast<std::size_t>(kExperts)) << "some expert was never chosen";
}

TEST_F(Mixtures, ARouterOfOneMindIsTheExpertAlone) {
  for (const Arithmetic arithmetic : {Arithmetic::kExact, Arithmetic::kFast}) {
    const auto backend = Backend({.threads = 2, .arithmetic = arithmetic});
    for (std::int64_t e = 0; e < kExperts; ++e) {
      AdapterMixture mixture = RandomMixture(spec_, kExperts, 1, 5);
      Force(mixture, e);
      ASSERT_OK_AND_ASSIGN(const AdapterId id, backend->AddMixture(mixture, Experts()));
      EXPECT_EQ(RunWhole(*backend, text_, {}, id), RunWhole(*backend, text_, {}, AdapterId{e}));
    }
  }
}

// Half of one expert and half of another is an adapter of both their ranks.
TEST_F(Mixtures, EqualScoresAreTheMeanOfTwo) {
  const auto backend = Backend({.threads = 2});
  AdapterMixture mixture = RandomMixture(spec_, 2, 2, 5);
  for (model::AdapterRouter& router : mixture.routers)
    std::fill(router.weight.f32().begin(), router.weight.f32().end(), 0.0F);
  const std::vector<AdapterId> pair = {AdapterId{0}, AdapterId{1}};
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend->AddMixture(mixture, pair));

  model::Adapter both = RandomExpert(spec_, 0);
  const model::Adapter other = RandomExpert(spec_, 1);
  for (model::LoraDelta& delta : both.deltas) {
    const model::LoraDelta& added = DeltaOf(other, delta.linear);
    const std::int64_t in = delta.a.shape()[1];
    const std::int64_t out = delta.b.shape()[0];
    const std::int64_t own = delta.a.shape()[0];
    const std::int64_t rank = own + added.a.shape()[0];
    tensor::Tensor a(tensor::DType::kF32, {rank, in});
    tensor::Tensor b(tensor::DType::kF32, {out, rank});
    std::copy(added.a.f32().begin(), added.a.f32().end(),
              std::copy(delta.a.f32().begin(), delta.a.f32().end(), a.f32().begin()));
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t k = 0; k < rank; ++k) {
        const auto& from = k < own ? delta.b : added.b;
        const std::int64_t columns = from.shape()[1];
        b.f32()[static_cast<std::size_t>(o * rank + k)] =
            from.f32()[static_cast<std::size_t>(o * columns + (k < own ? k : k - own))];
      }
    }
    delta.a = std::move(a);
    delta.b = std::move(b);
    delta.scale = 0.25;  // half of theirs
  }
  ASSERT_OK_AND_ASSIGN(const AdapterId stacked, backend->AddAdapter(both));
  const std::vector<float> expected = RunWhole(*backend, text_, {}, stacked);
  const std::vector<float> found = RunWhole(*backend, text_, {}, id);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 2e-3) << i;
}

TEST_F(Mixtures, ATokensChoiceIsItsOwn) {
  const auto other = RandomTokens(spec_, 33, 9);
  for (const Arithmetic arithmetic : {Arithmetic::kExact, Arithmetic::kFast}) {
    const auto alone = Backend({.threads = 1, .arithmetic = arithmetic});
    const AdapterMixture mixture = RandomMixture(spec_, kExperts, 2, 5);
    const AdapterMixture narrow = RandomMixture(spec_, kExperts, 1, 6);
    ASSERT_OK_AND_ASSIGN(const AdapterId id, alone->AddMixture(mixture, Experts()));
    ASSERT_OK_AND_ASSIGN(const AdapterId second, alone->AddMixture(narrow, Experts()));
    const std::vector<float> expected = RunWhole(*alone, text_, {}, id);
    const std::vector<AdapterId> companions = {AdapterId::kNone, AdapterId{2}, second, id};
    for (const AdapterId companion : companions) {
      EXPECT_EQ(RunWhole(*alone, text_, {}, companion) == expected, companion == id);
    }

    // Among others, in chunks, on two threads.
    const auto backend = Backend({.threads = 2, .pass_tokens = 50, .arithmetic = arithmetic});
    ASSERT_OK(backend->AddMixture(mixture, Experts()));
    ASSERT_OK(backend->AddMixture(narrow, Experts()));
    std::vector<model::SequenceId> sequences;
    for (const AdapterId companion : companions) {
      ASSERT_OK_AND_ASSIGN(const auto sequence, backend->OpenSequence(companion));
      sequences.push_back(sequence);
    }
    const auto row_width = static_cast<std::size_t>(spec_.vocab);
    for (std::size_t at = 0; at < text_.size(); at += 8) {
      std::vector<SequenceStep> steps;
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        const bool ours = companions[i] == id;
        const auto tokens = std::span<const TokenId>(ours ? text_ : other);
        if (at >= tokens.size()) continue;
        steps.push_back({.sequence = sequences[i],
                         .tokens = tokens.subspan(at, std::min<std::size_t>(8, tokens.size() - at)),
                         .want = at % 16 == 0 ? Want::kAll : Want::kLast});
      }
      ASSERT_OK_AND_ASSIGN(const auto rows, backend->Forward(steps));
      const std::span<const float> found = rows.back().values;
      const std::size_t end = (at + steps.back().tokens.size()) * row_width;
      EXPECT_TRUE(std::equal(found.begin(), found.end(),
                             expected.begin() + static_cast<std::ptrdiff_t>(end - found.size())))
          << at;
    }
  }
}

class BySequence : public Mixtures {
 protected:
  // Two experts, so that the first adapters are few enough to try them all.
  static std::vector<AdapterId> Pair() { return {AdapterId{0}, AdapterId{1}}; }
  // One router for each layer.
  AdapterMixture PerLayer() const {
    AdapterMixture mixture{.name = "per layer", .by = model::RouteBy::kSequence};
    Rng rng(4);
    for (std::int64_t n = 0; n < spec_.layers; ++n) {
      const std::string layer = "layers." + std::to_string(n) + ".";
      model::AdapterRouter router{.reads = layer + "attn.q",
                                  .weight = RandomRows(2, spec_.width, rng, 1)};
      for (const char* linear :
           {"attn.q", "attn.k", "attn.v", "attn.o", "ffn.gate", "ffn.up", "ffn.down"})
        router.linears.push_back(layer + linear);
      mixture.routers.push_back(std::move(router));
    }
    return mixture;
  }
  // The deltas of expert (bits >> n) & 1 in layer n.
  model::Adapter Composed(std::size_t bits) const {
    const model::Adapter experts[] = {RandomExpert(spec_, 0), RandomExpert(spec_, 1)};
    model::Adapter composed{.name = "composed"};
    for (std::size_t i = 0; i < experts[0].deltas.size(); ++i) {
      const std::string& linear = experts[0].deltas[i].linear;  // "layers.N..."
      const std::size_t layer = std::stoul(linear.substr(7));
      composed.deltas.push_back(experts[bits >> layer & 1].deltas[i]);
    }
    return composed;
  }
  // What layer 0's router says of the prompt: the norm of the embeddings is all that it reads.
  std::size_t FirstLayersChoice(const AdapterMixture& mixture,
                                const std::vector<TokenId>& prompt) const {
    const auto width = static_cast<std::size_t>(spec_.width);
    const auto embed = RandomParameterOf(spec_, "embed.tokens").value();
    const auto norm = RandomParameterOf(spec_, "layers.0.attn_norm.weight").value();
    double difference = 0;  // second expert's score less the first one's
    for (const TokenId token : prompt) {
      const auto x = embed.f32().subspan(static_cast<std::size_t>(token) * width, width);
      double square = 0;
      for (const float value : x) square += std::pow(static_cast<double>(value), 2);
      const double scale = 1 / std::sqrt(square / static_cast<double>(width) + spec_.norm.epsilon);
      for (std::size_t i = 0; i < width; ++i) {
        const auto w = mixture.routers[0].weight.f32();
        difference += (static_cast<double>(w[width + i]) - static_cast<double>(w[i])) *
                      static_cast<double>(x[i]) * scale * static_cast<double>(norm.f32()[i]);
      }
    }
    return difference > 0 ? 1 : 0;
  }
};

TEST_F(BySequence, ThePromptChoosesForEveryLayer) {
  ASSERT_EQ(spec_.layers, 2);
  const AdapterMixture mixture = PerLayer();
  const auto backend = Backend({.threads = 2});
  const auto in_passes = Backend({.threads = 1, .pass_tokens = 3});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend->AddMixture(mixture, Pair()));
  ASSERT_OK_AND_ASSIGN(const AdapterId same, in_passes->AddMixture(mixture, Pair()));
  std::vector<AdapterId> composed;
  for (std::size_t bits = 0; bits < 4; ++bits) {
    ASSERT_OK_AND_ASSIGN(const AdapterId made, backend->AddAdapter(Composed(bits)));
    composed.push_back(made);
  }
  std::map<AdapterId, std::size_t> seen;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    const auto prompt = RandomTokens(spec_, 5 + seed % 7, seed);
    ASSERT_OK_AND_ASSIGN(const AdapterId routed, backend->RouteSequence(id, prompt));
    const std::vector<float> found = RunWhole(*backend, prompt, {}, routed);
    std::size_t choice = 4;
    for (std::size_t bits = 0; bits < 4; ++bits) {
      if (RunWhole(*backend, prompt, {}, composed[bits]) == found) choice = bits;
    }
    ASSERT_LT(choice, 4U) << "no expert of each layer, in seed " << seed;
    EXPECT_EQ(choice & 1, FirstLayersChoice(mixture, prompt)) << seed;
    const auto [known, fresh] = seen.emplace(routed, choice);
    EXPECT_EQ(known->second, choice);

    ASSERT_OK_AND_ASSIGN(const AdapterId again, in_passes->RouteSequence(same, prompt));
    EXPECT_EQ(RunWhole(*in_passes, prompt, {}, again), found) << seed;
  }
  std::set<std::size_t> choices;
  for (const auto& [routed, choice] : seen) choices.insert(choice);
  EXPECT_EQ(choices.size(), seen.size()) << "one choice has several ids";
  EXPECT_GE(choices.size(), 3U) << "prompts hardly differ";
  EXPECT_EQ(backend->cache_stats().used_pages, 0);
}

// Sessions and the scheduler ask which experts a prompt goes to before they open a sequence.
TEST_F(BySequence, AnswersAreThoseOfWhatThePromptChooses) {
  const text::Tokenizer words = Words(spec_.vocab);
  const auto backend = Backend({.threads = 1});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend->AddMixture(PerLayer(), Pair()));
  GenerateOptions options;
  options.max_tokens = 12;
  options.ignore_end_tokens = true;
  options.sampler.temperature = 0;
  Scheduler scheduler(*backend, words);
  std::vector<std::vector<TokenId>> expected;
  std::vector<std::vector<TokenId>> heard(6);
  for (std::uint64_t seed = 0; seed < heard.size(); ++seed) {
    const std::vector<TokenId> prompt = RandomTokens(spec_, 5 + seed, seed);
    ASSERT_OK_AND_ASSIGN(const AdapterId routed, backend->RouteSequence(id, prompt));
    for (const AdapterId adapter : {routed, id}) {
      ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*backend, adapter));
      ASSERT_OK_AND_ASSIGN(const Generation answer, Generate(session, words, prompt, options));
      if (adapter == routed) {
        expected.push_back(answer.tokens);
      } else {
        EXPECT_EQ(answer.tokens, expected.back()) << seed;
      }
    }
    Request request{.prompt = prompt, .adapter = id, .options = options};
    request.on_done = [&heard, seed](Result<Generation> result) {
      ASSERT_OK(result);
      heard[seed] = result->tokens;
    };
    ASSERT_OK(scheduler.Submit(std::move(request)));
  }
  while (scheduler.Step()) continue;
  EXPECT_EQ(heard, expected);
}

TEST_F(BySequence, IdsAreUsedAndRemovedInOrder) {
  const auto backend = Backend({.threads = 1});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend->AddMixture(PerLayer(), Pair()));
  const auto invalid = ErrorCode::kInvalidArgument;
  EXPECT_ERROR(backend->OpenSequence(id), invalid, "RouteSequence");
  EXPECT_ERROR(backend->RouteSequence(AdapterId{0}, text_), invalid, "no mixture that chooses");
  EXPECT_ERROR(backend->RouteSequence(AdapterId{99}, text_), invalid, "no adapter with id 99");
  EXPECT_ERROR(backend->RouteSequence(id, {}), invalid, "without tokens");
  const std::vector<TokenId> bad = {-1};
  EXPECT_ERROR(backend->RouteSequence(id, bad), invalid, "outside the vocabulary");

  ASSERT_OK_AND_ASSIGN(const AdapterId routed, backend->RouteSequence(id, text_));
  EXPECT_EQ(*backend->RouteSequence(id, text_), routed);
  EXPECT_ERROR(backend->RouteSequence(routed, text_), invalid, "no mixture that chooses");
  EXPECT_ERROR(backend->RemoveAdapter(AdapterId{0}), invalid, "in use by adapter 3");
  EXPECT_ERROR(backend->RemoveAdapter(id), invalid, "remove that first");
  ASSERT_OK_AND_ASSIGN(const auto sequence, backend->OpenSequence(routed));
  EXPECT_ERROR(backend->RemoveAdapter(routed), invalid, "open sequences");
  backend->CloseSequence(sequence);
  ASSERT_OK(backend->RemoveAdapter(routed));
  EXPECT_NE(*backend->RouteSequence(id, text_), routed);
  ASSERT_OK(backend->RemoveAdapter(*backend->RouteSequence(id, text_)));
  ASSERT_OK(backend->RemoveAdapter(id));
  EXPECT_OK(backend->RemoveAdapter(AdapterId{0}));
}

TEST_F(BySequence, OldChoicesThatNoSequenceUsesAreForgotten) {
  const auto backend = Backend({.threads = 1, .kept_routes = 1});
  ASSERT_OK_AND_ASSIGN(const AdapterId id, backend->AddMixture(PerLayer(), Pair()));
  ASSERT_OK_AND_ASSIGN(const AdapterId first, backend->RouteSequence(id, text_));
  ASSERT_OK_AND_ASSIGN(const auto sequence, backend->OpenSequence(first));
  std::vector<AdapterId> others;
  for (std::uint64_t seed = 0; others.size() < 2; ++seed) {
    ASSERT_LT(seed, 64U) << "prompts hardly differ";
    ASSERT_OK_AND_ASSIGN(const AdapterId routed,
                         backend->RouteSequence(id, RandomTokens(spec_, 5 + seed % 7, seed)));
    if (routed == first || (!others.empty() && routed == others.back())) continue;
    others.push_back(routed);
  }
  EXPECT_ERROR(backend->OpenSequence(others[0]), ErrorCode::kInvalidArgument, "no adapter with id");
  EXPECT_OK(backend->OpenSequence(others[1]));
  // The oldest is in use: it stays, and is still the same choice's.
  EXPECT_EQ(*backend->RouteSequence(id, text_), first);
  backend->CloseSequence(sequence);
}

TEST_F(Mixtures, WhatDoesNotFitIsRefused) {
  const auto backend = Backend({.threads = 1});
  const AdapterMixture fine = RandomMixture(spec_, kExperts, 2, 5);
  const auto expect = [&](const AdapterMixture& mixture, std::vector<AdapterId> experts,
                          std::string_view message) {
    EXPECT_ERROR(backend->AddMixture(mixture, experts), ErrorCode::kInvalidArgument, message);
  };
  expect(fine, {}, "2 of 0 experts");
  expect(fine, {AdapterId{0}, AdapterId{50}, AdapterId{1}}, "no adapter with id 50");
  expect(fine, {AdapterId{0}, AdapterId{1}}, "expected F32 [2, ");
  AdapterMixture wrong = fine;
  wrong.top_k = 4;
  expect(wrong, Experts(), "4 of 3 experts; expected 1 to 3");
  wrong.top_k = 0;
  expect(wrong, Experts(), "0 of 3 experts");
  wrong = fine;
  wrong.routers[0].reads = "layers.0.attn.p";
  expect(wrong, Experts(), "'layers.0.attn.p' is no linear");
  wrong.routers[0].reads = "head";
  expect(wrong, Experts(), "'head' is no linear");
  wrong = fine;
  wrong.routers[0].linears.emplace_back("layers.1.attn.o");
  expect(wrong, Experts(), "another layer or computed before");
  wrong.routers[0].linears.back() = "layers.0.attn.v";
  expect(wrong, Experts(), "two routers route 'layers.0.attn.v'");
  wrong = fine;
  wrong.routers[2].linears.emplace_back("layers.0.attn.o");
  expect(wrong, Experts(), "computed before");
  wrong = fine;
  wrong.routers[0].bias = tensor::Tensor(tensor::DType::kF32, {2});
  expect(wrong, Experts(), "a bias F32 [2], expected F32 [3]");
  wrong = fine;
  wrong.routers[1].linears.clear();
  expect(wrong, Experts(), "'layers.0.attn.v', which no router routes");

  ASSERT_OK_AND_ASSIGN(const AdapterId whole, backend->AddAdapter(RandomAdapter(spec_, 1)));
  expect(fine, {AdapterId{0}, whole, AdapterId{1}}, "expert 1 is a mixture or has an embedding");
  ASSERT_OK_AND_ASSIGN(const AdapterId mixed, backend->AddMixture(fine, Experts()));
  expect(fine, {AdapterId{0}, AdapterId{1}, mixed}, "expert 2 is a mixture");
  EXPECT_ERROR(backend->RemoveAdapter(AdapterId{1}), ErrorCode::kInvalidArgument, "in use by");
}

}  // namespace
}  // namespace metier::engine::test
