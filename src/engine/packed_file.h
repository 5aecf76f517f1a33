// engine/packed_file.h - a model written as the engine streams it, so that loading is a map.
//
// Matrices that the engine would pack are stored as panels (engine/packing.h), everything else as
// it would hold it: rows of embeddings in their stored type, norms and biases as floats. Nothing is
// rounded: a packed file computes the bits of the file that it was made from. The container stays
// what it was, a GGUF file with all its metadata or a safetensors file; model/packed_index.h says
// how the tensors are described, and the order of columns of GPTQ with act-order. Panels start at
// multiples of 64 bytes.
#pragma once

#include <cstdint>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "model/model_files.h"

namespace metier::engine {

struct PackedFile {
  std::uint64_t panel_bytes = 0;
  std::uint64_t row_bytes = 0;  // of all tensors that are not panels
};

// Writes `path`: a GGUF file where `files` is one, else what a folder holds as
// model::kPackedFileName. Atomic; needs memory for one matrix as stored. kInvalidArgument: `files`
// is packed already. kUnsupported: a type that nothing decodes. `progress` is told bytes; its error
// ends the writing, and nothing is left.
Result<PackedFile> WritePackedFile(const model::ModelFiles& files, const std::string& path,
                                   int threads, const OnProgress& progress = {});

}  // namespace metier::engine
