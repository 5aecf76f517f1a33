// kernels/kv_page.h - keys and values of past tokens as attention streams them, and attention.
//
// A page holds kPageTokens tokens of a sequence. For one head and layer it has two blocks:
//
//   keys    codes [head_dim, kPageTokens], then kInt8: scales [kPageTokens] f32
//   values  codes [kPageTokens, PaddedHead(head_dim)], then kInt8: scales [kPageTokens] f32
//
// Tokens are the lanes of a vector of scores, so an 8-bit key's scale is one factor of a lane; an
// 8-bit value's scale is a factor of the token's weight. Codes become floats on their way into a
// product with floats: what is lost is their rounding when they are stored, nothing after it. A
// token's codes depend on its own numbers only and are the same on every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace metier::kernels {

// Keys in one page of a KV cache, the unit in which attention walks over the past. Fixed, because
// the running maximum is updated once a page: another value means other last bits.
inline constexpr std::size_t kPageTokens = 64;

// Values of a head in a page are padded to whole vectors of every instruction set.
constexpr std::size_t kHeadPad = 16;
constexpr std::size_t kMostHeadDim = 1024;
constexpr std::size_t PaddedHead(std::size_t head_dim) {
  return (head_dim + kHeadPad - 1) / kHeadPad * kHeadPad;
}

// What keys and values are kept as.
enum class KvType : std::uint8_t {
  kF32,
  kBF16,  // rounded to bfloat16, ties to even
  kInt8,  // rounded to multiples of their largest magnitude / 127: a scale for each token and head,
          // one of its key and one of its value
};
constexpr std::size_t kKvTypes = 3;

struct KvLayout {
  std::size_t code_bytes;   // of one number
  std::size_t scale_bytes;  // of one token's key, and of its value
};
// In the order of the enum.
constexpr KvLayout kKvLayouts[kKvTypes] = {{4, 0}, {2, 0}, {1, 4}};

// Bytes of a block; multiples of 64.
constexpr std::size_t KeyBytes(KvType type, std::size_t head_dim) {
  const KvLayout layout = kKvLayouts[static_cast<std::size_t>(type)];
  return kPageTokens * (head_dim * layout.code_bytes + layout.scale_bytes);
}
constexpr std::size_t ValueBytes(KvType type, std::size_t head_dim) {
  return KeyBytes(type, PaddedHead(head_dim));
}

// Heads that share keys and values, over one sequence's past, for consecutive queries:
//   out[r][h] = sum over visible j of softmax_j(scale * q[r][h].k[j] + slopes[h] * (j - position of
//               r)) v[j]
// Query r stands at first_position + r. It sees the keys up to itself, of these only the last
// `window` (0: all); when not causal it sees all `length` keys. What stands in a page behind
// `length` is read and does not count.
struct Attention {
  const float* q = nullptr;  // [rows, heads, head_dim], rows q_stride floats apart
  std::size_t q_stride = 0;
  float* out = nullptr;  // alike, rows out_stride floats apart
  std::size_t out_stride = 0;
  const std::byte* const* k = nullptr;  // [pages], the head's blocks of keys
  const std::byte* const* v = nullptr;  // [pages], of values
  std::size_t rows = 0;
  std::size_t heads = 1;
  std::size_t head_dim = 0;  // at most kMostHeadDim
  std::size_t first_position = 0;
  std::size_t length = 0;  // keys in the cache; > first_position + rows - 1 when causal
  std::size_t window = 0;
  bool causal = true;
  const float* slopes = nullptr;  // [heads], ALiBi; nullptr: none
  float scale = 1;
};

// What an instruction set offers for one type.
struct KvKernels {
  void (*attention)(const Attention& attention);
  // x[head_dim] becomes the key, or the value, of the page's token `token` < kPageTokens. Codes of
  // 8 bits of numbers that are not all finite have the scale NaN.
  void (*store_key)(const float* x, std::size_t head_dim, std::size_t token, std::byte* block);
  void (*store_value)(const float* x, std::size_t head_dim, std::size_t token, std::byte* block);
};

}  // namespace metier::kernels
