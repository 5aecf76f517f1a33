// GGUF from anywhere, as a file and as a model: opened or refused; what opens can be read to the
// last weight.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/check.h"
#include "format/decode.h"
#include "format/gguf.h"
#include "memory_file.h"
#include "model/model_files.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  ::setenv("METIER_LOG", "error", 0);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const metier::fuzz::MemoryFile input(data, size);
  metier::Limits limits;
  limits.max_tensors = 1 << 12;  // a spec may call for more parameters than the input has bytes
  const auto file = metier::format::GgufFile::Open(input.path(), limits);
  if (!file.ok()) return 0;
  std::size_t bytes = 0;
  for (const std::string& name : file->Names()) {
    const metier::tensor::TensorView& view = *file->Find(name);
    bytes += view.bytes.size();
    static_cast<void>(metier::format::DecodeTensor(view));
  }
  METIER_CHECK(bytes <= size, "tensors do not overlap");
  for (const auto& [key, value] : file->metadata()) {
    static_cast<void>(file->Int(key));
    static_cast<void>(file->Float(key));
    static_cast<void>(file->Text(key));
  }
  const auto model = metier::model::ModelFiles::Open(input.path(), limits);
  if (!model.ok()) return 0;
  for (const auto& parameter : metier::model::Parameters(model->spec()))
    static_cast<void>(model->LoadF32(parameter.name));
  return 0;
}
