// model/families/gguf_config.h - GGUF metadata read key by key, as hf_config.h does for
// config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/gguf.h"
#include "model/family.h"
#include "model/model_spec.h"

namespace metier::model {

// Keys are given without the architecture: "block_count". The first error is kept for Finish().
class GgufConfig {
 public:
  explicit GgufConfig(const format::GgufFile& file);

  const std::string& architecture() const { return architecture_; }
  bool Has(std::string_view key) const;
  bool HasTensor(const std::string& name) const { return file_.Find(name) != nullptr; }

  std::int64_t Size(std::string_view key);
  std::int64_t SizeOr(std::string_view key, std::int64_t fallback);
  std::int64_t Layers();
  // From vocab_size, else from the rows of the embedding.
  std::int64_t Vocab();
  // A float32 is read as the shortest decimal that it stands for (1e-05, not 9.99999975e-06), so
  // that a model's GGUF and HF forms give the same spec.
  double Number(std::string_view key);
  double NumberOr(std::string_view key, double fallback);

  // rope.freq_base, rope.scaling.* and rope_freqs.weight. Factors that are those of Llama 3's
  // scaling for some original length are recognised as such (its low and high factors being 1 and
  // 4, as in every model released); others stay kFactors.
  RopeSpec Rope(std::int64_t head_dim, double default_theta);

  void Refuse(ErrorCode code, std::string_view key, std::string_view why);

  // The error, or the spec. kUnsupported: a key that changes the function and was not read.
  Result<ModelSpec> Finish(ModelSpec spec);

 private:
  std::string Full(std::string_view key) const { return architecture_ + "." + std::string(key); }
  template <class T>
  T Keep(Result<T> result, T otherwise);
  void ReadRopeFactors(std::int64_t head_dim, RopeSpec& rope);
  void CheckOtherKeys();

  const format::GgufFile& file_;
  std::string architecture_;
  std::set<std::string, std::less<>> read_;
  std::optional<Error> error_;
};

// Dimensions that every architecture has: vocab, width, layers (uniform), heads, kv_heads,
// head_dim, hidden, max_positions, and whether the head is tied (no tensor "output.weight").
ModelSpec ReadGgufDimensions(GgufConfig& in);

// The biases that the file's first layer has.
void ReadGgufBiases(const GgufConfig& in, ModelSpec& spec);

// general.architecture and the keys of ReadGgufDimensions. Numbers rounded to float32, as readers
// expect.
GgufMetadata GgufDimensions(const ModelSpec& spec, const std::string& architecture);
double AsFloat(double value);

// rope.freq_base, rope.dimension_count, linear scaling. Other factors go into rope_freqs.weight,
// which the writer adds.
void AddGgufRope(const ModelSpec& spec, const std::string& architecture, GgufMetadata& metadata);

// kUnsupported: a sliding window, for architectures where other readers would not honour it.
Status RefuseGgufWindows(const ModelSpec& spec);

}  // namespace metier::model
