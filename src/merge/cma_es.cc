#include "merge/cma_es.h"

#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "recipe/fields.h"

namespace metier::merge {
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

Error InvalidSearch(std::string message) {
  return Error(ErrorCode::kInvalidArgument, "search: " + std::move(message));
}

Eigen::Map<Vector> View(std::vector<double>& values) {
  return {values.data(), static_cast<Eigen::Index>(values.size())};
}

std::int64_t DefaultPopulation(double n) {
  return 4 + static_cast<std::int64_t>(std::floor(3 * std::log(n)));
}

// C = B D^2 B^T. Rounding may leave eigenvalues a little below zero; the deviation along them is
// then none.
struct Axes {
  Matrix b;
  Vector d;

  Axes(const std::vector<double>& covariance, Eigen::Index n) {
    const Eigen::Map<const Matrix> c(covariance.data(), n, n);
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(c);
    b = solver.eigenvectors();
    d = solver.eigenvalues().cwiseMax(0).cwiseSqrt();
  }

  // C^(-1/2) y, along the axes that have a deviation.
  Vector Whiten(const Vector& y) const {
    Vector along = b.transpose() * y;
    for (Eigen::Index i = 0; i < along.size(); ++i) along[i] = d[i] > 0 ? along[i] / d[i] : 0;
    return b * along;
  }
};

// The state as a document, one list of fields for both ways.
struct SearchState {
  std::int64_t population = 0;
  std::vector<double> lower;
  std::vector<double> upper;
  Json rng;
  std::int64_t generation = 0;
  double sigma = 0;
  std::vector<double> mean;
  std::vector<double> covariance;
  std::vector<double> path_c;
  std::vector<double> path_sigma;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("population", population, "points of a generation").AtLeast(3).Required();
    field("lower", lower, "bounds, or nothing").Required();
    field("upper", upper, "bounds, or nothing").Required();
    field("rng", rng, "the generator's words").Required();
    field("generation", generation, "told so far").AtLeast(0).Required();
    field("sigma", sigma, "step size").Above(0).Required();
    field("mean", mean, "[n]").Required();
    field("covariance", covariance, "[n, n]").Required();
    field("path_c", path_c, "[n]").Required();
    field("path_sigma", path_sigma, "[n]").Required();
  }
};

Status CheckBounds(const std::vector<double>& lower, const std::vector<double>& upper,
                   const std::vector<double>& start) {
  if (lower.empty() && upper.empty()) return Ok();
  if (lower.size() != start.size() || upper.size() != start.size()) {
    return InvalidSearch(fmt::format("{} lower and {} upper bounds for {} dimensions", lower.size(),
                                     upper.size(), start.size()));
  }
  for (std::size_t i = 0; i < start.size(); ++i) {
    const bool finite = std::isfinite(lower[i]) && std::isfinite(upper[i]);
    if (finite && lower[i] < upper[i] && lower[i] <= start[i] && start[i] <= upper[i]) continue;
    return InvalidSearch(fmt::format("dimension {} starts at {}, expected inside of [{}, {}]", i,
                                     start[i], lower[i], upper[i]));
  }
  return Ok();
}

// `value` folded into [low, high] as by mirrors at both ends.
double Fold(double value, double low, double high) {
  const double width = high - low;
  double offset = std::fmod(value - low, 2 * width);
  if (offset < 0) offset += 2 * width;
  if (offset > width) offset = 2 * width - offset;
  return std::clamp(low + offset, low, high);
}

}  // namespace

