// kernels/body/kv_page.h - what a page of a KV cache keeps its numbers as (layout:
// kernels/kv_page.h), and how they get there.
#pragma once

#include "kernels/body/quantise.h"
#include "kernels/kernel_table.h"

namespace metier::kernels::body {

// Encode writes the codes of x[n], PaddedHead(n) of them at most, and returns their scale.
struct F32Page {
  static constexpr KvType kType = KvType::kF32;
  static constexpr bool kScaled = false;
  using Codes = F32Weights;
  template <class V>
  static float Encode(const float* x, std::size_t n, float* codes) {
    __builtin_memcpy(codes, x, n * sizeof(float));
    return 1;
  }
};

struct Bf16Page {
  static constexpr KvType kType = KvType::kBF16;
  static constexpr bool kScaled = false;
  using Codes = Bf16Weights;
  template <class V>
  static float Encode(const float* x, std::size_t n, std::uint16_t* codes) {
    RoundBf16<V>(x, n, codes);
    return 1;
  }
};

struct Int8Page {
  static constexpr KvType kType = KvType::kInt8;
  static constexpr bool kScaled = true;
  using Codes = Int8Weights;
  template <class V>
  static float Encode(const float* x, std::size_t n, std::int8_t* codes) {
    static_assert(kHeadPad % V::kLanes == 0);
    const CodeScale found = CodeScaleFor<V>(x, n, 127);
    const V inverse = V::Set(found.inverse);
    for (std::size_t i = 0; i < n; i += V::kLanes) {
      const V value = LoadUpTo<V>(x + i, n - i < V::kLanes ? n - i : V::kLanes);
      RoundToInteger(value * inverse).StoreI8(codes + i);
    }
    return found.scale;
  }
};

template <class P>
using CodeOf = typename P::Codes::Element;

// A block of keys, or of values as wide as their padding, from P's point of view.
template <class P>
struct Block {
  static_assert(kKvLayouts[static_cast<std::size_t>(P::kType)].code_bytes == sizeof(CodeOf<P>));
  static_assert(kKvLayouts[static_cast<std::size_t>(P::kType)].scale_bytes ==
                (P::kScaled ? sizeof(float) : 0));
  static const CodeOf<P>* Codes(const std::byte* block) {
    return reinterpret_cast<const CodeOf<P>*>(block);
  }
  static CodeOf<P>* Codes(std::byte* block) { return reinterpret_cast<CodeOf<P>*>(block); }
  static constexpr std::size_t ScalesAt(std::size_t width) {
    return kPageTokens * width * sizeof(CodeOf<P>);
  }
  static const float* Scales(const std::byte* block, std::size_t width) {
    return reinterpret_cast<const float*>(block + ScalesAt(width));
  }
  static float* Scales(std::byte* block, std::size_t width) {
    return reinterpret_cast<float*>(block + ScalesAt(width));
  }
};

template <class V, class P>
void StoreKey(const float* x, std::size_t head_dim, std::size_t token, std::byte* block) {
  CodeOf<P> codes[kMostHeadDim];
  const float scale = P::template Encode<V>(x, head_dim, codes);
  CodeOf<P>* column = Block<P>::Codes(block) + token;
  for (std::size_t d = 0; d < head_dim; ++d) column[d * kPageTokens] = codes[d];
  if constexpr (P::kScaled) Block<P>::Scales(block, head_dim)[token] = scale;
}

template <class V, class P>
void StoreValue(const float* x, std::size_t head_dim, std::size_t token, std::byte* block) {
  const std::size_t width = PaddedHead(head_dim);
  CodeOf<P>* row = Block<P>::Codes(block) + token * width;
  const float scale = P::template Encode<V>(x, head_dim, row);
  if constexpr (P::kScaled) Block<P>::Scales(block, width)[token] = scale;
}

}  // namespace metier::kernels::body
