#include "engine/compute.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "engine/packing.h"

namespace metier::engine {

using kernels::KernelTable;

namespace {

// Below this many multiplications waking a thread (about 10 us) costs more than it saves.
constexpr std::size_t kWorthAThread = std::size_t{1} << 17;

// Weights decoded at once: a multiple of every table's tile, and small enough for the cache.
constexpr std::size_t kPanelRows = 12;

// Zeros of a row from which on skipping them is faster than multiplying (bench/zeros_bench.cc).
constexpr std::size_t kWorthSkippingPercent = 50;

// Bit i is set where x[i] is not zero; n <= 32.
std::uint32_t NonzeroMask(const float* x, std::size_t n) {
  std::uint32_t mask = 0;
  for (std::size_t i = 0; i < n; ++i) mask |= static_cast<std::uint32_t>(x[i] != 0) << i;
  return mask;
}

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

kernels::ActivationKernel ActivationKernelOf(const KernelTable& kernels,
                                             model::Activation activation) {
  for (const ActivationRow& row : kActivations) {
    if (row.activation == activation) return kernels.*row.kernel;
  }
  return nullptr;
}

const kernels::PackedKernels& KernelsOf(const KernelTable& kernels, const Matrix& w) {
  return kernels.packed[static_cast<std::size_t>(*w.packing)];
}

}  // namespace

std::optional<Arithmetic> ArithmeticFromName(std::string_view name) {
  if (name == "exact") return Arithmetic::kExact;
  if (name == "fast") return Arithmetic::kFast;
  return std::nullopt;
}

Compute::Compute(const KernelTable& kernels, int threads, Arithmetic arithmetic)
    : kernels_(kernels), pool_(threads), arithmetic_(arithmetic) {}

void Compute::For(std::size_t count, std::size_t cost,
                  FunctionRef<void(std::size_t, std::size_t)> body) {
  if (count == 0) return;
  if (count * cost < kWorthAThread) return body(0, count);
  pool_.ParallelFor(count, 1, body);
}

void Compute::ReadsAfterwards(std::initializer_list<const Matrix*> weights) {
  afterwards_ = {};
  std::copy(weights.begin(), weights.end(), afterwards_.begin());
}

std::span<const std::byte> Compute::AheadOf(int thread) const {
  // What a thread fetches while another one brings a row into the form of a product.
  constexpr std::size_t kBytes = std::size_t{256} << 10;
  std::size_t panels = 0;
  for (const Matrix* w : afterwards_) {
    if (w == nullptr) break;
    if (!w->packing) return {};
    panels += PanelCount(w->rows);
  }
  if (panels == 0) return {};
  std::size_t panel = pool_.FirstOf(thread, panels, 1);
  std::size_t i = 0;
  for (; panel >= PanelCount(afterwards_[i]->rows); ++i) panel -= PanelCount(afterwards_[i]->rows);
  const Matrix& w = *afterwards_[i];
  const std::size_t left = (PanelCount(w.rows) - panel) * w.panel_bytes;
  return {w.data + panel * w.panel_bytes, std::min(kBytes, left)};
}

void Compute::ForPanels(std::size_t panels, std::size_t rows, std::size_t cost,
                        FunctionRef<void(std::size_t, std::size_t)> body) {
  constexpr std::size_t kFewRows = 16;  // more of them wait for their products, not for weights
  for (int thread = 0; thread < threads(); ++thread)
    pool_.FetchAhead(thread, rows <= kFewRows ? AheadOf(thread) : std::span<const std::byte>());
  afterwards_ = {};
  For(panels, cost, body);
}

void Compute::Multiply(std::span<const Product> products, const float* x, std::size_t rows) {
  if (rows == 0 || products.empty()) return;
  const bool one_order = std::all_of(products.begin(), products.end(), [&](const Product& product) {
    return product.w->input_order == products.front().w->input_order;
  });
  if (!one_order) {
    for (const Product& product : products) Multiply({&product, 1}, x, rows);
    return;
  }
  const bool packed = std::all_of(products.begin(), products.end(), [](const Product& product) {
    return product.w->packing.has_value();
  });
  if (packed) return MultiplyPacked(products, x, rows);
  for (const Product& product : products) {
    if (product.w->packing) {
      MultiplyPacked({&product, 1}, x, rows);
    } else {
      MultiplyStored(product, InOrder(*product.w, x, rows), rows);
      AddChanges(product, x, rows);
    }
  }
}

bool Compute::InBytes(const Matrix& w) const {
  return arithmetic_ == Arithmetic::kFast && KernelsOf(kernels_, w).multiply_int8 != nullptr;
}

bool Compute::InPairs(const Matrix& w) const {
  return arithmetic_ == Arithmetic::kFast && KernelsOf(kernels_, w).multiply_bf16 != nullptr;
}

Compute::PackedInput Compute::RowsOf(const PackedInput& input, std::size_t row, std::size_t rows) {
  PackedInput part = input;
  part.row += row;
  part.rows = rows;
  part.x += row * input.inner;
  if (part.rounded != nullptr) part.rounded += row * input.rounded_stride;
  if (part.quantised.q != nullptr) {
    part.quantised.q += row * kernels::kBlockInner;
    part.quantised.scale += row;
    part.quantised.sums += row * kernels::kBlockSums;
  }
  if (part.nonzero != nullptr) part.nonzero += row;
  return part;
}

const std::uint32_t* const* Compute::MarkZeros(const float* x, std::size_t rows,
                                               std::size_t inner) {
  const std::size_t groups = (inner + kernels::kGroupInner - 1) / kernels::kGroupInner;
  marks_.resize(rows * groups);
  nonzero_.assign(rows, nullptr);
  for (std::size_t r = 0; r < rows; ++r) {
    std::uint32_t* marks = marks_.data() + r * groups;
    std::size_t zeros = 0;
    // A row that begins without a zero is taken for one that has few.
    for (std::size_t g = 0; g < groups && (g == 0 || zeros > 0); ++g) {
      const std::size_t begin = g * kernels::kGroupInner;
      const std::size_t n = std::min(kernels::kGroupInner, inner - begin);
      marks[g] = NonzeroMask(x + r * inner + begin, n);
      zeros += n - static_cast<std::size_t>(std::popcount(marks[g]));
    }
    if (zeros * 100 >= kWorthSkippingPercent * inner) nonzero_[r] = marks;
  }
  return nonzero_.data();
}

void Compute::AddForm(const Matrix& w, Forms& forms) const {
  forms.bytes = forms.bytes || InBytes(w);
  forms.pairs = forms.pairs || InPairs(w);
  forms.floats = forms.floats || !(InBytes(w) || InPairs(w));
}

Compute::PackedInput Compute::Prepare(Forms forms, const float* x, std::size_t rows,
                                      std::size_t inner) {
  PackedInput input{.x = x,
                    .row = 0,
                    .rows = rows,
                    .inner = inner,
                    .quantised = {},
                    .rounded = nullptr,
                    .rounded_stride = 0,
                    .nonzero = forms.nonzero ? MarkZeros(x, rows, inner) : nullptr};
  if (forms.pairs) {
    input.rounded_stride = (inner + 1) / 2 * 2;
    rounded_.resize(rows * input.rounded_stride);
    input.rounded = rounded_.data();
  }
  if (forms.bytes) {
    const std::size_t blocks = (inner + kernels::kBlockInner - 1) / kernels::kBlockInner;
    quantised_.resize(blocks * rows * kernels::kBlockInner);
    scales_.resize(blocks * rows);
    sums_.resize(blocks * rows * kernels::kBlockSums);
    input.quantised = {
        .q = quantised_.data(), .scale = scales_.data(), .sums = sums_.data(), .rows = rows};
  }
  const std::size_t formed = forms.pairs || forms.bytes ? rows : 0;
  const std::size_t tasks = formed + shrinks_.size();
  const std::size_t cost = 8 * inner * formed + shrink_cost_;
  For(tasks, tasks == 0 ? 0 : cost / tasks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      if (i < formed) {
        Form(forms, input, i);
      } else {
        RunShrink(shrinks_[i - formed]);
      }
    }
  });
  shrinks_.clear();
  shrink_cost_ = 0;
  return input;
}

