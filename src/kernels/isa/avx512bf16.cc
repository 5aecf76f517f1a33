// kernels/isa/avx512bf16.cc - products of bfloat16 pairs (Cooper Lake, Sapphire Rapids, Zen 4 and
// later); dispatch.cc puts them into a copy of AVX-512's table.
#include "kernels/body/avx512_vectors.h"

namespace metier::kernels {
namespace {

// In assembly for the reason of DotAdd, and because compilers disagree about the type of pairs.
F32x16 DotPairs(F32x16 sums, Bytes64 a, Bytes64 b) {
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(sums.v) : "v"(a.v), "v"(b.v));
  return sums;
}

}  // namespace
}  // namespace metier::kernels

#include "kernels/body/packed_product_bf16.h"

namespace metier::kernels {
extern const PackedKernel kMultiplyBf16Pairs;
constinit const PackedKernel kMultiplyBf16Pairs = &body::MultiplyBf16Pairs<F32x16>;
}  // namespace metier::kernels
