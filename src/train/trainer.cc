#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "recipe/fields.h"
#include "train/cpu/kernels.h"
#include "train/model_source.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/run_folder.h"
#include "train/schedule.h"
#include "train/torch.h"

namespace metier::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kDropoutSeed = 0x6d657469657264ULL;  // apart from the data's streams
// Packs are nearly full, so with 64 there are some twenty sizes, and two in a hundred tokens are
// filling.
constexpr std::int64_t kBatchMultiple = 64;
constexpr const char* kStateFile = "/trainer_state.json";
constexpr const char* kOptimizerFile = "/optimizer.safetensors";

// What must be the same for a checkpoint to be continued: all but where, how fast and how often.
Json ResumeKey(const recipe::TrainConfig& config) {
  Json key = recipe::WriteFields(config);
  for (const char* name :
       {"output_dir", "threads", "logging_steps", "eval_steps", "eval_file", "save_steps",
        "save_total_limit", "resume_from_checkpoint", "dtype", "tokenizer"})
    key.erase(name);
  return key;
}

// The first field in which two configurations differ, "name: x, now y".
std::string Difference(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items()) {
    const auto old = before.find(key);
    const std::string was = old == before.end() ? "absent" : DumpCompact(*old);
    if (was != DumpCompact(value))
      return fmt::format("{}: {}, now {}", key, was, DumpCompact(value));
  }
  return "a field is gone";
}

// A hash, or of several files a list of them in the files' order.
Result<Json> HashTrainFiles(const std::vector<std::string>& files) {
  Json hashes = Json::array();
  for (const std::string& file : files) {
    METIER_ASSIGN(std::string hash, Sha256OfFile(file));
    hashes.push_back(std::move(hash));
  }
  return files.size() == 1 ? hashes.front() : hashes;
}

class Run {
 public:
  Run(const recipe::TrainConfig& config, const EventSink& sink, RunFolder folder)
      : config_(config), sink_(sink), folder_(std::move(folder)) {}

  Status Prepare();
  Status Resume();
  Status Steps();
  Result<Json> Finish();

 private:
  struct LogWindow {  // since the last line of the log
    double loss = 0;
    std::int64_t steps = 0;
  };

  Status PrepareModel();
  Status PrepareData();
  Status CheckLengths() const;
  std::string SourceTokens() const;
  Result<double> OneStep(const StepPlan& plan, double learning_rate, double& norm);
  Batch MakeBatch(const Corpus& corpus, const std::vector<Pack>& packs) const;
  Result<PackingCounts> EvalCounts() const;
  bool EvaluationIsDue() const;
  bool Complete() const { return step_ == total_ && !EvaluationIsDue(); }
  Result<std::optional<double>> Evaluate();
  Status LogStep(double learning_rate, double norm);
  Status LogEvaluation();
  Status SaveCheckpoint();
  Status WriteWeights(const std::string& folder, tensor::DType dtype) const;
  Status WriteFinal(const std::string& folder);
  Json State() const;
  Json Manifest() const;
  bool Emit(const Json& event) {
    if (sink_ && sink_(event)) stop_ = true;
    return stop_;
  }
  double Elapsed() const {
    return elapsed_before_ + std::chrono::duration<double>(Clock::now() - started_).count();
  }

  const recipe::TrainConfig& config_;
  const EventSink& sink_;
  RunFolder folder_;
  ModelSource source_;
  std::string base_hash_;
  Json train_hashes_;
  std::string eval_hash_;
  std::optional<Network> network_;
  std::optional<Optimizer> optimizer_;
  std::optional<Corpus> train_;
  std::optional<Corpus> eval_;
  std::optional<std::string> checkpoint_;  // the one this run continues
  PackingCounts counts_;
  std::int64_t total_ = 0;
  std::int64_t step_ = 0;  // steps done
  double epoch_ = 0;
  std::int64_t tokens_ = 0;         // seen
  std::int64_t tokens_before_ = 0;  // of them, before this process
  double last_loss_ = std::nan("");
  double eval_loss_ = std::nan("");
  std::int64_t eval_step_ = -1;
  LogWindow window_;
  Json history_ = Json::array();
  Clock::time_point started_ = Clock::now();
  double elapsed_before_ = 0;
  bool stop_ = false;
};

