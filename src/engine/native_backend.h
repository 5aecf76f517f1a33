// engine/native_backend.h - the model on this machine's CPU.
//
// Keeps the promise of model/backend.h to the bit: a sequence's results depend on its own tokens
// and adapter and on the instruction set, not on the batch, the threads, or how its tokens were
// cut into steps, or which of them were adopted from the cache. Encoders keep no past.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/adapter_table.h"
#include "engine/compute.h"
#include "engine/kv_cache.h"
#include "engine/native_model.h"
#include "engine/network.h"
#include "kernels/kernel_table.h"
#include "model/backend.h"

namespace metier::engine {

struct NativeOptions {
  int threads = 0;                    // 0: ThreadPool::DefaultThreads()
  std::uint64_t max_cache_bytes = 0;  // keys and values over all sequences; 0: the machine's memory
  // Of these, kept of sequences that were closed, for others that begin alike. Without a value:
  // all, where max_cache_bytes has one; else none, so that a program of one conversation stays
  // small.
  std::optional<std::uint64_t> max_idle_cache_bytes = {};
  PageHash page_hash = &HashPage;
  KvType kv_type = KvType::kF32;       // what keys and values are kept as
  std::uint64_t max_result_bytes = 0;  // one step's results; 0: the machine's memory
  std::int64_t pass_tokens = 512;      // rows computed at once: bounds the intermediate memory
  Arithmetic arithmetic = Arithmetic::kExact;  // of quantised weights
  // Choices of a mixture by sequence that are kept, with what is cached of their texts, while no
  // sequence is open with them: the newest.
  std::size_t kept_routes = 256;
  const kernels::KernelTable* kernels = nullptr;  // nullptr: kernels::Kernels()
};

class NativeBackend : public model::Backend {
 public:
  explicit NativeBackend(std::shared_ptr<const NativeModel> model,
                         const NativeOptions& options = {});

  const model::ModelSpec& spec() const override { return model_->spec(); }
  const KvCache& cache() const { return cache_; }

  Result<model::SequenceId> OpenSequence(model::AdapterId adapter) override;
  void CloseSequence(model::SequenceId sequence) override;
  std::int64_t Length(model::SequenceId sequence) const override;
  void Truncate(model::SequenceId sequence, std::int64_t tokens) override;
  model::CachedPrefix FindPrefix(model::AdapterId adapter,
                                 std::span<const model::TokenId> tokens) const override;
  std::int64_t Adopt(model::SequenceId sequence, std::span<const model::TokenId> tokens) override;
  Result<model::SequenceId> ForkSequence(model::SequenceId sequence) override;
  model::CacheStats cache_stats() const override { return cache_.stats(); }
  std::int64_t PrefixTokens(model::AdapterId adapter) const override;
  Result<model::AdapterId> AddAdapter(const model::Adapter& adapter) override;
  Status RemoveAdapter(model::AdapterId adapter) override;
  Result<model::AdapterId> AddMixture(const model::AdapterMixture& mixture,
                                      std::span<const model::AdapterId> experts) override;
  bool RoutesSequences(model::AdapterId adapter) const override {
    return adapters_.FindBySequence(adapter).ok();
  }
  Result<model::AdapterId> RouteSequence(model::AdapterId mixture,
                                         std::span<const model::TokenId> prompt) override;
  void ExpectLength(model::SequenceId sequence, std::int64_t tokens) override {
    cache_.ExpectLength(Find(sequence), tokens);
  }
  Result<std::span<const model::Rows>> Forward(std::span<const model::SequenceStep> steps) override;

 private:
  CachedTokens& Find(model::SequenceId sequence);
  Status CheckSteps(std::span<const model::SequenceStep> steps);
  // `places`: those that the sequence has, its prefix among them.
  Status CheckTokens(const model::SequenceStep& step, std::int64_t places) const;
  Status Reserve(std::span<const model::SequenceStep> steps);
  void RunPasses(std::span<const model::SequenceStep> steps, float* out,
                 const LoadedAdapter* scoring = nullptr);
  // The mean of the prompt's scores, [routers, experts].
  Result<std::vector<float>> ScorePrompt(std::shared_ptr<const LoadedMixture> mixture,
                                         std::span<const model::TokenId> prompt);
  void ForgetOldRoutes(model::AdapterId mixture);
  std::int64_t ResultWidth() const;

  std::shared_ptr<const NativeModel> model_;
  NativeOptions options_;
  KvCache cache_;
  Compute compute_;
  Network network_;
  std::map<model::SequenceId, CachedTokens> sequences_;
  AdapterTable adapters_;
  std::map<model::AdapterId, CachedTokens> prefixes_;  // what their sequences begin with
  std::int64_t next_sequence_ = 0;

  // Of the last step, kept between steps for their memory.
  std::vector<model::SequenceId> named_;
  std::vector<Segment> pass_;
  std::vector<float> results_;
  std::vector<model::Rows> rows_;
};

}  // namespace metier::engine
