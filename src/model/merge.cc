#include "model/merge.h"

#include <fmt/format.h>

#include <map>
#include <span>
#include <utility>
#include <vector>

namespace metier::model {
namespace {

using tensor::FormatShape;
using tensor::Shape;

Status CheckFits(const LoraDelta& delta, const std::map<std::string, Shape>& shapes) {
  const auto found = shapes.find(delta.linear + ".weight");
  if (found == shapes.end()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: the model has no linear '{}'", delta.linear));
  }
  const Shape& a = delta.a.shape();
  const Shape& b = delta.b.shape();
  const bool fits =
      a.size() == 2 && b.size() == 2 && a[0] == b[1] && found->second == Shape{b[0], a[1]};
  if (fits) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("adapter: '{}' found A {} and B {}, expected the product to be {}", delta.linear,
                  FormatShape(a), FormatShape(b), FormatShape(found->second)));
}

// weight [out, in] += scale * b [out, rank] a [rank, in].
void AddDelta(const LoraDelta& delta, std::span<float> weight) {
  const auto rank = static_cast<std::size_t>(delta.a.shape()[0]);
  const auto in = static_cast<std::size_t>(delta.a.shape()[1]);
  const auto out = static_cast<std::size_t>(delta.b.shape()[0]);
  const std::span<const float> a = delta.a.f32();
  const std::span<const float> b = delta.b.f32();
  std::vector<double> row(in);
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t i = 0; i < in; ++i) row[i] = weight[o * in + i];
    for (std::size_t r = 0; r < rank; ++r) {
      const double factor = delta.scale * b[o * rank + r];
      for (std::size_t i = 0; i < in; ++i) row[i] += factor * a[r * in + i];
    }
    for (std::size_t i = 0; i < in; ++i) weight[o * in + i] = static_cast<float>(row[i]);
  }
}

}  // namespace

Result<ParameterReader> MergedReader(const ModelSpec& spec, ParameterReader base, Adapter adapter) {
  std::map<std::string, Shape> shapes;
  for (const Parameter& parameter : Parameters(spec)) shapes[parameter.name] = parameter.shape;
  std::multimap<std::string, LoraDelta> deltas;
  for (LoraDelta& delta : adapter.deltas) {
    METIER_TRY(CheckFits(delta, shapes));
    std::string name = delta.linear + ".weight";
    deltas.emplace(std::move(name), std::move(delta));
  }
  return ParameterReader([base = std::move(base), deltas = std::move(deltas)](
                             const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor weight, base(name));
    const auto [begin, end] = deltas.equal_range(name);
    for (auto delta = begin; delta != end; ++delta) AddDelta(delta->second, weight.f32());
    return weight;
  });
}

}  // namespace metier::model