Status Run::PrepareModel() {
  METIER_ASSIGN(source_, OpenModelSource(config_));
  METIER_ASSIGN(base_hash_, HashModel(source_.path));
  METIER_ASSIGN(const at::Device device, ParseDevice(config_.device));
  if (!source_.spec.head) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("model '{}': an encoder without a head has no next token to learn; "
                             "stages pretrain and sft need a decoder",
                             config_.model));
  }
  METIER_TRY(CheckLengths());
  // A checkpoint of full training holds the weights themselves; one of LoRA, the adapter.
  ModelSource from = source_;
  if (checkpoint_ && !config_.lora) {
    METIER_ASSIGN(from, OpenModelAt(*checkpoint_));
    // Everything checked against the model below holds for these weights only then.
    if (from.spec != source_.spec) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("checkpoint '{}' holds another network than this run's model; say "
                               "`resume_from_checkpoint: never`, or use another output_dir",
                               *checkpoint_));
    }
  }
  NetworkOptions options;
  options.precision.act = config_.bf16 ? at::kBFloat16 : at::kFloat;
  SetProducts(options.precision);
  options.device = device;
  options.training = config_.lora ? Training::kFrozen : Training::kAll;
  options.longest = config_.max_seq_len;
  METIER_ASSIGN(network_, Network::Create(from.spec, options, from.read));
  if (config_.lora) {
    const recipe::LoraConfig& asked = *config_.lora;
    const std::string& adapter = checkpoint_ ? *checkpoint_ : asked.adapter;
    Result<LoraSet> lora =
        adapter.empty()
            ? LoraSet::Create(source_.spec, asked, static_cast<std::uint64_t>(config_.seed),
                              at::kFloat, device, source_.read)
            : LoraSet::Continue(source_.spec, asked, adapter, at::kFloat, device);
    METIER_ASSIGN(LoraSet set, std::move(lora));
    network_->SetLora(std::move(set));
  }
  optimizer_.emplace(network_->Trainables(), config_);
  return Ok();
}

Status Run::CheckLengths() const {
  if (config_.max_seq_len <= source_.spec.max_positions) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("max_seq_len: found {}, the model was made for {} positions; lower it, or "
                  "raise max_position_embeddings in the model's config",
                  config_.max_seq_len, source_.spec.max_positions));
}

Status Run::PrepareData() {
  const std::vector<std::string> files = recipe::TrainFiles(config_);
  METIER_ASSIGN(train_, Corpus::Open(files, source_.spec.vocab));
  METIER_ASSIGN(train_hashes_, HashTrainFiles(files));
  if (!config_.eval_file.empty()) {
    METIER_ASSIGN(eval_, Corpus::Open({config_.eval_file}, source_.spec.vocab));
    METIER_ASSIGN(eval_hash_, Sha256OfFile(config_.eval_file));
    METIER_TRY(EvalCounts());  // what is wrong with it is said now, not after the training
  }
  METIER_ASSIGN(counts_, CountPacks(*train_, PackingOf(config_),
                                    static_cast<std::uint64_t>(config_.seed), 0));
  METIER_ASSIGN(total_, TotalSteps(*train_, config_));
  std::string text = fmt::format(
      "{} examples, {} tokens a pass, {} of them with loss ({:.1f} %), in {} packs; {} steps",
      train_->examples(), counts_.tokens, counts_.predictions,
      100.0 * static_cast<double>(counts_.predictions) / static_cast<double>(counts_.tokens),
      counts_.packs, total_);
  if (counts_.split_examples > 0)
    text += fmt::format("; {} examples longer than max_seq_len were split", counts_.split_examples);
  if (counts_.truncated_examples > 0) {
    text += fmt::format("; {} examples were truncated, {} tokens left out",
                        counts_.truncated_examples, counts_.truncated_tokens);
  }
  if (train_->sources() > 1) text += "; a pass has " + SourceTokens();
  if (counts_.silent_pieces > 0)
    text += fmt::format("; {} without a token to predict were left out", counts_.silent_pieces);
  Emit({{"event", "log"}, {"text", text}});
  return Ok();
}

