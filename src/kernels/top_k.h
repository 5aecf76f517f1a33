// kernels/top_k.h - the k largest of a row, for routers.
#pragma once

#include <cstdint>
#include <span>

namespace metier::kernels {

// Writes the indices of the out.size() largest scores, best first; equal scores in order of index.
// Requires out.size() <= scores.size() and no NaN. Cost: k passes; experts number at most some
// hundreds.
void TopK(std::span<const float> scores, std::span<std::int32_t> out);

}  // namespace metier::kernels
