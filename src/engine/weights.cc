#include "engine/weights.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "base/function_ref.h"
#include "engine/expert_cache.h"
#include "engine/packing.h"
#include "format/decode.h"
#include "kernels/dispatch.h"

namespace metier::engine {

using model::ModelSpec;
using tensor::DType;
using tensor::Tensor;
using tensor::TensorView;

namespace {

// Plain types are read as their element, so they must lie at its alignment; blocks are read
// bytewise.
bool Aligned(const TensorView& view) {
  const tensor::DTypeInfo& info = tensor::InfoOf(view.dtype);
  return info.block_elements > 1 ||
         reinterpret_cast<std::uintptr_t>(view.bytes.data()) % info.block_bytes == 0;
}

}  // namespace

Matrix MatrixOver(const TensorView& view) {
  METIER_CHECK(view.shape.size() == 2, "a matrix of another rank");
  const tensor::DTypeInfo& info = tensor::InfoOf(view.dtype);
  return {.dtype = view.dtype,
          .rows = view.shape[0],
          .columns = view.shape[1],
          .data = view.bytes.data(),
          .row_bytes =
              static_cast<std::size_t>(view.shape[1]) / info.block_elements * info.block_bytes};
}

Result<Tensor> LoadStored(const model::ModelFiles& files, const std::string& name,
                          ThreadPool& pool) {
  auto loaded = files.Load(name, &pool);
  if (!loaded.ok() && loaded.error().code() == ErrorCode::kUnsupported) return files.LoadF32(name);
  return loaded;
}

bool IsMultiplied(const ModelSpec& spec, const model::Parameter& parameter) {
  if (parameter.shape.size() != 2) return false;
  if (parameter.name == "embed.tokens") return spec.head && spec.tied_head;
  return parameter.name.rfind("embed.", 0) != 0;
}

// Walks the names of a spec and places each parameter.
class WeightLoader {
 public:
  WeightLoader(const ModelSpec& spec, const WeightOptions& options)
      : spec_(spec), options_(options), pool_(options.threads) {}

  Result<Weights> Load(const model::ModelFiles* files, const model::ParameterReader* read) {
    files_ = files;
    read_ = read;
    METIER_TRY(model::CheckRunsWithoutTask(spec_));
    METIER_TRY(CheckOptions());
    METIER_TRY(CheckLayout());
    METIER_TRY(LoadEmbeddings());
    for (std::int64_t n = 0; n < spec_.layers; ++n) METIER_TRY(LoadLayer(n));
    if (spec_.final_norm) {
      METIER_ASSIGN(weights_.final_norm, LoadNorm("final_norm"));
    }
    if (spec_.head && spec_.tied_head) weights_.head = Register("head", weights_.tokens, nullptr);
    if (spec_.head && !spec_.tied_head) {
      METIER_ASSIGN(weights_.head, LoadLinear("head", false));
    }
    if (files_ != nullptr) weights_.files_ = std::make_shared<const model::ModelFiles>(*files_);
    if (options_.max_expert_bytes) METIER_TRY(MakeExpertCache());
    MoveMappedPanels();
    return std::move(weights_);
  }

 private:
  Status CheckOptions() const {
    if (!options_.max_expert_bytes) return Ok();
    std::string wrong;
    if (spec_.moe.experts == 0) wrong = "the model has no experts";
    if (options_.layout == WeightLayout::kStored) wrong = "weights as stored are in the file's map";
    if (files_ == nullptr) wrong = "experts can be fetched from files only";
    if (wrong.empty()) return Ok();
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("a limit of {} bytes for experts: {}; leave the limit out",
                             *options_.max_expert_bytes, wrong));
  }

