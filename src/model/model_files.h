// model/model_files.h - models on disk: a Hugging Face directory or a GGUF file in, our parameters
// out, and back. Either may be packed for the engine (model/packed_index.h), a directory may be a
// GPTQ checkpoint (format/gptq.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "model/family.h"
#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::model {

// A tensor of a file, under the name that it has there.
struct FileTensor {
  std::string name;
  tensor::Tensor values;
};

// An opened model: spec, and parameters by our names. Files stay mapped while it lives. Immutable,
// any thread.
class ModelFiles {
 public:
  // A directory with config.json, or a .gguf file. kUnsupported: unknown family (with the nearest
  // name). kDataCorrupt: a parameter that the spec calls for is missing or has another shape (named
  // with both); tensors that nothing uses are reported by Unused(), known leftovers (mask buffers,
  // position_ids, poolers) excepted.
  static Result<ModelFiles> Open(const std::string& path, const Limits& limits = {});

  const ModelSpec& spec() const;
  const Family& family() const;
  const std::string& path() const;
  enum class Kind { kHuggingFace, kGguf };
  Kind kind() const;
  const format::GgufFile* gguf() const;         // nullptr for directories
  const tensor::TensorSource& tensors() const;  // as the file has them

  // Of a packed file: how its panels are laid out. "" for all others.
  const std::string& packed_layout() const;
  // A parameter's panels, with the type and shape of the weights in them; the number of bytes and
  // the layout are to be checked. Nothing: a file that is not packed, or rows, which are had as
  // from any file.
  std::optional<tensor::TensorView> Panels(const std::string& name) const;

  // The stored type of a parameter. Requires a name from Parameters(spec()).
  tensor::DType StoredType(const std::string& name) const;

  // The stored bytes where they are already ours ([out, in], rows in order): a view into the map,
  // no copy, of any alignment. Nothing when rows must be picked, transposed or shifted.
  std::optional<tensor::TensorView> Borrow(const std::string& name) const;

  // In the stored type where that is possible (row picks of quantised tensors are; transposes and
  // shifts of plain types are), else kUnsupported. So are panels. A GPTQ linear comes in the blocks
  // that hold it, its columns in InputOrder(); `pool` shares that work out.
  Result<tensor::Tensor> Load(const std::string& name, ThreadPool* pool = nullptr) const;

  // Column j of what Load gives belongs to input order[j] (GPTQ with act-order). Empty: to input j.
  const std::vector<std::uint32_t>& InputOrder(const std::string& name) const;

  // Decoded to F32. kUnsupported: panels.
  Result<tensor::Tensor> LoadF32(const std::string& name) const;

  // The tensor of a directory's files that holds a parameter, with these values in its place: F32
  // of the parameter's shape, rounded to the stored type. kUnsupported: a GGUF file or a packed
  // one, a quantised type, a tensor that holds more than this parameter.
  Result<FileTensor> Encode(const std::string& name, const tensor::Tensor& values) const;

  // Names of tensors in the file that no parameter uses.
  std::vector<std::string> Unused() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// The stored type that most weights have; of a quantised model F16, the smallest plain type that
// holds it.
tensor::DType CommonType(const ModelFiles& files);

// Gives a parameter's values by our name, F32, [out, in]. Called once a parameter, tensor by tensor
// of the file: parameters that a family fuses follow each other.
using ParameterReader = std::function<Result<tensor::Tensor>(const std::string& name)>;

// Writes config.json (last) and safetensors of `dtype` (F32, F16, BF16) in Hugging Face naming, and
// modules.json for a model that pools. Tied heads are left out. Room for one tensor of the file is
// needed. kInvalidArgument: a spec that its family's config.json cannot express.
Status WriteHuggingFaceModel(const std::string& folder, const ModelSpec& spec, tensor::DType dtype,
                             const ParameterReader& read);

struct GgufOptions {
  tensor::DType dtype = tensor::DType::kBF16;
  // Of the token embedding and the head; nothing: as `dtype`, but at least Q6_K.
  std::optional<tensor::DType> head_dtype = {};
  int threads = 0;  // that encode; 0: ThreadPool::DefaultThreads()
};

// Writes a GGUF of any type that format::EncodableTypes() lists. model/gguf_types.h says which
// tensors get it and which another: norms and their like stay F32, and so on. `metadata`: tokenizer
// and general keys; what describes the model is ours. kUnsupported: families and specs without a
// GGUF form. kInvalidArgument: a type that cannot be written.
Status WriteGgufModel(const std::string& path, const ModelSpec& spec, const GgufOptions& options,
                      const std::map<std::string, format::GgufValue>& metadata,
                      const ParameterReader& read);

// Random parameters, the same for a (spec, seed) on every machine: norms near 1, all others N(0,
// scale). kInvalidArgument: no such parameter. Looking the name up costs a list of all parameters:
// to make a whole model use the second form.
Result<tensor::Tensor> RandomParameter(const ModelSpec& spec, const std::string& name,
                                       std::uint64_t seed, double scale = 0.02);
tensor::Tensor RandomParameter(const ModelSpec& spec, const Parameter& parameter,
                               std::uint64_t seed, double scale = 0.02);

}  // namespace metier::model
