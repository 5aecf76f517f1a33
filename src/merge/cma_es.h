// merge/cma_es.h - CMA-ES: the minimum of a function that can be evaluated and nothing else.
//
// Hansen, "The CMA Evolution Strategy: A Tutorial" (arXiv 1604.00772v2): full covariance, weighted
// recombination with negative weights (equation 47), cumulative step-size adaptation, all constants
// as in its table 1. Points are asked for, valued by the caller in any order or place, and told:
//
//   METIER_ASSIGN(CmaEs search, CmaEs::Create({.start = {0.5, 0.5}, .sigma = 0.3}));
//   while (!enough) {
//     const std::vector<std::vector<double>> points = search.Ask();
//     METIER_TRY(search.Tell(ValuesOf(points)));
//   }
//
// Bounds: the search itself knows none. Outside of [lower, upper] the function is continued by
// reflection, and Ask gives the reflected points, which lie inside.
//
// The same seed and values give the same points, to the bit, also after ToJson and FromJson between
// two generations. Cost of a generation: order n^3 + population n^2. Threads: one at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/rng.h"

namespace metier::merge {

struct CmaEsOptions {
  std::vector<double> start;    // [n], the first mean, inside of the bounds
  double sigma = 0.3;           // the first standard deviation in every direction
  std::vector<double> lower;    // [n], or empty: no bounds
  std::vector<double> upper;    // [n], alike
  std::int64_t population = 0;  // points of a generation, at least 3; 0: 4 + floor(3 ln n)
  std::uint64_t seed = 1;
};

class CmaEs {
 public:
  // kInvalidArgument: no dimension, a sigma that is not positive, bounds that do not enclose the
  // start or are of another length, a population of 1 or 2.
  static Result<CmaEs> Create(CmaEsOptions options);

  // The next generation, [population][n]. Asked again before Tell: the same.
  std::vector<std::vector<double>> Ask();

  // Values of the points of the last Ask, in their order. What is not a number counts as worse than
  // everything. kInvalidArgument: nothing was asked, or another number of values.
  Status Tell(std::span<const double> values);

  std::int64_t dimensions() const { return static_cast<std::int64_t>(mean_.size()); }
  std::int64_t population() const { return options_.population; }
  std::int64_t generation() const { return generation_; }  // told so far
  double sigma() const { return sigma_; }
  // The centre of the search, reflected into the bounds.
  std::vector<double> mean() const;

  // The whole state between two generations; points that were asked and not told are forgotten,
  // and asked again.
  Json ToJson() const;
  // kDataCorrupt: a document that ToJson did not write, by the key that is wrong.
  static Result<CmaEs> FromJson(const Json& document);

 private:
  struct Constants;

  CmaEs(CmaEsOptions options, Rng rng) : options_(std::move(options)), rng_(rng) {}

  std::vector<double> Reflected(const std::vector<double>& point) const;

  CmaEsOptions options_;
  Rng rng_;
  std::int64_t generation_ = 0;
  double sigma_ = 0;
  std::vector<double> mean_;        // [n]
  std::vector<double> covariance_;  // [n, n], symmetric
  std::vector<double> path_c_;      // [n], evolution path of the covariance
  std::vector<double> path_sigma_;  // [n], conjugate evolution path
  // Of the points that were asked and not told: [population][n], before reflection; and the
  // generator as it was before them.
  std::vector<std::vector<double>> asked_;
  Rng::State rng_before_{};
};

}  // namespace metier::merge
