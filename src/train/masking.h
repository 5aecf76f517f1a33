// train/masking.h - tokens that are hidden from an encoder, which learns to restore them (masked
// language modelling: Devlin et al. 2019, section 3.1).
#pragma once

#include <cstdint>
#include <optional>

namespace metier::train {

struct Masking {
  double probability = 0.15;
  std::int32_t mask_token = 0;
};

// What the model reads in the place of token `i` of a text, which it is to restore there: the mask
// in 8 of 10 places, any token of the vocabulary in 1, the token itself in 1; nullopt: it is not to
// be restored. Drawn from `key` and `i` alone, so a batch, its count and a resumed run agree.
// Requires vocab > 0.
std::optional<std::int32_t> Hide(const Masking& masking, std::int32_t token, std::int64_t vocab,
                                 std::uint64_t key, std::int64_t i);

}  // namespace metier::train
