// cli/engine_flags.h - the flags that say how the native engine runs a model, and what is said of
// it afterwards; shared by `bench`, `chat`, `eval` and `generate`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "engine/compute.h"
#include "engine/expert_cache.h"
#include "engine/kv_cache.h"
#include "specialist/chat_reply.h"

namespace metier::cli {

struct EngineFlags {
  std::int64_t threads = 0;
  std::string arithmetic = "fast";
  std::string kv_cache = "f32";
  std::int64_t expert_cache_mib = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("threads", threads, "CPU threads; 0: all cores").AtLeast(0).AtMost(1024);
    field("arithmetic", arithmetic,
          "products of quantised weights: fast rounds activations to 8 bits, exact does not")
        .OneOf({"fast", "exact"});
    field("kv-cache", kv_cache,
          "what keys and values of past tokens are kept as: bf16 takes half of the memory, int8 "
          "about a quarter, and both round")
        .OneOf({"f32", "bf16", "int8"});
    field(
        "expert-cache-mib", expert_cache_mib,
        "of a model with experts, keep so many MiB of them in memory and read the others from the "
        "file when they are chosen; 0: all of them in memory")
        .AtLeast(0)
        .AtMost(std::int64_t{1} << 30);
  }

  specialist::LoadOptions Resolve() const {
    specialist::LoadOptions options{.threads = static_cast<int>(threads),
                                    .arithmetic = *engine::ArithmeticFromName(arithmetic),
                                    .kv_type = *engine::KvTypeFromName(kv_cache)};
    if (expert_cache_mib > 0)
      options.max_expert_bytes = static_cast<std::uint64_t>(expert_cache_mib) << 20;
    return options;
  }
};

// "70.1 % of 1200 there, 20.0 % fetched ahead, 9.9 % fetched when needed; 0.120 of 0.125 GiB"
std::string ExpertCacheText(const engine::ExpertCacheStats& stats);
Json ExpertCacheJson(const engine::ExpertCacheStats& stats);
// Says it on stderr; nothing without a cache.
void ReportExpertCache(const engine::ExpertCache* cache);

}  // namespace metier::cli
