#include "merge/methods.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/rng.h"

namespace metier::merge {
namespace {

// Elements that a thread takes at once: whole random blocks.
constexpr std::size_t kGrain = 4 * kRandomBlock;
constexpr double kLeastDivisor = 1e-8;
constexpr double kSameDirection = 0.9995;

double Divisor(double sum) { return std::fabs(sum) < kLeastDivisor ? 1 : sum; }

double Change(const Input& input, std::span<const float> base, std::size_t i) {
  return static_cast<double>(input.values[i]) - static_cast<double>(base[i]);
}

// What trimming by magnitude leaves: changes above the threshold, and of those at it the ones up to
// the element `last`.
struct Trim {
  float threshold = 0;
  std::size_t last = std::numeric_limits<std::size_t>::max();
  bool everything = true;

  bool Keeps(float magnitude, std::size_t i) const {
    return everything || magnitude > threshold || (magnitude == threshold && i <= last);
  }
};

Trim FindTrim(const Input& input, std::span<const float> base) {
  const std::size_t count = base.size();
  const auto share = static_cast<std::size_t>(input.density * static_cast<double>(count));
  const std::size_t kept = std::max<std::size_t>(share, 1);
  if (kept >= count) return {};
  std::vector<float> magnitudes(count);
  for (std::size_t i = 0; i < count; ++i)
    magnitudes[i] = static_cast<float>(std::fabs(Change(input, base, i)));
  const auto at = magnitudes.begin() + static_cast<std::ptrdiff_t>(kept - 1);
  std::nth_element(magnitudes.begin(), at, magnitudes.end(), std::greater<>());
  Trim trim{.threshold = *at, .last = 0, .everything = false};
  const auto above = std::count_if(magnitudes.begin(), magnitudes.end(),
                                   [&trim](float value) { return value > trim.threshold; });
  std::size_t equal = kept - static_cast<std::size_t>(above);  // of them stay
  for (std::size_t i = 0; equal > 0; ++i) {
    if (static_cast<float>(std::fabs(Change(input, base, i))) != trim.threshold) continue;
    trim.last = i;
    --equal;
  }
  return trim;
}

// Changes of one input, sparsified, element after element of a block.
class Changes {
 public:
  Changes(const Input& input, std::span<const float> base, const Trim& trim,
          const DeltaOptions& options, std::size_t index)
      : input_(input), base_(base), trim_(trim), options_(options), index_(index), rng_(0) {}

  void BeginBlock(std::size_t block) {
    if (options_.sparsify == Sparsify::kRandom)
      rng_ = Rng(options_.seed, RandomStream(options_.tensor, index_) + block);
  }

  // Requires elements in their order, from the beginning of a block.
  double At(std::size_t i) {
    const double change = Change(input_, base_, i);
    if (options_.sparsify == Sparsify::kMagnitude)
      return trim_.Keeps(static_cast<float>(std::fabs(change)), i) ? change : 0;
    if (options_.sparsify == Sparsify::kRandom)
      return rng_.Uniform() < input_.density ? change / input_.density : 0;
    return change;
  }

  double weight() const { return input_.weight; }

 private:
  const Input& input_;
  std::span<const float> base_;
  const Trim& trim_;
  const DeltaOptions& options_;
  std::size_t index_;
  Rng rng_;
};

// sum w_i d_i of those that count, over the sum of their weights if normalised. `weighted` holds
// the w_i d_i.
double Combine(std::span<const double> weighted, std::span<const Changes> changes,
               const DeltaOptions& options) {
  double sum = 0;
  for (const double value : weighted) sum += value;
  const double sign = sum >= 0 ? 1 : -1;
  double merged = 0;
  double weights = 0;
  for (std::size_t k = 0; k < weighted.size(); ++k) {
    if (options.elect == Elect::kYes && !(weighted[k] * sign > 0)) continue;
    merged += weighted[k];
    weights += changes[k].weight();
  }
  return options.normalize == Normalize::kYes ? merged / Divisor(weights) : merged;
}

}  // namespace

void MergeLinear(std::span<const Input> inputs, Normalize normalize, ThreadPool& pool,
                 std::span<float> out) {
  METIER_CHECK(!inputs.empty(), "a mean of nothing");
  double weights = 0;
  for (const Input& input : inputs) weights += input.weight;
  const double divisor = normalize == Normalize::kYes ? Divisor(weights) : 1;
  pool.ParallelFor(out.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      // Begun with the first product and not with 0, which would make a plus of minus 0.
      double sum = inputs[0].weight * static_cast<double>(inputs[0].values[i]);
      for (const Input& input : inputs.subspan(1))
        sum += input.weight * static_cast<double>(input.values[i]);
      out[i] = static_cast<float>(sum / divisor);
    }
  });
}