  Status CheckLayout() const {
    if (files_ == nullptr || files_->packed_layout().empty()) return Ok();
    if (files_->packed_layout() == PanelLayout()) return Ok();
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("'{}' is packed as \"{}\", this program reads \"{}\"; pack the model "
                    "again, from what it was made of: metier pack MODEL --out {}",
                    files_->path(), files_->packed_layout(), PanelLayout(), files_->path()));
  }

  Status MakeExpertCache() {
    std::vector<std::vector<FeedForward>> experts;
    for (const LayerWeights& layer : weights_.layers) experts.push_back(layer.experts);
    METIER_ASSIGN(weights_.expert_cache_, ExpertCache::Create(experts, *options_.max_expert_bytes));
    return Ok();
  }

  Status LoadEmbeddings() {
    METIER_ASSIGN(weights_.tokens, LoadMatrix("embed.tokens"));
    if (spec_.head && spec_.tied_head) {
      METIER_ASSIGN(weights_.tokens, Pack("embed.tokens", weights_.tokens));
    }
    if (spec_.position == model::PositionKind::kLearned) {
      METIER_ASSIGN(weights_.positions, LoadMatrix("embed.positions"));
    }
    if (spec_.types > 0) {
      METIER_ASSIGN(weights_.types, LoadMatrix("embed.types"));
    }
    if (!spec_.moe.tasks.empty()) {
      METIER_ASSIGN(const Tensor task,
                    files_ != nullptr ? files_->LoadF32("embed.tasks") : (*read_)("embed.tasks"));
      weights_.task.assign(task.f32().begin(), task.f32().end());
    }
    if (spec_.embed_norm) {
      METIER_ASSIGN(weights_.embed_norm, LoadNorm("embed.norm"));
    }
    return Ok();
  }

  Status LoadLayer(std::int64_t n) {
    const std::string prefix = fmt::format("layers.{}.", n);
    LayerWeights layer;
    METIER_ASSIGN(layer.attn_norm, LoadNorm(prefix + "attn_norm"));
    METIER_ASSIGN(layer.q, LoadLinear(prefix + "attn.q", spec_.qkv_bias));
    METIER_ASSIGN(layer.k, LoadLinear(prefix + "attn.k", spec_.qkv_bias));
    METIER_ASSIGN(layer.v, LoadLinear(prefix + "attn.v", spec_.qkv_bias));
    if (spec_.qk_norm) {
      METIER_ASSIGN(layer.q_norm, LoadF32(prefix + "attn.q_norm.weight", 0));
      METIER_ASSIGN(layer.k_norm, LoadF32(prefix + "attn.k_norm.weight", 0));
    }
    METIER_ASSIGN(layer.o, LoadLinear(prefix + "attn.o", spec_.o_bias));
    METIER_ASSIGN(layer.ffn_norm, LoadNorm(prefix + "ffn_norm"));
    const bool experts = spec_.experts_of(n) > 0;
    if (!experts || spec_.moe.residual) {
      METIER_ASSIGN(layer.ffn, LoadFeedForward(prefix + "ffn.", [&](const std::string& name) {
                      return LoadLinear(name, spec_.ffn_bias);
                    }));
    }
    if (experts) METIER_TRY(LoadExperts(n, prefix, layer));
    weights_.layers.push_back(std::move(layer));
    return Ok();
  }

  Status LoadExperts(std::int64_t n, const std::string& prefix, LayerWeights& layer) {
    METIER_ASSIGN(layer.router, LoadLinear(prefix + "router", false));
    if (spec_.moe.residual) {
      METIER_ASSIGN(layer.mix, LoadLinear(prefix + "mix", true));
    }
    for (std::int64_t e = 0; e < spec_.experts_of(n); ++e) {
      METIER_ASSIGN(
          FeedForward expert,
          LoadFeedForward(fmt::format("{}experts.{}.", prefix, e), [&](const std::string& name) {
            return options_.max_expert_bytes ? PlaceLinear(name) : LoadLinear(name, false);
          }));
      if (spec_.gated && expert.gate.w.input_order != expert.up.w.input_order) {
        return Error(ErrorCode::kUnsupported,
                     fmt::format("{}experts.{}: gate and up are in GPTQ with two act-orders, one "
                                 "is expected; quantise them on the same activations, or without",
                                 prefix, e));
      }
      layer.experts.push_back(expert);
    }
    return Ok();
  }

  using LinearLoader = FunctionRef<Result<Linear>(const std::string& name)>;
  Result<FeedForward> LoadFeedForward(const std::string& prefix, LinearLoader load) {
    FeedForward ffn;
    if (spec_.gated) {
      METIER_ASSIGN(ffn.gate, load(prefix + "gate"));
    }
    METIER_ASSIGN(ffn.up, load(prefix + "up"));
    METIER_ASSIGN(ffn.down, load(prefix + "down"));
    return ffn;
  }

  Result<Linear> LoadLinear(const std::string& name, bool with_bias) {
    METIER_ASSIGN(Matrix w, LoadMatrix(name));
    METIER_ASSIGN(w, Pack(name, w));
    const float* bias = nullptr;
    if (with_bias) {
      METIER_ASSIGN(bias, LoadF32(name + ".bias", 0));
    }
    return Register(name, w, bias);
  }

  // One that is packed when it is wanted: not a byte of it is read now. What is not packed is
  // loaded like any other.
  Result<Linear> PlaceLinear(const std::string& name) {
    if (files_->Panels(name + ".weight")) return LoadLinear(name, false);
    const auto stored = files_->Borrow(name + ".weight");
    if (stored && !files_->InputOrder(name + ".weight").empty()) return LoadLinear(name, false);
    if (!stored) {
      return Error(
          ErrorCode::kUnsupported,
          fmt::format("'{}' cannot be fetched from the file, which has its rows in another "
                      "order; leave the limit for experts out",
                      name));
    }
    const Matrix w = MatrixOver(*stored);
    return IsWorthPacking(w) ? Register(name, w, nullptr) : LoadLinear(name, false);
  }

  Linear Register(const std::string& name, const Matrix& w, const float* bias) {
    const Linear linear{.w = w, .bias = bias, .index = weights_.linears_.size()};
    weights_.linears_.emplace(name, linear);
    return linear;
  }

  Result<Norm> LoadNorm(const std::string& name) {
    Norm norm;
    METIER_ASSIGN(norm.weight, LoadF32(name + ".weight", spec_.norm.plus_one ? 1.0F : 0.0F));
    if (spec_.norm.bias) {
      METIER_ASSIGN(norm.bias, LoadF32(name + ".bias", 0));
    }
    return norm;
  }

  // A small parameter, always in memory.
  Result<const float*> LoadF32(const std::string& name, float add) {
    METIER_ASSIGN(Tensor values, files_ != nullptr ? files_->LoadF32(name) : (*read_)(name));
    for (float& value : values.f32()) value += add;
    METIER_ASSIGN(const TensorView kept, Keep(name, std::move(values)));
    return reinterpret_cast<const float*>(kept.bytes.data());
  }

  // The embeddings' names have no ".weight"; every linear's has.
  Result<Matrix> LoadMatrix(const std::string& name) {
    const std::string full = name.rfind("embed.", 0) == 0 ? name : name + ".weight";
    if (files_ != nullptr) {
      if (const auto panels = files_->Panels(full)) {
        METIER_ASSIGN(Matrix packed, MapPanels(full, *panels));
        METIER_ASSIGN(packed.input_order, InputOrder(name, full));
        return packed;
      }
    }
    METIER_ASSIGN(const TensorView view, View(full));
    Matrix matrix = MatrixOver(view);
    METIER_ASSIGN(matrix.input_order, InputOrder(name, full));
    std::vector<float> row(static_cast<std::size_t>(matrix.columns));
    if (auto decoded = format::DecodeToF32(matrix.dtype, matrix.Row(0), row); !decoded.ok())
      return std::move(decoded).error().With(full);
    return matrix;
  }

  Result<const std::uint32_t*> InputOrder(const std::string& name, const std::string& full) {
    if (files_ == nullptr || files_->InputOrder(full).empty()) return nullptr;
    if (name.rfind("embed.", 0) == 0) {
      return Error(
          ErrorCode::kUnsupported,
          fmt::format("{} is in GPTQ with act-order, which linears may have; leave the table as "
                      "floats",
                      full));
    }
    return weights_.input_orders_.insert(files_->InputOrder(full)).first->data();
  }

  // Panels of a packed file. The shape is the spec's.
  Result<Matrix> MapPanels(const std::string& name, const TensorView& view) {
    Matrix packed{.dtype = view.dtype, .rows = view.shape[0], .columns = view.shape[1]};
    if (!PackingOf(view.dtype)) {
      return Error(ErrorCode::kDataCorrupt, fmt::format("{}: panels of {}, which is not packed",
                                                        name, tensor::InfoOf(view.dtype).name));
    }
    packed = PackedFormOf(packed);
    packed.data = view.bytes.data();
    if (view.bytes.size() != PackedBytes(packed)) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("{}: {} bytes of panels, {} of shape {} takes {}", name,
                               view.bytes.size(), tensor::InfoOf(view.dtype).name,
                               tensor::FormatShape(view.shape), PackedBytes(packed)));
    }
    constexpr std::uintptr_t kAlignment = 64;
    if (reinterpret_cast<std::uintptr_t>(packed.data) % kAlignment != 0) {
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("{}: its panels do not start at a multiple of {} bytes", name, kAlignment));
    }
    mapped_panels_.push_back(view.bytes);
    return packed;
  }

  // The first token comes from the map, at once; the many after it are faster from large pages,
  // which the map itself has on some file systems. Experts that are fetched drop their pages, and
  // so must stay in the map.
  void MoveMappedPanels() {
    if (mapped_panels_.empty() || options_.layout == WeightLayout::kStored ||
        options_.max_expert_bytes)
      return;
    // One stretch: a packed file has its panels one behind the other.
    const std::byte* begin = mapped_panels_.front().data();
    const std::byte* end = begin;
    for (const auto& panels : mapped_panels_) {
      begin = std::min(begin, panels.data());
      end = std::max(end, panels.data() + panels.size());
    }
    const std::span<const std::byte> all(begin, end);
    PreferLargePages(all);
    if (all.size() > options_.max_bytes - weights_.owned_bytes_) return;
    weights_.mover_ = std::jthread([all, files = weights_.files_](const std::stop_token& stop) {
      MoveToLargePages(all, stop);
    });
  }

  // The matrix as panels, its stored form given back; or as it is, where it is panels already, rows
  // are asked for, its type is not packed, panels would mostly be padding, or memory is short.
  Result<Matrix> Pack(const std::string& name, const Matrix& stored) {
    if (stored.packing || options_.layout == WeightLayout::kStored || !IsWorthPacking(stored))
      return stored;
    Matrix packed = PackedFormOf(stored);
    const std::size_t bytes = PackedBytes(packed);
    if (bytes > options_.max_bytes - weights_.owned_bytes_) return stored;
    Tensor space = Tensor::Uninitialised(DType::kU8, {static_cast<std::int64_t>(bytes)});
    pool_.ParallelFor(PanelCount(stored.rows), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t panel = begin; panel < end; ++panel)
        PackPanel(stored, panel, space.bytes().data() + panel * packed.panel_bytes);
    });
    GiveBack(stored);
    METIER_ASSIGN(const TensorView kept, Keep(name, std::move(space)));
    packed.data = kept.bytes.data();
    return packed;
  }

  // The stored form of a matrix that is packed now: memory is freed, pages of the map are dropped
  // (they come back from the file if they are read again).
  void GiveBack(const Matrix& stored) {
    const std::span<const std::byte> bytes = {
        stored.data, static_cast<std::size_t>(stored.rows) * stored.row_bytes};
    if (!weights_.owned_.empty() && weights_.owned_.back().bytes().data() == stored.data) {
      weights_.owned_bytes_ -= weights_.owned_.back().bytes().size();
      weights_.owned_.pop_back();
    } else {
      DropMappedPages(bytes);
    }
  }

  Result<TensorView> View(const std::string& name) {
    if (files_ == nullptr) {
      METIER_ASSIGN(Tensor values, (*read_)(name));
      return Keep(name, std::move(values));
    }
    if (const auto borrowed = files_->Borrow(name); borrowed && Aligned(*borrowed))
      return *borrowed;
    METIER_ASSIGN(Tensor loaded, LoadStored(*files_, name, pool_));
    return Keep(name, std::move(loaded));
  }

  Result<TensorView> Keep(const std::string& name, Tensor values) {
    weights_.owned_bytes_ += values.bytes().size();
    if (weights_.owned_bytes_ > options_.max_bytes) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("{}: the weights that must be copied into memory come to {} bytes "
                               "here, the limit is {}; allow more memory, or use a file whose "
                               "tensors can be mapped as they are",
                               name, weights_.owned_bytes_, options_.max_bytes));
    }
    weights_.owned_.push_back(std::move(values));
    return weights_.owned_.back().view();
  }

  const ModelSpec& spec_;
  WeightOptions options_;
  ThreadPool pool_;
  std::vector<std::span<const std::byte>> mapped_panels_;
  const model::ModelFiles* files_ = nullptr;
  const model::ParameterReader* read_ = nullptr;
  Weights weights_;
};

