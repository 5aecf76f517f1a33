#include "model/stored_tensors.h"

#include <fmt/format.h>

#include <cstring>
#include <map>

#include "base/check.h"
#include "format/decode.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;
using tensor::TensorView;

std::int64_t RowLength(const tensor::Shape& ours) { return ours.size() == 2 ? ours[1] : 1; }

// Whether our rows follow each other in the file, so that they are one span of it.
bool IsContiguous(const Placement& at) {
  const TensorRule& rule = at.rule;
  if (rule.transpose || rule.order != RowOrder::kAsIs) return false;
  return rule.rows.run == 0 || rule.rows.run >= at.shape[0];
}

// Bytes of one row of ours in the file; nothing when rows are not whole blocks.
std::optional<std::uint64_t> RowBytes(const Placement& at) {
  return tensor::BytesFor(at.view.dtype, static_cast<std::uint64_t>(RowLength(at.shape)));
}

Error Unsupported(const Placement& at, std::string_view what) {
  return Error(ErrorCode::kUnsupported, fmt::format("tensor '{}' of type {}: {}", at.rule.theirs,
                                                    tensor::InfoOf(at.view.dtype).name, what));
}

Result<Tensor> PickRows(const Placement& at) {
  const auto row_bytes = RowBytes(at);
  if (!row_bytes) return Unsupported(at, "rows cannot be picked from inside its blocks");
  const auto bytes = static_cast<std::size_t>(*row_bytes);
  Tensor out(at.view.dtype, at.shape);
  for (std::int64_t row = 0; row < at.shape[0]; ++row) {
    const auto from = static_cast<std::size_t>(StoredRow(at.rule, at.head_dim, row));
    std::memcpy(out.bytes().data() + static_cast<std::size_t>(row) * bytes,
                at.view.bytes.data() + from * bytes, bytes);
  }
  return out;
}

// Ours [out, in] from theirs [in, all]. Walks theirs row by row, which is how the map is laid out.
Result<Tensor> Transpose(const Placement& at) {
  if (tensor::IsQuantised(at.view.dtype))
    return Unsupported(at, "blocks cannot be transposed; decode the tensor first");
  const std::size_t size = tensor::InfoOf(at.view.dtype).block_bytes;
  const auto all = static_cast<std::size_t>(at.view.shape[1]);
  const auto in = static_cast<std::size_t>(RowLength(at.shape));
  Tensor out(at.view.dtype, at.shape);
  for (std::int64_t row = 0; row < at.shape[0]; ++row) {
    const auto column = static_cast<std::size_t>(StoredRow(at.rule, at.head_dim, row));
    std::byte* to = out.bytes().data() + static_cast<std::size_t>(row) * in * size;
    for (std::size_t i = 0; i < in; ++i)
      std::memcpy(to + i * size, at.view.bytes.data() + (i * all + column) * size, size);
  }
  return out;
}

// The parameter in the stored type, before `add`.
Result<Tensor> Gather(const Placement& at) {
  if (at.rule.transpose) return Transpose(at);
  if (!IsContiguous(at)) return PickRows(at);
  Tensor out(at.view.dtype, at.shape);
  METIER_ASSIGN(const TensorView view, [&]() -> Result<TensorView> {
    Placement plain = at;
    plain.rule.add = 0;
    if (const auto borrowed = BorrowPlaced(plain)) return *borrowed;
    return Unsupported(at, "rows cannot be picked from inside its blocks");
  }());
  std::memcpy(out.bytes().data(), view.bytes.data(), view.bytes.size());
  return out;
}

// Our rows `begin` to `end` as rows of the checkpoint's linear.
std::vector<std::int64_t> GptqRows(const Placement& at, std::size_t begin, std::size_t end) {
  std::vector<std::int64_t> rows;
  for (std::size_t row = begin; row < end; ++row)
    rows.push_back(StoredRow(at.rule, at.head_dim, static_cast<std::int64_t>(row)));
  return rows;
}

Tensor EncodeGptq(const Placement& at, ThreadPool* pool) {
  Tensor out = Tensor::Uninitialised(at.gptq->dtype(), at.shape);
  const auto rows = static_cast<std::size_t>(at.shape[0]);
  const std::size_t row_bytes = out.bytes().size() / rows;
  const auto encode = [&](std::size_t begin, std::size_t end) {
    at.gptq->Encode(GptqRows(at, begin, end),
                    out.bytes().subspan(begin * row_bytes, (end - begin) * row_bytes));
  };
  constexpr std::size_t kTogether = 16;  // outputs whose codes share a cache line
  if (pool == nullptr) {
    encode(0, rows);
  } else {
    pool->ParallelFor(rows, kTogether, encode);
  }
  return out;
}

void Add(double value, std::span<float> to) {
  for (float& number : to) number = static_cast<float>(static_cast<double>(number) + value);
}

}  // namespace

std::int64_t StoredRow(const TensorRule& rule, std::int64_t head_dim, std::int64_t row) {
  if (rule.order == RowOrder::kRopePairs) {
    // Row r of a head turns with row r + d / 2; interleaved they stand side by side.
    const std::int64_t half = head_dim / 2;
    const std::int64_t in_head = row % head_dim;
    row = row - in_head + 2 * (in_head % half) + in_head / half;
  }
  const RowMap& map = rule.rows;
  return map.run == 0 ? row : map.first + row / map.run * map.stride + row % map.run;
}

