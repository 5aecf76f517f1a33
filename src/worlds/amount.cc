#include "worlds/amount.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace metier::worlds {

double RoundToCents(double value) {
  if (!std::isfinite(value)) return value;
  // Printing rounds the exact binary value once; value * 100 would round before it is asked to.
  return std::strtod(fmt::format("{:.2f}", value).c_str(), nullptr);
}

Json Amount::ToJson() const {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (whole_ && std::abs(value_) <= kExact) return static_cast<std::int64_t>(value_);
  return value_;
}

std::string Amount::Text() const { return DumpPython(ToJson()); }

Amount Amount::Rounded() const { return whole_ ? *this : Amount(RoundToCents(value_), false); }

}  // namespace metier::worlds
