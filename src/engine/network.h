// engine/network.h - one pass of a ModelSpec over some rows: the function that model_spec.h states,
// in the order in which it states it.
//
// A pass holds consecutive tokens of several sequences, one row each. Every operation treats rows
// alone but attention, which reads the row's own sequence from the cache: that is all that makes a
// result independent of the batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/adapted_linears.h"
#include "engine/compute.h"
#include "engine/experts_block.h"
#include "engine/kv_cache.h"
#include "engine/lora.h"
#include "engine/native_model.h"
#include "model/backend.h"

namespace metier::engine {

// The tokens of one sequence in a pass. Pages for them are reserved.
struct Segment {
  const CachedTokens* past = nullptr;
  const LoadedAdapter* adapter = nullptr;  // or nullptr
  std::span<const model::TokenId> tokens;
  std::span<const model::TokenId> types;  // or empty
  std::int64_t first_position = 0;
  std::size_t row = 0;        // of the first token, in the pass
  std::size_t want_from = 0;  // results of tokens [want_from, tokens.size()) are read
};

class Network {
 public:
  Network(std::shared_ptr<const NativeModel> model, KvCache& cache, Compute& compute);

  // Writes keys and values of all tokens into the cache, and the wanted results, in the order of
  // the rows, into out: logits [wanted, vocab], or last hidden states [wanted, width].
  void Run(std::span<const Segment> segments, float* out);
  // The same for whom results do not matter, but what adapters see of every row in every layer.
  void RunLayers(std::span<const Segment> segments);
  // Writes a prefix to the first places of `past`, which are reserved.
  void StorePrefix(const CachedTokens& past, const model::Prefix& prefix);

 private:
  void Begin(std::span<const Segment> segments);
  // Queries [begin, end) of a segment's tokens, for the heads that share one key head.
  struct AttentionTask {
    const Segment* segment;
    std::int64_t kv_head;
    std::size_t begin;
    std::size_t end;
    std::size_t pages;  // the first of the head's, in key_pages_ and value_pages_
  };

  void Embed(std::span<const Segment> segments);
  void PrepareRope(std::span<const Segment> segments);
  void CollectRuns(std::span<const Segment> segments);
  // One layer over all rows; returns the segments whose rows go on.
  std::span<const Segment> Layer(std::span<const Segment> segments, std::size_t n);
  // In the last layer of Run only wanted rows go on from their keys and values: what others would
  // add is read by nobody.
  bool Narrows(std::span<const Segment> segments, std::size_t n) const;
  // Queries, keys and values of input [rows, width], turned; the last two into the cache.
  std::span<const Segment> ProjectHeads(std::span<const Segment> segments, std::size_t n,
                                        const float* input);
  // Keeps the wanted rows of the pass, one behind the other.
  std::span<const Segment> Narrow(std::span<const Segment> segments);
  // x += linear(input).
  void AddProduct(const Linear& linear, const float* input);
  void StoreKeysAndValues(std::span<const Segment> segments, std::size_t n);
  void Attend(std::span<const Segment> segments, std::size_t n);
  void RotateHeads(float* heads, std::int64_t count, const float* norm, bool rope);
  void Finish(std::span<const Segment> segments, float* out);

  std::shared_ptr<const NativeModel> model_;
  const model::ModelSpec& spec_;
  const Weights& weights_;
  KvCache& cache_;
  Compute& compute_;
  AdaptedLinears linears_;
  const kernels::KvKernels& kv_kernels_;  // of the cache's type
  ExpertsBlock experts_;
  std::vector<float> slopes_;       // ALiBi, [heads]
  std::vector<float> frequencies_;  // RoPE, [head_dim / 2]

  // One pass's intermediate rows, kept between passes for their memory.
  std::size_t rows_ = 0;
  bool all_rows_ = false;  // of RunLayers
  std::vector<AdapterRun> runs_;
  std::vector<std::size_t> ends_;  // of each segment's rows
  std::vector<AttentionTask> tasks_;
  std::vector<const std::byte*> key_pages_, value_pages_;
  std::vector<Segment> narrowed_;
  std::vector<float> x_, normed_, block_;  // [rows, width]
  std::vector<float> q_, attended_;        // [rows, q_width]
  std::vector<float> k_, v_;               // [rows, kv_width]
  std::vector<float> up_;                  // [rows, hidden]
  std::vector<float> cosine_, sine_;       // [rows, head_dim / 2]
};

}  // namespace metier::engine
