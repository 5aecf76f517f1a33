#include "base/byte_reader.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

namespace metier {

static_assert(std::endian::native == std::endian::little, "file formats are read by memcpy");

Result<std::span<const std::byte>> ByteReader::Bytes(std::uint64_t size, std::string_view what) {
  if (size > remaining()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{} at byte {}: needs {} bytes, {} are left (file truncated?)", what,
                             offset_, size, remaining()));
  }
  const auto view = bytes_.subspan(offset_, static_cast<std::size_t>(size));
  offset_ += static_cast<std::size_t>(size);
  return view;
}

Result<std::string_view> ByteReader::Text(std::uint64_t size, std::string_view what) {
  METIER_ASSIGN(const auto view, Bytes(size, what));
  return std::string_view(reinterpret_cast<const char*>(view.data()), view.size());
}

template <class T>
Result<T> ByteReader::Read(std::string_view what) {
  METIER_ASSIGN(const auto view, Bytes(sizeof(T), what));
  T value;
  std::memcpy(&value, view.data(), sizeof(T));
  return value;
}

Result<std::uint8_t> ByteReader::U8(std::string_view what) { return Read<std::uint8_t>(what); }
Result<std::uint16_t> ByteReader::U16(std::string_view what) { return Read<std::uint16_t>(what); }
Result<std::uint32_t> ByteReader::U32(std::string_view what) { return Read<std::uint32_t>(what); }
Result<std::uint64_t> ByteReader::U64(std::string_view what) { return Read<std::uint64_t>(what); }
Result<float> ByteReader::F32(std::string_view what) { return Read<float>(what); }
Result<double> ByteReader::F64(std::string_view what) { return Read<double>(what); }

}  // namespace metier
