#include "train/probe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "base/rng.h"
#include "train/memory_watch.h"
#include "train/objective.h"
#include "train/run_model.h"
#include "train/tensor_memory.h"
#include "train/torch.h"
#include "train/workers.h"

namespace metier::train {
namespace {

constexpr std::size_t kRounds = 5;
constexpr double kEnoughSeconds = 12;  // of rounds; one at least is done

class ProbeClock {
 public:
  double Seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

double MedianOf(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Weights of no meaning, as large as a new model's: experts are chosen alike, and nothing
// overflows.
ModelSource MeaninglessModel(const model::ModelSpec& spec) {
  std::map<std::string, tensor::Shape> shapes;
  for (const model::Parameter& parameter : model::Parameters(spec))
    shapes[parameter.name] = parameter.shape;
  ModelSource source;
  source.spec = spec;
  source.read = [shapes = std::move(shapes)](const std::string& name) -> Result<tensor::Tensor> {
    tensor::Tensor values(tensor::DType::kF32, shapes.at(name));
    if (name.ends_with("norm.weight")) {
      std::ranges::fill(values.f32(), 1.0F);
      return values;
    }
    Rng rng(1, std::hash<std::string>{}(name));
    constexpr float kScale = 0.03F / 0x1.0p31F;
    for (float& value : values.f32())
      value = static_cast<float>(static_cast<std::int32_t>(rng.Next())) * kScale;
    return values;
  };
  return source;
}

// A step of one batch, and what it costs.
class ProbeRun {
 public:
  ProbeRun(const recipe::TrainConfig& config, RunModel& model)
      : config_(config), model_(model), objective_(config_) {
    if (model_.teacher() != nullptr) objective_.SetTeacher(*model_.teacher());
  }

  at::Tensor Forward(const Batch& batch) {
    const StepShare share = {1.0 / static_cast<double>(std::max<std::int64_t>(batch.counted, 1)), 1,
                             0};
    return objective_.Loss(model_.network(), batch, share, /*key=*/1, tally_);
  }

  void Judge(const Batch& batch) {
    const torch::NoGradGuard no_grad;
    objective_.EvalLoss(model_.network(), batch, tally_).item<double>();
  }

  void Update() {
    const double norm = std::sqrt(model_.optimizer().SquaredNorm());
    model_.optimizer().Step(++step_, 1e-6, norm > 1 ? 1 / norm : 1);
  }

 private:
  const recipe::TrainConfig& config_;
  RunModel& model_;
  Objective objective_;
  Tally tally_;
  std::int64_t step_ = 0;
};

void MeasureMemory(ProbeRun& run, const ProbeBatches& batches, MemoryWatch& watch,
                   ProbeFigures& figures) {
  watch.TakePeak();
  // With several batches a step, all but the first find gradients of those before.
  for (std::int64_t i = 0; i < std::min<std::int64_t>(batches.a_step, 2); ++i) {
    const std::int64_t before = watch.in_use();
    const at::Tensor loss = run.Forward(batches.heaviest);
    figures.kept = watch.in_use() - before;
    loss.backward();
  }
  figures.gradients = watch.in_use() - figures.standing;
  run.Update();
  figures.peak = watch.TakePeak();
}

void MeasureTime(ProbeRun& run, const ProbeBatches& batches, ProbeFigures& figures) {
  const ProbeClock all;
  const double share = kEnoughSeconds / static_cast<double>(batches.samples.size());
  std::vector<double> updating;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < batches.samples.size() && (i == 0 || all.Seconds() < kEnoughSeconds);
       ++i) {
    const Batch& batch = batches.samples[i];
    std::vector<double> learning;
    std::vector<double> judging;
    for (std::size_t round = 0; round <= kRounds; ++round) {
      if (round > 1 && all.Seconds() > share * static_cast<double>(i + 1)) break;
      const ProbeClock learns;
      const at::Tensor loss = run.Forward(batch);
      loss.backward();
      loss.item<double>();  // waits for a GPU
      const double learned = learns.Seconds();
      const ProbeClock updates;
      run.Update();
      const double updated = updates.Seconds();
      const ProbeClock judges;
      run.Judge(batch);
      if (round == 0) continue;  // products of new sizes are made ready
      learning.push_back(learned);
      judging.push_back(judges.Seconds());
      updating.push_back(updated);
    }
    figures.learning += MedianOf(learning);
    figures.judging += MedianOf(judging);
    tokens += batch.read;
  }
  figures.learning /= static_cast<double>(tokens);
  figures.judging /= static_cast<double>(tokens);
  figures.updating = MedianOf(updating);
}

}  // namespace

model::ModelSpec WithLayers(const model::ModelSpec& spec, const std::vector<std::int64_t>& layers) {
  model::ModelSpec some = spec;
  some.layers = static_cast<std::int64_t>(layers.size());
  some.layer.clear();
  std::vector<std::int64_t> experts;
  for (const std::int64_t n : layers) {
    some.layer.push_back(spec.layer[static_cast<std::size_t>(n)]);
    experts.push_back(spec.experts_of(n));
  }
  if (spec.moe.of_layer.empty()) return some;
  const auto [least, most] = std::ranges::minmax(experts);
  some.moe.experts = most;
  some.moe.of_layer = least == most ? std::vector<std::int64_t>() : experts;
  if (most == 0) some.moe = {};
  return some;
}

Result<ProbeFigures> RunProbe(const recipe::TrainConfig& config, const model::ModelSpec& spec,
                              const ProbeBatches& batches) {
  recipe::TrainConfig asked = config;
  if (asked.lora) asked.lora->adapter.clear();
  if (asked.svf) asked.svf->adapter.clear();
  if (asked.prefix) asked.prefix->adapter.clear();
  if (spec.moe.experts == 0) asked.expert_capacity_factor = 0;
  METIER_ASSIGN(const at::Device device, ParseDevice(config.device));
  TensorMemory::Ours().Release();
  MemoryWatch watch(device);
  Workers alone;
  METIER_ASSIGN(RunModel model,
                RunModel::OpenOn(MeaninglessModel(spec), "", asked, std::nullopt, alone));
  ProbeFigures figures;
  for (const Trainable& trainable : model.optimizer().trainables())
    figures.trained += trainable.value.numel();
  figures.standing = watch.in_use();
  ProbeRun run(asked, model);
  MeasureMemory(run, batches, watch, figures);
  MeasureTime(run, batches, figures);
  if (!device.is_cpu()) return figures;
  const TensorMemory::Statistics statistics = TensorMemory::Ours().statistics();
  figures.allocated = static_cast<std::int64_t>(statistics.peak);
  figures.waiting = static_cast<std::int64_t>(statistics.held - statistics.peak);
  return figures;
}

}  // namespace metier::train
