#include "format/encode_k.h"

#include <array>

#include "format/block_fit.h"

namespace metier::format {
namespace {

constexpr int kBlock = 256;

// How far around the plain scale the searches look: so many tenths of a level to either side.
constexpr int kTenths = 12;

// Levels low to -low - 1, worth level * scale: the extreme value takes about `low`.
template <int N>
float FitScale(const float* in, float low) {
  ScaleSearch<N> search(in);
  const float inverse = Inverse(Extreme(in, N));
  std::array<float, N> levels{};
  for (int step = -kTenths; step <= kTenths; ++step) {
    const float factor = (low + 0.1F * static_cast<float>(step)) * inverse;
    for (std::size_t i = 0; i < N; ++i)
      levels[i] = NearestWithin(search.x()[i] * factor, low, -low - 1);
    search.Try(levels);
  }
  return search.scale();
}

// The scale >= 0 for levels 0 to `most`, worth level * scale - shift, and a given shift >= 0.
template <int N>
float FitAbove(const float* in, float shift, float most) {
  ScaleSearch<N> search(in, shift);
  const float inverse = Inverse(*std::max_element(in, in + N) + shift);
  std::array<float, N> levels{};
  for (int step = -kTenths; step <= kTenths && inverse > 0; ++step) {
    const float factor = (most + 0.1F * static_cast<float>(step)) * inverse;
    for (std::size_t i = 0; i < N; ++i) levels[i] = NearestWithin(search.x()[i] * factor, 0, most);
    search.Try(levels);
  }
  return std::max(0.0F, search.scale());
}

// The shift >= 0 of the best (scale, shift) for levels 0 to `most`, both by least squares.
template <int N>
float FitShift(const float* in, float most) {
  const auto [least, largest] = std::minmax_element(in, in + N);
  const float low = std::min(0.0F, *least);
  const float inverse = Inverse(*largest - low);
  if (inverse == 0) return -low;  // one value throughout
  std::array<float, N> x{};
  std::array<float, N> ones{};
  std::array<float, N> levels{};
  std::copy(in, in + N, x.begin());
  ones.fill(1);
  const double sum_x = SumOfProducts<N>(x, ones);
  double best_shift = 0;
  double best_error = 0;  // less sum x^2, which all candidates share: that of scale = shift = 0
  for (int step = -kTenths; step <= kTenths; ++step) {
    const float factor = (most + 0.1F * static_cast<float>(step)) * inverse;
    for (std::size_t i = 0; i < N; ++i) levels[i] = NearestWithin((x[i] - low) * factor, 0, most);
    const double l = SumOfProducts<N>(levels, ones);
    const double ll = SumOfProducts<N>(levels, levels);
    const double xl = SumOfProducts<N>(x, levels);
    const double determinant = N * ll - l * l;
    if (determinant <= 0) continue;  // one level throughout
    const double scale = (N * xl - sum_x * l) / determinant;
    const double shift = (l * xl - ll * sum_x) / determinant;
    const double error = scale * scale * ll + N * shift * shift - 2 * scale * xl +
                         2 * shift * sum_x - 2 * scale * shift * l;
    if (scale <= 0 || error >= best_error) continue;
    best_error = error;
    best_shift = shift;
  }
  return std::max(0.0F, static_cast<float>(best_shift));
}

// The integers nearest to (in + shift) / scale, `least` to `most`, as 0 to most - least.
template <int N>
void PutLevels(const float* in, float scale, float shift, float least, float most, int* levels) {
  const float inverse = Inverse(scale);
  for (int i = 0; i < N; ++i)
    levels[i] = static_cast<int>(NearestWithin((in[i] + shift) * inverse, least, most) - least);
}

using BlockLevels = std::array<int, kBlock>;

// Bits [from, from + 2) of all levels: byte l of each 32 holds weights l, l + 32, l + 64, l + 96
// of its run of 128.
void PutCrumbs(const BlockLevels& levels, int from, std::byte* out) {
  for (std::size_t i = 0; i < 64; ++i) {
    const std::size_t first = i / 32 * 128 + i % 32;
    int packed = 0;
    for (std::size_t quarter = 0; quarter < 4; ++quarter)
      packed |= ((levels[first + 32 * quarter] >> from) & 3) << (2 * quarter);
    out[i] = static_cast<std::byte>(packed);
  }
}

// Bit `bit` of all levels: byte l holds weights l, l + 32, ..., l + 224.
void PutHighBits(const BlockLevels& levels, int bit, std::byte* out) {
  for (std::size_t l = 0; l < 32; ++l) {
    int packed = 0;
    for (std::size_t group = 0; group < 8; ++group)
      packed |= ((levels[32 * group + l] >> bit) & 1) << group;
    out[l] = static_cast<std::byte>(packed);
  }
}

// The low nibbles of all levels: byte l of each 32 holds weights l and l + `apart` of its run.
void PutNibblePairs(const BlockLevels& levels, std::size_t apart, std::byte* out) {
  for (std::size_t i = 0; i < 128; ++i) {
    const std::size_t first = i / apart * 2 * apart + i % apart;
    out[i] = Nibbles(levels[first] & 15, levels[first + apart] & 15);
  }
}

// Scales of `Groups` groups as signed codes of a common d, whose largest takes `low`.
template <std::size_t Groups>
struct SignedCodes {
  std::array<float, Groups> scales{};
  std::array<float, Groups> codes{};
  float d = 0;

