// Safetensors from anywhere: opened or refused; every byte of every tensor is there to read, and no
// two tensors share one.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/decode.h"
#include "format/safetensors.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const metier::fuzz::MemoryFile input(data, size);
  const auto file = metier::format::SafetensorsFile::Open(input.path());
  if (!file.ok()) return 0;
  std::size_t bytes = 0;
  for (const std::string& name : file->Names()) {
    const metier::tensor::TensorView& view = *file->Find(name);
    bytes += view.bytes.size();
    static_cast<void>(metier::format::DecodeTensor(view));
    volatile std::byte last{};  // reads what the loop below must not skip
    for (const std::byte byte : view.bytes) last = byte;
    static_cast<void>(last);
  }
  METIER_CHECK(bytes <= size, "tensors do not overlap");
  return 0;
}