std::string Run::SourceTokens() const {
  std::string text;
  for (std::size_t s = 0; s < train_->sources(); ++s) {
    const std::int64_t read = counts_.source_tokens[s];
    text += fmt::format("{}{} tokens of '{}' ({:.2f} times its own)", s == 0 ? "" : ", ", read,
                        train_->path(s),
                        static_cast<double>(read) / static_cast<double>(train_->tokens(s)));
  }
  return text;
}

Result<PackingCounts> Run::EvalCounts() const {
  Result<PackingCounts> counts = CountPacks(*eval_, EvalPackingOf(config_), 0, 0);
  if (counts.ok()) return counts;
  return std::move(counts).error().With("eval_file '" + config_.eval_file + "'");
}

Status Run::Prepare() {
  const std::vector<std::int64_t> known = folder_.Checkpoints();
  if (config_.resume_from_checkpoint == "auto") {
    if (!known.empty()) checkpoint_ = folder_.CheckpointPath(known.back());
  } else if (config_.resume_from_checkpoint != "never") {
    checkpoint_ = config_.resume_from_checkpoint;
  }
  METIER_TRY(PrepareModel());
  return PrepareData();
}

Status Run::Resume() {
  if (!checkpoint_) {
    // Those of an earlier run would count among ours when the oldest are removed.
    if (config_.resume_from_checkpoint == "never") METIER_TRY(folder_.RemoveCheckpoints());
    return folder_.RewindLog(-1);
  }
  METIER_ASSIGN(const Json state, ReadJsonFile(*checkpoint_ + kStateFile));
  const auto damaged = [&] {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("'{}{}' is not a state that this program wrote; remove the checkpoint "
                             "to resume from an older one",
                             *checkpoint_, kStateFile));
  };
  if (!state.is_object()) return damaged();
  const auto config = state.find("config");
  const auto hashes = state.find("inputs");
  if (config == state.end() || hashes == state.end()) return damaged();
  const Json key = ResumeKey(config_);
  const Json inputs = {{"model", base_hash_}, {"train_file", train_hashes_}};
  for (const auto& pair : {std::pair(*config, key), std::pair(*hashes, inputs)}) {
    if (!pair.first.is_object()) return damaged();
    if (DumpCompact(pair.first) == DumpCompact(pair.second)) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("checkpoint '{}' belongs to another run ({}); say "
                             "`resume_from_checkpoint: never`, or use another output_dir",
                             *checkpoint_, Difference(pair.first, pair.second)));
  }
  try {
    step_ = state.at("global_step").get<std::int64_t>();
    epoch_ = state.at("epoch").get<double>();
    tokens_ = state.at("num_input_tokens_seen").get<std::int64_t>();
    tokens_before_ = tokens_;
    elapsed_before_ = state.at("elapsed_seconds").get<double>();
    window_.loss = state.at("window").at("loss").get<double>();
    window_.steps = state.at("window").at("steps").get<std::int64_t>();
    history_ = state.at("log_history");
    for (const Json& line : history_) {
      if (!line.contains("eval_loss")) continue;
      eval_step_ = line.at("step").get<std::int64_t>();
      // One that is not finite is null.
      if (line.at("eval_loss").is_number()) eval_loss_ = line.at("eval_loss").get<double>();
    }
    if (state.at("last_loss").is_number()) last_loss_ = state.at("last_loss").get<double>();
  } catch (const Json::exception&) {
    return damaged();
  }
  METIER_TRY(optimizer_->Load(*checkpoint_ + kOptimizerFile));
  METIER_TRY(folder_.RewindLog(step_));
  Emit({{"event", "log"}, {"text", fmt::format("resumed from '{}'", *checkpoint_)}});
  return Ok();
}

