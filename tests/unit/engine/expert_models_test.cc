// Models with experts whose memory is limited: the same bits under every budget, on every thread,
// with and without adapters; and what is fetched before it is needed.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "engine/expert_cache.h"
#include "kernels/dispatch.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

using metier::test::TempFolder;
using model::AdapterId;
using model::SequenceStep;
using model::TokenId;
using model::Want;

struct Stored {
  const char* family;
  bool gguf;
  tensor::DType dtype;
};

// A model with experts on disk, and the bytes of its experts in memory.
class ExpertModel : public ::testing::TestWithParam<Stored> {
 protected:
  void SetUp() override { Write(GetParam()); }

  void Write(const Stored& stored) {
    spec_ = TinySpec(*model::FindFamily(stored.family).value());
    spec_.moe.of_layer.clear();
    spec_.moe.experts = 8;
    spec_.moe.top_k = 3;
    if (stored.gguf) spec_.hidden = 64;  // whole blocks
    const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
    path_ = folder_ / (stored.gguf ? "model.gguf" : "hf");
    if (stored.gguf) {
      ASSERT_OK(model::WriteGgufModel(path_, spec_, {.dtype = stored.dtype}, {}, read));
    } else {
      ASSERT_OK(model::WriteHuggingFaceModel(path_, spec_, stored.dtype, read));
    }
    const auto refused = NativeModel::Open(path_, {}, {.max_expert_bytes = 1});
    EXPECT_ERROR(refused, ErrorCode::kResourceExhausted, "the limit is 1;");
    const std::string& message = refused.error().message();
    const std::string before = "one expert takes ";
    expert_bytes_ = std::stoull(message.substr(message.find(before) + before.size()));
  }

  std::shared_ptr<const NativeModel> Open(std::optional<std::uint64_t> experts = {}) const {
    ModelOptions options;
    if (experts) options.max_expert_bytes = *experts * expert_bytes_;
    auto opened = NativeModel::Open(path_, {}, options);
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    return std::move(opened).value();
  }

  std::uint64_t AllExperts() const {
    return static_cast<std::uint64_t>(spec_.layers * spec_.moe.experts);
  }

  // A prompt, then token by token.
  std::vector<float> Run(NativeBackend& backend, AdapterId adapter = AdapterId::kNone) const {
    const std::vector<TokenId> tokens = RandomTokens(spec_, 33, 3);
    const auto sequence = backend.OpenSequence(adapter).value();
    std::vector<float> values;
    for (std::size_t begin = 0; begin < tokens.size();) {
      const std::size_t count = begin == 0 ? 15 : 1;
      const SequenceStep step{.sequence = sequence,
                              .tokens = std::span(tokens).subspan(begin, count),
                              .types = {},
                              .want = begin == 0 ? Want::kAll : Want::kLast};
      const auto rows = backend.Forward({&step, 1});
      EXPECT_TRUE(rows.ok());
      values.insert(values.end(), rows->front().values.begin(), rows->front().values.end());
      begin += count;
    }
    backend.CloseSequence(sequence);
    return values;
  }

  TempFolder folder_;
  model::ModelSpec spec_;
  std::string path_;
  std::uint64_t expert_bytes_ = 0;
};

std::int64_t Pinned(const ExpertCacheStats& stats) {
  return stats.hits + stats.prefetched + stats.misses;
}

