// cli/sampling.h - the flags that decide how tokens are chosen, shared by `generate` and `chat`.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/generate.h"
#include "specialist/manifest.h"

namespace metier::cli {

struct SamplingFlags {
  std::optional<std::int64_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::int64_t top_k = 0;
  double min_p = 0;
  double repetition_penalty = 1;
  std::int64_t seed = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("max-tokens", max_tokens, "longest answer (default: as the specialist says, else 256)")
        .AtLeast(1);
    field("temperature", temperature,
          "0: always the most likely token (default: as the specialist says, else 0)")
        .AtLeast(0)
        .AtMost(10);
    field("top-p", top_p,
          "choose among the likeliest tokens of this total probability (default: as the specialist "
          "says, else 1: all)")
        .Above(0)
        .AtMost(1);
    field("top-k", top_k, "choose among so many tokens; 0: all").AtLeast(0);
    field("min-p", min_p, "least probability, as a share of the largest").AtLeast(0).AtMost(1);
    field("repetition-penalty", repetition_penalty,
          "above 1: tokens seen before become less likely")
        .Above(0);
    field("seed", seed, "of chance; the same seed gives the same answer").AtLeast(0);
  }

  // Flags win over what the specialist says.
  engine::GenerateOptions Resolve(const specialist::GenerationDefaults& defaults) const {
    engine::GenerateOptions options;
    options.max_tokens = max_tokens.value_or(defaults.max_tokens);
    options.sampler.temperature = temperature.value_or(defaults.temperature);
    options.sampler.top_p = top_p.value_or(defaults.top_p);
    options.sampler.top_k = top_k;
    options.sampler.min_p = min_p;
    options.sampler.repetition_penalty = repetition_penalty;
    options.sampler.seed = static_cast<std::uint64_t>(seed);
    return options;
  }
};

}  // namespace metier::cli
