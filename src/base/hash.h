// base/hash.h - SHA-256, the name by which artefacts, stages and inputs are known.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace metier {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256();

  void Add(std::string_view text);
  void Add(std::span<const std::byte> bytes);

  // 64 lowercase hexadecimal digits. The object is spent afterwards.
  std::string Hex() &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view text);

// Reads the file through a map, so any size costs no memory of ours.
Result<std::string> Sha256OfFile(const std::string& path);

}  // namespace metier
