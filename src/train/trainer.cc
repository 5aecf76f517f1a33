#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "recipe/fields.h"
#include "train/consolidation.h"
#include "train/cpu/kernels.h"
#include "train/evaluation.h"
#include "train/objective.h"
#include "train/references.h"
#include "train/run_data.h"
#include "train/run_folder.h"
#include "train/run_model.h"
#include "train/run_state.h"
#include "train/schedule.h"
#include "train/torch.h"

namespace metier::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kDropoutSeed = 0x6d657469657264ULL;  // apart from the data's streams

// int64 [rows, columns] as lists.
Json RowsOf(const at::Tensor& values) {
  Json rows = Json::array();
  for (std::int64_t r = 0; r < values.size(0); ++r) {
    const auto* row = values.data_ptr<std::int64_t>() + r * values.size(1);
    rows.push_back(std::vector<std::int64_t>(row, row + values.size(1)));
  }
  return rows;
}

class Run {
 public:
  Run(const recipe::TrainConfig& config, const EventSink& sink, RunFolder folder)
      : config_(config), sink_(sink), folder_(std::move(folder)), objective_(config) {}

  Status Prepare();
  Status Resume();
  Status Steps();
  Result<Json> Finish();

 private:
  Result<double> OneStep(const StepPlan& plan, double learning_rate, double& norm);
  bool EvaluationIsDue() const;
  bool Complete() const { return state_.step == state_.total && !EvaluationIsDue(); }
  // Whether this step's checkpoint is asked for, be it for the final average.
  bool CheckpointIsDue() const;
  Status LogStep(double learning_rate, double norm);
  Status LogEvaluation();
  Status SaveCheckpoint();
  Status CheckAverages() const;
  Status PrepareReferences();
  Status PrepareConsolidation();
  // Of what is computed before the first step and kept.
  Error LostBeginning(const std::string& what) const;
  Status WriteFinal(const std::string& folder);
  Json Inputs() const;
  Json Manifest() const;
  at::Device Device() const { return model_->network().options().device; }
  bool Emit(const Json& event) {
    if (sink_ && sink_(event)) stop_ = true;
    return stop_;
  }
  // Seconds of all processes; of this one.
  double Elapsed() const { return state_.elapsed + Here(); }
  double Here() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

  const recipe::TrainConfig& config_;
  const EventSink& sink_;
  RunFolder folder_;
  Objective objective_;
  std::optional<RunModel> model_;
  std::optional<RunData> data_;
  std::optional<Consolidation> consolidation_;
  std::optional<std::string> checkpoint_;  // the one this run continues
  RunState state_;                         // its seconds are those before this process
  std::int64_t tokens_before_ = 0;         // seen before this process
  Clock::time_point started_ = Clock::now();
  Tally tally_;  // of this process since the last line of the log
  bool stop_ = false;
};

Status Run::Prepare() {
  const std::vector<std::int64_t> known = folder_.Checkpoints();
  if (config_.resume_from_checkpoint == "auto") {
    if (!known.empty()) checkpoint_ = folder_.CheckpointPath(known.back());
  } else if (config_.resume_from_checkpoint != "never") {
    checkpoint_ = config_.resume_from_checkpoint;
  }
  METIER_ASSIGN(RunModel model, RunModel::Open(config_, checkpoint_));
  model_.emplace(std::move(model));
  if (model_->teacher() != nullptr) objective_.SetTeacher(*model_->teacher());
  const model::ModelSpec& spec = model_->source().spec;
  METIER_ASSIGN(RunData data, RunData::Open(config_, spec.vocab,
                                            {model_->network().mixture().names(), spec.moe.tasks}));
  data_.emplace(std::move(data));
  METIER_TRY(CheckAverages());
  Emit({{"event", "log"}, {"text", data_->Summary()}});
  return Ok();
}

Status Run::CheckAverages() const {
  if (config_.average_checkpoints == 0) return Ok();
  const std::int64_t total = data_->total_steps();
  const std::int64_t made = (total + config_.save_steps - 1) / config_.save_steps;
  if (made >= config_.average_checkpoints) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("average_checkpoints: found {}, but {} steps with save_steps: {} make "
                           "{} checkpoints; lower one of them",
                           config_.average_checkpoints, total, config_.save_steps, made));
}

