#include "engine/compute.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/packing.h"

namespace metier::engine {

using kernels::KernelTable;

namespace {

// Below this many multiplications waking a thread (about 10 us) costs more than it saves.
constexpr std::size_t kWorthAThread = std::size_t{1} << 17;

// Weights decoded at once: a multiple of every table's tile, and small enough for the cache.
constexpr std::size_t kPanelRows = 12;

struct PlainProduct {
  tensor::DType dtype;
  void (*KernelTable::*multiply)(const kernels::Product&);
};
constexpr std::array kPlainProducts = {
    PlainProduct{tensor::DType::kF32, &KernelTable::multiply_f32},
    PlainProduct{tensor::DType::kBF16, &KernelTable::multiply_bf16},
    PlainProduct{tensor::DType::kF16, &KernelTable::multiply_f16},
};

using MultiplyKernel = void (*)(const kernels::Product&);

// nullptr: decode first.
MultiplyKernel PlainKernel(const KernelTable& kernels, tensor::DType dtype) {
  for (const PlainProduct& plain : kPlainProducts) {
    if (plain.dtype == dtype) return kernels.*plain.multiply;
  }
  return nullptr;
}

struct ActivationRow {
  model::Activation activation;
  kernels::ActivationKernel KernelTable::*kernel;
};
constexpr std::array kActivations = {
    ActivationRow{model::Activation::kSilu, &KernelTable::silu},
    ActivationRow{model::Activation::kGeluErf, &KernelTable::gelu_erf},
    ActivationRow{model::Activation::kGeluTanh, &KernelTable::gelu_tanh},
    ActivationRow{model::Activation::kRelu, &KernelTable::relu},
};

}  // namespace

Compute::Compute(const KernelTable& kernels, int threads, Arithmetic arithmetic,
                 ManyRowsProduct many_rows)
    : kernels_(kernels), pool_(threads), arithmetic_(arithmetic), many_rows_(many_rows) {}

void Compute::For(std::size_t count, std::size_t cost,
                  FunctionRef<void(std::size_t, std::size_t)> body) {
  if (count == 0) return;
  if (count * cost < kWorthAThread) return body(0, count);
  pool_.ParallelFor(count, 1, body);
}

void Compute::Multiply(std::span<const Product> products, const float* x, std::size_t rows) {
  if (rows == 0 || products.empty()) return;
  const bool packed = std::all_of(products.begin(), products.end(), [](const Product& product) {
    return product.w->packing.has_value();
  });
  if (packed) return MultiplyPacked(products, x, rows);
  for (const Product& product : products) {
    if (product.w->packing) {
      MultiplyPacked({&product, 1}, x, rows);
    } else {
      MultiplyStored(product, x, rows);
    }
  }
}

kernels::QuantisedRows Compute::Quantise(const float* x, std::size_t rows, std::size_t inner) {
  const std::size_t blocks = (inner + kernels::kBlockInner - 1) / kernels::kBlockInner;
  quantised_.resize(blocks * rows * kernels::kBlockInner);
  scales_.resize(blocks * rows);
  sums_.resize(blocks * rows * kernels::kBlockSums);
  For(rows, 8 * inner, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      kernels_.quantise_row(x + r * inner, inner, r, rows, quantised_.data(), scales_.data(),
                            sums_.data());
    }
  });
  return {.q = quantised_.data(), .scale = scales_.data(), .sums = sums_.data(), .rows = rows};
}

// The panels of all products, one behind the other, are what the crew shares out.
void Compute::MultiplyPacked(std::span<const Product> products, const float* x, std::size_t rows) {
  const auto inner = static_cast<std::size_t>(products.front().w->columns);
  const auto kernels_of = [&](const Product& product) -> const kernels::PackedKernels& {
    return kernels_.packed[static_cast<std::size_t>(*product.w->packing)];
  };
  const auto in_bytes = [&](const Product& product) {
    return arithmetic_ == Arithmetic::kFast && kernels_of(product).multiply_int8 != nullptr;
  };
  kernels::QuantisedRows quantised;
  if (std::any_of(products.begin(), products.end(), in_bytes)) quantised = Quantise(x, rows, inner);
  std::size_t panels = 0;
  for (const Product& product : products) panels += PanelCount(product.w->rows);
  const auto part = [&](std::size_t begin, std::size_t end) {
    std::size_t first = 0;  // panel of the product at hand
    for (const Product& product : products) {
      const Matrix& w = *product.w;
      const std::size_t count = PanelCount(w.rows);
      const std::size_t from = std::max(begin, first) - first;
      const std::size_t to = std::min(end, first + count) - std::min(end, first);
      first += count;
      if (from >= to) continue;
      const std::size_t output = from * kernels::kPanelOutputs;
      const auto outputs = static_cast<std::size_t>(w.rows);
      const kernels::PackedProduct call{
          .w = w.data + from * w.panel_bytes,
          .panel_bytes = w.panel_bytes,
          .outputs = std::min(outputs, to * kernels::kPanelOutputs) - output,
          .inner = inner,
          .x = x,
          .x_stride = inner,
          .quantised = quantised,
          .bias = product.bias == nullptr ? nullptr : product.bias + output,
          .out = product.out + output,
          .out_stride = outputs,
          .rows = rows,
          .add = product.add};
      if (in_bytes(product)) {
        kernels_of(product).multiply_int8(call);
      } else {
        kernels_of(product).multiply(call);
      }
    }
  };
  For(panels, kernels::kPanelOutputs * inner * rows, part);
}

