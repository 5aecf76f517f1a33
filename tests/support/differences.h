// tests/support/differences.h - how far two results are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace metier::test {

// The largest difference between two results of one size. Infinite: other sizes, nothing at all, or
// a NaN.
inline double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || a.empty()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

}  // namespace metier::test
