// format/gguf_layout.h - the numbers of the GGUF format that its reader and writer share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace metier::format {

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF", little-endian
inline constexpr std::uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr std::uint64_t kGgufMaxTensorNameBytes = 64;
inline constexpr std::uint32_t kGgufMaxDimensions = 4;

enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

}  // namespace metier::format
