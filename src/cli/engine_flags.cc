#include "cli/engine_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace metier::cli {

std::string ExpertCacheText(const engine::ExpertCacheStats& stats) {
  constexpr double kBytesOfGiB = 1024.0 * 1024.0 * 1024.0;
  const std::int64_t all = stats.hits + stats.prefetched + stats.misses;
  const auto percent = [&](std::int64_t part) {
    return 100 * static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(all, 1));
  };
  return fmt::format(
      "{:.1f} % of {} there, {:.1f} % fetched ahead, {:.1f} % fetched when needed; "
      "{:.3f} of {:.3f} GiB",
      percent(stats.hits), all, percent(stats.prefetched), percent(stats.misses),
      static_cast<double>(stats.peak_bytes) / kBytesOfGiB,
      static_cast<double>(stats.max_bytes) / kBytesOfGiB);
}

Json ExpertCacheJson(const engine::ExpertCacheStats& stats) {
  return {{"hits", stats.hits},
          {"prefetched", stats.prefetched},
          {"misses", stats.misses},
          {"hit_rate", stats.HitRate()},
          {"max_bytes", stats.max_bytes},
          {"resident_bytes", stats.resident_bytes},
          {"peak_bytes", stats.peak_bytes}};
}

void ReportExpertCache(const engine::ExpertCache* cache) {
  if (cache == nullptr) return;
  std::fputs(fmt::format("experts: {}\n", ExpertCacheText(cache->stats())).c_str(), stderr);
}

}  // namespace metier::cli
