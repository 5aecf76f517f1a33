#include "format/npy.h"

#include <fmt/format.h>

#include <bit>

#include "base/check.h"

namespace metier::format {
namespace {

static_assert(std::endian::native == std::endian::little,
              "floats are written as they lie in memory");

std::string Header(std::int64_t rows, std::int64_t columns) {
  constexpr std::size_t kAlignment = 64;
  constexpr std::size_t kPrefix = 10;
  std::string text =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  const std::size_t unpadded = kPrefix + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace

Result<NpyWriter> NpyWriter::Create(const std::string& path, std::int64_t rows,
                                    std::int64_t columns) {
  if (rows < 0 || columns < 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': found the shape [{}, {}], expected no negative dimension", path,
                             rows, columns));
  }
  METIER_ASSIGN(AtomicFile file, AtomicFile::Create(path));
  METIER_TRY(file.Write(Header(rows, columns)));
  return NpyWriter(std::move(file), rows, columns);
}

Status NpyWriter::Write(std::span<const float> rows) {
  if (rows.empty()) return Ok();
  METIER_CHECK(columns_ > 0 && rows.size() % static_cast<std::size_t>(columns_) == 0,
               "only whole rows are written");
  written_ += static_cast<std::int64_t>(rows.size()) / columns_;
  return file_.Write(std::as_bytes(rows));
}

Status NpyWriter::Commit() {
  if (columns_ > 0 && written_ != rows_) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("npy: {} rows written, {} announced", written_, rows_));
  }
  return file_.Commit();
}

}  // namespace metier::format
