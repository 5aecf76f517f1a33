// tests/unit/format/mutate.h - damaged copies of a valid file: every truncation, and flipped bytes.
#pragma once

#include <functional>
#include <string>

namespace metier::test {

// Calls `open` with every proper prefix of `valid`. Under the sanitizers a read past the end is a
// crash.
inline void EachTruncation(const std::string& valid,
                           const std::function<void(const std::string&)>& open) {
  for (std::size_t size = 0; size < valid.size(); ++size) open(valid.substr(0, size));
}

// Calls `open` with each of the first `bytes` bytes changed: one bit, all bits, zero, a digit.
inline void EachFlippedByte(const std::string& valid, std::size_t bytes,
                            const std::function<void(const std::string&)>& open) {
  for (std::size_t at = 0; at < bytes && at < valid.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string broken = valid;
      broken[at] = static_cast<char>(broken[at] ^ change);
      open(broken);
    }
    for (const char value : {'\0', '9', '"'}) {
      std::string broken = valid;
      broken[at] = value;
      open(broken);
    }
  }
}

}  // namespace metier::test
