#include "format/blocks.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "tensor/half.h"

namespace metier::format {
namespace {

using tensor::DType;

template <class T>
T Load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof(T));
  return value;
}

std::uint8_t U8(std::byte byte) { return std::to_integer<std::uint8_t>(byte); }
int Low(std::byte byte) { return U8(byte) & 15; }
int High(std::byte byte) { return U8(byte) >> 4; }
int Signed(std::byte byte) { return static_cast<std::int8_t>(U8(byte)); }
float Half(const std::byte* in) { return tensor::FromF16(Load<std::uint16_t>(in)); }

void DecodeF64(const std::byte* in, float* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) out[i] = static_cast<float>(Load<double>(in + 8 * i));
}

void DecodeF32(const std::byte* in, float* out, std::size_t blocks) {
  if (blocks > 0) std::memcpy(out, in, blocks * sizeof(float));
}

void DecodeF16(const std::byte* in, float* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) out[i] = Half(in + 2 * i);
}

void DecodeBF16(const std::byte* in, float* out, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i)
    out[i] = tensor::FromBF16(Load<std::uint16_t>(in + 2 * i));
}

void DecodeQ4_0(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 18, out += 32) {
    const float d = Half(in);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(Low(in[2 + i]) - 8) * d;
      out[i + 16] = static_cast<float>(High(in[2 + i]) - 8) * d;
    }
  }
}

void DecodeQ4_1(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 20, out += 32) {
    const float d = Half(in);
    const float m = Half(in + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(Low(in[4 + i])) * d + m;
      out[i + 16] = static_cast<float>(High(in[4 + i])) * d + m;
    }
  }
}

// The fifth bit of weight i stands in bit i of `bits`.
int Fifth(std::uint32_t bits, int i) { return static_cast<int>((bits >> i) & 1U) << 4; }

void DecodeQ5_0(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 22, out += 32) {
    const float d = Half(in);
    const auto bits = Load<std::uint32_t>(in + 2);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>((Low(in[6 + i]) | Fifth(bits, i)) - 16) * d;
      out[i + 16] = static_cast<float>((High(in[6 + i]) | Fifth(bits, i + 16)) - 16) * d;
    }
  }
}

void DecodeQ5_1(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 24, out += 32) {
    const float d = Half(in);
    const float m = Half(in + 2);
    const auto bits = Load<std::uint32_t>(in + 4);
    for (int i = 0; i < 16; ++i) {
      out[i] = static_cast<float>(Low(in[8 + i]) | Fifth(bits, i)) * d + m;
      out[i + 16] = static_cast<float>(High(in[8 + i]) | Fifth(bits, i + 16)) * d + m;
    }
  }
}

void DecodeQ8_0(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 34, out += 32) {
    const float d = Half(in);
    for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(Signed(in[2 + i])) * d;
  }
}

// K types put their weights down in runs of 128: byte l of 32 holds weights l, l + 32, l + 64, l +
// 96 (2 bits each) or l, l + 32 (4 bits each).

void DecodeQ2_K(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 84, out += 256) {
    const std::byte* scales = in;
    const std::byte* q = in + 16;
    const float d = Half(in + 80);
    const float dmin = Half(in + 82);
    for (int i = 0; i < 256; ++i) {
      const float scale = d * static_cast<float>(Low(scales[i / 16]));
      const float shift = dmin * static_cast<float>(High(scales[i / 16]));
      const int crumb = (U8(q[i / 128 * 32 + i % 32]) >> (i % 128 / 32 * 2)) & 3;
      out[i] = scale * static_cast<float>(crumb) - shift;
    }
  }
}

void DecodeQ3_K(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 110, out += 256) {
    const std::byte* high = in;
    const std::byte* q = in + 32;
    const std::byte* scales = in + 96;
    const float d = Half(in + 108);
    for (int i = 0; i < 256; ++i) {
      const int group = i / 16;
      const int low4 = group < 8 ? Low(scales[group]) : High(scales[group - 8]);
      const int high2 = (U8(scales[8 + group % 4]) >> (group / 4 * 2)) & 3;
      const float scale = d * static_cast<float>((low4 | high2 << 4) - 32);
      const int crumb = (U8(q[i / 128 * 32 + i % 32]) >> (i % 128 / 32 * 2)) & 3;
      const int third = (U8(high[i % 32]) >> (i / 32)) & 1;
      out[i] = scale * static_cast<float>(crumb - (third != 0 ? 0 : 4));
    }
  }
}

struct ScaleMin {
  int scale;
  int min;
};

// Eight pairs of 6 bits in 12 bytes: pairs 0-3 in the low bits of bytes 0-3 (scales) and 4-7
// (mins); pairs 4-7 have their low 4 bits in bytes 8-11 and their high 2 bits on top of the first
// eight.
ScaleMin SixBits(const std::byte* packed, int j) {
  if (j < 4) return {U8(packed[j]) & 63, U8(packed[j + 4]) & 63};
  return {Low(packed[j + 4]) | (U8(packed[j - 4]) >> 6) << 4,
          High(packed[j + 4]) | (U8(packed[j]) >> 6) << 4};
}