// Table 1 of the tutorial.
struct CmaEs::Constants {
  Constants(std::int64_t dimension_count, std::int64_t population)
      : n(static_cast<double>(dimension_count)) {
    const auto lambda = static_cast<double>(population);
    const auto mu = static_cast<std::size_t>(population / 2);
    for (std::int64_t i = 1; i <= population; ++i)
      weights.push_back(std::log((lambda + 1) / 2) - std::log(static_cast<double>(i)));  // (49)
    const auto effective = [&](std::size_t begin, std::size_t end) {
      double sum = 0;
      double squares = 0;
      for (std::size_t i = begin; i < end; ++i) {
        sum += weights[i];
        squares += weights[i] * weights[i];
      }
      return squares > 0 ? sum * sum / squares : 0;
    };
    mu_eff = effective(0, mu);
    const double mu_eff_minus = effective(mu, weights.size());
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5);  // (55)
    d_sigma = 1 + 2 * std::max(0.0, std::sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma;
    c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n);  // (56)
    c_1 = 2 / ((n + 1.3) * (n + 1.3) + mu_eff);         // (57)
    c_mu = std::min(1 - c_1,
                    2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) * (n + 2) + mu_eff));  // (58)
    Normalise(mu_eff_minus);
    // E|N(0, I)|, with an error of order n^-3.
    chi = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  }

  double n;
  std::vector<double> weights;  // [population], positive ones first
  double mu_eff = 0;
  double c_sigma = 0;
  double d_sigma = 0;
  double c_c = 0;
  double c_1 = 0;
  double c_mu = 0;
  double chi = 0;

 private:
  // Positive weights sum to 1, negative ones to minus the least of (50) to (52); see (53).
  void Normalise(double mu_eff_minus) {
    double positive = 0;
    double negative = 0;
    for (const double weight : weights) (weight >= 0 ? positive : negative) += std::fabs(weight);
    const double alpha = c_mu > 0 ? std::min({1 + c_1 / c_mu, 1 + 2 * mu_eff_minus / (mu_eff + 2),
                                              (1 - c_1 - c_mu) / (n * c_mu)})
                                  : 0;
    for (double& weight : weights) {
      if (weight >= 0) {
        weight /= positive;
      } else {
        weight *= std::max(alpha, 0.0) / negative;
      }
    }
  }
};

Result<CmaEs> CmaEs::Create(CmaEsOptions options) {
  const std::size_t n = options.start.size();
  if (n == 0) return InvalidSearch("there is nothing to search: no dimension");
  if (!std::isfinite(options.sigma) || options.sigma <= 0)
    return InvalidSearch(fmt::format("sigma is {}, a positive number expected", options.sigma));
  METIER_TRY(CheckBounds(options.lower, options.upper, options.start));
  if (options.population == 0) options.population = DefaultPopulation(static_cast<double>(n));
  if (options.population < 3)
    return InvalidSearch(
        fmt::format("a population of {}, at least 3 expected", options.population));
  const Rng rng(options.seed);
  CmaEs search(std::move(options), rng);
  search.sigma_ = search.options_.sigma;
  search.mean_ = search.options_.start;
  search.covariance_.assign(n * n, 0);
  for (std::size_t i = 0; i < n; ++i) search.covariance_[i * n + i] = 1;
  search.path_c_.assign(n, 0);
  search.path_sigma_.assign(n, 0);
  return search;
}

std::vector<double> CmaEs::Reflected(const std::vector<double>& point) const {
  if (options_.lower.empty()) return point;
  std::vector<double> inside(point.size());
  for (std::size_t i = 0; i < point.size(); ++i)
    inside[i] = Fold(point[i], options_.lower[i], options_.upper[i]);
  return inside;
}

std::vector<double> CmaEs::mean() const { return Reflected(mean_); }

std::vector<std::vector<double>> CmaEs::Ask() {
  if (asked_.empty()) {
    rng_before_ = rng_.state();
    const auto n = static_cast<Eigen::Index>(mean_.size());
    const Axes axes(covariance_, n);
    for (std::int64_t k = 0; k < options_.population; ++k) {
      Vector z(n);
      for (Eigen::Index i = 0; i < n; ++i) z[i] = rng_.Normal();
      std::vector<double> point(mean_.size());
      View(point) = View(mean_) + sigma_ * (axes.b * axes.d.cwiseProduct(z));  // (38) to (40)
      asked_.push_back(std::move(point));
    }
  }
  std::vector<std::vector<double>> points;
  for (const std::vector<double>& point : asked_) points.push_back(Reflected(point));
  return points;
}

