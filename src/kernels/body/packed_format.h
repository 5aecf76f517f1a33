// kernels/body/packed_format.h - the packed types: which codes go with which scales, and where they
// lie in a panel.
#pragma once

#include "kernels/body/packed_codes.h"
#include "kernels/body/packed_scales.h"
#include "kernels/packed.h"

namespace metier::kernels::body {

template <Packing kPackingOf, class CodesOf, class ScalesOf>
struct Format {
  using Codes = CodesOf;
  using Scales = ScalesOf;
  static constexpr std::size_t kRecord = Codes::kBytes + Scales::kBytes;
  static constexpr std::size_t kHeaderGroups = Scales::kHeader == 0 ? 1 : 8;
  static constexpr PackedLayout kLayout = kPackedLayouts[static_cast<std::size_t>(kPackingOf)];
  static_assert(kLayout.code_bytes == Codes::kBytes && kLayout.scale_bytes == Scales::kBytes &&
                kLayout.header_bytes == Scales::kHeader && kLayout.header_groups == kHeaderGroups);

  // The header that group g stands behind, and g's record.
  static const std::byte* Header(const std::byte* panel, std::size_t g) {
    return panel + g / kHeaderGroups * (Scales::kHeader + kHeaderGroups * kRecord);
  }
  static const std::byte* Record(const std::byte* panel, std::size_t g) {
    return Header(panel, g) + Scales::kHeader + g % kHeaderGroups * kRecord;
  }
};

using Q4_0Format = Format<Packing::kQ4_0, FourBits, PlainScale<8>>;
using Q4_1Format = Format<Packing::kQ4_1, FourBits, ScaleOffset>;
using Q5_0Format = Format<Packing::kQ5_0, FiveBits, PlainScale<16>>;
using Q5_1Format = Format<Packing::kQ5_1, FiveBits, ScaleOffset>;
using Q8_0Format = Format<Packing::kQ8_0, EightBits, PlainScale<128>>;
using Q2_KFormat = Format<Packing::kQ2_K, TwoBitCodes, SubPairs16>;
using Q3_KFormat = Format<Packing::kQ3_K, ThreeBits, SubScales16<4>>;
using Q4_KFormat = Format<Packing::kQ4_K, FourBits, SubScales32>;
using Q5_KFormat = Format<Packing::kQ5_K, FiveBits, SubScales32>;
using Q6_KFormat = Format<Packing::kQ6_K, SixBits, SubScales16<32>>;
using IQ4_NLFormat = Format<Packing::kIQ4_NL, FourBitLevels, PlainScale<128>>;
using IQ4_XSFormat = Format<Packing::kIQ4_XS, FourBitLevels, SubScale32<128>>;

}  // namespace metier::kernels::body
