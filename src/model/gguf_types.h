// model/gguf_types.h - the type of each tensor in a GGUF file of some type.
//
//   norms, biases, positions, token types, routers   F32
//   token embedding and head                          GgufTypes::head
//   every other matrix                                GgufTypes::body
//
// A type whose blocks do not divide the rows is replaced by the nearest one with blocks of 32 that
// errs no more, and by F16 where those do not divide them either:
//
//   Q2_K Q3_K IQ4_XS -> IQ4_NL    Q4_K -> Q5_0    Q5_K -> Q5_1    Q6_K -> Q8_0    all of 32 -> F16
//
// Internal to model/: files are written through model_files.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "tensor/tensor.h"

namespace metier::model {

struct GgufTypes {
  tensor::DType body = tensor::DType::kBF16;
  tensor::DType head = tensor::DType::kBF16;
  std::uint64_t file_type = 0;  // general.file_type of the GGUF specification

  // `head`: nothing means the body's type, or Q6_K where that one is smaller: a few more bytes
  // there save more of a model than anywhere else. kInvalidArgument: a type that no file of ours
  // has, with those that do.
  static Result<GgufTypes> Create(tensor::DType body, std::optional<tensor::DType> head);

  // `ours`: the parameter in the tensor, by our name; `shape`: of the tensor.
  tensor::DType Of(const std::string& ours, const tensor::Shape& shape) const;
};

}  // namespace metier::model
