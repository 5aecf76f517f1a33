#include "engine/lora.h"

#include <fmt/format.h>

#include <string>

#include "base/nearest.h"

namespace metier::engine {

using model::LoraDelta;

namespace {

Status CheckShapes(const LoraDelta& delta, const Linear& linear) {
  const tensor::Shape& a = delta.a.shape();
  const tensor::Shape& b = delta.b.shape();
  const bool fits = a.size() == 2 && b.size() == 2 && a[0] == b[1] && a[0] > 0 &&
                    a[1] == linear.w.columns && b[0] == linear.w.rows &&
                    delta.a.dtype() == tensor::DType::kF32 &&
                    delta.b.dtype() == tensor::DType::kF32;
  if (fits) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("adapter: '{}' has A {} and B {}, but the layer is [{}, {}]: expected A "
                           "[rank, {}] and B [{}, rank] in F32",
                           delta.linear, tensor::FormatShape(a), tensor::FormatShape(b),
                           linear.w.rows, linear.w.columns, linear.w.columns, linear.w.rows));
}

Matrix MatrixOf(const tensor::Tensor& tensor) {
  return {.dtype = tensor.dtype(),
          .rows = tensor.shape()[0],
          .columns = tensor.shape()[1],
          .data = tensor.bytes().data(),
          .row_bytes = static_cast<std::size_t>(tensor.shape()[1]) * sizeof(float)};
}

}  // namespace

Result<LoadedAdapter> LoadedAdapter::Create(const model::Adapter& adapter, const Weights& weights) {
  LoadedAdapter loaded;
  loaded.by_linear_.assign(weights.linears().size(), -1);
  for (const LoraDelta& delta : adapter.deltas) {
    const auto found = weights.linears().find(delta.linear);
    if (found == weights.linears().end()) {
      std::vector<std::string> names;
      for (const auto& [name, linear] : weights.linears()) names.push_back(name);
      const std::string nearest = NearestName(delta.linear, names);
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("adapter '{}': the model has no linear '{}'{}", adapter.name,
                               delta.linear, nearest.empty() ? "" : "; nearest: " + nearest));
    }
    METIER_TRY(CheckShapes(delta, found->second));
    std::int32_t& slot = loaded.by_linear_[found->second.index];
    if (slot >= 0) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("adapter '{}': two deltas for '{}'", adapter.name, delta.linear));
    }
    slot = static_cast<std::int32_t>(loaded.deltas_.size());
    loaded.deltas_.push_back(delta);
  }
  return loaded;
}

const LoraDelta* LoadedAdapter::Find(const Linear& linear) const {
  const std::int32_t slot = by_linear_[linear.index];
  return slot < 0 ? nullptr : &deltas_[static_cast<std::size_t>(slot)];
}

void MultiplyAdapted(Compute& compute, const Linear& linear, std::span<const AdapterRun> runs,
                     const float* x, std::size_t rows, float* out) {
  compute.Multiply(linear, x, rows, out);
  const auto in = static_cast<std::size_t>(linear.w.columns);
  const auto outputs = static_cast<std::size_t>(linear.w.rows);
  for (const AdapterRun& run : runs) {
    const LoraDelta* delta = run.adapter == nullptr ? nullptr : run.adapter->Find(linear);
    if (delta == nullptr || run.begin == run.end) continue;
    const std::size_t count = run.end - run.begin;
    const auto rank = static_cast<std::size_t>(delta->a.shape()[0]);
    std::vector<float> low(count * rank);
    std::vector<float> change(count * outputs);
    compute.Multiply(MatrixOf(delta->a), nullptr, x + run.begin * in, count, low.data());
    compute.Multiply(MatrixOf(delta->b), nullptr, low.data(), count, change.data());
    compute.AddScaled(out + run.begin * outputs, change.data(), static_cast<float>(delta->scale),
                      change.size());
  }
}

}  // namespace metier::engine
