// merge/methods.h - what a merge computes with one tensor of every model.
//
// x_0 is the base, x_i model i with weight w_i, d_i = x_i - x_0 what its training changed; all
// element by element, values F32, sums in double and rounded once.
//
//   linear           y = sum w_i x_i, over sum w_i when normalised                (model soups)
//   slerp            along the great circle from a to b                          (Shoemake 1985)
//   task_arithmetic  y = x_0 + lambda sum w_i d_i             (Ilharco et al. 2022, section 4.2)
//   ties             d_i trimmed: of the density's share of largest magnitude the others are 0;
//                    the sign of sum w_i d_i is elected; only w_i d_i of that sign are summed,
//                    and divided by the sum of their w_i when normalised: their mean
//                                                             (Yadav et al. 2023, algorithm 1)
//   dare             d_i kept with probability density and divided by it, else 0; with or without
//                    the election of signs                        (Yu et al. 2023, equation 2)
//
// A model merged with itself is itself to the bit, by linear, by slerp, and by the others where the
// base is that model as well. `out` has as many elements as every input and overlaps none. The bits
// depend on neither the number of threads nor the order in which tensors are merged.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/thread_pool.h"

namespace metier::merge {

struct Input {
  std::span<const float> values;
  double weight = 1;
  double density = 1;  // share of the changes that is kept: in (0, 1]
};

enum class Normalize { kNo, kYes };

// Requires inputs. Weights whose sum is below 1e-8 are not divided by it.
void MergeLinear(std::span<const Input> inputs, Normalize normalize, ThreadPool& pool,
                 std::span<float> out);

// The tensor as one vector: sin((1 - t) angle) / sin(angle) a + sin(t angle) / sin(angle) b, the
// angle being the one between a and b. Where they point (almost) the same or the opposite way
// (|cos| > 0.9995), or one of them is 0, the straight line: (1 - t) a + t b.
void MergeSlerp(std::span<const float> a, std::span<const float> b, double t, ThreadPool& pool,
                std::span<float> out);

enum class Sparsify { kNone, kMagnitude, kRandom };
enum class Elect { kNo, kYes };

struct DeltaOptions {
  Sparsify sparsify = Sparsify::kNone;
  Elect elect = Elect::kNo;
  Normalize normalize = Normalize::kNo;
  double lambda = 1;
  // kRandom: what is dropped of the input at place i depends on these, on i, and on nothing else.
  std::uint64_t seed = 1;
  std::string_view tensor;
};

// Of kMagnitude, floor(density * elements) changes stay, at least one; of equal ones the earlier.
// Without inputs: the base. Memory: one float an element for each thread with kMagnitude.
void MergeDeltas(std::span<const float> base, std::span<const Input> inputs,
                 const DeltaOptions& options, ThreadPool& pool, std::span<float> out);

// Elements that draw from one random stream, in their order: what kRandom drops is
// Rng(seed, RandomStream(tensor, input) + block).Uniform() >= density for each of a block.
inline constexpr std::size_t kRandomBlock = 4096;
std::uint64_t RandomStream(std::string_view tensor, std::size_t input);

void MergeScaled(std::span<const float> values, double scale, ThreadPool& pool,
                 std::span<float> out);

}  // namespace metier::merge