Batch Run::MakeBatch(const Corpus& corpus, const std::vector<Pack>& packs) const {
  const PackingOptions options = PackingOf(config_);
  BatchBuilder builder;
  for (const Pack& pack : packs) {
    for (const Piece& piece : pack) {
      const auto ids = corpus.Ids(piece.example);
      for (std::int64_t i = 0; i < piece.tokens; ++i) {
        builder.Add(ids[static_cast<std::size_t>(piece.first + i)],
                    Predicted(corpus, options, piece, i) ? BatchBuilder::Role::kPredicted
                                                         : BatchBuilder::Role::kRead);
      }
      builder.EndSequence();
    }
  }
  return std::move(builder).Build(network_->options().device, kBatchMultiple);
}

// Returns the mean loss over the step's predictions; every batch's share is weighed by the
// predictions of the whole step, so accumulation changes nothing but rounding.
Result<double> Run::OneStep(const StepPlan& plan, double learning_rate, double& norm) {
  const double weight = 1.0 / static_cast<double>(plan.predictions);
  double loss = 0;
  for (std::size_t i = 0; i < plan.batches.size(); ++i) {
    const Batch batch = MakeBatch(*train_, plan.batches[i]);
    const auto draw = static_cast<std::uint64_t>(step_ * config_.gradient_accumulation_steps) + i;
    const std::uint64_t key =
        Rng(static_cast<std::uint64_t>(config_.seed) ^ kDropoutSeed, draw).Next() | 1;
    const at::Tensor part = network_->Loss(batch, weight, key);
    part.backward();
    loss += part.item<double>();  // waits for a GPU, so last
    tokens_ += batch.read;
  }
  norm = optimizer_->GradientNorm();
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    const std::vector<std::int64_t> kept = folder_.Checkpoints();
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("step {}: the loss is {} and its gradient {}; nothing was changed by this "
                    "step{}. Lower learning_rate ({:g} here), use bf16: false, or look at the data",
                    step_ + 1, loss, norm,
                    kept.empty()
                        ? std::string()
                        : fmt::format(", the last good state is checkpoint-{}", kept.back()),
                    learning_rate));
  }
  const bool clips = config_.max_grad_norm > 0 && norm > config_.max_grad_norm;
  optimizer_->Step(step_ + 1, learning_rate, clips ? config_.max_grad_norm / norm : 1);
  return loss;
}

bool Run::EvaluationIsDue() const {
  if (!eval_ || eval_step_ == step_ || step_ == 0) return false;
  return step_ == total_ || (config_.eval_steps > 0 && step_ % config_.eval_steps == 0);
}

// Nothing when the run was asked to stop.
Result<std::optional<double>> Run::Evaluate() {
  const torch::NoGradGuard no_grad;
  PackReader reader(*eval_, EvalPackingOf(config_), 0, 0);
  METIER_ASSIGN(const PackingCounts counts, EvalCounts());
  double total = 0;
  std::int64_t done = 0;
  std::vector<Pack> packs;
  for (Pack pack = reader.Next();; pack = reader.Next()) {
    const bool end = pack.empty();
    if (!end) packs.push_back(std::move(pack));
    if (packs.empty()) break;
    if (!end && static_cast<std::int64_t>(packs.size()) < recipe::BatchSize(config_)) continue;
    total += network_->Loss(MakeBatch(*eval_, packs), 1.0).item<double>();
    done += static_cast<std::int64_t>(packs.size());
    packs.clear();
    const bool stop = Emit({{"event", "evaluating"},
                            {"step", step_},
                            {"total_steps", total_},
                            {"done", done},
                            {"total", counts.packs}});
    if (stop && !end) return std::optional<double>();
    if (end) break;
  }
  return std::optional(total / static_cast<double>(counts.predictions));
}

