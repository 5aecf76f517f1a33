#include "engine/adapted_linears.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace metier::engine {

namespace {

const Matrix* ReplacementOf(const AdapterRun& run, const Linear& linear) {
  return run.adapter == nullptr ? nullptr : run.adapter->Replacement(linear);
}

const LowRank* ChangeOf(const AdapterRun& run, const Linear& linear) {
  return run.adapter == nullptr ? nullptr : run.adapter->Find(linear);
}

}  // namespace

void AdaptedLinears::Reserve(std::size_t linears, std::span<const AdapterRun> runs) {
  changes_.clear();
  changes_.reserve(linears * runs.size());
}

std::span<const RowChange> AdaptedLinears::Collect(const Linear& linear,
                                                   std::span<const AdapterRun> runs) {
  const std::size_t first = changes_.size();
  for (const AdapterRun& run : runs) {
    if (const LowRank* change = ChangeOf(run, linear))
      changes_.push_back({.change = change, .begin = run.begin, .end = run.end});
  }
  return std::span(changes_).subspan(first);
}

// Run by run, each with its own weight or the base's.
void AdaptedLinears::MultiplyReplaced(const LinearOutput& output, std::span<const AdapterRun> runs,
                                      const float* x) {
  const Linear& linear = *output.linear;
  const auto in = static_cast<std::size_t>(linear.w.columns);
  const auto width = static_cast<std::size_t>(linear.w.rows);
  for (const AdapterRun& run : runs) {
    const Matrix* own = ReplacementOf(run, linear);
    const RowChange change{.change = ChangeOf(run, linear), .begin = 0, .end = run.end - run.begin};
    const Product product{.w = own != nullptr ? own : &linear.w,
                          .bias = linear.bias,
                          .out = output.out + run.begin * width,
                          .add = output.add,
                          .changes = {&change, change.change == nullptr ? 0U : 1U}};
    compute_.Multiply({&product, 1}, x + run.begin * in, run.end - run.begin);
  }
}

void AdaptedLinears::Multiply(std::span<const LinearOutput> outputs,
                              std::span<const AdapterRun> runs, const float* x, std::size_t rows) {
  constexpr std::size_t kMostOutputs = 4;
  METIER_CHECK(outputs.size() <= kMostOutputs, "linears that share an input are few");
  std::array<Product, kMostOutputs> products;
  std::size_t count = 0;
  Reserve(outputs.size(), runs);
  for (const LinearOutput& output : outputs) {
    const bool replaced = std::any_of(runs.begin(), runs.end(), [&](const AdapterRun& run) {
      return ReplacementOf(run, *output.linear) != nullptr;
    });
    if (replaced) {
      MultiplyReplaced(output, runs, x);
    } else {
      products[count++] = {.w = &output.linear->w,
                           .bias = output.linear->bias,
                           .out = output.out,
                           .add = output.add,
                           .changes = Collect(*output.linear, runs)};
    }
  }
  compute_.Multiply(std::span(products).first(count), x, rows);
}

void AdaptedLinears::MultiplyHidden(const model::ModelSpec& spec, const FeedForward& ffn,
                                    std::span<const AdapterRun> runs, const float* x,
                                    std::size_t rows, float* hidden) {
  if (!spec.gated) {
    Multiply(ffn.up, runs, x, rows, hidden);
    return compute_.Activate(spec.activation, hidden, nullptr,
                             rows * static_cast<std::size_t>(spec.hidden), hidden);
  }
  Reserve(2, runs);
  const RowGroup all{.ffn = &ffn,
                     .begin = 0,
                     .end = rows,
                     .gate_changes = Collect(ffn.gate, runs),
                     .up_changes = Collect(ffn.up, runs)};
  compute_.MultiplyGated(spec.activation, all, x, hidden, space_);
}

}  // namespace metier::engine
