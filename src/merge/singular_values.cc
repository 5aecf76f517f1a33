#include "merge/singular_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "merge/truncated_svd.h"

namespace metier::merge {
namespace {

// weight [out, in] += U diag(s (z - 1)) V^T.
void ScaleSingularValues(std::span<const float> z, std::int64_t out, std::int64_t in,
                         std::span<float> weight) {
  if (std::ranges::all_of(z, [](float value) { return value == 1.0F; })) return;
  std::vector<double> sums(weight.begin(), weight.end());
  const LowRankFactors factors = TruncatedSvd(
      sums, out, in, {.max_rank = static_cast<std::int64_t>(z.size()), .way = SvdWay::kExact});
  const auto columns = static_cast<std::size_t>(in);
  const auto rank = static_cast<std::size_t>(factors.rank);
  for (std::size_t o = 0; o < static_cast<std::size_t>(out); ++o) {
    for (std::size_t r = 0; r < rank; ++r) {
      const double factor =
          static_cast<double>(factors.b[o * rank + r]) * (static_cast<double>(z[r]) - 1);
      for (std::size_t i = 0; i < columns; ++i)
        sums[o * columns + i] += factor * static_cast<double>(factors.a[r * columns + i]);
    }
  }
  std::ranges::transform(sums, weight.begin(), [](double sum) { return static_cast<float>(sum); });
}

}  // namespace

Result<model::ParameterReader> WithSingularValues(const model::ModelSpec& spec,
                                                  model::ParameterReader base,
                                                  model::SvfFiles files) {
  std::map<std::string, tensor::Shape> shapes;
  for (const model::Parameter& parameter : model::Parameters(spec))
    shapes[parameter.name] = parameter.shape;
  for (const auto& [linear, z] : files.z) {
    const auto shape = shapes.find(linear + ".weight");
    if (shape == shapes.end() || shape->second.size() != 2) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("singular values: the model has no linear '{}'", linear));
    }
    const std::int64_t expected = std::min(shape->second[0], shape->second[1]);
    if (z.shape() != tensor::Shape{expected}) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("singular values: '{}' found {}, expected [{}]: is this the model "
                               "that they were trained on?",
                               linear, tensor::FormatShape(z.shape()), expected));
    }
  }
  return model::ParameterReader([base = std::move(base), files = std::move(files)](
                                    const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor weight, base(name));
    constexpr std::string_view kWeight = ".weight";
    if (!name.ends_with(kWeight)) return weight;
    const auto z = files.z.find(name.substr(0, name.size() - kWeight.size()));
    if (z == files.z.end()) return weight;
    ScaleSingularValues(z->second.f32(), weight.shape()[0], weight.shape()[1], weight.f32());
    return weight;
  });
}

}  // namespace metier::merge