std::vector<StoredTensor> StoredTensors(const ModelSpec& spec,
                                        const std::vector<TensorRule>& rules) {
  const std::vector<Parameter> parameters = Parameters(spec);
  METIER_CHECK(rules.size() == parameters.size(), "a rule for every parameter");
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    METIER_CHECK(rules[i].ours == parameters[i].name, "rules in the order of the parameters");
    const auto [at, inserted] = index.emplace(rules[i].theirs, tensors.size());
    if (inserted) tensors.push_back({rules[i].theirs, {}, {}});
    tensors[at->second].parts.push_back(i);
  }
  for (StoredTensor& tensor : tensors) {
    const TensorRule& rule = rules[tensor.parts.front()];
    tensor.shape = parameters[tensor.parts.front()].shape;
    if (rule.expert >= 0) {
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(tensor.parts.size()));
      continue;
    }
    tensor.shape[0] = 0;  // fused parts lie along the rows
    for (const std::size_t part : tensor.parts) tensor.shape[0] += parameters[part].shape[0];
    if (rule.transpose) std::swap(tensor.shape[0], tensor.shape[1]);
  }
  return tensors;
}

TensorView SliceOfExpert(const TensorView& all, std::int64_t expert) {
  TensorView slice{all.dtype, {all.shape.begin() + 1, all.shape.end()}, {}};
  const std::size_t bytes = all.bytes.size() / static_cast<std::size_t>(all.shape[0]);
  slice.bytes = all.bytes.subspan(static_cast<std::size_t>(expert) * bytes, bytes);
  return slice;
}

DType TypeOfPlaced(const Placement& at) {
  return at.gptq == nullptr ? at.view.dtype : at.gptq->dtype();
}

std::optional<TensorView> BorrowPlaced(const Placement& at) {
  if (at.gptq != nullptr) return std::nullopt;
  const auto row_bytes = RowBytes(at);
  if (at.rule.add != 0 || !IsContiguous(at)) return std::nullopt;
  if (at.rule.rows.run == 0) return TensorView{at.view.dtype, at.shape, at.view.bytes};
  if (!row_bytes) return std::nullopt;
  const auto bytes = static_cast<std::size_t>(*row_bytes);
  const auto span = at.view.bytes.subspan(static_cast<std::size_t>(at.rule.rows.first) * bytes,
                                          static_cast<std::size_t>(at.shape[0]) * bytes);
  return TensorView{at.view.dtype, at.shape, span};
}

Result<Tensor> LoadPlaced(const Placement& at, ThreadPool* pool) {
  if (at.gptq != nullptr) return EncodeGptq(at, pool);
  METIER_ASSIGN(Tensor gathered, Gather(at));
  if (at.rule.add == 0) return gathered;
  METIER_ASSIGN(Tensor values, format::DecodeTensor(gathered.view()));
  Add(at.rule.add, values.f32());
  const auto encoded = format::EncodeFromF32(at.view.dtype, values.f32(), gathered.bytes());
  if (!encoded.ok()) return Unsupported(at, "its values cannot be shifted in place");
  return gathered;
}

Result<Tensor> LoadPlacedF32(const Placement& at) {
  if (at.gptq != nullptr) {
    Tensor values(DType::kF32, at.shape);
    at.gptq->Decode(GptqRows(at, 0, static_cast<std::size_t>(at.shape[0])), values.f32());
    return values;
  }
  Placement plain = at;
  plain.rule.add = 0;
  Tensor values;
  if (const auto borrowed = BorrowPlaced(plain)) {
    METIER_ASSIGN(values, format::DecodeTensor(*borrowed));
  } else {
    METIER_ASSIGN(const Tensor gathered, Gather(plain));
    METIER_ASSIGN(values, format::DecodeTensor(gathered.view()));
  }
  if (at.rule.add != 0) Add(at.rule.add, values.f32());
  return values;
}

bool IsStoredAsIs(const TensorRule& rule) {
  return !rule.transpose && rule.order == RowOrder::kAsIs && rule.rows.run == 0 &&
         rule.expert < 0 && rule.add == 0;
}

void Store(const TensorRule& rule, std::int64_t head_dim, const Tensor& ours, Tensor& stored) {
  const tensor::Shape& shape = ours.shape();
  const auto in = static_cast<std::size_t>(RowLength(shape));
  std::span<float> to = stored.f32();
  if (rule.expert >= 0) {
    const std::size_t size = ours.f32().size();
    to = to.subspan(static_cast<std::size_t>(rule.expert) * size, size);
  }
  const std::size_t all = rule.transpose ? static_cast<std::size_t>(stored.shape()[1]) : 0;
  for (std::int64_t row = 0; row < shape[0]; ++row) {
    const auto at = static_cast<std::size_t>(StoredRow(rule, head_dim, row));
    const std::span<const float> from = ours.f32().subspan(static_cast<std::size_t>(row) * in, in);
    for (std::size_t i = 0; i < in; ++i) {
      const auto value = static_cast<float>(static_cast<double>(from[i]) - rule.add);
      to[rule.transpose ? i * all + at : at * in + i] = value;
    }
  }
}

}  // namespace metier::model
