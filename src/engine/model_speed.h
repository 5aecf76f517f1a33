// engine/model_speed.h - how fast a model runs on this machine, and how much memory that takes.
//
// Tokens are random: what a model is asked never changes how long it computes. Nothing is sampled.
// Every measurement runs once untimed before it counts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/compute.h"
#include "engine/expert_cache.h"
#include "engine/kv_cache.h"
#include "kernels/kernel_table.h"
#include "model/model_files.h"

namespace metier::engine {

struct SpeedOptions {
  std::string model;    // a Hugging Face directory or a GGUF file
  std::string adapter;  // PEFT directory that all sequences use; "": none
  int threads = 0;      // 0: ThreadPool::DefaultThreads()
  Arithmetic arithmetic = Arithmetic::kFast;
  KvType kv_type = KvType::kF32;
  std::optional<std::uint64_t> max_expert_bytes = {};  // ModelOptions
  std::int64_t prompt_tokens = 512;         // of one sequence, in one step; 0: not measured
  std::int64_t new_tokens = 64;             // decoded by each sequence; 0: not measured
  std::int64_t past_tokens = 0;             // in a sequence's cache before its decoding is timed
  std::vector<std::int64_t> streams = {1};  // sequences that decode together, one step for all
  std::int64_t adapters = 0;  // random LoRAs on every linear; sequence i uses adapter i % adapters
  std::int64_t rank = 16;     // of these
  std::int64_t routed = 0;    // experts of a token where the adapters are one mixture of all
                              // sequences, with random routers; 0: they are not
  std::int64_t repeats = 5;
  std::uint64_t seed = 1;
};

// Of the repeats.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};
// Requires a value.
Spread SpreadOf(std::vector<double> values);

struct DecodeSpeed {
  std::int64_t streams = 0;
  Spread tokens_per_second;  // over all sequences
  Spread adapted;            // the same with the random adapters; 0 without
};

struct ModelSpeed {
  std::string isa;
  int threads = 0;
  std::int64_t parameters = 0;
  double load_seconds = 0;         // until tokens can be given
  double first_token_seconds = 0;  // one token: touches every weight for the first time
  Spread prompt_tokens_per_second;
  Spread adapted_prompt;            // the same with a random adapter, or the mixture; 0 without
  std::vector<DecodeSpeed> decode;  // in the order of SpeedOptions::streams; empty for an encoder
  std::uint64_t weight_bytes = 0;   // of all parameters as stored in the file
  std::uint64_t token_bytes = 0;    // of those that one token of one sequence multiplies with
  std::uint64_t cache_bytes = 0;    // keys and values, at most over all measurements
  std::optional<ExpertCacheStats> experts;  // with max_expert_bytes: over all measurements
  std::uint64_t peak_bytes = 0;  // resident memory of the process at most, its start included
};

// `progress`: told how many of how many measurements are done. An encoder has no decoding.
// kInvalidArgument: what makes no sense, more tokens than the model has positions. Else as opening
// the model and Backend::Forward.
using SpeedProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;
Result<ModelSpeed> MeasureModel(const SpeedOptions& options, const SpeedProgress& progress);

// Bytes of the weights that computing one token reads: the chosen experts' share where there are
// any, one row of the embedding (not counted), the head even where it is tied.
std::uint64_t BytesReadPerToken(const model::ModelFiles& files);

}  // namespace metier::engine
