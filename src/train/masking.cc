#include "train/masking.h"

#include "base/rng.h"

namespace metier::train {

std::optional<std::int32_t> Hide(const Masking& masking, std::int32_t token, std::int64_t vocab,
                                 std::uint64_t key, std::int64_t i) {
  Rng rng(key, static_cast<std::uint64_t>(i));
  if (rng.Uniform() >= masking.probability) return std::nullopt;
  const double what = rng.Uniform();
  if (what < 0.8) return masking.mask_token;
  if (what >= 0.9) return token;
  return static_cast<std::int32_t>(rng.Below(static_cast<std::uint64_t>(vocab)));
}

}  // namespace metier::train
