// cli/expert_cache_flag.h - the flag that limits the memory of experts, and what is said of the
// cache afterwards; shared by `bench`, `chat` and `generate`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "engine/expert_cache.h"

namespace metier::cli {

struct ExpertCacheFlag {
  std::int64_t mib = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field(
        "expert-cache-mib", mib,
        "of a model with experts, keep so many MiB of them in memory and read the others from the "
        "file when they are chosen; 0: all of them in memory")
        .AtLeast(0)
        .AtMost(std::int64_t{1} << 30);
  }

  // Nothing: no limit.
  std::optional<std::uint64_t> Bytes() const {
    if (mib == 0) return std::nullopt;
    return static_cast<std::uint64_t>(mib) << 20;
  }
};

// "70.1 % of 1200 there, 20.0 % fetched ahead, 9.9 % fetched when needed; 0.120 of 0.125 GiB"
std::string ExpertCacheText(const engine::ExpertCacheStats& stats);
Json ExpertCacheJson(const engine::ExpertCacheStats& stats);

}  // namespace metier::cli