// Of the weights that the run began with: a run that is continued has other ones by now.
Status Run::PrepareReferences() {
  if (!recipe::HasReference(config_)) return Ok();
  const Json run = {
      {"config", ResumeKey(config_)}, {"inputs", Inputs()}, {"eval", data_->eval_hashes()}};
  METIER_ASSIGN(const bool found, LoadReferences(folder_.path(), *data_, run));
  if (found) return Ok();
  if (state_.step > 0) return LostBeginning("references");
  METIER_ASSIGN(const bool whole,
                ComputeReferences(
                    model_->network(), config_, *data_, [&](std::int64_t done, std::int64_t total) {
                      return Emit({{"event", "references"}, {"done", done}, {"total", total}});
                    }));
  if (whole) METIER_TRY(SaveReferences(folder_.path(), *data_, run));
  return Ok();
}

// The weights that a run continues are no longer those that it began with, so neither can be
// measured later.
Status Run::PrepareConsolidation() {
  if (!config_.ewc) return Ok();
  consolidation_.emplace(model_->optimizer().trainables(), config_.ewc->weight);
  const Json run = {
      {"config", ResumeKey(config_)}, {"inputs", Inputs()}, {"old", data_->old_hash()}};
  METIER_ASSIGN(const bool found, consolidation_->Load(folder_.path(), run));
  if (found) return Ok();
  if (state_.step > 0) return LostBeginning("consolidation");
  const bool whole = consolidation_->Measure(
      model_->network(), *data_, data_->old(), config_.ewc->max_examples,
      [&](std::int64_t done, std::int64_t total) {
        return Emit({{"event", "consolidation"}, {"done", done}, {"total", total}});
      });
  if (whole) METIER_TRY(consolidation_->Save(folder_.path(), run));
  return Ok();
}

Error Run::LostBeginning(const std::string& what) const {
  return {ErrorCode::kNotFound,
          fmt::format("'{}' has no {} of this run, computed before its first step; say "
                      "`resume_from_checkpoint: never` to start anew",
                      folder_.path(), what)};
}

Status Run::Resume() {
  if (checkpoint_) {
    METIER_ASSIGN(state_, ReadState(*checkpoint_, config_, Inputs()));
    tokens_before_ = state_.tokens;
    METIER_TRY(PrepareReferences());
    METIER_TRY(PrepareConsolidation());
    METIER_TRY(model_->LoadOptimizer(*checkpoint_));
    METIER_TRY(folder_.RewindLog(state_.step));
    Emit({{"event", "log"}, {"text", fmt::format("resumed from '{}'", *checkpoint_)}});
  } else {
    // Those of an earlier run would count among ours when the oldest are removed.
    if (config_.resume_from_checkpoint == "never") METIER_TRY(folder_.RemoveCheckpoints());
    METIER_TRY(folder_.RewindLog(-1));
    METIER_TRY(PrepareReferences());
    METIER_TRY(PrepareConsolidation());
  }
  state_.total = data_->total_steps();
  return Ok();
}

// Returns the mean loss over the step's predictions; every batch's share is weighed by the
// predictions of the whole step, so accumulation changes nothing but rounding.
Result<double> Run::OneStep(const StepPlan& plan, double learning_rate, double& norm) {
  const StepShare share = {1.0 / static_cast<double>(plan.predictions),
                           1.0 / static_cast<double>(plan.groups),
                           static_cast<double>(state_.step) / static_cast<double>(state_.total)};
  double loss = 0;
  for (std::size_t i = 0; i < plan.batches.size(); ++i) {
    const Batch batch = data_->MakeBatch(data_->train(), plan.batches[i], Device());
    const auto draw =
        static_cast<std::uint64_t>(state_.step * config_.gradient_accumulation_steps) + i;
    const std::uint64_t key =
        Rng(static_cast<std::uint64_t>(config_.seed) ^ kDropoutSeed, draw).Next() | 1;
    const at::Tensor part = objective_.Loss(model_->network(), batch, share, key, tally_);
    part.backward();
    loss += part.item<double>();  // waits for a GPU, so last
    state_.tokens += batch.read;
  }
  if (consolidation_) tally_.penalty = consolidation_->AddGradients();
  norm = model_->optimizer().GradientNorm();
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    const std::vector<std::int64_t> kept = folder_.Checkpoints();
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("step {}: the loss is {} and its gradient {}; nothing was changed by this "
                    "step{}. Lower learning_rate ({:g} here), use bf16: false, or look at the data",
                    state_.step + 1, loss, norm,
                    kept.empty()
                        ? std::string()
                        : fmt::format(", the last good state is checkpoint-{}", kept.back()),
                    learning_rate));
  }
  const bool clips = config_.max_grad_norm > 0 && norm > config_.max_grad_norm;
  model_->Step(state_.step + 1, learning_rate, clips ? config_.max_grad_norm / norm : 1);
  return loss;
}