Status Run::LogStep(double learning_rate, double norm) {
  const double loss = window_.loss / static_cast<double>(window_.steps);
  window_ = {};
  history_.push_back({{"step", step_},
                      {"epoch", epoch_},
                      {"loss", loss},
                      {"grad_norm", norm},
                      {"learning_rate", learning_rate}});
  const double elapsed = Elapsed();
  const double speed =
      static_cast<double>(tokens_ - tokens_before_) / std::max(1e-9, elapsed - elapsed_before_);
  const double left = elapsed / static_cast<double>(step_) * static_cast<double>(total_ - step_);
  Json line = {{"current_steps", step_},
               {"total_steps", total_},
               {"loss", loss},
               {"lr", learning_rate},
               {"epoch", epoch_},
               {"percentage",
                std::round(1e4 * static_cast<double>(step_) / static_cast<double>(total_)) / 100},
               {"elapsed_time", FormatDuration(elapsed)},
               {"remaining_time", FormatDuration(left)},
               {"grad_norm", norm},
               {"tokens_per_second", std::round(speed)}};
  return folder_.Log(line);
}

Status Run::LogEvaluation() {
  METIER_ASSIGN(const std::optional<double> loss, Evaluate());
  if (!loss) return Ok();  // still due
  eval_loss_ = *loss;
  eval_step_ = step_;
  history_.push_back({{"step", step_}, {"epoch", epoch_}, {"eval_loss", eval_loss_}});
  Emit({{"event", "eval"}, {"step", step_}, {"total_steps", total_}, {"eval_loss", eval_loss_}});
  return folder_.Log({{"current_steps", step_},
                      {"total_steps", total_},
                      {"eval_loss", eval_loss_},
                      {"epoch", epoch_},
                      {"elapsed_time", FormatDuration(Elapsed())}});
}

Json Run::State() const {
  return {{"global_step", step_},
          {"max_steps", total_},
          {"epoch", epoch_},
          {"num_input_tokens_seen", tokens_},
          {"elapsed_seconds", Elapsed()},
          {"last_loss", std::isfinite(last_loss_) ? Json(last_loss_) : Json(nullptr)},
          {"window", {{"loss", window_.loss}, {"steps", window_.steps}}},
          {"log_history", history_},
          {"config", ResumeKey(config_)},
          {"inputs", {{"model", base_hash_}, {"train_file", train_hashes_}}}};
}

Status Run::WriteWeights(const std::string& folder, tensor::DType dtype) const {
  if (config_.lora) return network_->lora().Save(folder, config_.model);
  return model::WriteHuggingFaceModel(
      folder, network_->spec(), dtype,
      [&](const std::string& name) { return network_->ReadParameter(name); });
}

Status Run::SaveCheckpoint() {
  const auto fill = [&](const std::string& folder) -> Status {
    METIER_TRY(WriteWeights(folder, tensor::DType::kF32));
    METIER_TRY(optimizer_->Save(folder + kOptimizerFile));
    return WriteFileAtomic(folder + kStateFile, DumpPretty(State()));
  };
  METIER_TRY(folder_.Write(fmt::format("checkpoint-{}", step_), fill));
  METIER_TRY(folder_.Prune(config_.save_total_limit));
  Emit({{"event", "checkpoint"}, {"step", step_}, {"path", folder_.CheckpointPath(step_)}});
  return Ok();
}

