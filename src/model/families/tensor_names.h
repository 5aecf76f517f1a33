// model/families/tensor_names.h - tensor rules from a table of names: one line for each module of
// ours, one rule for each parameter of the spec.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/family.h"
#include "model/model_spec.h"

namespace metier::model {

// "attn.q" -> "self_attn.q_proj". Names without ".weight" and ".bias"; those of a layer without its
// prefix; of an expert as "expert.gate", whose "{}" stands for the expert's number.
struct NamePair {
  std::string_view ours;
  std::string_view theirs;
};

struct NameTable {
  std::string_view layer;  // "model.layers.{}."
  std::span<const NamePair> names;
};

// A rule for every parameter of the spec. Requires a table that names them all.
std::vector<TensorRule> RulesFromTable(const ModelSpec& spec, const NameTable& table);

// Names of transformers' Llama and of all families that follow it; `more` adds what they do not
// share (experts, query and key norms) or replaces.
std::vector<TensorRule> LlamaHfRules(const ModelSpec& spec, std::span<const NamePair> more = {});
inline constexpr std::string_view kLlamaPrefixes[] = {"model.", ""};
inline constexpr std::string_view kLlamaLeftovers[] = {"rotary_emb.inv_freq"};

// Names of GGUF's decoders. Experts lie in one tensor a layer, or (older files) in one each.
std::vector<TensorRule> GgufRules(const ModelSpec& spec, std::span<const NamePair> more = {});

// Where q, k and v are one tensor: their rows follow each other ([q; k; v]), or are interleaved by
// head ([head][q, k, v][dim]; requires as many key-value heads as heads). The rules of q, k and v
// must already name the fused tensor.
enum class FusedLayout { kConcatenated, kByHead };
void FuseQkv(const ModelSpec& spec, FusedLayout layout, std::vector<TensorRule>& rules);

// True when the parameter `name` belongs to this module of some layer: ("layers.3.attn.q.bias",
// "attn.q").
bool IsOfLayerModule(std::string_view name, std::string_view module);

}  // namespace metier::model
