#include "kernels/top_k.h"

#include <cstddef>

#include "base/check.h"

namespace metier::kernels {

void TopK(std::span<const float> scores, std::span<std::int32_t> out) {
  METIER_CHECK(out.size() <= scores.size(), "more experts chosen than there are");
  // The next one comes after the last chosen in the order (score descending, index ascending).
  const auto before = [&](std::size_t a, std::size_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  };
  for (std::size_t k = 0; k < out.size(); ++k) {
    std::size_t best = scores.size();
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (k > 0 && !before(static_cast<std::size_t>(out[k - 1]), i)) continue;
      if (best == scores.size() || before(i, best)) best = i;
    }
    METIER_CHECK(best < scores.size(), "a score that is not a number");
    out[k] = static_cast<std::int32_t>(best);
  }
}

}  // namespace metier::kernels