  // Stores d at `out`. False: infinite.
  bool Put(float low, std::byte* out) {
    if (!PutF16(Extreme(scales.data(), Groups) / low, out)) return false;
    d = GetF16(out);
    const float inverse = Inverse(d);
    for (std::size_t g = 0; g < Groups; ++g)
      codes[g] = NearestWithin(scales[g] * inverse, low, -low - 1);
    return true;
  }
};

// Scales and shifts of `Groups` groups as codes of a common d and dmin.
template <std::size_t Groups>
struct AffineCodes {
  static constexpr int kGroup = kBlock / static_cast<int>(Groups);

  float most_level = 0;
  float most_code = 0;
  std::array<int, Groups> scale_codes{};
  std::array<int, Groups> shift_codes{};

  // Stores d and dmin behind each other at `out`, and the levels of the block. False: d or dmin is
  // infinite.
  bool Put(const float* in, std::byte* out, BlockLevels& levels) {
    std::array<float, Groups> shifts{};
    for (std::size_t g = 0; g < Groups; ++g)
      shifts[g] = FitShift<kGroup>(in + kGroup * g, most_level);
    if (!PutF16(*std::max_element(shifts.begin(), shifts.end()) / most_code, out + 2)) return false;
    const float dmin = GetF16(out + 2);
    std::array<float, Groups> scales{};
    for (std::size_t g = 0; g < Groups; ++g) {
      const float code = NearestWithin(shifts[g] * Inverse(dmin), 0, most_code);
      shift_codes[g] = static_cast<int>(code);
      scales[g] = FitAbove<kGroup>(in + kGroup * g, dmin * code, most_level);
    }
    if (!PutF16(*std::max_element(scales.begin(), scales.end()) / most_code, out)) return false;
    const float d = GetF16(out);
    for (std::size_t g = 0; g < Groups; ++g) {
      const float code = NearestWithin(scales[g] * Inverse(d), 0, most_code);
      scale_codes[g] = static_cast<int>(code);
      PutLevels<kGroup>(in + kGroup * g, d * code, dmin * static_cast<float>(shift_codes[g]), 0,
                        most_level, &levels[kGroup * g]);
    }
    return true;
  }
};

// What Q4_K and Q5_K share: the scales, and levels 0 to `most`. See SixBits in blocks.cc for the
// packing.
bool EncodeSixBitScales(const float* in, float most, std::byte* out, BlockLevels& levels) {
  AffineCodes<8> codes{.most_level = most, .most_code = 63};
  if (!codes.Put(in, out, levels)) return false;
  std::byte* packed = out + 4;
  for (std::size_t j = 0; j < 4; ++j) {
    const int scale = codes.scale_codes[j + 4];
    const int shift = codes.shift_codes[j + 4];
    packed[j] = static_cast<std::byte>(codes.scale_codes[j] | (scale >> 4) << 6);
    packed[j + 4] = static_cast<std::byte>(codes.shift_codes[j] | (shift >> 4) << 6);
    packed[j + 8] = Nibbles(scale & 15, shift & 15);
  }
  return true;
}

}  // namespace

bool EncodeQ2_K(const float* in, std::byte* out, std::size_t blocks) {
  BlockLevels levels{};
  for (; blocks > 0; --blocks, in += kBlock, out += 84) {
    AffineCodes<16> codes{.most_level = 3, .most_code = 15};
    if (!codes.Put(in, out + 80, levels)) return false;
    for (std::size_t g = 0; g < 16; ++g)
      out[g] = Nibbles(codes.scale_codes[g], codes.shift_codes[g]);
    PutCrumbs(levels, 0, out + 16);
  }
  return true;
}

bool EncodeQ3_K(const float* in, std::byte* out, std::size_t blocks) {
  BlockLevels levels{};
  for (; blocks > 0; --blocks, in += kBlock, out += 110) {
    SignedCodes<16> codes;
    for (std::size_t g = 0; g < 16; ++g) codes.scales[g] = FitScale<16>(in + 16 * g, -4);
    if (!codes.Put(-32, out + 108)) return false;
    std::array<int, 16> six_bits{};
    for (std::size_t g = 0; g < 16; ++g) {
      six_bits[g] = static_cast<int>(codes.codes[g]) + 32;
      PutLevels<16>(in + 16 * g, codes.d * codes.codes[g], 0, -4, 3, &levels[16 * g]);
    }
    for (std::size_t i = 0; i < 8; ++i)
      out[96 + i] = Nibbles(six_bits[i] & 15, six_bits[i + 8] & 15);
    for (std::size_t i = 0; i < 4; ++i) {
      int high = 0;
      for (std::size_t j = 0; j < 4; ++j) high |= (six_bits[i + 4 * j] >> 4) << (2 * j);
      out[104 + i] = static_cast<std::byte>(high);
    }
    PutHighBits(levels, 2, out);
    PutCrumbs(levels, 0, out + 32);
  }
  return true;
}

bool EncodeQ4_K(const float* in, std::byte* out, std::size_t blocks) {
  BlockLevels levels{};
  for (; blocks > 0; --blocks, in += kBlock, out += 144) {
    if (!EncodeSixBitScales(in, 15, out, levels)) return false;
    PutNibblePairs(levels, 32, out + 16);
  }
  return true;
}

bool EncodeQ5_K(const float* in, std::byte* out, std::size_t blocks) {
  BlockLevels levels{};
  for (; blocks > 0; --blocks, in += kBlock, out += 176) {
    if (!EncodeSixBitScales(in, 31, out, levels)) return false;
    PutHighBits(levels, 4, out + 16);
    PutNibblePairs(levels, 32, out + 48);
  }
  return true;
}

bool EncodeQ6_K(const float* in, std::byte* out, std::size_t blocks) {
  BlockLevels levels{};
  for (; blocks > 0; --blocks, in += kBlock, out += 210) {
    SignedCodes<16> codes;
    for (std::size_t g = 0; g < 16; ++g) codes.scales[g] = FitScale<16>(in + 16 * g, -32);
    if (!codes.Put(-128, out + 208)) return false;
    for (std::size_t g = 0; g < 16; ++g) {
      out[192 + g] = static_cast<std::byte>(static_cast<std::int8_t>(codes.codes[g]));
      PutLevels<16>(in + 16 * g, codes.d * codes.codes[g], 0, -32, 31, &levels[16 * g]);
    }
    PutNibblePairs(levels, 64, out);
    PutCrumbs(levels, 4, out + 128);
  }
  return true;
}

}  // namespace metier::format
