#include "support/fixtures.h"

#include <gmock/gmock.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace metier::test {

namespace fs = std::filesystem;

std::string SourceFolder() { return METIER_SOURCE_DIR; }

std::optional<std::string> SharedFolder() {
  const char* named = std::getenv("METIER_SHARED");
  const std::string folder = named != nullptr ? named : SourceFolder() + "/../shared";
  if (!fs::is_directory(folder + "/fixtures")) return std::nullopt;
  return fs::canonical(folder).string();
}

TempFolder::TempFolder() {
  std::string name = (fs::temp_directory_path() / "metier-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot create " + name);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteAll(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file) throw std::runtime_error("cannot write " + path);
}

std::string ReadZstd(const std::string& path) {
  const std::string packed = ReadAll(path);
  ZSTD_DStream* stream = ZSTD_createDStream();
  std::string out;
  std::string buffer(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  while (in.pos < in.size) {
    ZSTD_outBuffer part{buffer.data(), buffer.size(), 0};
    const std::size_t status = ZSTD_decompressStream(stream, &part, &in);
    if (ZSTD_isError(status) != 0)
      throw std::runtime_error(path + ": " + ZSTD_getErrorName(status));
    out.append(buffer.data(), part.pos);
  }
  ZSTD_freeDStream(stream);
  return out;
}

void UnpackTarZstd(const std::string& path, const std::string& folder) {
  const std::string tar = ReadZstd(path);
  constexpr std::size_t kBlock = 512;  // ustar: header block, then the content padded to blocks
  for (std::size_t at = 0; at + kBlock <= tar.size() && tar[at] != '\0';) {
    const std::string name(tar.data() + at, ::strnlen(tar.data() + at, 100));
    const auto size =
        static_cast<std::size_t>(std::strtoull(tar.substr(at + 124, 12).c_str(), nullptr, 8));
    const char kind = tar[at + 156];
    at += kBlock;
    if (kind == '5') fs::create_directories(folder + "/" + name);
    if (kind == '0' || kind == '\0') {
      fs::create_directories(fs::path(folder + "/" + name).parent_path());
      WriteAll(folder + "/" + name, tar.substr(at, size));
    }
    at += (size + kBlock - 1) / kBlock * kBlock;
  }
}

std::vector<float> ReadF32(const std::string& path) {
  const std::string bytes = ReadAll(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace metier::test