Result<Weights> Weights::FromFiles(const model::ModelFiles& files, const WeightOptions& options) {
  return WeightLoader(files.spec(), options).Load(&files, nullptr);
}

Result<Weights> Weights::FromReader(const ModelSpec& spec, const model::ParameterReader& read,
                                    const WeightOptions& options) {
  return WeightLoader(spec, options).Load(nullptr, &read);
}

Matrix MatrixOf(const tensor::Tensor& tensor) {
  return {.dtype = tensor.dtype(),
          .rows = tensor.shape()[0],
          .columns = tensor.shape()[1],
          .data = tensor.bytes().data(),
          .row_bytes = static_cast<std::size_t>(tensor.shape()[1]) * sizeof(float)};
}

void DecodeRow(const Matrix& matrix, std::int64_t row, std::span<float> out) {
  if (matrix.packing) {
    const auto output = static_cast<std::size_t>(row);
    const auto& packed = kernels::Kernels().packed[static_cast<std::size_t>(*matrix.packing)];
    packed.decode(matrix.data + output / kernels::kPanelOutputs * matrix.panel_bytes,
                  output % kernels::kPanelOutputs, out.size(), out.data());
    return;
  }
  METIER_CHECK(format::DecodeToF32(matrix.dtype, matrix.Row(row), out).ok(),
               "a type that loading has decoded once");
}

}  // namespace metier::engine
