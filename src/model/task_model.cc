#include "model/task_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "base/nearest.h"

namespace metier::model {
namespace {

using tensor::Tensor;

// Rows of a matrix, F32.
Tensor TheseRows(const Tensor& from, std::span<const std::int64_t> rows) {
  const std::int64_t width = from.shape()[1];
  Tensor out(from.dtype(), {static_cast<std::int64_t>(rows.size()), width});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(from.f32().begin() + rows[i] * width, width,
                out.f32().begin() + static_cast<std::int64_t>(i) * width);
  }
  return out;
}

// The experts that score best, ascending; of equal ones those of lower index.
std::vector<std::int64_t> BestExperts(const Tensor& router, std::span<const float> task,
                                      std::int64_t top_k) {
  std::vector<double> scores;
  for (std::int64_t e = 0; e < router.shape()[0]; ++e) {
    const auto row = router.f32().subspan(static_cast<std::size_t>(e) * task.size(), task.size());
    scores.push_back(std::inner_product(row.begin(), row.end(), task.begin(), 0.0, std::plus<>(),
                                        [](double w, double x) { return w * x; }));
  }
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(top_k));
  std::ranges::sort(order);
  return order;
}

struct TaskParts {
  std::int64_t task = 0;
  std::vector<std::vector<std::int64_t>> experts;  // of each layer; empty: a dense one
};

// "layers.3.experts.1.up.weight" -> the whole model's name of the same expert.
std::string NameInWhole(const std::string& name, const TaskParts& parts) {
  constexpr std::string_view kLayers = "layers.";
  constexpr std::string_view kExperts = ".experts.";
  const std::size_t at = name.find(kExperts);
  if (at == name.npos) return name;
  const auto layer = std::stoul(name.substr(kLayers.size()));
  const std::size_t number = at + kExperts.size();
  const std::size_t end = name.find('.', number);
  const auto expert = std::stoul(name.substr(number));
  return name.substr(0, number) + std::to_string(parts.experts[layer][expert]) + name.substr(end);
}

ModelSpec SpecOfTask(const ModelSpec& spec, const std::string& task) {
  ModelSpec out = spec;
  out.moe.tasks = {task};
  out.moe.experts = spec.moe.top_k;
  for (std::int64_t& experts : out.moe.of_layer) experts = std::min(experts, spec.moe.top_k);
  const auto& layers = out.moe.of_layer;
  if (std::ranges::count(layers, 0) == 0) out.moe.of_layer.clear();
  return out;
}

}  // namespace

Result<MergedModel> TakeTask(const ModelSpec& spec, ParameterReader read, const std::string& task) {
  const std::vector<std::string>& tasks = spec.moe.tasks;
  if (tasks.empty())
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("task '{}': the model has no tasks; leave it out", task));
  const auto found = std::ranges::find(tasks, task);
  if (found == tasks.end()) {
    const std::string nearest = NearestName(task, tasks);
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("task '{}' is not one of the model's{}; it has: {}", task,
                             nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
                             fmt::join(tasks, ", ")));
  }
  TaskParts parts{.task = found - tasks.begin()};
  METIER_ASSIGN(const Tensor embeddings, read("embed.tasks"));
  const Tensor own = TheseRows(embeddings, {&parts.task, 1});
  for (std::int64_t n = 0; n < spec.layers; ++n) {
    parts.experts.emplace_back();
    if (spec.experts_of(n) == 0) continue;
    METIER_ASSIGN(const Tensor router, read(fmt::format("layers.{}.router.weight", n)));
    parts.experts.back() = BestExperts(router, own.f32(), spec.moe.top_k);
  }
  MergedModel out{.spec = SpecOfTask(spec, task), .read = {}};
  out.read = [parts = std::move(parts),
              read = std::move(read)](const std::string& name) -> Result<Tensor> {
    METIER_ASSIGN(Tensor values, read(NameInWhole(name, parts)));
    if (name == "embed.tasks") return TheseRows(values, {&parts.task, 1});
    if (!name.ends_with(".router.weight")) return values;
    return TheseRows(values, parts.experts[std::stoul(name.substr(std::string("layers.").size()))]);
  };
  return out;
}

}  // namespace metier::model
