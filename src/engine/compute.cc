#include "engine/compute.h"

#include <algorithm>
#include <array>
#include <vector>

namespace metier::engine {

using kernels::KernelTable;
using kernels::Product;

namespace {

// Below this many multiplications waking a thread (about 10 us) costs more than it saves.
constexpr std::size_t kWorthAThread = std::size_t{1} << 17;

// Weights decoded at once: a multiple of every table's tile, and small enough for the cache.
constexpr std::size_t kPanelRows = 12;

struct PlainProduct {
  tensor::DType dtype;
  void (*KernelTable::*multiply)(const Product&);
};
constexpr std::array kPlainProducts = {
    PlainProduct{tensor::DType::kF32, &KernelTable::multiply_f32},
    PlainProduct{tensor::DType::kBF16, &KernelTable::multiply_bf16},
    PlainProduct{tensor::DType::kF16, &KernelTable::multiply_f16},
};

using MultiplyKernel = void (*)(const Product&);

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

Compute::Compute(const KernelTable& kernels, int threads, ManyRowsProduct many_rows)
    : kernels_(kernels), pool_(threads), many_rows_(many_rows) {}

void Compute::For(std::size_t count, std::size_t cost,
                  const std::function<void(std::size_t, std::size_t)>& body) {
  if (count == 0) return;
  if (count * cost < kWorthAThread) return body(0, count);
  pool_.ParallelFor(count, 1, body);
}

void Compute::Multiply(const Matrix& w, const float* bias, const float* x, std::size_t rows,
                       float* out) {
  if (many_rows_ != nullptr && rows >= kManyRows && many_rows_(w, bias, x, rows, threads(), out)) {
    return;
  }
  const auto inner = static_cast<std::size_t>(w.columns);
  const auto outputs = static_cast<std::size_t>(w.rows);
  const MultiplyKernel plain = PlainKernel(kernels_, w.dtype);
  const auto product_of = [&](std::size_t begin, std::size_t end, const void* weights) {
    return Product{.x = x,
                   .x_stride = inner,
                   .w = weights,
                   .bias = bias == nullptr ? nullptr : bias + begin,
                   .out = out + begin,
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