void DecodeQ4_K(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 144, out += 256) {
    const float d = Half(in);
    const float dmin = Half(in + 2);
    const std::byte* q = in + 16;
    for (int group = 0; group < 8; ++group) {
      const ScaleMin packed = SixBits(in + 4, group);
      const float scale = d * static_cast<float>(packed.scale);
      const float shift = dmin * static_cast<float>(packed.min);
      for (int l = 0; l < 32; ++l) {
        const std::byte pair = q[group / 2 * 32 + l];
        const int nibble = group % 2 == 0 ? Low(pair) : High(pair);
        out[group * 32 + l] = scale * static_cast<float>(nibble) - shift;
      }
    }
  }
}

void DecodeQ5_K(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 176, out += 256) {
    const float d = Half(in);
    const float dmin = Half(in + 2);
    const std::byte* high = in + 16;
    const std::byte* q = in + 48;
    for (int group = 0; group < 8; ++group) {
      const ScaleMin packed = SixBits(in + 4, group);
      const float scale = d * static_cast<float>(packed.scale);
      const float shift = dmin * static_cast<float>(packed.min);
      for (int l = 0; l < 32; ++l) {
        const std::byte pair = q[group / 2 * 32 + l];
        const int nibble = group % 2 == 0 ? Low(pair) : High(pair);
        const int fifth = ((U8(high[l]) >> group) & 1) << 4;
        out[group * 32 + l] = scale * static_cast<float>(nibble + fifth) - shift;
      }
    }
  }
}

void DecodeQ6_K(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 210, out += 256) {
    const std::byte* low = in;
    const std::byte* high = in + 128;
    const std::byte* scales = in + 192;
    const float d = Half(in + 208);
    for (int i = 0; i < 256; ++i) {
      const int half = i / 128;  // each half: 64 bytes of low nibbles, 32 of high crumbs
      const int quarter = i % 128 / 32;
      const std::byte pair = low[half * 64 + quarter % 2 * 32 + i % 32];
      const int nibble = quarter < 2 ? Low(pair) : High(pair);
      const int crumb = (U8(high[half * 32 + i % 32]) >> (quarter * 2)) & 3;
      const float scale = d * static_cast<float>(Signed(scales[i / 16]));
      out[i] = scale * static_cast<float>((nibble | crumb << 4) - 32);
    }
  }
}

void DecodeIq4Group(const std::byte* q, float scale, float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * kIq4Values[static_cast<std::size_t>(Low(q[i]))];
    out[i + 16] = scale * kIq4Values[static_cast<std::size_t>(High(q[i]))];
  }
}

void DecodeIQ4_NL(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 18, out += 32) DecodeIq4Group(in + 2, Half(in), out);
}

void DecodeIQ4_XS(const std::byte* in, float* out, std::size_t blocks) {
  for (; blocks > 0; --blocks, in += 136, out += 256) {
    const float d = Half(in);
    const auto high = Load<std::uint16_t>(in + 2);
    for (int group = 0; group < 8; ++group) {
      const std::byte pair = in[4 + group / 2];
      const int low4 = group % 2 == 0 ? Low(pair) : High(pair);
      const int scale = low4 | ((high >> (2 * group)) & 3) << 4;
      DecodeIq4Group(in + 8 + 16 * group, d * static_cast<float>(scale - 32), out + 32 * group);
    }
  }
}

struct Row {
  DType dtype;
  BlockDecoder decode;
};

constexpr std::array kDecoders = {
    Row{DType::kF64, DecodeF64},       Row{DType::kF32, DecodeF32},
    Row{DType::kF16, DecodeF16},       Row{DType::kBF16, DecodeBF16},
    Row{DType::kQ4_0, DecodeQ4_0},     Row{DType::kQ4_1, DecodeQ4_1},
    Row{DType::kQ5_0, DecodeQ5_0},     Row{DType::kQ5_1, DecodeQ5_1},
    Row{DType::kQ8_0, DecodeQ8_0},     Row{DType::kQ2_K, DecodeQ2_K},
    Row{DType::kQ3_K, DecodeQ3_K},     Row{DType::kQ4_K, DecodeQ4_K},
    Row{DType::kQ5_K, DecodeQ5_K},     Row{DType::kQ6_K, DecodeQ6_K},
    Row{DType::kIQ4_NL, DecodeIQ4_NL}, Row{DType::kIQ4_XS, DecodeIQ4_XS},
};

}  // namespace

BlockDecoder DecoderOf(DType dtype) {
  for (const Row& row : kDecoders) {
    if (row.dtype == dtype) return row.decode;
  }
  return nullptr;
}

}  // namespace metier::format
