#include "engine/lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/nearest.h"
#include "base/thread_pool.h"
#include "engine/mixture.h"

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
  const bool scales = !delta.magnitude || (delta.magnitude->dtype() == tensor::DType::kF32 &&
                                           delta.magnitude->shape() == tensor::Shape{b[0]});
  if (fits && !scales) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: '{}' has magnitudes {} {}, expected F32 [{}]", delta.linear,
                             tensor::InfoOf(delta.magnitude->dtype()).name,
                             tensor::FormatShape(delta.magnitude->shape()), b[0]));
  }
  if (fits) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("adapter: '{}' has A {} and B {}, but the layer is [{}, {}]: expected A "
                           "[rank, {}] and B [{}, rank] in F32",
                           delta.linear, tensor::FormatShape(a), tensor::FormatShape(b),
                           linear.w.rows, linear.w.columns, linear.w.columns, linear.w.rows));
}

// magnitude / |w + scale b a| of every row of w, as it is served: of packed weights and of blocks
// too.
std::vector<float> ScalesOf(const LoraDelta& delta, const Matrix& w, ThreadPool& pool) {
  const auto in = static_cast<std::size_t>(w.columns);
  const auto rank = static_cast<std::size_t>(delta.a.shape()[0]);
  const std::span<const float> a = delta.a.f32();
  const std::span<const float> b = delta.b.f32();
  std::vector<float> scales(static_cast<std::size_t>(w.rows));
  pool.ParallelFor(scales.size(), 1, [&](std::size_t begin, std::size_t end) {
    std::vector<float> stored(in);
    std::vector<double> row(in);
    for (std::size_t o = begin; o < end; ++o) {
      DecodeRow(w, static_cast<std::int64_t>(o), stored);
      for (std::size_t i = 0; i < in; ++i)
        row[w.input_order == nullptr ? i : w.input_order[i]] = static_cast<double>(stored[i]);
      for (std::size_t r = 0; r < rank; ++r) {
        const double factor = delta.scale * static_cast<double>(b[o * rank + r]);
        for (std::size_t i = 0; i < in; ++i) row[i] += factor * static_cast<double>(a[r * in + i]);
      }
      scales[o] = static_cast<float>(model::RowScale(row, delta.magnitude->f32()[o]));
    }
  });
  return scales;
}

}  // namespace

Result<LoadedAdapter> LoadedAdapter::Create(const model::Adapter& adapter, const Weights& weights,
                                            kernels::FactorType type) {
  LoadedAdapter loaded;
  loaded.by_linear_.assign(weights.linears().size(), -1);
  std::size_t bytes = 0;
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
    slot = static_cast<std::int32_t>(loaded.changes_.size());
    // Packed below; counted meanwhile.
    loaded.changes_.emplace_back();
    bytes += LowRank::Bytes(delta, type);
  }
  loaded.factors_ =
      tensor::Tensor::Uninitialised(tensor::DType::kU8, {static_cast<std::int64_t>(bytes)});
  std::span<std::byte> space = loaded.factors_.bytes();
  for (std::size_t i = 0; i < adapter.deltas.size(); ++i) {
    const std::size_t taken = LowRank::Bytes(adapter.deltas[i], type);
    loaded.changes_[i] = LowRank::Pack(adapter.deltas[i], type, space.first(taken));
    space = space.subspan(taken);
  }
  const bool dora = std::ranges::any_of(
      adapter.deltas, [](const LoraDelta& delta) { return delta.magnitude.has_value(); });
  if (dora) {
    ThreadPool pool(ThreadPool::DefaultThreads());
    for (const LoraDelta& delta : adapter.deltas) {
      loaded.scales_.emplace_back();
      if (!delta.magnitude) continue;
      const Matrix& w = weights.linears().find(delta.linear)->second.w;
      loaded.scales_.back() = ScalesOf(delta, w, pool);
    }
  }
  for (const model::ReplacedWeight& weight : adapter.replaced)
    METIER_TRY(loaded.Replace(weight, weights));
  for (const model::TokenRows& rows : adapter.rows) METIER_TRY(loaded.AddTokenRows(rows, weights));
  return loaded;
}