const float* Compute::InOrder(std::span<const RowGroup> groups, OrderOf order_of, const float* x,
                              std::size_t inner) {
  if (std::all_of(groups.begin(), groups.end(),
                  [&](const RowGroup& group) { return order_of(group) == nullptr; }))
    return x;
  ordered_.resize(groups.back().end * inner);
  for (const RowGroup& group : groups) {
    const std::uint32_t* order = order_of(group);
    For(group.end - group.begin, inner, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = group.begin + begin; row < group.begin + end; ++row) {
        const float* from = x + row * inner;
        float* to = ordered_.data() + row * inner;
        for (std::size_t i = 0; i < inner; ++i) to[i] = from[order == nullptr ? i : order[i]];
      }
    });
  }
  return ordered_.data();
}

const float* Compute::InOrder(const Matrix& w, const float* x, std::size_t rows) {
  const RowGroup all{.begin = 0, .end = rows};
  return InOrder(
      {&all, 1}, [&](const RowGroup&) { return w.input_order; }, x,
      static_cast<std::size_t>(w.columns));
}

void Compute::Form(Forms forms, const PackedInput& input, std::size_t r) {
  const float* x = input.x + r * input.inner;
  if (forms.pairs) {
    std::uint16_t* row = rounded_.data() + r * input.rounded_stride;
    row[input.rounded_stride - 1] = 0;
    kernels_.round_bf16(x, input.inner, row);
  }
  if (forms.bytes) {
    kernels_.quantise_row(x, input.inner, r, input.rows, quantised_.data(), scales_.data(),
                          sums_.data());
  }
}