void MergeSlerp(std::span<const float> a, std::span<const float> b, double t, ThreadPool& pool,
                std::span<float> out) {
  // Products summed block by block, so that threads do not change the order.
  const std::size_t blocks = (out.size() + kGrain - 1) / kGrain;
  std::vector<std::array<double, 3>> sums(blocks);
  pool.ParallelFor(blocks, 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t block = begin; block < end; ++block) {
      std::array<double, 3> sum{};
      for (std::size_t i = block * kGrain; i < std::min(out.size(), (block + 1) * kGrain); ++i) {
        const auto x = static_cast<double>(a[i]);
        const auto y = static_cast<double>(b[i]);
        sum[0] += x * x;
        sum[1] += y * y;
        sum[2] += x * y;
      }
      sums[block] = sum;
    }
  });
  std::array<double, 3> total{};
  for (const auto& sum : sums) {
    for (std::size_t k = 0; k < total.size(); ++k) total[k] += sum[k];
  }
  const double lengths = std::sqrt(total[0]) * std::sqrt(total[1]);
  const double cosine = lengths > 0 ? total[2] / lengths : 1;
  double of_a = 1 - t;
  double of_b = t;
  if (std::fabs(cosine) <= kSameDirection) {
    const double angle = std::acos(cosine);
    of_a = std::sin((1 - t) * angle) / std::sin(angle);
    of_b = std::sin(t * angle) / std::sin(angle);
  }
  pool.ParallelFor(out.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      out[i] =
          static_cast<float>(of_a * static_cast<double>(a[i]) + of_b * static_cast<double>(b[i]));
  });
}

std::uint64_t RandomStream(std::string_view tensor, std::size_t input) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  const auto add = [&hash](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3ULL; };
  for (const char c : tensor) add(static_cast<unsigned char>(c));
  for (; input > 0; input >>= 8) add(input & 0xff);
  return hash;
}

void MergeDeltas(std::span<const float> base, std::span<const Input> inputs,
                 const DeltaOptions& options, ThreadPool& pool, std::span<float> out) {
  std::vector<Trim> trims(inputs.size());
  if (options.sparsify == Sparsify::kMagnitude) {
    pool.ParallelFor(inputs.size(), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t k = begin; k < end; ++k) trims[k] = FindTrim(inputs[k], base);
    });
  }
  pool.ParallelFor(out.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    std::vector<Changes> changes;
    for (std::size_t k = 0; k < inputs.size(); ++k)
      changes.emplace_back(inputs[k], base, trims[k], options, k);
    std::vector<double> weighted(inputs.size());
    for (std::size_t i = begin; i < end; ++i) {
      if (i % kRandomBlock == 0) {
        for (Changes& change : changes) change.BeginBlock(i / kRandomBlock);
      }
      for (std::size_t k = 0; k < changes.size(); ++k)
        weighted[k] = changes[k].weight() * changes[k].At(i);
      const double change = options.lambda * Combine(weighted, changes, options);
      out[i] = change == 0 ? base[i] : static_cast<float>(static_cast<double>(base[i]) + change);
    }
  });
}

void MergeScaled(std::span<const float> values, double scale, ThreadPool& pool,
                 std::span<float> out) {
  pool.ParallelFor(out.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      out[i] = static_cast<float>(scale * static_cast<double>(values[i]));
  });
}

}  // namespace metier::merge
