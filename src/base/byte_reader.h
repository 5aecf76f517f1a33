// base/byte_reader.h - little-endian reads from a byte span; every read is checked, every error
// names the offset.
//
// Borrows the bytes; they must outlive the reader and every view it hands out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace metier {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }

  // `what` names the field in the error. kDataCorrupt: fewer bytes left than the read needs.
  Result<std::uint8_t> U8(std::string_view what);
  Result<std::uint16_t> U16(std::string_view what);
  Result<std::uint32_t> U32(std::string_view what);
  Result<std::uint64_t> U64(std::string_view what);
  Result<float> F32(std::string_view what);
  Result<double> F64(std::string_view what);

  // A view of the next `size` bytes, borrowed from the span.
  Result<std::span<const std::byte>> Bytes(std::uint64_t size, std::string_view what);
  Result<std::string_view> Text(std::uint64_t size, std::string_view what);

 private:
  template <class T>
  Result<T> Read(std::string_view what);

  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
};

}  // namespace metier
