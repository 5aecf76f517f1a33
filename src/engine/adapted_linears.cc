#include "engine/adapted_linears.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace metier::engine {

namespace {

const Matrix* ReplacementOf(const AdapterRun& run, const Linear& linear) {
  return run.adapter == nullptr ? nullptr : run.adapter->Replacement(linear);
}

const float* RunScales(const AdapterRun& run, const Linear& linear) {
  return run.adapter == nullptr ? nullptr : run.adapter->OutputScales(linear);
}

// Whether a run's product is not the base's with something added.
bool IsApart(const AdapterRun& run, const Linear& linear) {
  return ReplacementOf(run, linear) != nullptr || RunScales(run, linear) != nullptr;
}

const LowRank* ChangeOf(const AdapterRun& run, const Linear& linear) {
  return run.adapter == nullptr ? nullptr : run.adapter->Find(linear);
}

const Mixing* MixingOf(const AdapterRun& run) {
  return run.adapter == nullptr ? nullptr : run.adapter->mixing();
}

}  // namespace

void AdaptedLinears::Route(const Linear& linear, std::span<const AdapterRun> runs, const float* x) {
  for (const AdapterRun& run : runs) {
    const Mixing* mixing = MixingOf(run);
    if (mixing == nullptr) continue;
    for (const std::size_t router : mixing->mixture->RoutersReading(linear))
      RouteRun(run, router, x);
  }
}

void AdaptedLinears::RouteRun(const AdapterRun& run, std::size_t index, const float* x) {
  const Mixing& mixing = *run.adapter->mixing();
  const LoadedMixture& mixture = *mixing.mixture;
  const LoadedMixture::Router& router = mixture.routers()[index];
  if (choices_.size() <= router.slot) choices_.resize(router.slot + 1);
  std::vector<RowChoice>& choices = choices_[router.slot];
  choices.resize(std::max(choices.size(), run.end));
  if (!mixing.fixed.empty()) {
    std::fill(choices.begin() + static_cast<std::ptrdiff_t>(run.begin),
              choices.begin() + static_cast<std::ptrdiff_t>(run.end), mixing.fixed[index]);
    return;
  }
  const std::size_t rows = run.end - run.begin;
  const std::size_t experts = mixture.experts();
  const Matrix weight = MatrixOf(router.weight);
  scores_.resize(rows * experts);
  compute_.Multiply(weight, router.bias.f32().data(),
                    x + run.begin * static_cast<std::size_t>(weight.columns), rows, scores_.data());
  for (std::size_t r = 0; r < rows; ++r) {
    const auto scores = std::span(scores_).subspan(r * experts, experts);
    if (mixing.sums == nullptr) {
      choices[run.begin + r] = mixture.Choose(scores);
    } else {
      for (std::size_t e = 0; e < experts; ++e) (*mixing.sums)[index * experts + e] += scores[e];
    }
  }
}

void AdaptedLinears::Reserve(std::size_t linears, std::span<const AdapterRun> runs) {
  std::size_t changes = 0;
  for (const AdapterRun& run : runs) {
    const Mixing* mixing = MixingOf(run);
    changes += mixing == nullptr ? 1 : (run.end - run.begin) * mixing->mixture->top_k();
  }
  changes_.clear();
  changes_.reserve(linears * changes);
  weights_.clear();
  weights_.reserve(linears * changes);
}

std::span<const RowChange> AdaptedLinears::Collect(const Linear& linear,
                                                   std::span<const AdapterRun> runs) {
  const std::size_t first = changes_.size();
  for (const AdapterRun& run : runs) {
    if (MixingOf(run) != nullptr) {
      CollectMixed(linear, run);
    } else if (const LowRank* change = ChangeOf(run, linear)) {
      changes_.push_back({.change = change, .begin = run.begin, .end = run.end});
    }
  }
  return std::span(changes_).subspan(first);
}

// Expert by expert, so that a row adds its experts in ascending order whatever its neighbours
// chose; neighbours of one expert go together.
void AdaptedLinears::CollectMixed(const Linear& linear, const AdapterRun& run) {
  const Mixing& mixing = *run.adapter->mixing();
  const LoadedMixture& mixture = *mixing.mixture;
  const LoadedMixture::Router* router = mixture.RouterOf(linear);
  if (router == nullptr || mixing.sums != nullptr) return;
  const std::vector<RowChoice>& choices = choices_[router->slot];
  for (std::size_t e = 0; e < mixture.experts(); ++e) {
    const LowRank* change = mixture.Find(e, linear);
    if (change == nullptr) continue;
    bool joins = false;
    for (std::size_t row = run.begin; row < run.end; ++row) {
      const auto chosen = std::span(choices[row].experts).first(mixture.top_k());
      const auto found = std::find(chosen.begin(), chosen.end(), static_cast<std::int32_t>(e));
      if (found == chosen.end()) {
        joins = false;
        continue;
      }
      weights_.push_back(choices[row].weights[static_cast<std::size_t>(found - chosen.begin())]);
      if (joins) {
        ++changes_.back().end;
      } else {
        changes_.push_back(
            {.change = change, .begin = row, .end = row + 1, .weights = &weights_.back()});
      }
      joins = true;
    }
  }
}

