#include "engine/pack_codes.h"

#include <cstring>

namespace metier::engine {

using kernels::Packing;

namespace {

template <class T>
T Load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof(T));
  return value;
}

std::uint32_t Word(const std::byte* in, std::size_t i) { return Load<std::uint32_t>(in + 4 * i); }
std::uint16_t Half(const std::byte* in) { return Load<std::uint16_t>(in); }
std::uint8_t U8(std::byte byte) { return std::to_integer<std::uint8_t>(byte); }

// `bits` low bits of each byte of a word, after moving it down by `by`.
std::uint32_t Bits(std::uint32_t word, std::size_t by, std::uint32_t bits) {
  return (word >> by) & (((1U << bits) - 1) * 0x01010101U);
}

// Bits 0-3 to the lowest bit of a byte each: the factor moves bit i to place 8 i.
std::uint32_t SpreadBits(std::uint32_t four) { return ((four & 15U) * 0x00204081U) & 0x01010101U; }

// 16 bytes of nibbles: weights 0-15 in the low ones, 16-31 in the high ones.
Quads NibblePairs(const std::byte* q) {
  Quads quads{};
  for (std::size_t k = 0; k < 4; ++k) {
    quads[k] = Bits(Word(q, k), 0, 4);
    quads[k + 4] = Bits(Word(q, k), 4, 4);
  }
  return quads;
}

template <std::size_t kBlockBytes, std::size_t kCodesAt>
Quads CodesOfNibbles(const std::byte* row, std::size_t group) {
  return NibblePairs(row + group * kBlockBytes + kCodesAt);
}

template <std::size_t kBlockBytes, std::size_t kBitsAt>
Quads CodesOfFives(const std::byte* row, std::size_t group) {
  const std::byte* block = row + group * kBlockBytes;
  Quads quads = NibblePairs(block + kBitsAt + 4);
  const std::uint32_t fifth = Word(block + kBitsAt, 0);
  for (std::size_t k = 0; k < quads.size(); ++k) quads[k] |= SpreadBits(fifth >> (4 * k)) << 4;
  return quads;
}

Quads CodesOfQ8_0(const std::byte* row, std::size_t group) {
  Quads quads{};
  for (std::size_t k = 0; k < quads.size(); ++k)
    quads[k] = Word(row + group * 34 + 2, k) ^ 0x80808080U;
  return quads;
}

template <std::size_t kBlockBytes>
GroupScales OneHalf(const std::byte* row, std::size_t group) {
  return {.halves = {Half(row + group * kBlockBytes)}};
}
template <std::size_t kBlockBytes>
GroupScales TwoHalves(const std::byte* row, std::size_t group) {
  const std::byte* block = row + group * kBlockBytes;
  return {.halves = {Half(block), Half(block + 2)}};
}

// Blocks of 256, eight groups each.

template <std::size_t kBlockBytes>
const std::byte* BlockOf(const std::byte* row, std::size_t group) {
  return row + group / 8 * kBlockBytes;
}
template <std::size_t kBlockBytes, std::size_t kAt, int kCount>
std::array<std::uint16_t, 2> HeaderAt(const std::byte* row, std::size_t group) {
  const std::byte* at = BlockOf<kBlockBytes>(row, group) + kAt;
  return {Half(at), kCount == 2 ? Half(at + 2) : std::uint16_t{0}};
}

// Runs of 128 weights: byte l of 32 holds weights l, l + 32, l + 64, l + 96, two bits each.
Quads Crumbs(const std::byte* q, std::size_t group_in_block) {
  Quads quads{};
  for (std::size_t k = 0; k < quads.size(); ++k)
    quads[k] = Bits(Word(q + group_in_block / 4 * 32, k), 2 * (group_in_block % 4), 2);
  return quads;
}

Quads CodesOfQ2_K(const std::byte* row, std::size_t group) {
  return Crumbs(BlockOf<84>(row, group) + 16, group % 8);
}
GroupScales ScalesOfQ2_K(const std::byte* row, std::size_t group) {
  const std::byte* scales = BlockOf<84>(row, group) + 2 * (group % 8);
  return {.bytes = {U8(scales[0]), U8(scales[1])}};
}

Quads CodesOfQ3_K(const std::byte* row, std::size_t group) {
  const std::byte* block = BlockOf<110>(row, group);
  Quads quads = Crumbs(block + 32, group % 8);
  for (std::size_t k = 0; k < quads.size(); ++k)
    quads[k] |= Bits(Word(block, k), group % 8, 1) << 2;
  return quads;
}
std::uint8_t ScaleOfQ3_K(const std::byte* scales, std::size_t sixteenth) {
  const std::uint8_t low = U8(scales[sixteenth % 8]);
  const int low4 = sixteenth < 8 ? low & 15 : low >> 4;
  const int high2 = (U8(scales[8 + sixteenth % 4]) >> (sixteenth / 4 * 2)) & 3;
  return static_cast<std::uint8_t>((low4 | high2 << 4) - 32);
}
GroupScales ScalesOfQ3_K(const std::byte* row, std::size_t group) {
  const std::byte* scales = BlockOf<110>(row, group) + 96;
  const std::size_t first = 2 * (group % 8);
  return {.bytes = {ScaleOfQ3_K(scales, first), ScaleOfQ3_K(scales, first + 1)}};
}

