#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "recipe/fields.h"
#include "train/agreement.h"
#include "train/cpu/kernels.h"
#include "train/evaluation.h"
#include "train/run.h"
#include "train/torch.h"

namespace metier::train {
namespace {

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

}  // namespace

Result<Json> Run::Do() {
  METIER_TRY(Prepare());
  METIER_TRY(PreparePolicy());
  METIER_TRY(Resume());
  METIER_TRY(Steps());
  return Finish();
}

// The loss of this worker's batches, and their gradients, which buckets sum meanwhile.
Result<double> Run::AddGradients(const StepPlan& plan) {
  const StepShare share = {1.0 / static_cast<double>(plan.predictions),
                           1.0 / static_cast<double>(plan.groups),
                           static_cast<double>(state_.step) / static_cast<double>(state_.total)};
  GradientBuckets* const buckets = model_->buckets();
  if (buckets != nullptr) buckets->Clear();
  double loss = 0;
  METIER_ASSIGN(const std::vector<RolloutGroup> answers, AnswersTo(plan));
  std::span<const RolloutGroup> open = answers;
  const auto workers = static_cast<std::size_t>(workers_.count());
  for (auto i = static_cast<std::size_t>(workers_.rank()); i < plan.batches.size(); i += workers) {
    const auto draw =
        static_cast<std::uint64_t>(state_.step * config_.gradient_accumulation_steps) + i;
    const std::uint64_t key =
        Rng(static_cast<std::uint64_t>(config_.seed) ^ kDropoutSeed, draw).Next() | 1;
    if (model_->hyper() != nullptr) {
      loss += AddHyperGradients(plan.batches[i], share, key);
      continue;
    }
    at::Tensor part;
    if (config_.grpo) {
      const std::size_t prompts = plan.batches[i].size();
      part = PolicyPart(plan.batches[i], open.first(prompts), share, key);
      open = open.subspan(prompts);
    } else {
      const Batch batch = data_->MakeBatch(data_->train(), plan.batches[i], Device());
      part = objective_.Loss(model_->network(), batch, share, key, tally_);
      state_.tokens += batch.read;
    }
    if (buckets != nullptr && i + workers >= plan.batches.size()) buckets->Arm();
    part.backward();
    loss += part.item<double>();  // waits for a GPU, so last
  }
  if (buckets != nullptr) METIER_TRY(buckets->Reduce());
  return loss;
}

// This worker's loss and the norm of the gradients it has become those of the step.
Status Run::SumOverWorkers(double& loss, double& norm) {
  const bool counts = workers_.first() || model_->buckets()->shares();
  std::vector<double> sums = {loss, counts ? norm * norm : 0,
                              static_cast<double>(state_.tokens - tokens_summed_)};
  METIER_TRY(workers_.Sum(sums));
  loss = sums[0];
  norm = std::sqrt(sums[1]);
  tokens_summed_ += static_cast<std::int64_t>(sums[2]);
  state_.tokens = tokens_summed_;
  return Ok();
}

Error Run::NotFinite(double loss, double norm, double learning_rate) const {
  return Error(
      ErrorCode::kDataCorrupt,
      fmt::format("step {}: the loss is {} and its gradient {}; nothing was changed by this "
                  "step{}. Lower learning_rate ({:g} here), use bf16: false, or look at the data",
                  state_.step + 1, loss, norm,
                  saved_ < 0 ? std::string()
                             : fmt::format(", the last good state is checkpoint-{}", saved_),
                  learning_rate));
}

// Returns the mean loss over the step's predictions; every batch's share is weighed by the
// predictions of the whole step, so accumulation changes nothing but rounding.
Result<double> Run::OneStep(const StepPlan& plan, double learning_rate, double& norm) {
  METIER_ASSIGN(double loss, AddGradients(plan));
  if (consolidation_) tally_.penalty = consolidation_->AddGradients();
  norm = std::sqrt(model_->optimizer().SquaredNorm());
  if (!workers_.alone()) METIER_TRY(SumOverWorkers(loss, norm));
  if (!std::isfinite(loss) || !std::isfinite(norm)) return NotFinite(loss, norm, learning_rate);
  const bool clips = config_.max_grad_norm > 0 && norm > config_.max_grad_norm;
  METIER_TRY(
      model_->Step(state_.step + 1, learning_rate, clips ? config_.max_grad_norm / norm : 1));
  return loss;
}

bool Run::EvaluationIsDue() const {
  if (data_->evals().empty() || state_.eval_step == state_.step) return false;
  if (state_.step == 0) return config_.eval_on_start;
  return state_.step == state_.total ||
         (config_.eval_steps > 0 && state_.step % config_.eval_steps == 0);
}

bool Run::GeneralIsDue() const {
  const bool end = state_.step == 0 || state_.step == state_.total;
  return end && data_->general().corpus.examples() > 0 && state_.general_step != state_.step;
}

bool Run::CheckpointIsDue() const {
  if (config_.save_steps == 0 || state_.step == 0) return false;
  return state_.step % config_.save_steps == 0 ||
         (state_.step == state_.total && config_.average_checkpoints > 0);
}

Status Run::LogStep(double learning_rate, double norm) {
  METIER_TRY(SumTally(workers_, tally_));
  if (!workers_.first()) {
    tally_ = {};
    return Ok();
  }
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
  AddPolicy(tally_.policy, config_, line);
  if (consolidation_) line["ewc_penalty"] = tally_.penalty;
  if (tally_.reconstruction.size > 0) {
    line["reconstruction_error"] =
        std::sqrt(tally_.reconstruction.error / tally_.reconstruction.size);
  }
  tally_ = {};
  return folder_->Log(line);
}

Status Run::LogEvaluation() {
  std::optional<Json> metrics = train::Evaluate(*model_, *data_, objective_, config_,
                                                [&](std::int64_t done, std::int64_t total) {
                                                  return Emit({{"event", "evaluating"},
                                                               {"step", state_.step},
                                                               {"total_steps", state_.total},
                                                               {"done", done},
                                                               {"total", total}});
                                                });
  if (!metrics) return Ok();  // still due
  METIER_TRY(AddEvalRewards(*metrics));
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
  return folder_->Log(line);
}

// By worker 0. The others need not wait for it: nobody's turn hangs on it.
Status Run::LogGeneral() {
  state_.general_step = state_.step;
  if (!workers_.first()) return Ok();
  const double loss = train::GeneralLoss(*model_, *data_, objective_, config_);
  (state_.step == 0 ? state_.general_before : state_.general_after) = loss;
  state_.history.push_back(
      {{"step", state_.step}, {"epoch", state_.epoch}, {"general_loss", loss}});
  return folder_->Log({{"current_steps", state_.step},
                       {"total_steps", state_.total},
                       {"general_loss", FiniteOrNull(loss)}});
}

// By worker 0, for which the others wait.
Status Run::Evaluate() {
  if (workers_.first()) METIER_TRY(LogEvaluation());
  return ShareState();
}

// Weights that each worker computed for itself are the same only where the machines are alike, and
// sound.
Status Run::AgreeOnWeights() {
  if (workers_.alone()) return Ok();
  METIER_ASSIGN(const std::vector<std::string> hashes, workers_.Gather(model_->HashTrainables()));
  for (std::size_t rank = 1; rank < hashes.size(); ++rank) {
    if (hashes[rank] == hashes.front()) continue;
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("step {}: worker {} no longer has the weights of worker 0; {}", state_.step,
                    rank,
                    config_.optimizer_sharding
                        ? "one of their machines or the network between them is faulty"
                        : "say `optimizer_sharding: true`, which computes each weight once, where "
                          "their processors differ"));
  }
  return Ok();
}

