// model/family.h - a model family: one file that turns a config into a ModelSpec and tensor names
// into ours.
//
// How to add one: docs/howto/add-a-family.md. Everything else (loading, saving, both executors,
// adapters, the registry sweep of tests) follows from the four functions of a row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "format/gguf.h"
#include "model/model_spec.h"

namespace metier::model {

// How one of our parameters lies inside a tensor of a file.
//
//   theirs [out_theirs, in] --transpose--> --rows--> ours [out, in]
//
// Row i of ours is row rows.first + (i / rows.run) * rows.stride + i % rows.run of theirs: run ==
// out is a plain slice (gpt2's fused q, k, v), a shorter run picks heads apart (bloom's
// [head][q,k,v][dim]).
struct RowMap {
  std::int64_t first = 0;
  std::int64_t run = 0;     // 0: all rows, in order
  std::int64_t stride = 0;  // from the start of one run to the next
};

enum class RowOrder {
  kAsIs,
  kRopePairs,  // GGUF llama q and k: rows of each head interleaved (0, d/2, 1, d/2 + 1, ...)
};

struct TensorRule {
  std::string ours;
  std::string theirs;
  bool transpose = false;  // Conv1D stores [in, out]
  RowMap rows;
  RowOrder order = RowOrder::kAsIs;
  std::int64_t expert =
      -1;          // index into the slowest dimension of a tensor of all experts; -1: not one
  double add = 0;  // added after decoding (gemma's norms: GGUF holds 1 + w, the HF file w)
};

struct Family {
  std::string_view name;  // "llama"; model_type of config.json unless hf_model_types says otherwise
  std::span<const std::string_view> hf_model_types;
  std::span<const std::string_view> gguf_architectures;

  // Unknown or contradictory values are errors that name the key.
  Result<ModelSpec> (*from_config)(const Json& config);
  // The config.json of a spec, as transformers writes it.
  Json (*to_config)(const ModelSpec& spec);
  // nullptr: no GGUF form is known.
  Result<ModelSpec> (*from_gguf)(const format::GgufFile& file);

  // Where each parameter stands. For files whose prefix varies (gpt2 with and without
  // "transformer."), loading tries `prefixes` in order and takes the first under which the
  // embedding is found.
  std::vector<TensorRule> (*hf_rules)(const ModelSpec& spec);
  std::vector<TensorRule> (*gguf_rules)(const ModelSpec& spec);
  std::span<const std::string_view> hf_prefixes;

  // A small random model for tests: every feature of the family in use, vocabulary 320.
  ModelSpec (*tiny)();
};

std::span<const Family* const> Families();

// kUnsupported: unknown, with the known names and the nearest.
Result<const Family*> FindFamilyByModelType(std::string_view model_type);
Result<const Family*> FindFamilyByGguf(std::string_view architecture);
Result<const Family*> FindFamily(std::string_view name);

}  // namespace metier::model
