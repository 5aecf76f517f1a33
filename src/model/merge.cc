#include "model/merge.h"

#include <fmt/format.h>

#include <algorithm>
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
  if (fits && delta.magnitude && delta.magnitude->shape() != Shape{b[0]}) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: '{}' found magnitudes {}, expected [{}]", delta.linear,
                             FormatShape(delta.magnitude->shape()), b[0]));
  }
  if (fits) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("adapter: '{}' found A {} and B {}, expected the product to be {}", delta.linear,
                  FormatShape(a), FormatShape(b), FormatShape(found->second)));
}

// weight [out, in] += scale * b [out, rank] a [rank, in]; rows then as long as the magnitudes say.
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
    const double factor = delta.magnitude ? RowScale(row, delta.magnitude->f32()[o]) : 1;
    for (std::size_t i = 0; i < in; ++i) weight[o * in + i] = static_cast<float>(factor * row[i]);
  }
}

const tensor::Tensor* Find(const std::map<std::string, tensor::Tensor>& replaced,
                           const std::string& parameter) {
  const auto found = replaced.find(parameter);
  return found == replaced.end() ? nullptr : &found->second;
}

using RowsByParameter = std::map<std::string, TokenRows>;

void PutRows(const RowsByParameter& all, const std::string& parameter, tensor::Tensor& weight) {
  const auto rows = all.find(parameter);
  if (rows == all.end()) return;
  const auto width = static_cast<std::size_t>(weight.shape()[1]);
  for (std::size_t i = 0; i < rows->second.tokens.size(); ++i) {
    const auto at = static_cast<std::size_t>(rows->second.tokens[i]) * width;
    std::ranges::copy(rows->second.values.f32().subspan(i * width, width),
                      weight.f32().subspan(at, width).begin());
  }
}

Status CheckTokenRows(const ModelSpec& spec, const TokenRows& rows) {
  const auto count = static_cast<std::int64_t>(rows.tokens.size());
  const Shape expected = {count, spec.width};
  if (count > 0 && rows.values.shape() == expected && rows.tokens.back() < spec.vocab) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("adapter: rows of '{}' are {} for {} tokens, expected {} of tokens below "
                  "{}",
                  rows.parameter, FormatShape(rows.values.shape()), count, FormatShape(expected),
                  spec.vocab));
}

// Whether embedding and head get the same rows, or none.
bool SameRows(const RowsByParameter& all) {
  const auto embedding = all.find("embed.tokens");
  const auto head = all.find("head.weight");
  if (embedding == all.end() || head == all.end()) return all.empty();
  return embedding->second.tokens == head->second.tokens &&
         std::ranges::equal(embedding->second.values.bytes(), head->second.values.bytes());
}

// Whether one matrix can go on being both.
bool StaysTied(const ModelSpec& spec, const std::map<std::string, tensor::Tensor>& replaced,
               const RowsByParameter& rows) {
  if (!SameRows(rows)) return false;
  const tensor::Tensor* embedding = Find(replaced, "embed.tokens");
  const tensor::Tensor* head = Find(replaced, "head.weight");
  if (!spec.tied_head || (embedding == nullptr) != (head == nullptr)) return false;
  return embedding == nullptr || std::ranges::equal(embedding->bytes(), head->bytes());
}

}  // namespace

Result<MergedModel> Merge(const ModelSpec& spec, ParameterReader base, Adapter adapter) {
  std::map<std::string, tensor::Tensor> replaced;
  for (ReplacedWeight& weight : adapter.replaced)
    replaced.emplace(weight.parameter, std::move(weight.value));
  MergedModel merged;
  merged.spec = spec;
  RowsByParameter rows;
  for (TokenRows& own : adapter.rows) {
    METIER_TRY(CheckTokenRows(spec, own));
    std::string parameter = own.parameter;
    rows.emplace(std::move(parameter), std::move(own));
  }
  merged.spec.tied_head = StaysTied(spec, replaced, rows);
  std::map<std::string, Shape> shapes;
  for (const Parameter& parameter : Parameters(spec)) shapes[parameter.name] = parameter.shape;
  std::multimap<std::string, LoraDelta> deltas;
  for (LoraDelta& delta : adapter.deltas) {
    METIER_TRY(CheckFits(delta, shapes));
    std::string name = delta.linear + ".weight";
    deltas.emplace(std::move(name), std::move(delta));
  }
  const bool was_tied = spec.tied_head;
  merged.read = [base = std::move(base), deltas = std::move(deltas), replaced = std::move(replaced),
                 rows = std::move(rows),
                 was_tied](const std::string& name) -> Result<tensor::Tensor> {
    if (const tensor::Tensor* weight = Find(replaced, name)) return *weight;
    METIER_ASSIGN(tensor::Tensor weight,
                  base(was_tied && name == "head.weight" ? "embed.tokens" : name));
    const auto [begin, end] = deltas.equal_range(name);
    for (auto delta = begin; delta != end; ++delta) AddDelta(delta->second, weight.f32());
    PutRows(rows, name, weight);
    return weight;
  };
  return merged;
}

}  // namespace metier::model
