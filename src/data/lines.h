// data/lines.h - a text file line by line, of any size, with lines of bounded length.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include "base/result.h"

namespace metier::data {

class LineReader {
 public:
  // kNotFound, kIo.
  static Result<LineReader> Open(const std::string& path, std::uint64_t max_line_bytes);

  // The next line, without "\n" or "\r\n" and, on the first, without a byte order mark; false at
  // the end. kResourceExhausted: a line over the limit. kIo.
  Result<bool> Next(std::string& line);
  // Of the line that Next gave last, from 1.
  std::int64_t line_number() const { return number_; }
  // Bytes of the file up to the end of that line.
  std::uint64_t offset() const { return before_block_ + at_; }

 private:
  LineReader(std::ifstream file, std::string path, std::uint64_t max_line_bytes)
      : file_(std::move(file)), path_(std::move(path)), max_line_bytes_(max_line_bytes) {}

  std::ifstream file_;
  std::string path_;
  std::uint64_t max_line_bytes_;
  std::int64_t number_ = 0;
  std::string block_;
  std::uint64_t before_block_ = 0;  // bytes of the file
  std::size_t at_ = 0;              // in block_
};

}  // namespace metier::data