Status Run::AgreeToStop() {
  if (workers_.alone()) {
    stop_ = asked_to_stop_;
    return Ok();
  }
  std::vector<double> asked = {asked_to_stop_ ? 1.0 : 0.0};
  METIER_TRY(workers_.Sum(asked));
  stop_ = asked[0] > 0;
  return Ok();
}

Status Run::SaveCheckpoint() {
  METIER_TRY(AgreeOnWeights());
  METIER_TRY(model_->optimizer().Collect());
  if (workers_.first()) METIER_TRY(WriteCheckpoint());
  return ShareState();
}

Status Run::WriteCheckpoint() {
  RunState now = state_;
  now.elapsed = Elapsed();
  const auto fill = [&](const std::string& folder) -> Status {
    METIER_TRY(model_->SaveCheckpoint(folder));
    return WriteState(folder, now, config_, Inputs());
  };
  METIER_TRY(folder_->Write(fmt::format("checkpoint-{}", state_.step), fill));
  saved_ = state_.step;
  METIER_TRY(folder_->Prune(config_.save_total_limit));
  Emit({{"event", "checkpoint"}, {"step", state_.step}, {"path", CheckpointPath(state_.step)}});
  return Ok();
}

Status Run::Steps() {
  StepReader reader = data_->items() > 0 ? StepReader(data_->items(), config_)
                                         : StepReader(data_->train().corpus, config_);
  METIER_TRY(reader.Skip(state_.step));
  started_ = Clock::now();
  while (true) {
    if (GeneralIsDue()) METIER_TRY(LogGeneral());
    if (EvaluationIsDue()) METIER_TRY(Evaluate());
    if (CheckpointIsDue() && saved_ != state_.step) METIER_TRY(SaveCheckpoint());
    METIER_TRY(AgreeToStop());
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
  if (!Complete() && saved_ != state_.step) METIER_TRY(SaveCheckpoint());
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
  const char* kind = recipe::LeavesModel(config_) ? "adapter" : "model";
  if (config_.hyper) kind = "hypernetwork";
  if (config_.router) kind = "mixture";
  Json manifest = {{"kind", kind},
                   {"program", "metier " METIER_VERSION},
                   {"libtorch", TORCH_VERSION},
                   {"instruction_set", cpu::Kernels(cpu::Real::kF32).name},
                   {"device", config_.device},
                   {"threads", at::get_num_threads()},
                   {"seed", config_.seed},
                   {"config", recipe::WriteFields(config_)},
                   {"inputs",
                    {{"model", model_->base_hash()},
                     {"train_file", data_->train_hashes()},
                     {"eval_file", data_->eval_hashes()}}},
                   {"steps", state_.step},
                   {"epochs", state_.epoch},
                   {"tokens", state_.tokens},
                   {"final_loss", FiniteOrNull(state_.last_loss)},
                   {"eval_loss", FiniteOrNull(state_.eval_loss)}};
  if (data_->general().corpus.examples() > 0) {
    manifest["general_loss"] = {{"before", FiniteOrNull(state_.general_before)},
                                {"after", FiniteOrNull(state_.general_after)}};
  }
  if (!workers_.alone()) manifest["workers"] = workers_.count();
  return manifest;
}

Status Run::WriteFinal(const std::string& folder) {
  const RunModel::Averaged averaged(*model_);
  std::vector<std::string> checkpoints;
  if (config_.average_checkpoints > 0) {
    const std::vector<std::int64_t> steps = folder_->Checkpoints();
    const auto wanted =
        std::min(steps.size(), static_cast<std::size_t>(config_.average_checkpoints));
    for (std::size_t i = steps.size() - wanted; i < steps.size(); ++i)
      checkpoints.push_back(CheckpointPath(steps[i]));
  }
  METIER_TRY(model_->WriteFinal(folder, checkpoints));
  METIER_ASSIGN(const std::string curve, LossCurve(state_.history));
  METIER_TRY(WriteFileAtomic(folder_->path() + "/training_loss.svg", curve));
  return WriteFileAtomic(folder + "/manifest.json", DumpPretty(Manifest()));
}

Result<Json> Run::Finish() {
  const bool stopped = !Complete();
  const double seconds = Here();
  METIER_TRY(AgreeOnWeights());
  if (!stopped && workers_.first()) {
    METIER_TRY(folder_->Write("final", [&](const std::string& f) { return WriteFinal(f); }));
  }
  Json reply = {{"steps", state_.step},
                {"total_steps", state_.total},
                {"final_loss", FiniteOrNull(state_.last_loss)},
                {"eval_loss", FiniteOrNull(state_.eval_loss)},
                {"stopped", stopped},
                {"tokens", state_.tokens},
                {"seconds", seconds},
                {"memory_at_most", PeakResidentBytes()},
                {"tokens_per_second",
                 static_cast<double>(state_.tokens - tokens_before_) / std::max(1e-9, seconds)}};
  if (std::isfinite(state_.general_before)) reply["general_loss_before"] = state_.general_before;
  if (std::isfinite(state_.general_after)) reply["general_loss_after"] = state_.general_after;
  if (stopped) {
    reply["checkpoint"] = CheckpointPath(state_.step);
  } else {
    reply["output"] = config_.output_dir + "/final";
  }
  if (workers_.alone()) return reply;
  reply["worker"] = workers_.rank();
  reply["workers"] = workers_.count();
  reply["seconds_communicating"] = workers_.busy_seconds();
  reply["seconds_waiting"] = model_->buckets()->waited_seconds();
  METIER_TRY(workers_.Leave());
  return reply;
}

std::string Run::Remains() const {
  const char* command =
      config_.resume_from_checkpoint == "never"
          ? "; start all workers again with the same command and resume_from_checkpoint=auto"
          : "; start all workers again with the same command";
  if (saved_ < 0) {
    return fmt::format(
        "step {} was under way, and no checkpoint is known of yet (save_steps: {}){}",
        state_.step + 1, config_.save_steps, "; start all workers again with the same command");
  }
  return fmt::format(
      "step {} was under way, and the last checkpoint is '{}'{}, which goes on from it",
      state_.step + 1, CheckpointPath(saved_), command);
}

// This process's share of the machine where it is one of several that may use all of it.
int ThreadsOf(const recipe::TrainConfig& config, const WorkerPlace& place) {
  if (config.threads > 0) return static_cast<int>(config.threads);
  return std::max(1, ThreadPool::DefaultThreads() / place.local_count);
}

Result<Json> Train(const recipe::TrainConfig& config, const EventSink& sink, const Ask& ask) {
  METIER_ASSIGN(const WorkerPlace place,
                ReadWorkerPlace([](const char* name) { return std::getenv(name); }));
  SetThreads(ThreadsOf(config, place));
  METIER_ASSIGN(const std::unique_ptr<Workers> workers,
                Workers::Open(place, std::chrono::seconds(config.ddp_timeout)));
  recipe::TrainConfig of_all = config;
  of_all.gradient_accumulation_steps *= place.count;
  Run run(of_all, sink, ask, *workers);
  try {
    Result<Json> reply = run.Do();
    if (reply.ok()) return reply;
    // Of a worker that is gone, its neighbours know: what they say names it.
    const std::optional<std::string> lost = workers->lost();
    if (lost && reply.error().message().find(*lost) != std::string::npos)
      return Error(ErrorCode::kIo, fmt::format("{}; {}", *lost, run.Remains()));
    workers->Fail(reply.error().message());
    return reply;
  } catch (const std::exception& problem) {
    workers->Fail(problem.what());
    throw;
  }
}

}  // namespace metier::train