bool Run::EvaluationIsDue() const {
  if (data_->evals().empty() || state_.eval_step == state_.step || state_.step == 0) return false;
  return state_.step == state_.total ||
         (config_.eval_steps > 0 && state_.step % config_.eval_steps == 0);
}

bool Run::CheckpointIsDue() const {
  if (config_.save_steps == 0 || state_.step == 0) return false;
  return state_.step % config_.save_steps == 0 ||
         (state_.step == state_.total && config_.average_checkpoints > 0);
}

Status Run::LogStep(double learning_rate, double norm) {
  const double loss = state_.window.loss / static_cast<double>(state_.window.steps);
  state_.window = {};
  state_.history.push_back({{"step", state_.step},
                            {"epoch", state_.epoch},
                            {"loss", loss},
                            {"grad_norm", norm},
                            {"learning_rate", learning_rate}});
  const auto step = static_cast<double>(state_.step);
  const auto total = static_cast<double>(state_.total);
  const double elapsed = Elapsed();
  const double speed = static_cast<double>(state_.tokens - tokens_before_) / std::max(1e-9, Here());
  Json line = {{"current_steps", state_.step},
               {"total_steps", state_.total},
               {"loss", loss},
               {"lr", learning_rate},
               {"epoch", state_.epoch},
               {"percentage", std::round(1e4 * step / total) / 100},
               {"elapsed_time", FormatDuration(elapsed)},
               {"remaining_time", FormatDuration(elapsed / step * (total - step))},
               {"grad_norm", norm},
               {"tokens_per_second", std::round(speed)}};
  if (tally_.expert_tokens.defined()) line["expert_tokens"] = RowsOf(tally_.expert_tokens);
  if (config_.expert_capacity_factor > 0) line["choices_over_capacity"] = tally_.choices_over;
  AddRewards(tally_.rewards, "", line);
  if (consolidation_) line["ewc_penalty"] = tally_.penalty;
  tally_ = {};
  return folder_.Log(line);
}

Status Run::LogEvaluation() {
  const std::optional<Json> metrics =
      Evaluate(*model_, *data_, objective_, config_, [&](std::int64_t done, std::int64_t total) {
        return Emit({{"event", "evaluating"},
                     {"step", state_.step},
                     {"total_steps", state_.total},
                     {"done", done},
                     {"total", total}});
      });
  if (!metrics) return Ok();  // still due
  state_.eval_loss = metrics->at("eval_loss").get<double>();
  state_.eval_step = state_.step;
  Json event = {{"event", "eval"}, {"step", state_.step}, {"total_steps", state_.total}};
  Json history = {{"step", state_.step}, {"epoch", state_.epoch}};
  Json line = {{"current_steps", state_.step}, {"total_steps", state_.total}};
  for (Json* place : {&event, &history, &line}) place->update(*metrics);
  line["epoch"] = state_.epoch;
  line["elapsed_time"] = FormatDuration(Elapsed());
  state_.history.push_back(std::move(history));
  Emit(event);
  return folder_.Log(line);
}

Status Run::SaveCheckpoint() {
  RunState now = state_;
  now.elapsed = Elapsed();
  const auto fill = [&](const std::string& folder) -> Status {
    METIER_TRY(model_->SaveCheckpoint(folder));
    return WriteState(folder, now, config_, Inputs());
  };
  METIER_TRY(folder_.Write(fmt::format("checkpoint-{}", state_.step), fill));
  METIER_TRY(folder_.Prune(config_.save_total_limit));
  Emit({{"event", "checkpoint"},
        {"step", state_.step},
        {"path", folder_.CheckpointPath(state_.step)}});
  return Ok();
}

