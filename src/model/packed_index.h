// model/packed_index.h - what a packed file (engine/packed_file.h) says of itself: one JSON text
// under one key of its metadata, the same in a safetensors and in a GGUF file.
//
//   {"layout": TEXT, "model": {the spec, see spec_json.h},
//    "tensors": {PARAMETER: {"form": "panels"|"rows", "type": "Q4_0", "shape": [out, in],
//                            "order": TENSOR}, ...}}
//
// The file's tensors bear the names of our parameters and are plain bytes, I8 [bytes]; type and
// shape are those of the weights in them. Rows are as any file has them, panels as the engine
// streams them: `layout` names how, and only the engine knows what that means. Where the columns of
// a matrix are not in the order of its inputs (GPTQ with act-order), `order` names one more tensor:
// its input of every column, I32 [in]. Parameters may share it.
#pragma once

#include <map>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::model {

inline constexpr char kPackedKey[] = "metier.packed";
// In a folder, in place of model.safetensors.
inline constexpr char kPackedFileName[] = "packed.safetensors";

struct PackedTensor {
  bool panels = false;  // false: rows
  tensor::DType dtype = tensor::DType::kF32;
  tensor::Shape shape;
  std::string order = {};  // "": column j belongs to input j
};

struct PackedIndex {
  std::string layout;
  ModelSpec spec;
  std::map<std::string, PackedTensor> tensors;
};

std::string WritePackedIndex(const PackedIndex& index);

// kDataCorrupt: anything but the above; a parameter of the spec without a tensor, of another shape,
// or a tensor of no parameter. kResourceExhausted: limits. The spec is valid.
Result<PackedIndex> ReadPackedIndex(const std::string& text, const Limits& limits);

}  // namespace metier::model
