// engine/weights.h - a model's parameters where the native engine computes with them: in the mapped
// file as stored, where its bytes are already ours, else in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/packed.h"
#include "model/model_files.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::engine {

// Weights of any stored type, as rows or as panels (engine/packing.h); borrowed from Weights. Rows
// are aligned to the type's plain element.
struct Matrix {
  tensor::DType dtype = tensor::DType::kF32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  const std::byte* data = nullptr;
  std::size_t row_bytes = 0;                // as rows only
  std::optional<kernels::Packing> packing;  // nothing: rows
  std::size_t panel_bytes = 0;              // packed only
  // Column j is multiplied with x[input_order[j]] (GPTQ with act-order); equal orders are one
  // pointer. nullptr: with x[j].
  const std::uint32_t* input_order = nullptr;

  // Requires rows.
  std::span<const std::byte> Row(std::int64_t row) const {
    return {data + static_cast<std::size_t>(row) * row_bytes, row_bytes};
  }
};

// y = w x + bias. `index` counts the linears of a model: adapters are looked up by it.
struct Linear {
  Matrix w;  // [out, in]
  const float* bias = nullptr;
  std::size_t index = 0;
};

struct Norm {
  const float* weight = nullptr;  // 1 + w already added where the spec says so
  const float* bias = nullptr;
};

struct FeedForward {
  Linear gate;  // only when gated
  Linear up;
  Linear down;
};

struct LayerWeights {
  Norm attn_norm;
  Linear q, k, v, o;
  const float* q_norm = nullptr;  // [head_dim], or nullptr
  const float* k_norm = nullptr;
  Norm ffn_norm;
  FeedForward ffn;                   // of dense layers, and beside experts where the spec says so
  Linear router;                     // of layers with experts
  Linear mix;                        // of experts with a dense feed-forward beside them
  std::vector<FeedForward> experts;  // empty: a dense layer
};

enum class WeightLayout {
  kPacked,  // what can be packed is, as far as max_bytes goes; the rest as stored
  kStored,  // rows, in the file's map where its bytes allow it: least memory, several times slower
};

struct WeightOptions {
  WeightLayout layout = WeightLayout::kPacked;
  std::uint64_t max_bytes = 0;  // of memory beside the map
  int threads = 1;              // that pack
  // Of packed experts in memory at once (engine/expert_cache.h). Nothing: all are.
  std::optional<std::uint64_t> max_expert_bytes = {};
};

class ExpertCache;

class Weights {
 public:
  // Shares the file's map, where the panels of a packed file are used as they lie, whatever the
  // options' layout; with kPacked, where there is room, a thread moves them to large pages
  // meanwhile. kResourceExhausted: what must be copied exceeds max_bytes, or an expert
  // max_expert_bytes, with both numbers. kUnsupported: a stored type that nothing decodes; a model
  // of several tasks; experts that are to be fetched and lie in the file in another order; panels
  // of another layout. kDataCorrupt: panels of another size than their shape calls for.
  // kInvalidArgument: max_expert_bytes for a model without experts, or beside kStored.
  static Result<Weights> FromFiles(const model::ModelFiles& files, const WeightOptions& options);
  // Every parameter from a function, as F32.
  static Result<Weights> FromReader(const model::ModelSpec& spec,
                                    const model::ParameterReader& read,
                                    const WeightOptions& options);

  Matrix tokens;            // [vocab, width]
  Matrix positions;         // learned positions only
  Matrix types;             // token types only
  std::vector<float> task;  // [width], the embedding of the one task, where experts go by it
  Norm embed_norm;
  Norm final_norm;
  Linear head;  // over `tokens` when tied
  std::vector<LayerWeights> layers;

  // Where a layer's experts are to be had if max_expert_bytes limits them; those in `layers` are as
  // stored then. nullptr: in `layers`.
  ExpertCache* expert_cache() const { return expert_cache_.get(); }

  // Every linear by its name without ".weight" ("layers.0.attn.q", "head").
  const std::map<std::string, Linear>& linears() const { return linears_; }
  // Memory of our own, beside the map.
  std::uint64_t owned_bytes() const { return owned_bytes_; }

 private:
  friend class WeightLoader;

  std::map<std::string, Linear> linears_;
  std::vector<tensor::Tensor> owned_;
  std::set<std::vector<std::uint32_t>> input_orders_;
  std::shared_ptr<const model::ModelFiles> files_;
  std::shared_ptr<ExpertCache> expert_cache_;  // reads the files' map until it goes
  std::uint64_t owned_bytes_ = 0;
  std::jthread mover_;  // of mapped panels; ends before what it reads goes
};

// The bytes as rows, whatever their alignment. Requires two dimensions.
Matrix MatrixOver(const tensor::TensorView& view);
// In memory, in the stored type; as floats where that cannot be (ModelFiles::Load says when).
Result<tensor::Tensor> LoadStored(const model::ModelFiles& files, const std::string& name,
                                  ThreadPool& pool);
// Whether a pass multiplies with a parameter: tables whose rows are only looked up stay rows.
bool IsMultiplied(const model::ModelSpec& spec, const model::Parameter& parameter);

// The rows of an F32 tensor [rows, columns], which the matrix borrows.
Matrix MatrixOf(const tensor::Tensor& tensor);

// Row `row` as floats into out [columns].
void DecodeRow(const Matrix& matrix, std::int64_t row, std::span<float> out);

}  // namespace metier::engine
