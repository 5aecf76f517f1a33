// format/npy.h - NumPy's .npy files of float32: how figures leave for other programs.
//
//   "\x93NUMPY" | u8 1 | u8 0 | u16 LE header length | header, a Python dictionary, space-padded to
//   a multiple of 64 | data, C order, little-endian
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::format {

// Writes an array of [rows, columns] row by row, so that it never stands in memory as a whole.
// Atomic: without Commit nothing is left behind.
class NpyWriter {
 public:
  // kInvalidArgument: a negative dimension.
  static Result<NpyWriter> Create(const std::string& path, std::int64_t rows, std::int64_t columns);

  // Requires whole rows.
  Status Write(std::span<const float> rows);
  // kInvalidArgument: more or fewer rows than announced.
  Status Commit();

 private:
  NpyWriter(AtomicFile file, std::int64_t rows, std::int64_t columns)
      : file_(std::move(file)), rows_(rows), columns_(columns) {}

  AtomicFile file_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t written_ = 0;
};

}  // namespace metier::format