void Compute::MultiplyStored(const Product& product, const float* x, std::size_t rows) {
  const Matrix& w = *product.w;
  const auto inner = static_cast<std::size_t>(w.columns);
  const auto outputs = static_cast<std::size_t>(w.rows);
  if (product.add) {
    scratch_.resize(rows * outputs);
    MultiplyStored({.w = &w, .bias = product.bias, .out = scratch_.data()}, x, rows);
    return AddScaled(product.out, scratch_.data(), 1.0F, scratch_.size());
  }
  if (many_rows_ != nullptr && rows >= kManyRows &&
      many_rows_(w, product.bias, x, rows, threads(), product.out)) {
    return;
  }
  const MultiplyKernel plain = PlainKernel(kernels_, w.dtype);
  const auto product_of = [&](std::size_t begin, std::size_t end, const void* weights) {
    return kernels::Product{.x = x,
                            .x_stride = inner,
                            .w = weights,
                            .bias = product.bias == nullptr ? nullptr : product.bias + begin,
                            .out = product.out + begin,
                            .out_stride = outputs,
                            .rows = rows,
                            .inner = inner,
                            .outputs = end - begin};
  };
  const auto part = [&](std::size_t first, std::size_t last) {
    const std::size_t begin = first * kPanelRows;
    const std::size_t end = std::min(outputs, last * kPanelRows);
    if (plain != nullptr) return plain(product_of(begin, end, w.data + begin * w.row_bytes));
    std::vector<float> panel(kPanelRows * inner);
    for (std::size_t row = begin; row < end; row += kPanelRows) {
      const std::size_t stop = std::min(end, row + kPanelRows);
      for (std::size_t i = row; i < stop; ++i)
        DecodeRow(w, static_cast<std::int64_t>(i), {panel.data() + (i - row) * inner, inner});
      kernels_.multiply_f32(product_of(row, stop, panel.data()));
    }
  };
  For((outputs + kPanelRows - 1) / kPanelRows, kPanelRows * inner * rows, part);
}

void Compute::Normalise(const model::NormSpec& spec, const Norm& norm, const float* x,
                        std::size_t rows, std::size_t width, float* out) {
  const auto epsilon = static_cast<float>(spec.epsilon);
  For(rows, 4 * width, [&](std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      if (spec.kind == model::NormKind::kRms) {
        kernels_.rms_norm(x + r * width, norm.weight, epsilon, out + r * width, width);
      } else {
        kernels_.layer_norm(x + r * width, norm.weight, norm.bias, epsilon, out + r * width, width);
      }
    }
  });
}

void Compute::Activate(model::Activation activation, const float* gate, const float* up,
                       std::size_t n, float* out) {
  kernels::ActivationKernel kernel = nullptr;
  for (const ActivationRow& row : kActivations) {
    if (row.activation == activation) kernel = kernels_.*row.kernel;
  }
  constexpr std::size_t kChunk = 256;
  For((n + kChunk - 1) / kChunk, 16 * kChunk, [&](std::size_t first, std::size_t last) {
    const std::size_t begin = first * kChunk;
    const std::size_t end = std::min(n, last * kChunk);
    kernel(gate + begin, up == nullptr ? nullptr : up + begin, out + begin, end - begin);
  });
}

void Compute::AddScaled(float* y, const float* x, float factor, std::size_t n) {
  constexpr std::size_t kChunk = 1024;
  For((n + kChunk - 1) / kChunk, kChunk, [&](std::size_t first, std::size_t last) {
    const std::size_t begin = first * kChunk;
    kernels_.add_scaled(y + begin, x + begin, factor, std::min(n, last * kChunk) - begin);
  });
}

}  // namespace metier::engine
