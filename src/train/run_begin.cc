// How a Run (run.h) begins, or goes on where another process stopped.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "recipe/fields.h"
#include "train/agreement.h"
#include "train/references.h"
#include "train/run.h"

namespace metier::train {
namespace {

double Mebibytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

Status Run::Prepare() {
  Json own = {{"program", "metier " METIER_VERSION}, {"config", recipe::WriteFields(config_)}};
  own["config"]["gradient_accumulation_steps"] =
      config_.gradient_accumulation_steps / workers_.count();
  for (const char* free : {"output_dir", "threads"}) own["config"].erase(free);
  METIER_TRY(AgreeOn(workers_, own));
  if (workers_.first()) {
    METIER_ASSIGN(RunFolder folder, RunFolder::Open(config_.output_dir));
    folder_.emplace(std::move(folder));
    const std::vector<std::int64_t> known = folder_->Checkpoints();
    if (config_.resume_from_checkpoint == "auto") {
      if (!known.empty()) checkpoint_ = CheckpointPath(known.back());
    } else if (config_.resume_from_checkpoint != "never") {
      checkpoint_ = config_.resume_from_checkpoint;
    }
  }
  METIER_ASSIGN(RunModel model, RunModel::Open(config_, checkpoint_, workers_));
  model_.emplace(std::move(model));
  if (model_->teacher() != nullptr) objective_.SetTeacher(*model_->teacher());
  const model::ModelSpec& spec = model_->source().spec;
  Domains domains = {model_->network().mixture().names(), spec.moe.tasks};
  if (config_.hyper) {
    domains.tasks.clear();
    domains.described = true;
    for (const recipe::HyperTask& task : config_.hyper->tasks) domains.tasks.push_back(task.name);
  }
  METIER_ASSIGN(RunData data, RunData::Open(config_, spec.vocab, domains));
  data_.emplace(std::move(data));
  const bool bf16 = model_->network().options().precision.act == at::kBFloat16;
  METIER_TRY(AgreeOn(workers_, {{"train_file's hash", data_->train_hashes()},
                                {"eval_file's hash", data_->eval_hashes()},
                                {"type of products", bf16 ? "bf16" : "float"}}));
  METIER_TRY(CheckAverages());
  std::string summary = data_->Summary();
  const Network::Footprint weights = model_->network().WeightBytes();
  if (weights.blocks > 0) {
    summary += fmt::format("; weights of {:.1f} MiB in blocks and {:.1f} MiB beside them",
                           Mebibytes(weights.blocks), Mebibytes(weights.plain));
  }
  if (config_.bf16 && !bf16) summary += "; products in float, this processor has none of bf16";
  if (!workers_.alone()) summary += fmt::format("; {} workers", workers_.count());
  Emit({{"event", "log"}, {"text", summary}});
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
  METIER_ASSIGN(const bool found, LoadReferences(folder_->path(), *data_, run));
  if (found) return Ok();
  if (state_.step > 0) return LostBeginning("references");
  METIER_ASSIGN(const bool whole,
                ComputeReferences(
                    model_->network(), config_, *data_, [&](std::int64_t done, std::int64_t total) {
                      return Emit({{"event", "references"}, {"done", done}, {"total", total}});
                    }));
  if (whole) METIER_TRY(SaveReferences(folder_->path(), *data_, run));
  return Ok();
}

// Worker 0's references to all.
Status Run::ShareReferences() {
  if (workers_.alone() || !recipe::HasReference(config_)) return Ok();
  std::vector<Reading*> readings = {&data_->train()};
  for (Reading& reading : data_->evals()) readings.push_back(&reading);
  for (Reading* reading : readings) {
    for (std::vector<double>* values : {&reading->references, &reading->mismatched}) {
      METIER_ASSIGN(const std::string size, workers_.Spread(std::to_string(values->size())));
      values->resize(static_cast<std::size_t>(std::stoull(size)));
      const auto length = static_cast<std::int64_t>(values->size());
      METIER_TRY(workers_.Spread(at::from_blob(values->data(), {length}, at::kDouble)));
    }
  }
  return Ok();
}

Status Run::ResumeFirst() {
  if (checkpoint_) {
    METIER_ASSIGN(state_, ReadState(*checkpoint_, config_, Inputs()));
    tokens_before_ = state_.tokens;
    saved_ = state_.step;
    METIER_TRY(PrepareReferences());
    METIER_TRY(PrepareConsolidation());
    METIER_TRY(folder_->RewindLog(state_.step));
    Emit({{"event", "log"}, {"text", fmt::format("resumed from '{}'", *checkpoint_)}});
  } else {
    // Those of an earlier run would count among ours when the oldest are removed.
    if (config_.resume_from_checkpoint == "never") METIER_TRY(folder_->RemoveCheckpoints());
    METIER_TRY(folder_->RewindLog(-1));
    METIER_TRY(PrepareReferences());
    METIER_TRY(PrepareConsolidation());
  }
  return Ok();
}

// What decides whose turn it is, as worker 0 has it.
Status Run::ShareState() {
  if (workers_.alone()) return Ok();
  const Json mine = {{"step", state_.step},
                     {"eval_step", state_.eval_step},
                     {"saved", saved_},
                     {"checkpoint", checkpoint_.value_or("")}};
  METIER_ASSIGN(const std::string text, workers_.Spread(DumpCompact(mine)));
  METIER_ASSIGN(const Json shared, ParseJson(text));
  state_.step = shared.at("step").get<std::int64_t>();
  state_.eval_step = shared.at("eval_step").get<std::int64_t>();
  saved_ = shared.at("saved").get<std::int64_t>();
  const auto checkpoint = shared.at("checkpoint").get<std::string>();
  if (!checkpoint.empty()) checkpoint_ = checkpoint;
  return Ok();
}

// The weights that a run continues are no longer those that it began with, so neither can be
// measured later.
Status Run::PrepareConsolidation() {
  if (!consolidation_) return Ok();
  const Json run = {
      {"config", ResumeKey(config_)}, {"inputs", Inputs()}, {"old", data_->old_hash()}};
  METIER_ASSIGN(const bool found, consolidation_->Load(folder_->path(), run));
  if (found) return Ok();
  if (state_.step > 0) return LostBeginning("consolidation");
  const bool whole = consolidation_->Measure(
      model_->network(), *data_, data_->old(), config_.ewc->max_examples,
      [&](std::int64_t done, std::int64_t total) {
        return Emit({{"event", "consolidation"}, {"done", done}, {"total", total}});
      });
  if (whole) METIER_TRY(consolidation_->Save(folder_->path(), run));
  return Ok();
}

// Worker 0's measurement to all.
Status Run::ShareConsolidation() {
  if (workers_.alone() || !consolidation_) return Ok();
  for (const NamedTensor& named : consolidation_->Tensors())
    METIER_TRY(workers_.Spread(named.tensor));
  return Ok();
}

Error Run::LostBeginning(const std::string& what) const {
  return {ErrorCode::kNotFound,
          fmt::format("'{}' has no {} of this run, computed before its first step; say "
                      "`resume_from_checkpoint: never` to start anew",
                      folder_->path(), what)};
}

Status Run::Resume() {
  if (config_.ewc) consolidation_.emplace(model_->optimizer().trainables(), config_.ewc->weight);
  if (workers_.first()) METIER_TRY(ResumeFirst());
  METIER_TRY(ShareState());
  METIER_TRY(ShareReferences());
  METIER_TRY(ShareConsolidation());
  if (checkpoint_) METIER_TRY(model_->LoadOptimizer(*checkpoint_));
  state_.total = data_->total_steps();
  tokens_summed_ = state_.tokens;
  return Ok();
}

}  // namespace metier::train
