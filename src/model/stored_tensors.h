// model/stored_tensors.h - the tensors of a file that hold a spec's parameters, and the way between
// the two: picking rows, transposing, cutting experts apart, and back.
//
// Internal to model/: files are read through model_files.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "format/gptq.h"
#include "model/family.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::model {

// One tensor of a file and the parameters in it.
struct StoredTensor {
  std::string name;
  tensor::Shape shape;             // as the file has it
  std::vector<std::size_t> parts;  // indices into the rules (and so into Parameters(spec))
};

// All of them, in the order in which their first parameter is computed. Requires the rules of
// `spec`.
std::vector<StoredTensor> StoredTensors(const ModelSpec& spec,
                                        const std::vector<TensorRule>& rules);

// A parameter inside an opened file.
struct Placement {
  TensorRule rule;
  tensor::Shape shape;        // ours
  std::int64_t head_dim = 0;  // for RowOrder::kRopePairs
  tensor::TensorView view;    // the tensor, or the slice of it that is the rule's expert
  // In place of the view: a linear of a GPTQ checkpoint, [out, in] whatever the rule's transpose.
  std::shared_ptr<const format::GptqMatrix> gptq = {};
};

// The slice of one expert of a tensor [experts, ...].
tensor::TensorView SliceOfExpert(const tensor::TensorView& all, std::int64_t expert);

// The row of theirs that is row `row` of ours.
std::int64_t StoredRow(const TensorRule& rule, std::int64_t head_dim, std::int64_t row);

// See the members of ModelFiles of these names.
tensor::DType TypeOfPlaced(const Placement& at);
std::optional<tensor::TensorView> BorrowPlaced(const Placement& at);
Result<tensor::Tensor> LoadPlaced(const Placement& at, ThreadPool* pool);
Result<tensor::Tensor> LoadPlacedF32(const Placement& at);

// Whether a parameter is a whole tensor of theirs, value for value, when their shapes are equal.
bool IsStoredAsIs(const TensorRule& rule);

// The reverse: puts a parameter's F32 values to their places in `stored`, the tensor of theirs (for
// an expert: all experts). Requires matching shapes.
void Store(const TensorRule& rule, std::int64_t head_dim, const tensor::Tensor& ours,
           tensor::Tensor& stored);

}  // namespace metier::model