Status CmaEs::Tell(std::span<const double> values) {
  if (values.size() != asked_.size() || asked_.empty()) {
    return InvalidSearch(
        fmt::format("{} values for {} points that were asked", values.size(), asked_.size()));
  }
  const auto n = static_cast<Eigen::Index>(mean_.size());
  const Constants k(dimensions(), options_.population);
  const Axes axes(covariance_, n);

  const auto worth = [&values](std::size_t i) {
    return std::isnan(values[i]) ? std::numeric_limits<double>::infinity() : values[i];
  };
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&worth](std::size_t a, std::size_t b) { return worth(a) < worth(b); });

  Matrix y(n, options_.population);
  for (Eigen::Index i = 0; i < options_.population; ++i)
    y.col(i) = (View(asked_[order[static_cast<std::size_t>(i)]]) - View(mean_)) / sigma_;
  Vector step = Vector::Zero(n);  // (41)
  for (Eigen::Index i = 0; i < options_.population / 2; ++i)
    step += k.weights[static_cast<std::size_t>(i)] * y.col(i);
  View(mean_) += sigma_ * step;  // (42), with c_m = 1

  Eigen::Map<Vector> path_sigma = View(path_sigma_);
  path_sigma = (1 - k.c_sigma) * path_sigma +
               std::sqrt(k.c_sigma * (2 - k.c_sigma) * k.mu_eff) * axes.Whiten(step);  // (43)
  const double length = path_sigma.norm();
  const double started =
      std::sqrt(1 - std::pow(1 - k.c_sigma, 2 * static_cast<double>(generation_ + 1)));
  const bool stalled = length / started >= (1.4 + 2 / (k.n + 1)) * k.chi;  // h_sigma = 0
  const double h = stalled ? 0 : 1;
  Eigen::Map<Vector> path_c = View(path_c_);
  path_c = (1 - k.c_c) * path_c + h * std::sqrt(k.c_c * (2 - k.c_c) * k.mu_eff) * step;  // (45)

  Eigen::Map<Matrix> c(covariance_.data(), n, n);
  const double sum = std::accumulate(k.weights.begin(), k.weights.end(), 0.0);
  const double kept = 1 + k.c_1 * (1 - h) * k.c_c * (2 - k.c_c) - k.c_1 - k.c_mu * sum;
  Matrix next = kept * c + k.c_1 * path_c * path_c.transpose();  // (47)
  for (Eigen::Index i = 0; i < options_.population; ++i) {
    double weight = k.weights[static_cast<std::size_t>(i)];
    if (weight < 0) {  // (46)
      const double whitened = axes.Whiten(y.col(i)).squaredNorm();
      weight = whitened > 0 ? weight * k.n / whitened : 0;
    }
    next += k.c_mu * weight * y.col(i) * y.col(i).transpose();
  }
  c = (next + next.transpose()) / 2;

  sigma_ *= std::exp(k.c_sigma / k.d_sigma * (length / k.chi - 1));  // (44)
  ++generation_;
  asked_.clear();
  return Ok();
}

Json CmaEs::ToJson() const {
  SearchState state;
  state.population = options_.population;
  state.lower = options_.lower;
  state.upper = options_.upper;
  state.rng = asked_.empty() ? rng_.state() : rng_before_;
  state.generation = generation_;
  state.sigma = sigma_;
  state.mean = mean_;
  state.covariance = covariance_;
  state.path_c = path_c_;
  state.path_sigma = path_sigma_;
  return recipe::WriteFields(state);
}

Result<CmaEs> CmaEs::FromJson(const Json& document) {
  SearchState state;
  METIER_TRY(recipe::ReadFields(document, "search", state));
  const auto corrupt = [](std::string_view key) {
    return Error(ErrorCode::kDataCorrupt, fmt::format("search.{}: not what a search wrote", key));
  };
  const std::size_t n = state.mean.size();
  if (n == 0) return corrupt("mean");
  if (state.covariance.size() != n * n) return corrupt("covariance");
  if (state.path_c.size() != n || state.path_sigma.size() != n)
    return corrupt("path_c, path_sigma");
  if (state.lower.size() != state.upper.size() || (!state.lower.empty() && state.lower.size() != n))
    return corrupt("lower, upper");
  Rng::State words{};
  if (!state.rng.is_array() || state.rng.size() != words.size()) return corrupt("rng");
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!state.rng[i].is_number_unsigned()) return corrupt("rng");
    words[i] = state.rng[i].get<std::uint64_t>();
  }
  CmaEs search({.start = state.mean,
                .sigma = state.sigma,
                .lower = std::move(state.lower),
                .upper = std::move(state.upper),
                .population = state.population},
               Rng(words));
  search.generation_ = state.generation;
  search.sigma_ = state.sigma;
  search.mean_ = std::move(state.mean);
  search.covariance_ = std::move(state.covariance);
  search.path_c_ = std::move(state.path_c);
  search.path_sigma_ = std::move(state.path_sigma);
  return search;
}

}  // namespace metier::merge
