#include "model/families/tensor_names.h"

#include <fmt/format.h>

#include <string>

#include "base/check.h"

namespace metier::model {
namespace {

constexpr NamePair kLlamaNames[] = {
    {"embed.tokens", "model.embed_tokens.weight"},
    {"final_norm", "model.norm"},
    {"head", "lm_head"},
    {"attn_norm", "input_layernorm"},
    {"attn.q", "self_attn.q_proj"},
    {"attn.k", "self_attn.k_proj"},
    {"attn.v", "self_attn.v_proj"},
    {"attn.o", "self_attn.o_proj"},
    {"attn.q_norm", "self_attn.q_norm"},
    {"attn.k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn.gate", "mlp.gate_proj"},
    {"ffn.up", "mlp.up_proj"},
    {"ffn.down", "mlp.down_proj"},
};

constexpr NamePair kGgufNames[] = {
    {"embed.tokens", "token_embd.weight"},
    {"embed.positions", "position_embd.weight"},
    {"embed.types", "token_types.weight"},
    {"embed.norm", "token_embd_norm"},
    {"final_norm", "output_norm"},
    {"head", "output"},
    {"attn_norm", "attn_norm"},
    {"attn.q", "attn_q"},
    {"attn.k", "attn_k"},
    {"attn.v", "attn_v"},
    {"attn.o", "attn_output"},
    {"attn.q_norm", "attn_q_norm"},
    {"attn.k_norm", "attn_k_norm"},
    {"ffn_norm", "ffn_norm"},
    {"ffn.gate", "ffn_gate"},
    {"ffn.up", "ffn_up"},
    {"ffn.down", "ffn_down"},
    {"router", "ffn_gate_inp"},
    {"expert.gate", "ffn_gate.{}"},
    {"expert.up", "ffn_up.{}"},
    {"expert.down", "ffn_down.{}"},
};

// One of our names taken apart.
struct Parts {
  std::string layer;   // "3", or "" outside of layers
  std::string expert;  // "5", or ""
  std::string module;  // "attn.q", "expert.gate", "embed.tokens"
  std::string suffix;  // ".weight", ".bias", or "" for embeddings
};

std::string TakeNumber(std::string_view& rest) {
  const std::size_t dot = rest.find('.');
  std::string number(rest.substr(0, dot));
  rest.remove_prefix(dot + 1);
  return number;
}

Parts Split(std::string_view name) {
  Parts parts;
  for (const std::string_view suffix : {".weight", ".bias"}) {
    if (!name.ends_with(suffix)) continue;
    parts.suffix = suffix;
    name.remove_suffix(suffix.size());
  }
  constexpr std::string_view kLayers = "layers.";
  constexpr std::string_view kExperts = "experts.";
  if (name.starts_with(kLayers)) {
    name.remove_prefix(kLayers.size());
    parts.layer = TakeNumber(name);
  }
  if (name.starts_with(kExperts)) {
    name.remove_prefix(kExperts.size());
    parts.expert = TakeNumber(name);
    parts.module = "expert.";
  }
  parts.module += name;
  return parts;
}

std::string Fill(std::string_view pattern, const std::string& number) {
  const std::size_t at = pattern.find("{}");
  if (at == pattern.npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + number + std::string(pattern.substr(at + 2));
}

std::string_view Theirs(std::span<const NamePair> names, std::string_view ours) {
  std::string_view found;
  for (const NamePair& pair : names) {
    if (pair.ours == ours) found = pair.theirs;  // a later line replaces an earlier one
  }
  METIER_CHECK(!found.empty(), "a family's table lacks a module of its spec");
  return found;
}

std::vector<TensorRule> RulesFrom(const ModelSpec& spec, std::string_view layer,
                                  std::span<const NamePair> base, std::span<const NamePair> more) {
  std::vector<NamePair> names(base.begin(), base.end());
  names.insert(names.end(), more.begin(), more.end());
  return RulesFromTable(spec, {layer, names});
}

std::int64_t RowsBefore(const ModelSpec& spec, std::string_view name) {
  if (IsOfLayerModule(name, "attn.k")) return spec.q_width();
  if (IsOfLayerModule(name, "attn.v")) return spec.q_width() + spec.kv_width();
  return 0;
}

}  // namespace

std::vector<TensorRule> RulesFromTable(const ModelSpec& spec, const NameTable& table) {
  std::vector<TensorRule> rules;
  for (const Parameter& parameter : Parameters(spec)) {
    const Parts parts = Split(parameter.name);
    TensorRule rule;
    rule.ours = parameter.name;
    if (!parts.layer.empty()) rule.theirs = Fill(table.layer, parts.layer);
    rule.theirs += Fill(Theirs(table.names, parts.module), parts.expert) + parts.suffix;
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<TensorRule> LlamaHfRules(const ModelSpec& spec, std::span<const NamePair> more) {
  return RulesFrom(spec, "model.layers.{}.", kLlamaNames, more);
}

std::vector<TensorRule> GgufRules(const ModelSpec& spec, std::span<const NamePair> more) {
  std::vector<TensorRule> rules = RulesFrom(spec, "blk.{}.", kGgufNames, more);
  for (TensorRule& rule : rules) {
    const Parts parts = Split(rule.ours);
    if (parts.expert.empty()) continue;
    rule.alternative = rule.theirs;
    rule.theirs =
        fmt::format("blk.{}.ffn_{}_exps{}", parts.layer, parts.module.substr(7), parts.suffix);
    rule.expert = std::stoll(parts.expert);
  }
  return rules;
}

bool IsOfLayerModule(std::string_view name, std::string_view module) {
  const Parts parts = Split(name);
  return !parts.layer.empty() && parts.module == module;
}

void FuseQkv(const ModelSpec& spec, FusedLayout layout, std::vector<TensorRule>& rules) {
  const std::int64_t dim = spec.head_dim;
  for (TensorRule& rule : rules) {
    const bool q = IsOfLayerModule(rule.ours, "attn.q");
    const bool k = IsOfLayerModule(rule.ours, "attn.k");
    const bool v = IsOfLayerModule(rule.ours, "attn.v");
    if (!q && !k && !v) continue;
    if (layout == FusedLayout::kByHead) {
      rule.rows = {(q ? 0 : k ? 1 : 2) * dim, dim, 3 * dim};
    } else {
      const std::int64_t out = q ? spec.q_width() : spec.kv_width();
      rule.rows = {RowsBefore(spec, rule.ours), out, out};
    }
  }
}

}  // namespace metier::model
