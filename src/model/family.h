// model/family.h - a model family: one file that turns a config into a ModelSpec and tensor names
// into ours.
//
// How to add one: docs/howto/add-a-family.md. Everything else (loading, saving, both executors,
// adapters, the registry sweep of tests) follows from the functions of a row.
#pragma once

#include <cstdint>
#include <map>
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
  std::string alternative;  // where `theirs` is absent: a tensor of this expert alone; "" if none
  bool transpose = false;   // Conv1D stores [in, out]
  RowMap rows;
  RowOrder order = RowOrder::kAsIs;
  std::int64_t expert =
      -1;          // index into the slowest dimension of a tensor of all experts; -1: not one
  double add = 0;  // added after decoding (gemma's norms: GGUF holds 1 + w, we and HF w)
};

using GgufMetadata = std::map<std::string, format::GgufValue>;

struct Family {
  std::string_view name;  // "llama": of ModelSpec::family
  std::span<const std::string_view> hf_model_types;
  std::span<const std::string_view> gguf_architectures;

  // Unknown or contradictory values are errors that name the key, and so is a key that would change
  // the function and that we do not honour. Does not Validate().
  Result<ModelSpec> (*from_config)(const Json& config);
  // The config.json of a spec, as transformers writes it. Requires a spec of this family.
  Json (*to_config)(const ModelSpec& spec);

  // nullptr: no GGUF form is known, and gguf_rules and to_gguf are absent too. The spec's family
  // names the row whose rules apply: an architecture may hold several (llama: mistral, mixtral).
  Result<ModelSpec> (*from_gguf)(const format::GgufFile& file);
  // general.architecture and all that from_gguf reads. kUnsupported: what other readers of the
  // format would compute differently.
  Result<GgufMetadata> (*to_gguf)(const ModelSpec& spec);

  // Where each parameter of Parameters(spec) stands, one rule each, in that order.
  std::vector<TensorRule> (*hf_rules)(const ModelSpec& spec);
  std::vector<TensorRule> (*gguf_rules)(const ModelSpec& spec);
  // How names of the body may begin. Rules are written with the first; for files saved from another
  // class of the model, loading replaces it by the one under which the embedding is found.
  std::span<const std::string_view> hf_prefixes;
  // Tensors that a file may hold and no parameter uses: names that end so ("attn.bias" of gpt2).
  std::span<const std::string_view> leftovers;

  // A small model for tests: every feature of the family in use, vocabulary 320.
  ModelSpec (*tiny)();
};

// All rows, sorted by name.
std::span<const Family* const> Families();

// kUnsupported: unknown, with the known names and the nearest.
Result<const Family*> FindFamilyByModelType(std::string_view model_type);
Result<const Family*> FindFamilyByGguf(std::string_view architecture);
Result<const Family*> FindFamily(std::string_view name);

// The tensor of a Hugging Face file in which each parameter of Parameters(spec) lies, in that
// order: "model.layers.0.self_attn.q_proj.weight". What users call it. Requires a spec of a family
// in the registry.
std::vector<std::string> HuggingFaceNames(const ModelSpec& spec);

}  // namespace metier::model
