#include "format/encode_blocks.h"

#include <array>

#include "format/block_fit.h"
#include "format/encode_k.h"

namespace metier::format {
namespace {

using tensor::DType;

bool EncodeF32(const float* in, std::byte* out, std::size_t blocks) {
  std::memcpy(out, in, blocks * sizeof(float));
  return true;
}

// Plain halves have infinities of their own: what is too large becomes one.
bool EncodeF16(const float* in, std::byte* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::uint16_t bits = tensor::ToF16(in[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
  return true;
}

bool EncodeBF16(const float* in, std::byte* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::uint16_t bits = tensor::ToBF16(in[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
  return true;
}

// Cuts a positive number off to a level. The reference adds one half first, which rounds.
int Level(float x, int most) { return std::min(most, static_cast<int>(x)); }

// Where the level of a block's 32 values goes: nibbles, and above them a word of fifth bits.
struct Levels {
  std::array<int, 32> of{};

  void PutNibbles(std::byte* out) const {
    for (std::size_t i = 0; i < 16; ++i) out[i] = Nibbles(of[i] & 15, of[i + 16] & 15);
  }
  void PutFifthBits(std::byte* out) const {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 32; ++i) bits |= static_cast<std::uint32_t>(of[i] >> 4) << i;
    std::memcpy(out, &bits, sizeof bits);
  }
};

// Levels 0 to 2 * half - 1, worth (level - half) d; the extreme value takes level 0.
bool EncodeCentred(const float* in, int half, std::byte* out, Levels& levels) {
  const float d = Extreme(in, 32) / static_cast<float>(-half);
  if (!PutF16(d, out)) return false;
  const float inverse = Inverse(d);
  const float centre = static_cast<float>(half) + 0.5F;
  for (std::size_t i = 0; i < 32; ++i) levels.of[i] = Level(in[i] * inverse + centre, 2 * half - 1);
  return true;
}

// Levels 0 to `most`, worth level * d + m, from the least value to the largest.
bool EncodeRange(const float* in, int most, std::byte* out, Levels& levels) {
  const auto [least, largest] = std::minmax_element(in, in + 32);
  const float m = *least;
  const float d = (*largest - m) / static_cast<float>(most);
  if (!PutF16(d, out) || !PutF16(m, out + 2)) return false;
  const float inverse = Inverse(d);
  for (std::size_t i = 0; i < 32; ++i) levels.of[i] = Level((in[i] - m) * inverse + 0.5F, most);
  return true;
}

bool EncodeQ4_0(const float* in, std::byte* out, std::size_t blocks) {
  Levels levels;
  for (; blocks > 0; --blocks, in += 32, out += 18) {
    if (!EncodeCentred(in, 8, out, levels)) return false;
    levels.PutNibbles(out + 2);
  }
  return true;
}

bool EncodeQ4_1(const float* in, std::byte* out, std::size_t blocks) {
  Levels levels;
  for (; blocks > 0; --blocks, in += 32, out += 20) {
    if (!EncodeRange(in, 15, out, levels)) return false;
    levels.PutNibbles(out + 4);
  }
  return true;
}

bool EncodeQ5_0(const float* in, std::byte* out, std::size_t blocks) {
  Levels levels;
  for (; blocks > 0; --blocks, in += 32, out += 22) {
    if (!EncodeCentred(in, 16, out, levels)) return false;
    levels.PutFifthBits(out + 2);
    levels.PutNibbles(out + 6);
  }
  return true;
}

bool EncodeQ5_1(const float* in, std::byte* out, std::size_t blocks) {
  Levels levels;
  for (; blocks > 0; --blocks, in += 32, out += 24) {
    if (!EncodeRange(in, 31, out, levels)) return false;
    levels.PutFifthBits(out + 4);
    levels.PutNibbles(out + 8);
  }
  return true;
}

// The scale maps the largest magnitude to 127, and rounds to f16 only when stored.
bool EncodeQ8_0(const float* in, std::byte* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 32, out += 34) {
    const float d = std::fabs(Extreme(in, 32)) / 127.0F;
    if (!PutF16(d, out)) return false;
    const float inverse = Inverse(d);
    for (int i = 0; i < 32; ++i)
      out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(std::round(in[i] * inverse)));
  }
  return true;
}

struct EncoderRow {
  DType dtype;
  BlockEncoder encode;
};

constexpr std::array kEncoders = {
    EncoderRow{DType::kF32, EncodeF32},       EncoderRow{DType::kF16, EncodeF16},
    EncoderRow{DType::kBF16, EncodeBF16},     EncoderRow{DType::kQ4_0, EncodeQ4_0},
    EncoderRow{DType::kQ4_1, EncodeQ4_1},     EncoderRow{DType::kQ5_0, EncodeQ5_0},
    EncoderRow{DType::kQ5_1, EncodeQ5_1},     EncoderRow{DType::kQ8_0, EncodeQ8_0},
    EncoderRow{DType::kQ2_K, EncodeQ2_K},     EncoderRow{DType::kQ3_K, EncodeQ3_K},
    EncoderRow{DType::kQ4_K, EncodeQ4_K},     EncoderRow{DType::kQ5_K, EncodeQ5_K},
    EncoderRow{DType::kQ6_K, EncodeQ6_K},     EncoderRow{DType::kIQ4_NL, EncodeIQ4_NL},
    EncoderRow{DType::kIQ4_XS, EncodeIQ4_XS},
};

constexpr auto kEncodable = [] {
  std::array<DType, kEncoders.size()> types{};
  for (std::size_t i = 0; i < types.size(); ++i) types[i] = kEncoders[i].dtype;
  return types;
}();

}  // namespace

BlockEncoder EncoderOf(DType dtype) {
  for (const EncoderRow& row : kEncoders) {
    if (row.dtype == dtype) return row.encode;
  }
  return nullptr;
}

std::span<const DType> EncodableTypes() { return kEncodable; }

}  // namespace metier::format
