#include "engine/packed_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "engine/packing.h"
#include "engine/weights.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "model/packed_index.h"

namespace metier::engine {
namespace {

using model::Parameter;
using tensor::DType;
using tensor::Tensor;
using tensor::TensorView;

// Panels start at multiples of it, in the file and so in its map.
constexpr std::uint64_t kAlignment = 64;

// A parameter in the file's own map where its bytes are ours, else in memory.
struct StoredParameter {
  Tensor memory;
  TensorView view;
};

Result<StoredParameter> Fetch(const model::ModelFiles& files, const Parameter& parameter,
                              ThreadPool& pool) {
  StoredParameter stored;
  if (parameter.shape.size() == 1) {
    METIER_ASSIGN(stored.memory, files.LoadF32(parameter.name));
  } else if (const auto borrowed = files.Borrow(parameter.name)) {
    stored.view = *borrowed;
    return stored;
  } else {
    METIER_ASSIGN(stored.memory, LoadStored(files, parameter.name, pool));
  }
  stored.view = stored.memory.view();
  return stored;
}

class PackedWriter {
 public:
  PackedWriter(const model::ModelFiles& files, int threads, const OnProgress& progress)
      : files_(files), pool_(threads), progress_(progress) {}

  Result<PackedFile> Write(const std::string& path) {
    METIER_TRY(List());
    const std::uint64_t all = written_.panel_bytes + written_.row_bytes;
    std::uint64_t done = 0;
    const format::TensorProducer produce = [&](std::size_t i, const format::ByteSink& sink) {
      return Produce(i, [&](std::span<const std::byte> bytes) -> Status {
        METIER_TRY(sink(bytes));
        done += bytes.size();
        return Report(progress_, done, all);
      });
    };
    const std::string text = model::WritePackedIndex(index_);
    if (files_.gguf() == nullptr) {
      METIER_TRY(format::StreamSafetensors(path, infos_, {{model::kPackedKey, text}}, produce));
    } else {
      auto metadata = files_.gguf()->metadata();
      metadata[model::kPackedKey] = text;
      METIER_TRY(format::StreamGguf(path, metadata, infos_, produce, kAlignment));
    }
    return written_;
  }

 private:
  // What there will be, panels first: their sizes keep each other aligned.
  Status List() {
    index_.layout = PanelLayout();
    index_.spec = files_.spec();
    for (Parameter& parameter : model::Parameters(files_.spec())) {
      METIER_ASSIGN(const StoredParameter stored, Fetch(files_, parameter, pool_));
      const TensorView& view = stored.view;
      const bool panels =
          IsMultiplied(files_.spec(), parameter) && IsWorthPacking(MatrixOver(view));
      const std::uint64_t bytes =
          panels ? PackedBytes(PackedFormOf(MatrixOver(view))) : view.bytes.size();
      (panels ? written_.panel_bytes : written_.row_bytes) += bytes;
      index_.tensors[parameter.name] = {panels, view.dtype, parameter.shape,
                                        OrderOf(parameter.name)};
      entries_.push_back({std::move(parameter), bytes, panels});
    }
    std::stable_partition(entries_.begin(), entries_.end(),
                          [](const Entry& entry) { return entry.panels; });
    for (const Entry& entry : entries_) {
      infos_.push_back(
          {entry.parameter.name, DType::kI8, {static_cast<std::int64_t>(entry.bytes)}});
    }
    for (const auto& [order, name] : orders_)
      infos_.push_back({name, DType::kI32, {static_cast<std::int64_t>(order->size())}});
    return Ok();
  }

  // The name of the tensor that holds the parameter's order, "" where it has none. Equal ones are
  // written once.
  std::string OrderOf(const std::string& parameter) {
    const std::vector<std::uint32_t>& order = files_.InputOrder(parameter);
    if (order.empty()) return "";
    for (const auto& [known, name] : orders_) {
      if (*known == order) return name;
    }
    orders_.emplace_back(&order, fmt::format("order.{}", orders_.size()));
    written_.row_bytes += order.size() * sizeof(order.front());
    return orders_.back().second;
  }

  Status Produce(std::size_t i, const format::ByteSink& sink) {
    if (i >= entries_.size())
      return sink(std::as_bytes(std::span(*orders_[i - entries_.size()].first)));
    METIER_ASSIGN(const StoredParameter stored, Fetch(files_, entries_[i].parameter, pool_));
    return entries_[i].panels ? WritePanels(MatrixOver(stored.view), sink)
                              : sink(stored.view.bytes);
  }

  // Some panels at a time, on all threads.
  Status WritePanels(const Matrix& stored, const format::ByteSink& sink) {
    constexpr std::size_t kTogether = 64;
    const std::size_t panels = PanelCount(stored.rows);
    const std::size_t bytes = PackedFormOf(stored).panel_bytes;
    for (std::size_t first = 0; first < panels; first += kTogether) {
      const std::size_t count = std::min(kTogether, panels - first);
      space_.resize(count * bytes);
      pool_.ParallelFor(count, 1, [&](std::size_t begin, std::size_t end) {
        for (std::size_t p = begin; p < end; ++p)
          PackPanel(stored, first + p, space_.data() + p * bytes);
      });
      METIER_TRY(sink(space_));
    }
    return Ok();
  }

  struct Entry {
    Parameter parameter;
    std::uint64_t bytes;
    bool panels;
  };

  const model::ModelFiles& files_;
  ThreadPool pool_;
  const OnProgress& progress_;
  model::PackedIndex index_;
  std::vector<Entry> entries_;
  std::vector<std::pair<const std::vector<std::uint32_t>*, std::string>> orders_;  // and names
  std::vector<format::TensorInfo> infos_;
  std::vector<std::byte> space_;
  PackedFile written_;
};

}  // namespace

Result<PackedFile> WritePackedFile(const model::ModelFiles& files, const std::string& path,
                                   int threads, const OnProgress& progress) {
  if (!files.packed_layout().empty()) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' is packed already; pack the model from which it was made", files.path()));
  }
  return PackedWriter(files, threads, progress).Write(path);
}

}  // namespace metier::engine