void Compute::MultiplyPanels(const Product& product, const float* low, const PackedInput& input,
                             std::size_t from, std::size_t to, float* out,
                             std::size_t out_stride) const {
  const Matrix& w = *product.w;
  const std::size_t output = from * kernels::kPanelOutputs;
  const std::size_t end = std::min(static_cast<std::size_t>(w.rows), to * kernels::kPanelOutputs);
  std::array<kernels::Stretch, 32> ahead;
  const kernels::PackedProduct call{
      .w = w.data + from * w.panel_bytes,
      .panel_bytes = w.panel_bytes,
      .outputs = end - output,
      .inner = input.inner,
      .x = input.x,
      .x_stride = input.inner,
      .quantised = input.quantised,
      .x_bf16 = input.rounded,
      .x_bf16_stride = input.rounded_stride,
      .nonzero = input.nonzero == nullptr ? nullptr : *input.nonzero,
      .bias = product.bias == nullptr ? nullptr : product.bias + output,
      .out = out,
      .out_stride = out_stride,
      .rows = input.rows,
      .add = product.add,
      .ahead = ahead.data(),
      .ahead_count = StretchesOf(product.changes, from, to, ahead)};
  PackedKernelOf(w, call)(call);
  Expand(product.changes, low, input.row, input.rows, from, to, out, out_stride);
}

kernels::PackedKernel Compute::PackedKernelOf(const Matrix& w,
                                              const kernels::PackedProduct& call) const {
  const kernels::PackedKernels& kernels = KernelsOf(kernels_, w);
  if (InBytes(w)) return kernels.multiply_int8;
  if (InPairs(w)) return kernels.multiply_bf16;
  const bool skips = call.rows == 1 && call.nonzero != nullptr;
  return skips && kernels.multiply_nonzero != nullptr ? kernels.multiply_nonzero : kernels.multiply;
}

// The panels of all products, one behind the other, are what the crew shares out.
void Compute::MultiplyPacked(std::span<const Product> products, const float* x, std::size_t rows) {
  Forms forms;
  std::size_t panels = 0;
  for (const Product& product : products) {
    AddForm(*product.w, forms);
    panels += PanelCount(product.w->rows);
  }
  forms.nonzero = forms.floats && rows == 1;
  PlanChanges(
      products.size(), [&](std::size_t i) { return products[i].changes; }, x);
  const Matrix& first_w = *products.front().w;
  const PackedInput input =
      Prepare(forms, InOrder(first_w, x, rows), rows, static_cast<std::size_t>(first_w.columns));
  const std::size_t cost = kernels::kPanelOutputs * input.inner * rows;
  ForPanels(panels, rows, cost, [&](std::size_t begin, std::size_t end) {
    std::size_t first = 0;  // panel of the product at hand
    for (std::size_t i = 0; i < products.size(); ++i) {
      const Product& product = products[i];
      const std::size_t count = PanelCount(product.w->rows);
      const std::size_t from = std::clamp(begin, first, first + count) - first;
      const std::size_t to = std::clamp(end, first, first + count) - first;
      first += count;
      if (from == to) continue;
      MultiplyPanels(product, Low(i), input, from, to, product.out + from * kernels::kPanelOutputs,
                     static_cast<std::size_t>(product.w->rows));
    }
  });
}

void Compute::MultiplyGated(model::Activation activation, const RowGroup& group, const float* x,
                            float* out, std::vector<float>& space) {
  const FeedForward& ffn = *group.ffn;
  if (ffn.gate.w.packing && ffn.up.w.packing && ffn.gate.w.input_order == ffn.up.w.input_order)
    return MultiplyGated(activation, {&group, 1}, x, out);
  space.resize(group.end * static_cast<std::size_t>(ffn.gate.w.rows));
  const std::array<Product, 2> products = {
      {{.w = &ffn.gate.w,
        .bias = ffn.gate.bias,
        .out = space.data(),
        .changes = group.gate_changes},
       {.w = &ffn.up.w, .bias = ffn.up.bias, .out = out, .changes = group.up_changes}}};
  Multiply(products, x, group.end);
  Activate(activation, space.data(), out, space.size(), out);
}

