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

#include "engine/compute.h"
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

 private:
  struct Buffers;

  void Embed(std::span<const Segment> segments);
  void PrepareRope(std::span<const Segment> segments);
  void Layer(std::span<const Segment> segments, std::size_t n);
  // attention(input) of layer n into output, both [rows, width].
  void AttentionBlock(std::span<const Segment> segments, std::size_t n, const float* input,
                      float* output);
  void StoreKeysAndValues(std::span<const Segment> segments, std::size_t n);
  void Attend(std::span<const Segment> segments, std::size_t n);
  void RotateHeads(float* heads, std::int64_t count, const float* norm, bool rope);
  void FeedForwardBlock(const FeedForward& ffn, std::span<const AdapterRun> runs,
                        const float* input, std::size_t rows, float* output);
  // Scores of the layer's router for input [rows, width], into the buffers.
  void Route(const LayerWeights& layer, const float* input);
  void ExpertsBlock(const LayerWeights& layer, const float* input, float* output);
  void Finish(std::span<const Segment> segments, float* out);

  std::shared_ptr<const NativeModel> model_;
  const model::ModelSpec& spec_;
  const Weights& weights_;
  KvCache& cache_;
  Compute& compute_;
  std::vector<float> slopes_;       // ALiBi, [heads]
  std::vector<float> frequencies_;  // RoPE, [head_dim / 2]

  // One pass's intermediate rows, kept between passes for their memory.
  std::size_t rows_ = 0;
  std::vector<AdapterRun> runs_;
  std::vector<float> x_, normed_, block_;       // [rows, width]
  std::vector<float> q_, attended_;             // [rows, q_width]
  std::vector<float> k_, v_;                    // [rows, kv_width]
  std::vector<float> gate_, up_;                // [rows, hidden]
  std::vector<float> cosine_, sine_;            // [rows, head_dim / 2]
  std::vector<float> scores_, expert_weights_;  // [rows, experts], [rows, top_k]
  std::vector<std::int32_t> chosen_;            // [rows, top_k]
};

}  // namespace metier::engine