LoadedAdapter LoadedAdapter::Of(Mixing mixing, const Weights& weights) {
  LoadedAdapter loaded;
  loaded.by_linear_.assign(weights.linears().size(), -1);
  loaded.mixing_ = std::make_shared<const Mixing>(std::move(mixing));
  return loaded;
}

Status LoadedAdapter::Replace(const model::ReplacedWeight& weight, const Weights& weights) {
  const auto found = weights.linears().find("head");
  const bool head = weight.parameter == "head.weight" && found != weights.linears().end();
  if (!head && weight.parameter != "embed.tokens")
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: the model has no '{}' to replace", weight.parameter));
  const Matrix& base = head ? found->second.w : weights.tokens;
  const tensor::Shape expected = {base.rows, base.columns};
  if (weight.value.shape() != expected || weight.value.dtype() != tensor::DType::kF32) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("adapter: '{}' is {} {}, expected F32 {}", weight.parameter,
                    tensor::InfoOf(weight.value.dtype()).name,
                    tensor::FormatShape(weight.value.shape()), tensor::FormatShape(expected)));
  }
  replaced_.push_back(weight.value);
  if (!head) {
    tokens_ = MatrixOf(replaced_.back());
    return Ok();
  }
  if (Find(found->second) != nullptr) {
    return Error(ErrorCode::kInvalidArgument,
                 "adapter: 'head' has a delta and a weight of its own; expected one of them");
  }
  head_ = MatrixOf(replaced_.back());
  head_index_ = found->second.index;
  return Ok();
}

Status LoadedAdapter::AddTokenRows(const model::TokenRows& rows, const Weights& weights) {
  const auto found = weights.linears().find("head");
  const bool head = rows.parameter == "head.weight" && found != weights.linears().end();
  if (!head && rows.parameter != "embed.tokens")
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: the model has no '{}' with rows of tokens", rows.parameter));
  const Matrix& base = head ? found->second.w : weights.tokens;
  const tensor::Shape expected = {static_cast<std::int64_t>(rows.tokens.size()), base.columns};
  const bool fits =
      !rows.tokens.empty() && rows.tokens.front() >= 0 && rows.tokens.back() < base.rows &&
      std::ranges::adjacent_find(rows.tokens, std::greater_equal<>()) == rows.tokens.end() &&
      rows.values.shape() == expected && rows.values.dtype() == tensor::DType::kF32;
  if (!fits) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: rows of '{}' are {} {}, expected F32 {} of ascending tokens "
                             "below {}",
                             rows.parameter, tensor::InfoOf(rows.values.dtype()).name,
                             tensor::FormatShape(rows.values.shape()),
                             tensor::FormatShape(expected), base.rows));
  }
  std::optional<OwnRows>& own = head ? head_rows_ : token_rows_;
  const bool taken = own || (head ? head_ || Find(found->second) != nullptr : tokens_.has_value());
  if (taken) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter: '{}' is changed in another way beside its rows; expected "
                             "one of them",
                             rows.parameter));
  }
  own = OwnRows{.tokens = rows.tokens, .values = rows.values};
  if (head) head_index_ = found->second.index;
  return Ok();
}

const float* OwnRows::Find(std::int64_t token) const {
  const auto at = std::ranges::lower_bound(tokens, token);
  if (at == tokens.end() || *at != token) return nullptr;
  return values.f32().data() + (at - tokens.begin()) * values.shape()[1];
}

const LowRank* LoadedAdapter::Find(const Linear& linear) const {
  const std::int32_t slot = by_linear_[linear.index];
  return slot < 0 ? nullptr : &changes_[static_cast<std::size_t>(slot)];
}

void AddRun(const LoadedAdapter* adapter, std::size_t end, std::vector<AdapterRun>& runs) {
  const std::size_t begin = runs.empty() ? 0 : runs.back().end;
  if (begin == end) return;
  if (!runs.empty() && runs.back().adapter == adapter) {
    runs.back().end = end;
  } else {
    runs.push_back({adapter, begin, end});
  }
}

}  // namespace metier::engine