void Compute::MultiplyGatedPanels(kernels::ActivationKernel act, const RowGroup& group,
                                  std::size_t index, const PackedInput& input, std::size_t from,
                                  std::size_t to, float* out) const {
  // Rows whose two panels the second-level cache holds. Fewer of them take several panels of gate,
  // then those of up: what is read is the longer in one stretch.
  constexpr std::size_t kRows = 256;
  constexpr std::size_t kWidth = kernels::kPanelOutputs;
  alignas(64) std::array<float, kRows * kWidth> gates;
  alignas(64) std::array<float, kRows * kWidth> ups;
  const FeedForward& ffn = *group.ffn;
  const auto hidden = static_cast<std::size_t>(ffn.gate.w.rows);
  const Product gate{.w = &ffn.gate.w, .bias = ffn.gate.bias, .changes = group.gate_changes};
  const Product up{.w = &ffn.up.w, .bias = ffn.up.bias, .changes = group.up_changes};
  for (std::size_t begin = group.begin; begin < group.end; begin += kRows) {
    const PackedInput part = RowsOf(input, begin, std::min(kRows, group.end - begin));
    const std::size_t together = std::min(kRows / part.rows, to - from);
    for (std::size_t panel = from; panel < to; panel += together) {
      const std::size_t stop = std::min(to, panel + together);
      const std::size_t stride = (stop - panel) * kWidth;
      const std::size_t width = std::min(stride, hidden - panel * kWidth);
      MultiplyPanels(gate, Low(2 * index), part, panel, stop, gates.data(), stride);
      MultiplyPanels(up, Low(2 * index + 1), part, panel, stop, ups.data(), stride);
      for (std::size_t r = 0; r < part.rows; ++r) {
        act(gates.data() + r * stride, ups.data() + r * stride,
            out + (begin + r) * hidden + panel * kWidth, width);
      }
    }
  }
}

void Compute::MultiplyGated(model::Activation activation, std::span<const RowGroup> groups,
                            const float* x, float* out) {
  const Matrix& shape = groups.front().ffn->gate.w;
  const auto inner = static_cast<std::size_t>(shape.columns);
  const std::size_t rows = groups.back().end;
  Forms forms;
  for (const RowGroup& group : groups) {
    AddForm(group.ffn->gate.w, forms);
    AddForm(group.ffn->up.w, forms);
  }
  const auto changes_of = [&](std::size_t i) {
    return i % 2 == 0 ? groups[i / 2].gate_changes : groups[i / 2].up_changes;
  };
  PlanChanges(2 * groups.size(), changes_of, x);
  const auto order_of = [](const RowGroup& group) { return group.ffn->gate.w.input_order; };
  const PackedInput input = Prepare(forms, InOrder(groups, order_of, x, inner), rows, inner);
  const kernels::ActivationKernel act = ActivationKernelOf(kernels_, activation);
  const std::size_t panels = PanelCount(shape.rows);
  const std::size_t cost = 2 * kernels::kPanelOutputs * inner * rows / groups.size();
  ForPanels(groups.size() * panels, rows, cost, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end;) {
      const std::size_t group = i / panels;
      const std::size_t stop = std::min(end, (group + 1) * panels);
      MultiplyGatedPanels(act, groups[group], group, input, i % panels, i % panels + stop - i, out);
      i = stop;
    }
  });
}

void Compute::MultiplyDown(std::span<const RowGroup> groups, const float* x, float* out) {
  const Matrix& shape = groups.front().ffn->down.w;
  const auto inner = static_cast<std::size_t>(shape.columns);
  const auto width = static_cast<std::size_t>(shape.rows);
  const std::size_t rows = groups.back().end;
  Forms forms;
  for (const RowGroup& group : groups) {
    AddForm(group.ffn->down.w, forms);
    forms.nonzero = forms.nonzero || (forms.floats && group.end - group.begin == 1);
  }
  const auto order_of = [](const RowGroup& group) { return group.ffn->down.w.input_order; };
  const PackedInput input = Prepare(forms, InOrder(groups, order_of, x, inner), rows, inner);
  const std::size_t panels = PanelCount(shape.rows);
  const std::size_t cost = kernels::kPanelOutputs * inner * rows / groups.size();
  For(groups.size() * panels, cost, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const RowGroup& group = groups[i / panels];
      const Linear& down = group.ffn->down;
      const std::size_t panel = i % panels;
      MultiplyPanels({.w = &down.w, .bias = down.bias}, nullptr,
                     RowsOf(input, group.begin, group.end - group.begin), panel, panel + 1,
                     out + group.begin * width + panel * kernels::kPanelOutputs, width);
    }
  });
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
    thread_local std::vector<float> panel;  // kept between products for its memory
    panel.resize(std::max(panel.size(), kPanelRows * inner));
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
  const kernels::ActivationKernel kernel = ActivationKernelOf(kernels_, activation);
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
