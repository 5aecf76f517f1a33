#include "base/hash.h"

#include <openssl/evp.h>

#include <array>

#include "base/file.h"

namespace metier {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  METIER_CHECK(
      state_->context != nullptr && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1,
      "libcrypto offers no SHA-256");
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Add(std::string_view text) {
  METIER_CHECK(EVP_DigestUpdate(state_->context, text.data(), text.size()) == 1, "SHA-256 update");
}

void Sha256::Add(std::span<const std::byte> bytes) {
  METIER_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1,
               "SHA-256 update");
}

std::string Sha256::Hex() && {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  METIER_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1 && size == 32,
               "SHA-256 final");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(64);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

std::string Sha256Hex(std::string_view text) {
  Sha256 hash;
  hash.Add(text);
  return std::move(hash).Hex();
}

Result<std::string> Sha256OfFile(const std::string& path) {
  METIER_ASSIGN(const MappedFile file, MappedFile::Open(path));
  Sha256 hash;
  hash.Add(file.bytes());
  return std::move(hash).Hex();
}

}  // namespace metier