Status Run::Steps() {
  StepReader reader(*train_, config_);
  METIER_TRY(reader.Skip(step_));
  started_ = Clock::now();
  std::int64_t saved = checkpoint_ ? step_ : -1;
  while (true) {
    if (EvaluationIsDue()) METIER_TRY(LogEvaluation());
    const bool save = config_.save_steps > 0 && step_ > 0 && step_ % config_.save_steps == 0;
    if (save && saved != step_) {
      METIER_TRY(SaveCheckpoint());
      saved = step_;
    }
    if (step_ == total_ || stop_) break;
    METIER_ASSIGN(const StepPlan plan, reader.Next());
    const double learning_rate = LearningRate(config_, step_, total_);
    double norm = 0;
    METIER_ASSIGN(last_loss_, OneStep(plan, learning_rate, norm));
    ++step_;
    epoch_ = plan.epochs_done;
    window_.loss += last_loss_;
    ++window_.steps;
    Emit({{"event", "step"},
          {"step", step_},
          {"total_steps", total_},
          {"loss", last_loss_},
          {"grad_norm", norm},
          {"learning_rate", learning_rate},
          {"epoch", epoch_},
          {"tokens", tokens_}});
    if (step_ % config_.logging_steps == 0 || step_ == total_)
      METIER_TRY(LogStep(learning_rate, norm));
  }
  if (!Complete() && saved != step_) METIER_TRY(SaveCheckpoint());
  return Ok();
}

Json Run::Manifest() const {
  return {
      {"kind", config_.lora ? "adapter" : "model"},
      {"program", "metier " METIER_VERSION},
      {"libtorch", TORCH_VERSION},
      {"instruction_set", cpu::Kernels(cpu::Real::kF32).name},
      {"device", config_.device},
      {"threads", at::get_num_threads()},
      {"seed", config_.seed},
      {"config", recipe::WriteFields(config_)},
      {"inputs", {{"model", base_hash_}, {"train_file", train_hashes_}, {"eval_file", eval_hash_}}},
      {"steps", step_},
      {"epochs", epoch_},
      {"tokens", tokens_},
      {"final_loss", std::isfinite(last_loss_) ? Json(last_loss_) : Json(nullptr)},
      {"eval_loss", std::isfinite(eval_loss_) ? Json(eval_loss_) : Json(nullptr)}};
}

Status Run::WriteFinal(const std::string& folder) {
  tensor::DType dtype = tensor::DType::kBF16;
  if (config_.dtype == "auto" && !source_.path.empty() &&
      (source_.stored == tensor::DType::kF32 || source_.stored == tensor::DType::kF16))
    dtype = source_.stored;
  if (config_.dtype == "float32") dtype = tensor::DType::kF32;
  if (config_.dtype == "float16") dtype = tensor::DType::kF16;
  METIER_TRY(WriteWeights(folder, dtype));
  const std::string& tokenizer = config_.tokenizer.empty() ? config_.model : config_.tokenizer;
  if (!tokenizer.empty()) {
    METIER_ASSIGN(const std::vector<std::string> copied, CopyTokenizerFiles(tokenizer, folder));
    if (copied.empty() && !config_.tokenizer.empty()) {
      return Error(ErrorCode::kNotFound,
                   fmt::format("tokenizer: '{}' has no tokenizer files", tokenizer));
    }
  }
  METIER_ASSIGN(const std::string curve, LossCurve(history_));
  METIER_TRY(WriteFileAtomic(folder_.path() + "/training_loss.svg", curve));
  return WriteFileAtomic(folder + "/manifest.json", DumpPretty(Manifest()));
}

Result<Json> Run::Finish() {
  const bool stopped = !Complete();
  if (!stopped) {
    METIER_TRY(folder_.Write("final", [&](const std::string& f) { return WriteFinal(f); }));
  }
  const double seconds = Elapsed() - elapsed_before_;
  Json reply = {{"steps", step_},
                {"total_steps", total_},
                {"final_loss", std::isfinite(last_loss_) ? Json(last_loss_) : Json(nullptr)},
                {"eval_loss", std::isfinite(eval_loss_) ? Json(eval_loss_) : Json(nullptr)},
                {"stopped", stopped},
                {"tokens", tokens_},
                {"seconds", seconds},
                {"tokens_per_second",
                 static_cast<double>(tokens_ - tokens_before_) / std::max(1e-9, seconds)}};
  if (stopped) {
    reply["checkpoint"] = folder_.CheckpointPath(step_);
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