Status Run::Steps() {
  StepReader reader(data_->train().corpus, config_);
  METIER_TRY(reader.Skip(state_.step));
  started_ = Clock::now();
  std::int64_t saved = checkpoint_ ? state_.step : -1;
  while (true) {
    if (EvaluationIsDue()) METIER_TRY(LogEvaluation());
    if (CheckpointIsDue() && saved != state_.step) {
      METIER_TRY(SaveCheckpoint());
      saved = state_.step;
    }
    if (state_.step == state_.total || stop_) break;
    METIER_ASSIGN(const StepPlan plan, reader.Next());
    const double learning_rate = LearningRate(config_, state_.step, state_.total);
    double norm = 0;
    METIER_ASSIGN(state_.last_loss, OneStep(plan, learning_rate, norm));
    ++state_.step;
    state_.epoch = plan.epochs_done;
    state_.window.loss += state_.last_loss;
    ++state_.window.steps;
    Emit({{"event", "step"},
          {"step", state_.step},
          {"total_steps", state_.total},
          {"loss", state_.last_loss},
          {"grad_norm", norm},
          {"learning_rate", learning_rate},
          {"epoch", state_.epoch},
          {"tokens", state_.tokens}});
    if (state_.step % config_.logging_steps == 0 || state_.step == state_.total)
      METIER_TRY(LogStep(learning_rate, norm));
  }
  if (!Complete() && saved != state_.step) METIER_TRY(SaveCheckpoint());
  return Ok();
}

Json Run::Inputs() const {
  Json inputs = {{"model", model_->base_hash()}, {"train_file", data_->train_hashes()}};
  if (model_->teacher() != nullptr) inputs["teacher"] = model_->teacher_hash();
  return inputs;
}

Json Run::Manifest() const {
  Json inputs = Inputs();
  inputs["eval_file"] = data_->eval_hashes();
  return {{"kind", config_.lora || config_.svf ? "adapter" : "model"},
          {"program", "metier " METIER_VERSION},
          {"libtorch", TORCH_VERSION},
          {"instruction_set", cpu::Kernels(cpu::Real::kF32).name},
          {"device", config_.device},
          {"threads", at::get_num_threads()},
          {"seed", config_.seed},
          {"config", recipe::WriteFields(config_)},
          {"inputs", std::move(inputs)},
          {"steps", state_.step},
          {"epochs", state_.epoch},
          {"tokens", state_.tokens},
          {"final_loss", FiniteOrNull(state_.last_loss)},
          {"eval_loss", FiniteOrNull(state_.eval_loss)}};
}

Status Run::WriteFinal(const std::string& folder) {
  const RunModel::Averaged averaged(*model_);
  std::vector<std::string> checkpoints;
  if (config_.average_checkpoints > 0) {
    const std::vector<std::int64_t> steps = folder_.Checkpoints();
    const auto wanted =
        std::min(steps.size(), static_cast<std::size_t>(config_.average_checkpoints));
    for (std::size_t i = steps.size() - wanted; i < steps.size(); ++i)
      checkpoints.push_back(folder_.CheckpointPath(steps[i]));
  }
  METIER_TRY(model_->WriteFinal(folder, checkpoints));
  METIER_ASSIGN(const std::string curve, LossCurve(state_.history));
  METIER_TRY(WriteFileAtomic(folder_.path() + "/training_loss.svg", curve));
  return WriteFileAtomic(folder + "/manifest.json", DumpPretty(Manifest()));
}

Result<Json> Run::Finish() {
  const bool stopped = !Complete();
  const double seconds = Here();
  if (!stopped) {
    METIER_TRY(folder_.Write("final", [&](const std::string& f) { return WriteFinal(f); }));
  }
  Json reply = {{"steps", state_.step},
                {"total_steps", state_.total},
                {"final_loss", FiniteOrNull(state_.last_loss)},
                {"eval_loss", FiniteOrNull(state_.eval_loss)},
                {"stopped", stopped},
                {"tokens", state_.tokens},
                {"seconds", seconds},
                {"tokens_per_second",
                 static_cast<double>(state_.tokens - tokens_before_) / std::max(1e-9, seconds)}};
  if (stopped) {
    reply["checkpoint"] = folder_.CheckpointPath(state_.step);
  } else {
    reply["output"] = folder_.path() + "/final";
  }
  return reply;
}

}  // namespace

Result<Json> Train(const recipe::TrainConfig& config, const EventSink& sink) {
  at::set_num_threads(config.threads > 0 ? static_cast<int>(config.threads)
                                         : ThreadPool::DefaultThreads());
  METIER_ASSIGN(RunFolder folder, RunFolder::Open(config.output_dir));
  Run run(config, sink, std::move(folder));
  METIER_TRY(run.Prepare());
  METIER_TRY(run.Resume());
  METIER_TRY(run.Steps());
  return run.Finish();
}

}  // namespace metier::train
