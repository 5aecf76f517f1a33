// Packed models from anywhere: opened or refused; what opens can be run, to the last panel.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "memory_file.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  ::setenv("METIER_LOG", "error", 0);
  ::setenv("METIER_THREADS", "1", 1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const metier::fuzz::MemoryFile input(data, size);
  metier::Limits limits;
  limits.max_tensors = 1 << 12;  // a spec may call for more parameters than the input has bytes
  limits.max_width = 1 << 10;
  limits.max_vocab = 1 << 12;
  const auto model = metier::engine::NativeModel::Open(input.path(), limits);
  if (!model.ok()) return 0;
  for (const auto arithmetic :
       {metier::engine::Arithmetic::kExact, metier::engine::Arithmetic::kFast}) {
    metier::engine::NativeBackend backend(
        *model, {.threads = 1, .max_cache_bytes = 1 << 26, .arithmetic = arithmetic});
    const auto sequence = backend.OpenSequence(metier::model::AdapterId::kNone);
    METIER_CHECK(sequence.ok(), "a sequence without an adapter");
    const metier::model::TokenId tokens[] = {0, 0};
    const metier::model::SequenceStep step{
        .sequence = *sequence, .tokens = tokens, .types = {}, .want = metier::model::Want::kLast};
    static_cast<void>(backend.Forward({&step, 1}));
  }
  return 0;
}
