#include "train/quantised_source.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "format/decode.h"

namespace metier::train {
namespace {

using tensor::DType;

// Parameter -> the type of its blocks.
using BlockTypes = std::map<std::string, DType>;

// F32 where no file is: a model of no meaning (probe.h).
DType StoredTypeOf(const ModelSource& source, const std::string& name) {
  return source.files != nullptr ? source.files->StoredType(name) : DType::kF32;
}

// Nothing: linears that the file has in blocks stay as they are.
std::optional<DType> AskedType(const recipe::TrainConfig& config) {
  return config.quantization_type == "auto" ? std::nullopt
                                            : tensor::DTypeFromName(config.quantization_type);
}

bool IsFrozenLinear(const model::Parameter& parameter) {
  const std::string& name = parameter.name;
  return parameter.shape.size() == 2 && name.rfind("embed.", 0) != 0 && name != "head.weight" &&
         !name.ends_with(".router.weight") && !name.ends_with(".mix.weight");
}

Result<bool> HoldsHead(const recipe::TrainConfig& config, const ModelSource& source) {
  const model::ModelSpec& spec = source.spec;
  if (config.quantization_head && spec.tied_head) {
    return Error(ErrorCode::kInvalidArgument,
                 "quantization_head: the model's head is its embedding, which stays as it is; "
                 "leave it out");
  }
  if (!spec.head || spec.tied_head) return false;
  return config.quantization_head ||
         (!AskedType(config) && tensor::IsQuantised(StoredTypeOf(source, "head.weight")));
}

Status CheckRows(const model::Parameter& parameter, DType type) {
  const tensor::DTypeInfo& info = tensor::InfoOf(type);
  const std::int64_t in = parameter.shape.back();
  if (in % info.block_elements == 0) return Ok();
  const std::int64_t least = tensor::InfoOf(DType::kQ4_0).block_elements;
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("quantization_type: '{}' has rows of {} weights, {} has blocks of {}; {}",
                  parameter.name, in, info.name, info.block_elements,
                  in % least == 0 ? "use Q4_0, IQ4_NL or Q8_0, whose blocks are of 32"
                                  : "no type's blocks fit it: leave quantization_bit out"));
}

Result<BlockTypes> TypesOf(const recipe::TrainConfig& config, const ModelSource& source) {
  const std::optional<DType> asked = AskedType(config);
  const DType made = asked.value_or(config.quantization_bit == 8 ? DType::kQ8_0 : DType::kQ4_0);
  METIER_ASSIGN(const bool head, HoldsHead(config, source));
  BlockTypes types;
  for (const model::Parameter& parameter : model::Parameters(source.spec)) {
    if (!IsFrozenLinear(parameter) && !(head && parameter.name == "head.weight")) continue;
    const DType stored = StoredTypeOf(source, parameter.name);
    const bool stays = tensor::IsQuantised(stored) && stored == asked.value_or(stored);
    if (stays && !source.files->InputOrder(parameter.name).empty()) {
      return Error(ErrorCode::kUnsupported,
                   fmt::format("quantization_type: '{}' is in blocks whose columns have another "
                               "order (GPTQ with act-order); name a type of blocks of 32 to make "
                               "new ones, Q8_0 loses least",
                               parameter.name));
    }
    METIER_TRY(CheckRows(parameter, stays ? stored : made));
    types[parameter.name] = stays ? stored : made;
  }
  return types;
}

// The same bits for any number of threads: a block knows nothing of its neighbours.
Result<tensor::Tensor> Encode(const tensor::Tensor& values, DType type) {
  tensor::Tensor out = tensor::Tensor::Uninitialised(type, values.shape());
  const std::int64_t rows = values.shape().front();
  const std::size_t row = values.f32().size() / static_cast<std::size_t>(rows);
  const std::size_t row_bytes = out.bytes().size() / static_cast<std::size_t>(rows);
  const std::span<const float> in = values.f32();
  const std::span<std::byte> bytes = out.bytes();
  std::mutex mutex;
  Status first = Ok();
  at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
    const auto from = static_cast<std::size_t>(begin);
    const auto count = static_cast<std::size_t>(end - begin);
    Status status = format::EncodeFromF32(type, in.subspan(from * row, count * row),
                                          bytes.subspan(from * row_bytes, count * row_bytes));
    if (status.ok()) return;
    const std::lock_guard<std::mutex> lock(mutex);
    first = std::move(status);
  });
  METIER_TRY(std::move(first));
  return out;
}

}  // namespace

Result<BlockSource> QuantiseSource(const recipe::TrainConfig& config, ModelSource& source) {
  BlockSource blocks;
  if (config.quantization_bit == 0) return blocks;
  METIER_ASSIGN(BlockTypes found, TypesOf(config, source));
  const auto types = std::make_shared<const BlockTypes>(std::move(found));
  blocks.holds = [types](const std::string& name) { return types->contains(name); };
  blocks.read = [types, from = source](const std::string& name) -> Result<tensor::Tensor> {
    const DType type = types->at(name);
    if (StoredTypeOf(from, name) == type) return from.files->Load(name);
    METIER_ASSIGN(const tensor::Tensor values, from.read(name));
    Result<tensor::Tensor> made = Encode(values, type);
    if (!made.ok()) return std::move(made).error().With(fmt::format("parameter '{}'", name));
    return made;
  };
  source.read = [blocks, plain = source.read](const std::string& name) -> Result<tensor::Tensor> {
    if (!blocks.holds(name)) return plain(name);
    METIER_ASSIGN(const tensor::Tensor held, blocks.read(name));
    return format::DecodeTensor(held.view());
  };
  return blocks;
}

}  // namespace metier::train
