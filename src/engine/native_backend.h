// engine/native_backend.h - the model on this machine's CPU.
//
// Keeps the promise of model/backend.h to the bit: a sequence's results depend on its own tokens
// and adapter and on the instruction set, not on the batch, the threads, or how its tokens were
// cut into steps. NativeOptions::many_rows gives that promise up for faster prompts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

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
  std::uint64_t max_result_bytes = 0;  // one step's results; 0: the machine's memory
  std::int64_t pass_tokens = 512;      // rows computed at once: bounds the intermediate memory
  Arithmetic arithmetic = Arithmetic::kExact;     // of quantised weights
  ManyRowsProduct many_rows = nullptr;            // &MultiplyOneDnn: see the promise above
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
  Result<model::AdapterId> AddAdapter(const model::Adapter& adapter) override;
  Status RemoveAdapter(model::AdapterId adapter) override;
  Result<std::vector<model::Rows>> Forward(std::span<const model::SequenceStep> steps) override;

 private:
  struct Sequence {
    model::AdapterId adapter = model::AdapterId::kNone;
    CachedTokens tokens;
  };

  Sequence& Find(model::SequenceId sequence);
  const LoadedAdapter* FindAdapter(model::AdapterId adapter) const;
  Status CheckSteps(std::span<const model::SequenceStep> steps);
  Status CheckTokens(const model::SequenceStep& step, std::int64_t length) const;
  Status Reserve(std::span<const model::SequenceStep> steps);
  void RunPasses(std::span<const model::SequenceStep> steps, float* out);
  std::int64_t ResultWidth() const;

  std::shared_ptr<const NativeModel> model_;
  NativeOptions options_;
  KvCache cache_;
  Compute compute_;
  Network network_;
  std::map<model::SequenceId, Sequence> sequences_;
  std::map<model::AdapterId, LoadedAdapter> adapters_;
  std::int64_t next_sequence_ = 0;
  std::int64_t next_adapter_ = 0;
  std::vector<float> results_;
};

}  // namespace metier::engine