// w x and the changes, scaled by output; then the bias, which DoRA leaves alone.
void AdaptedLinears::MultiplyScaled(const LinearOutput& output, const AdapterRun& run,
                                    std::span<const RowChange> changes, const float* x) {
  const Linear& linear = *output.linear;
  const auto width = static_cast<std::size_t>(linear.w.rows);
  const std::size_t rows = run.end - run.begin;
  scaled_.resize(rows * width);
  const Product product{.w = &linear.w, .out = scaled_.data(), .changes = changes};
  compute_.Multiply({&product, 1}, x, rows);
  const float* scales = RunScales(run, linear);
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = output.out + (run.begin + r) * width;
    const float* from = scaled_.data() + r * width;
    for (std::size_t o = 0; o < width; ++o) {
      const float y = scales[o] * from[o] + (linear.bias == nullptr ? 0.0F : linear.bias[o]);
      out[o] = output.add ? out[o] + y : y;
    }
  }
}

// Run by run, each with its own weight or the base's.
void AdaptedLinears::MultiplyApart(const LinearOutput& output, std::span<const AdapterRun> runs,
                                   const float* x) {
  const Linear& linear = *output.linear;
  const auto in = static_cast<std::size_t>(linear.w.columns);
  const auto width = static_cast<std::size_t>(linear.w.rows);
  for (const AdapterRun& run : runs) {
    const Matrix* own = ReplacementOf(run, linear);
    const std::size_t first = changes_.size();
    const std::size_t count = Collect(linear, {&run, 1}).size();
    const auto changes = std::span(changes_).subspan(first, count);
    for (RowChange& change : changes) {
      change.begin -= run.begin;
      change.end -= run.begin;
    }
    if (RunScales(run, linear) != nullptr) {
      MultiplyScaled(output, run, changes, x + run.begin * in);
      continue;
    }
    const Product product{.w = own != nullptr ? own : &linear.w,
                          .bias = linear.bias,
                          .out = output.out + run.begin * width,
                          .add = output.add,
                          .changes = changes};
    compute_.Multiply({&product, 1}, x + run.begin * in, run.end - run.begin);
  }
}

void AdaptedLinears::PutOwnRows(const LinearOutput& output, std::span<const AdapterRun> runs,
                                const float* x) {
  const auto in = static_cast<std::size_t>(output.linear->w.columns);
  const auto width = static_cast<std::size_t>(output.linear->w.rows);
  for (const AdapterRun& run : runs) {
    const OwnRows* own = run.adapter == nullptr ? nullptr : run.adapter->RowsOf(*output.linear);
    if (own == nullptr) continue;
    METIER_CHECK(!output.add && output.linear->bias == nullptr,
                 "the head is neither added nor biased");
    const std::size_t rows = run.end - run.begin;
    const std::size_t count = own->tokens.size();
    own_.resize(rows * count);
    compute_.Multiply(MatrixOf(own->values), nullptr, x + run.begin * in, rows, own_.data());
    for (std::size_t r = 0; r < rows; ++r) {
      float* out = output.out + (run.begin + r) * width;
      for (std::size_t i = 0; i < count; ++i)
        out[static_cast<std::size_t>(own->tokens[i])] = own_[r * count + i];
    }
  }
}

void AdaptedLinears::Multiply(std::span<const LinearOutput> outputs,
                              std::span<const AdapterRun> runs, const float* x, std::size_t rows) {
  constexpr std::size_t kMostOutputs = 4;
  METIER_CHECK(outputs.size() <= kMostOutputs, "linears that share an input are few");
  std::array<Product, kMostOutputs> products;
  std::size_t count = 0;
  if (outputs.empty()) return;
  Route(*outputs.front().linear, runs, x);
  Reserve(outputs.size(), runs);
  for (const LinearOutput& output : outputs) {
    const bool apart = std::any_of(runs.begin(), runs.end(), [&](const AdapterRun& run) {
      return IsApart(run, *output.linear);
    });
    if (apart) {
      MultiplyApart(output, runs, x);
    } else {
      products[count++] = {.w = &output.linear->w,
                           .bias = output.linear->bias,
                           .out = output.out,
                           .add = output.add,
                           .changes = Collect(*output.linear, runs)};
    }
  }
  compute_.Multiply(std::span(products).first(count), x, rows);
  for (const LinearOutput& output : outputs) PutOwnRows(output, runs, x);
}

void AdaptedLinears::MultiplyHidden(const model::ModelSpec& spec, const FeedForward& ffn,
                                    std::span<const AdapterRun> runs, const float* x,
                                    std::size_t rows, float* hidden) {
  if (!spec.gated) {
    Multiply(ffn.up, runs, x, rows, hidden);
    return compute_.Activate(spec.activation, hidden, nullptr,
                             rows * static_cast<std::size_t>(spec.hidden), hidden);
  }
  const bool apart = std::any_of(runs.begin(), runs.end(), [&](const AdapterRun& run) {
    return IsApart(run, ffn.gate) || IsApart(run, ffn.up);
  });
  if (apart) {  // the same bits as below, by way of memory
    space_.resize(rows * static_cast<std::size_t>(spec.hidden));
    const std::array<LinearOutput, 2> outputs = {
        {{.linear = &ffn.gate, .out = space_.data()}, {.linear = &ffn.up, .out = hidden}}};
    Multiply(outputs, runs, x, rows);
    return compute_.Activate(spec.activation, space_.data(), hidden, space_.size(), hidden);
  }
  Route(ffn.gate, runs, x);
  Reserve(2, runs);
  const RowGroup all{.ffn = &ffn,
                     .begin = 0,
                     .end = rows,
                     .gate_changes = Collect(ffn.gate, runs),
                     .up_changes = Collect(ffn.up, runs)};
  compute_.MultiplyGated(spec.activation, all, x, hidden, space_);
}

}  // namespace metier::engine
