// train/run.h - one training run, as this process has it: what trainer.cc steps through and
// run_begin.cc begins.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/train_config.h"
#include "train/consolidation.h"
#include "train/objective.h"
#include "train/policy.h"
#include "train/rollouts.h"
#include "train/run_data.h"
#include "train/run_folder.h"
#include "train/run_model.h"
#include "train/run_state.h"
#include "train/schedule.h"
#include "train/torch.h"
#include "train/trainer.h"
#include "train/workers.h"

namespace metier::train {

// Of several workers each has a run. Worker 0 has the run's folder, evaluates, logs and writes;
// they take the same turns, because they know the same state.
class Run {
 public:
  // `config`: its batches of a step are those of all workers.
  Run(const recipe::TrainConfig& config, const EventSink& sink, const Ask& ask, Workers& workers)
      : config_(config), sink_(sink), ask_(ask), workers_(workers), objective_(config) {}

  ~Run() { RemovePolicy(); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Result<Json> Do();
  // What is left of the run where it broke off.
  std::string Remains() const;

 private:
  using Clock = std::chrono::steady_clock;

  Status Prepare();
  Status Resume();
  Status ResumeFirst();
  Status ShareState();
  Status Steps();
  Result<Json> Finish();
  Result<double> OneStep(const StepPlan& plan, double learning_rate, double& norm);
  Result<double> AddGradients(const StepPlan& plan);
  double AddHyperGradients(const std::vector<Pack>& packs, const StepShare& share,
                           std::uint64_t key);
  // Of stage grpo (run_policy.cc).
  Status PreparePolicy();
  std::string PolicyFolder() const;
  Status SavePolicy() const;
  // What was written for the program to read, however the run ended.
  void RemovePolicy() const;
  Result<std::vector<RolloutGroup>> AskFor(const Corpus& corpus,
                                           const std::vector<std::int64_t>& examples,
                                           const std::vector<std::int64_t>& streams, bool greedy);
  Result<std::vector<RolloutGroup>> AnswersTo(const StepPlan& plan);
  at::Tensor PolicyPart(const std::vector<Pack>& packs, std::span<const RolloutGroup> answers,
                        const StepShare& share, std::uint64_t key);
  Status AddEvalRewards(Json& metrics);
  Status SumOverWorkers(double& loss, double& norm);
  Error NotFinite(double loss, double norm, double learning_rate) const;
  bool EvaluationIsDue() const;
  // Before the first step and after the last.
  bool GeneralIsDue() const;
  Status LogGeneral();
  bool Complete() const { return state_.step == state_.total && !EvaluationIsDue(); }
  // Whether this step's checkpoint is asked for, be it for the final average.
  bool CheckpointIsDue() const;
  Status LogStep(double learning_rate, double norm);
  Status LogEvaluation();
  Status Evaluate();
  Status SaveCheckpoint();
  Status WriteCheckpoint();
  Status CheckAverages() const;
  Status PrepareReferences();
  Status PrepareConsolidation();
  Status ShareConsolidation();
  // Of what is computed before the first step and kept.
  Error LostBeginning(const std::string& what) const;
  Status ShareReferences();
  Status AgreeOnWeights();
  Status AgreeToStop();
  Status WriteFinal(const std::string& folder);
  Json Inputs() const;
  Json Manifest() const;
  std::string CheckpointPath(std::int64_t step) const {
    return config_.output_dir + "/checkpoint-" + std::to_string(step);
  }
  at::Device Device() const { return model_->network().options().device; }
  // Of all workers, so that each can ask for the end; worker 0's are for a reader.
  bool Emit(Json event) {
    if (!workers_.first()) event = {{"event", "worker"}, {"worker", workers_.rank()}};
    if (sink_ && sink_(event)) asked_to_stop_ = true;
    return asked_to_stop_;
  }
  // Seconds of all processes; of this one.
  double Elapsed() const { return state_.elapsed + Here(); }
  double Here() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

  const recipe::TrainConfig& config_;
  const EventSink& sink_;
  const Ask& ask_;
  Workers& workers_;
  std::optional<RunFolder> folder_;  // of worker 0
  Objective objective_;
  std::optional<RunModel> model_;
  std::optional<RunData> data_;
  std::optional<Consolidation> consolidation_;
  std::optional<std::string> checkpoint_;  // the one this run continues
  std::int64_t end_token_ = -1;            // of answers, in stage grpo
  RunState state_;                         // its seconds are those before this process
  std::int64_t tokens_before_ = 0;         // seen before this process
  std::int64_t tokens_summed_ = 0;         // of those seen, those of all workers
  Clock::time_point started_ = Clock::now();
  Tally tally_;                 // of this process since the last line of the log
  std::int64_t saved_ = -1;     // step of the newest checkpoint
  bool asked_to_stop_ = false;  // here
  bool stop_ = false;           // all workers know it
};

}  // namespace metier::train