// Pairs of groups share 32 bytes: the first has the low nibbles.
template <std::size_t kBlockBytes, std::size_t kCodesAt>
Quads CodesOfPairedGroups(const std::byte* row, std::size_t group) {
  const std::byte* q = BlockOf<kBlockBytes>(row, group) + kCodesAt + group % 8 / 2 * 32;
  Quads quads{};
  for (std::size_t k = 0; k < quads.size(); ++k) quads[k] = Bits(Word(q, k), group % 2 * 4, 4);
  return quads;
}
Quads CodesOfQ5_K(const std::byte* row, std::size_t group) {
  Quads quads = CodesOfPairedGroups<176, 48>(row, group);
  const std::byte* high = BlockOf<176>(row, group) + 16;
  for (std::size_t k = 0; k < quads.size(); ++k) quads[k] |= Bits(Word(high, k), group % 8, 1) << 4;
  return quads;
}
// Scale and minimum of 6 bits (format/blocks.cc, SixBits).
template <std::size_t kBlockBytes>
GroupScales SixBitPair(const std::byte* row, std::size_t group) {
  const std::byte* packed = BlockOf<kBlockBytes>(row, group) + 4;
  const std::size_t j = group % 8;
  const auto pair = [](int scale, int min) {
    return GroupScales{.bytes = {static_cast<std::uint8_t>(scale), static_cast<std::uint8_t>(min)}};
  };
  if (j < 4) return pair(U8(packed[j]) & 63, U8(packed[j + 4]) & 63);
  return pair((U8(packed[j + 4]) & 15) | (U8(packed[j - 4]) >> 6) << 4,
              (U8(packed[j + 4]) >> 4) | (U8(packed[j]) >> 6) << 4);
}

Quads CodesOfQ6_K(const std::byte* row, std::size_t group) {
  const std::byte* block = BlockOf<210>(row, group);
  const std::size_t half = group % 8 / 4;
  const std::size_t quarter = group % 4;
  const std::byte* low = block + half * 64 + quarter % 2 * 32;
  const std::byte* high = block + 128 + half * 32;
  Quads quads{};
  for (std::size_t k = 0; k < quads.size(); ++k) {
    quads[k] = Bits(Word(low, k), quarter / 2 * 4, 4) | Bits(Word(high, k), 2 * quarter, 2) << 4;
  }
  return quads;
}
GroupScales ScalesOfQ6_K(const std::byte* row, std::size_t group) {
  const std::byte* scales = BlockOf<210>(row, group) + 192 + 2 * (group % 8);
  return {.bytes = {U8(scales[0]), U8(scales[1])}};
}

Quads CodesOfIQ4_XS(const std::byte* row, std::size_t group) {
  return NibblePairs(BlockOf<136>(row, group) + 8 + 16 * (group % 8));
}
GroupScales ScalesOfIQ4_XS(const std::byte* row, std::size_t group) {
  const std::byte* block = BlockOf<136>(row, group);
  const std::size_t j = group % 8;
  const int low4 = (U8(block[4 + j / 2]) >> (j % 2 * 4)) & 15;
  const int high2 = (Half(block + 2) >> (2 * j)) & 3;
  return {.bytes = {static_cast<std::uint8_t>((low4 | high2 << 4) - 32)}};
}

// Block sizes and places of the fields: format/blocks.h.
constexpr StoredType kStoredTypes[] = {
    {Packing::kQ4_0, 4, 1, 0, 0, CodesOfNibbles<18, 2>, OneHalf<18>, nullptr},
    {Packing::kQ4_1, 4, 2, 0, 0, CodesOfNibbles<20, 4>, TwoHalves<20>, nullptr},
    {Packing::kQ5_0, 5, 1, 0, 0, CodesOfFives<22, 2>, OneHalf<22>, nullptr},
    {Packing::kQ5_1, 5, 2, 0, 0, CodesOfFives<24, 4>, TwoHalves<24>, nullptr},
    {Packing::kQ8_0, 8, 1, 0, 0, CodesOfQ8_0, OneHalf<34>, nullptr},
    {Packing::kQ2_K, 2, 0, 2, 2, CodesOfQ2_K, ScalesOfQ2_K, HeaderAt<84, 80, 2>},
    {Packing::kQ3_K, 3, 0, 2, 1, CodesOfQ3_K, ScalesOfQ3_K, HeaderAt<110, 108, 1>},
    {Packing::kQ4_K, 4, 0, 2, 2, CodesOfPairedGroups<144, 16>, SixBitPair<144>,
     HeaderAt<144, 0, 2>},
    {Packing::kQ5_K, 5, 0, 2, 2, CodesOfQ5_K, SixBitPair<176>, HeaderAt<176, 0, 2>},
    {Packing::kQ6_K, 6, 0, 2, 1, CodesOfQ6_K, ScalesOfQ6_K, HeaderAt<210, 208, 1>},
    {Packing::kIQ4_NL, 4, 1, 0, 0, CodesOfNibbles<18, 2>, OneHalf<18>, nullptr},
    {Packing::kIQ4_XS, 4, 0, 1, 1, CodesOfIQ4_XS, ScalesOfIQ4_XS, HeaderAt<136, 0, 1>},
};

}  // namespace

const StoredType* FindStoredType(Packing packing) {
  for (const StoredType& type : kStoredTypes) {
    if (type.packing == packing) return &type;
  }
  return nullptr;
}

}  // namespace metier::engine