TEST_P(ExpertModel, ABudgetChangesNoBitAndIsKept) {
  NativeBackend resident(Open(), {.threads = 1});
  const std::vector<float> expected = Run(resident);
  std::optional<std::int64_t> pinned;
  // One expert; fewer than a token needs; half of them; all.
  for (const std::uint64_t experts :
       {std::uint64_t{1}, std::uint64_t{4}, AllExperts() / 2, AllExperts()}) {
    for (const int threads : {1, 2}) {
      const auto model = Open(experts);
      NativeBackend backend(model, {.threads = threads});
      EXPECT_EQ(model->expert_cache()->stats().resident_bytes, 0U);
      EXPECT_TRUE(Run(backend) == expected) << experts << " experts";
      const ExpertCacheStats first = model->expert_cache()->stats();
      EXPECT_EQ(first.max_bytes, experts * expert_bytes_);
      EXPECT_LE(first.peak_bytes, first.max_bytes);
      EXPECT_LE(first.resident_bytes, first.peak_bytes);
      EXPECT_GT(first.resident_bytes, 0U);
      EXPECT_EQ(Pinned(first), pinned.value_or(Pinned(first))) << "whatever the budget";
      pinned = Pinned(first);
      const bool late = spec_.moe.router_input == model::RouterInput::kFfnNorm;
      EXPECT_TRUE(!late || first.prefetched == 0);

      EXPECT_TRUE(Run(backend) == expected) << experts << " experts, again";
      const ExpertCacheStats second = model->expert_cache()->stats();
      EXPECT_LE(second.peak_bytes, second.max_bytes);
      EXPECT_EQ(Pinned(second), 2 * *pinned);
      if (experts < AllExperts()) continue;
      EXPECT_EQ(second.hits, first.hits + *pinned) << "all there, none packed again";
      EXPECT_LE(first.misses + first.prefetched, static_cast<std::int64_t>(AllExperts()));
    }
  }
}

TEST_P(ExpertModel, BackendsOnThreadsShareACache) {
  NativeBackend resident(Open(), {.threads = 1});
  const std::vector<float> expected = Run(resident);
  for (const std::uint64_t experts : {1, 2, 7}) {
    const auto model = Open(experts);
    std::vector<std::thread> threads;
    std::atomic<int> same{0};
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        NativeBackend backend(model, {.threads = 1});
        for (int round = 0; round < 2; ++round) same += Run(backend) == expected ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(same, 6) << experts << " experts";
    EXPECT_LE(model->expert_cache()->stats().peak_bytes, experts * expert_bytes_);
  }
}

TEST_P(ExpertModel, AdaptersOnExpertsApplyToFetchedOnes) {
  const model::Adapter adapter = RandomAdapter(spec_, 4);
  const auto run = [&](std::optional<std::uint64_t> experts) {
    NativeBackend backend(Open(experts), {.threads = 2});
    return Run(backend, backend.AddAdapter(adapter).value());
  };
  const std::vector<float> expected = run({});
  NativeBackend plain(Open(), {.threads = 1});
  EXPECT_FALSE(Run(plain) == expected);
  EXPECT_TRUE(run(1) == expected);
  EXPECT_TRUE(run(5) == expected);
}

TEST_P(ExpertModel, FastArithmeticIsTheSameUnderABudget) {
  const auto run = [&](std::optional<std::uint64_t> experts) {
    NativeBackend backend(Open(experts), {.threads = 1, .arithmetic = Arithmetic::kFast});
    return Run(backend);
  };
  EXPECT_TRUE(run(2) == run({}));
}

TEST_P(ExpertModel, ManyRowsAreCutIntoBatchesWithoutATrace) {
  const auto run = [&](std::int64_t pass_tokens) {
    NativeBackend backend(Open(), {.threads = 2, .pass_tokens = pass_tokens});
    model::ModelSpec longer = spec_;
    return RunWhole(backend, RandomTokens(longer, 96, 5));  // 288 pairs of row and expert
  };
  EXPECT_TRUE(run(96) == run(5));
}

INSTANTIATE_TEST_SUITE_P(Families, ExpertModel,
                         ::testing::Values(Stored{"metier_experts", true, tensor::DType::kQ8_0},
                                           Stored{"mixtral", false, tensor::DType::kF32},
                                           Stored{"qwen3moe", true, tensor::DType::kQ8_0},
                                           Stored{"smallthinker", false, tensor::DType::kBF16},
                                           Stored{"smallthinker", false, tensor::DType::kF32}),
                         [](const auto& tested) {
                           return std::string(tested.param.family) + "_" +
                                  std::string(tensor::InfoOf(tested.param.dtype).name);
                         });

class ExpertModelOf : public ExpertModel {
 protected:
  void SetUp() override {}
};

// Attention that does not end before the experts of its layer are there.
std::atomic<const ExpertCache*> watched{nullptr};
std::atomic<std::uint64_t> needed_bytes{0};
std::atomic<bool> came_in_time{true};

void WaitThenAttend(const kernels::Attention& attention) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (watched.load()->stats().resident_bytes < needed_bytes.load()) {
    if (std::chrono::steady_clock::now() > end) {
      came_in_time = false;
      break;
    }
    std::this_thread::yield();
  }
  kernels::Kernels().kv[0].attention(attention);
}

void NoteThenAttend(const kernels::Attention& attention) {
  if (watched.load()->stats().resident_bytes > 0) came_in_time = false;
  kernels::Kernels().kv[0].attention(attention);
}

TEST_F(ExpertModelOf, SmallThinkersExpertsComeWhileAttentionRuns) {
  Write({"smallthinker", false, tensor::DType::kF32});
  spec_.layers = 1;  // of the layer that the kernel below watches: rewritten with one layer
  spec_.layer.resize(1);
  const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
  path_ = folder_ / "one";
  ASSERT_OK(model::WriteHuggingFaceModel(path_, spec_, tensor::DType::kF32, read));
  const auto model = Open(AllExperts());
  watched = model->expert_cache();
  needed_bytes = 3 * expert_bytes_;
  came_in_time = true;
  kernels::KernelTable table = kernels::Kernels();
  table.kv[0].attention = &WaitThenAttend;
  NativeBackend backend(model, {.threads = 1, .kernels = &table});
  const std::vector<float> one = RunWhole(backend, {7});
  EXPECT_TRUE(came_in_time) << "nothing was fetched before attention had ended";
  const ExpertCacheStats stats = model->expert_cache()->stats();
  EXPECT_EQ(stats.prefetched, 3);
  EXPECT_EQ(stats.misses, 0);
  EXPECT_EQ(stats.hits, 0);
  NativeBackend resident(Open(), {.threads = 1});
  EXPECT_TRUE(RunWhole(resident, {7}) == one);
}

TEST_F(ExpertModelOf, ARouterBehindAttentionFetchesNothingBefore) {
  Write({"mixtral", false, tensor::DType::kF32});
  spec_.layers = 1;
  spec_.layer.resize(1);
  const auto read = [&](const std::string& name) { return RandomParameterOf(spec_, name); };
  path_ = folder_ / "one";
  ASSERT_OK(model::WriteHuggingFaceModel(path_, spec_, tensor::DType::kF32, read));
  const auto model = Open(AllExperts());
  watched = model->expert_cache();
  came_in_time = true;
  kernels::KernelTable table = kernels::Kernels();
  table.kv[0].attention = &NoteThenAttend;
  NativeBackend backend(model, {.threads = 1, .kernels = &table});
  RunWhole(backend, {7});
  EXPECT_TRUE(came_in_time) << "experts fetched that nobody had chosen";
  EXPECT_EQ(model->expert_cache()->stats().misses, 3);
}

TEST_F(ExpertModelOf, LimitsThatMakeNoSenseAreNamed) {
  Write({"mixtral", false, tensor::DType::kF32});
  const std::string bytes = std::to_string(expert_bytes_);
  const std::string short_of = std::to_string(expert_bytes_ - 1);
  EXPECT_ERROR(NativeModel::Open(path_, {}, {.max_expert_bytes = expert_bytes_ - 1}),
               ErrorCode::kResourceExhausted,
               "one expert takes " + bytes + " bytes, the limit is " + short_of);
  EXPECT_OK(NativeModel::Open(path_, {}, {.max_expert_bytes = expert_bytes_}));
  EXPECT_ERROR(
      NativeModel::Open(path_, {}, {.layout = WeightLayout::kStored, .max_expert_bytes = 1 << 20}),
      ErrorCode::kInvalidArgument, "weights as stored");
  const model::ModelSpec dense = TinySpec(*model::FindFamily("llama").value());
  ASSERT_OK(model::WriteHuggingFaceModel(
      folder_ / "dense", dense, tensor::DType::kF32,
      [&](const std::string& name) { return RandomParameterOf(dense, name); }));
  EXPECT_ERROR(NativeModel::Open(folder_ / "dense", {}, {.max_expert_bytes = 1 << 20}),
               ErrorCode::kInvalidArgument, "the model has no experts");
}

}  // namespace
}  // namespace metier::engine::test
