#include "train/run_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "train/agreement.h"
#include "train/forecast.h"
#include "train/quantised_source.h"
#include "train/run_folder.h"

namespace metier::train {
namespace {

constexpr const char* kOptimizerFile = "/optimizer.safetensors";
constexpr const char* kAverageFile = "/average.safetensors";

// "cuda" is each worker's own.
std::string DeviceOf(const std::string& device, const WorkerPlace& place) {
  if (device != "cuda" || place.count == 1) return device;
  const auto devices =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(torch::cuda::device_count()));
  return fmt::format("cuda:{}", place.local_rank % devices);
}

// 0: none is read.
std::int64_t LongestDescription(const recipe::TrainConfig& config) {
  std::int64_t longest = 0;
  if (!config.hyper) return longest;
  for (const recipe::HyperTask& task : config.hyper->tasks)
    for (const std::vector<std::int64_t>& ids : task.description_ids)
      longest = std::max(longest, static_cast<std::int64_t>(ids.size()));
  return longest;
}

NetworkOptions OptionsOf(const recipe::TrainConfig& config, at::Device device) {
  NetworkOptions options;
  options.precision.act = ProductType(config.bf16, device);
  options.device = device;
  options.training = recipe::LeavesModel(config) ? Training::kFrozen : Training::kAll;
  options.longest = std::max(config.max_seq_len, LongestDescription(config));
  options.noise = config.neftune_noise_alpha;
  options.smoothing = config.label_smoothing_factor;
  options.checkpointing = config.gradient_checkpointing;
  options.capacity = {config.expert_capacity_factor, config.expert_min_capacity,
                      config.expert_drop_order == "random"};
  return options;
}

// Adds `from`, F32, to sums in double.
void AddTo(std::vector<double>& sums, std::span<const float> from) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(from[i]);
}

// A parameter's mean over several models, summed in double.
model::ParameterReader MeanOf(std::vector<ModelSource> sources) {
  return [sources = std::move(sources)](const std::string& name) -> Result<tensor::Tensor> {
    METIER_ASSIGN(tensor::Tensor mean, sources.front().read(name));
    std::vector<double> sums(mean.f32().begin(), mean.f32().end());
    for (std::size_t s = 1; s < sources.size(); ++s) {
      METIER_ASSIGN(const tensor::Tensor more, sources[s].read(name));
      METIER_CHECK(more.shape() == mean.shape(), "checkpoints of one run have one shape");
      AddTo(sums, more.f32());
    }
    const auto count = static_cast<double>(sources.size());
    for (std::size_t i = 0; i < sums.size(); ++i)
      mean.f32()[i] = static_cast<float>(sums[i] / count);
    return mean;
  };
}

}  // namespace

Result<RunModel> RunModel::Open(const recipe::TrainConfig& config,
                                const std::optional<std::string>& checkpoint, Workers& workers) {
  METIER_ASSIGN(ModelSource source, OpenModelSource(config));
  METIER_TRY(CheckFits(config, source.spec));
  METIER_ASSIGN(std::string hash, HashModel(source.path));
  return OpenOn(std::move(source), std::move(hash), config, checkpoint, workers);
}

Result<RunModel> RunModel::OpenOn(ModelSource source, std::string hash,
                                  const recipe::TrainConfig& config,
                                  const std::optional<std::string>& checkpoint, Workers& workers) {
  RunModel model(config, workers);
  model.source_ = std::move(source);
  model.base_hash_ = std::move(hash);
  METIER_TRY(model.CheckSpec());
  METIER_TRY(model.BuildNetwork(checkpoint));
  // Nothing is read from it any more, and what it has mapped counts as this process's.
  model.source_.read = nullptr;
  model.source_.files = nullptr;
  const std::vector<Trainable> trainables = model.Trainables();
  if (!workers.alone()) {
    METIER_TRY(model.AgreeOnSources());
    METIER_TRY(model.ShareFirstWeights());
    const auto sharing = config.optimizer_sharding ? GradientBuckets::Sharing::kShares
                                                   : GradientBuckets::Sharing::kWhole;
    model.buckets_ = std::make_unique<GradientBuckets>(
        trainables, workers,
        static_cast<std::int64_t>(config.ddp_bucket_cap_mb * static_cast<double>(1 << 20)),
        sharing);
  }
  model.optimizer_.emplace(trainables, config, model.buckets_.get());
  if (config.ema_decay > 0 && workers.first()) model.average_.emplace(trainables, config.ema_decay);
  return model;
}

std::vector<Trainable> RunModel::Trainables() const {
  return hyper_ ? hyper_->hypernetwork().Trainables() : network_->Trainables();
}

Status RunModel::BuildNetwork(const std::optional<std::string>& checkpoint) {
  METIER_ASSIGN(const at::Device device, ParseDevice(DeviceOf(config_.device, workers_.place())));
  // A checkpoint of full training holds the weights themselves; others, the adapter or mixture.
  METIER_ASSIGN(const BlockSource blocks, QuantiseSource(config_, source_));
  ModelSource from = source_;
  if (checkpoint && !recipe::LeavesModel(config_)) {
    METIER_ASSIGN(from, OpenModelAt(*checkpoint));
    // Everything checked against the model below holds for these weights only then.
    if (from.spec != source_.spec) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("checkpoint '{}' holds another network than this run's model; say "
                               "`resume_from_checkpoint: never`, or use another output_dir",
                               *checkpoint));
    }
  }
  const NetworkOptions options = OptionsOf(config_, device);
  SetProducts(options.precision);
  METIER_ASSIGN(network_, Network::Create(from.spec, options, from.read, blocks));
  if (config_.lora) METIER_TRY(AddAdapter(checkpoint));
  if (config_.svf) METIER_TRY(AddSingularValues(checkpoint));
  if (config_.prefix) METIER_TRY(AddPrefix(checkpoint));
  if (config_.router) METIER_TRY(AddMixture(checkpoint));
  if (config_.hyper) METIER_TRY(AddHypernetwork(checkpoint));
  return config_.distill ? AddTeacher() : Ok();
}

// What each worker read for itself; trainables come from worker 0, but not what is frozen.
Status RunModel::AgreeOnSources() const {
  std::vector<std::string> folders;
  if (config_.lora && !config_.lora->adapter.empty()) folders.push_back(config_.lora->adapter);
  if (config_.prefix && !config_.prefix->adapter.empty())
    folders.push_back(config_.prefix->adapter);
  if (config_.router) {
    for (const recipe::RoutedExpert& expert : config_.router->experts)
      folders.push_back(expert.adapter);
    const std::string& mixture = config_.router->mixture;
    if (!mixture.empty()) folders.push_back(mixture);
    for (const std::string& name : network_->mixture().names())
      if (const std::string own = mixture + "/experts/" + name;
          !mixture.empty() && std::filesystem::exists(own))
        folders.push_back(own);
  }
  Json adapters = Json::object();
  for (const std::string& folder : folders) {
    METIER_ASSIGN(adapters[folder], HashModel(folder));
  }
  return AgreeOn(workers_, {{"model's hash", base_hash_},
                            {"adapters' hashes", adapters},
                            {"teacher's hash", teacher_hash_}});
}

Status RunModel::ShareFirstWeights() const {
  const torch::NoGradGuard no_grad;
  for (const Trainable& trainable : Trainables()) {
    const at::Tensor value = trainable.value.detach();
    METIER_TRY(workers_.Spread(value));
    if (trainable.act.defined()) trainable.act.copy_(value);
  }
  return Ok();
}

Status RunModel::CheckSpec() const {
  const model::ModelSpec& spec = source_.spec;
  const bool masks = config_.stage == "mlm";
  if (!spec.head || spec.causal == masks) {
    const char* found = spec.causal ? "a decoder"
                        : spec.head ? "an encoder"
                                    : "an encoder without a head";
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("model '{}': found {}, stage {} needs {}", config_.model, found, config_.stage,
                    masks ? "an encoder with a head, which restores hidden tokens"
                          : "a decoder, which has a next token to learn"));
  }
  if (masks && config_.mask_token_id >= spec.vocab) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("mask_token_id: found {}, expected one of the model's {} tokens",
                             config_.mask_token_id, spec.vocab));
  }
  const std::size_t most = config_.hyper ? 0 : 1;  // a hypernetwork's tasks are its own
  if ((config_.router || config_.hyper) && source_.spec.moe.tasks.size() > most) {
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("{}: the model's own experts go by task ({}), and a source has one "
                    "owner; take a task's model out first: metier convert --task NAME",
                    config_.router ? "router" : "hyper", fmt::join(source_.spec.moe.tasks, ", ")));
  }
  if (config_.gradient_checkpointing && spec.moe.experts > 0) {
    return Error(ErrorCode::kUnsupported,
                 "gradient_checkpointing: the model has experts, whose choices are counted and "
                 "balanced on the way; leave it out");
  }
  if (config_.expert_capacity_factor > 0 &&
      (source_.spec.moe.experts == 0 ||
       source_.spec.moe.chooser == model::ExpertChooser::kExpert)) {
    return Error(ErrorCode::kInvalidArgument,
                 "expert_capacity_factor: the model has no experts that tokens or tasks choose; "
                 "leave it out");
  }
  if (config_.max_seq_len <= source_.spec.max_positions) return Ok();
  return Error(
      ErrorCode::kInvalidArgument,
      fmt::format("max_seq_len: found {}, the model was made for {} positions; lower it, or say "
                  "rope_scaling where the model has RoPE",
                  config_.max_seq_len, source_.spec.max_positions));
}

Status RunModel::AddAdapter(const std::optional<std::string>& checkpoint) {
  const recipe::LoraConfig& asked = *config_.lora;
  const at::Device device = network_->options().device;
  const std::string& adapter = checkpoint ? *checkpoint : asked.adapter;
  Result<LoraSet> lora =
      adapter.empty()
          ? LoraSet::Create(source_.spec, asked, static_cast<std::uint64_t>(config_.seed),
                            at::kFloat, device, source_.read)
          : LoraSet::Continue(source_.spec, asked, adapter, at::kFloat, device);
  METIER_ASSIGN(LoraSet set, std::move(lora));
  network_->SetLora(std::move(set));
  return Ok();
}

Status RunModel::AddSingularValues(const std::optional<std::string>& checkpoint) {
  const recipe::SvfConfig& asked = *config_.svf;
  const NetworkOptions& options = network_->options();
  const std::string& from = checkpoint ? *checkpoint : asked.adapter;
  METIER_ASSIGN(SvfSet set, from.empty()
                                ? SvfSet::Create(source_.spec, asked, options.precision,
                                                 options.device, source_.read)
                                : SvfSet::Continue(source_.spec, asked, from, options.precision,
                                                   options.device, source_.read));
  network_->SetSingularValues(std::move(set));
  return Ok();
}

Status RunModel::AddPrefix(const std::optional<std::string>& checkpoint) {
  const recipe::PrefixConfig& asked = *config_.prefix;
  const at::Device device = network_->options().device;
  if (config_.max_seq_len + asked.num_virtual_tokens > source_.spec.max_positions) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("max_seq_len: found {} behind a prefix of {}, the model was made for "
                    "{} positions; lower one of them",
                    config_.max_seq_len, asked.num_virtual_tokens, source_.spec.max_positions));
  }
  const std::string& from = checkpoint ? *checkpoint : asked.adapter;
  METIER_ASSIGN(
      PrefixSet set,
      from.empty() ? PrefixSet::Create(source_.spec, asked,
                                       static_cast<std::uint64_t>(config_.seed), at::kFloat, device)
                   : PrefixSet::Continue(source_.spec, asked, from, at::kFloat, device));
  network_->SetPrefix(std::move(set));
  return Ok();
}

Status RunModel::AddMixture(const std::optional<std::string>& checkpoint) {
  const recipe::RouterConfig& asked = *config_.router;
  const at::Device device = network_->options().device;
  Result<MixtureSet> mixture =
      checkpoint ? MixtureSet::Load(source_.spec, *checkpoint,
                                    asked.train_experts ? MixtureSet::Learns::kAll
                                                        : MixtureSet::Learns::kRouters,
                                    at::kFloat, device)
                 : MixtureSet::Create(source_.spec, asked, static_cast<std::uint64_t>(config_.seed),
                                      at::kFloat, device);
  METIER_ASSIGN(MixtureSet set, std::move(mixture));
  network_->SetMixture(std::move(set));
  return Ok();
}

Status RunModel::AddHypernetwork(const std::optional<std::string>& checkpoint) {
  if (!workers_.alone()) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("hyper: found {} workers, expected one: a batch's gradients come task "
                             "by task, in one process",
                             workers_.count()));
  }
  METIER_ASSIGN(HyperTasks tasks, HyperTasks::Open(config_, checkpoint, *network_, base_hash_));
  hyper_.emplace(std::move(tasks));
  return Ok();
}

Status RunModel::AddTeacher() {
  const recipe::DistillConfig& asked = *config_.distill;
  METIER_ASSIGN(const ModelSource source, OpenModelAt(asked.teacher));
  METIER_ASSIGN(teacher_hash_, HashModel(asked.teacher));
  const model::ModelSpec& taught = source_.spec;
  if (!source.spec.head || source.spec.causal != taught.causal ||
      source.spec.vocab != taught.vocab) {
    const auto kind = [](bool causal) { return causal ? "a decoder" : "an encoder"; };
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("distill.teacher '{}': found {}{} with a vocabulary of {}, expected "
                             "{} with {}, the model's",
                             asked.teacher, kind(source.spec.causal),
                             source.spec.head ? "" : " without a head", source.spec.vocab,
                             kind(taught.causal), taught.vocab));
  }
  if (config_.max_seq_len > source.spec.max_positions) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("max_seq_len: found {}, distill.teacher '{}' was made for {} "
                             "positions; lower it",
                             config_.max_seq_len, asked.teacher, source.spec.max_positions));
  }
  if (source.spec.moe.tasks != source_.spec.moe.tasks)
    METIER_TRY(model::CheckRunsWithoutTask(source.spec));
  NetworkOptions options = network_->options();
  options.training = Training::kFrozen;
  METIER_ASSIGN(teacher_, Network::Create(source.spec, options, source.read));
  if (asked.adapter.empty()) return Ok();
  METIER_ASSIGN(LoraSet lora,
                LoraSet::Load(source.spec, asked.adapter, at::kFloat, options.device));
  if (!lora.rows().empty()) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("distill.adapter '{}' has token rows of its own; merge it into the "
                             "teacher ('metier merge MODEL --adapter')",
                             asked.adapter));
  }
  METIER_ASSIGN(const std::string adapter_hash, HashModel(asked.adapter));
  teacher_hash_ += adapter_hash;
  teacher_->SetLora(std::move(lora));
  return Ok();
}

Status RunModel::Step(std::int64_t step, double learning_rate, double gradient_scale) {
  optimizer_->Step(step, learning_rate, gradient_scale);
  if (buckets_ != nullptr) METIER_TRY(buckets_->ShareWeights());
  if (average_) average_->Update(step);
  return Ok();
}

std::string RunModel::HashTrainables() const {
  Sha256 hash;
  for (const Trainable& trainable : optimizer_->trainables()) {
    const at::Tensor value = trainable.value.detach().to(at::kCPU).contiguous();
    hash.Add(std::span(static_cast<const std::byte*>(value.data_ptr()), value.nbytes()));
  }
  return std::move(hash).Hex();
}

Status RunModel::SaveCheckpoint(const std::string& folder) {
  METIER_TRY(WriteWeights(folder, tensor::DType::kF32));
  if (average_) METIER_TRY(average_->Save(folder + kAverageFile));
  return optimizer_->Save(folder + kOptimizerFile);
}

Status RunModel::LoadOptimizer(const std::string& checkpoint) {
  if (average_) METIER_TRY(average_->Load(checkpoint + kAverageFile));
  return optimizer_->Load(checkpoint + kOptimizerFile);
}

Status RunModel::WriteWeights(const std::string& folder, tensor::DType dtype) const {
  if (config_.lora) return network_->lora().Save(folder, config_.model);
  if (config_.svf) return network_->singular_values().Save(folder, config_.model);
  if (config_.prefix) return network_->prefix().Save(folder, config_.model);
  if (config_.router) return network_->mixture().Save(folder, config_.model);
  if (hyper_) return hyper_->hypernetwork().Save(folder, config_.model, base_hash_, config_.bf16);
  return model::WriteHuggingFaceModel(
      folder, network_->spec(), dtype,
      [&](const std::string& name) { return network_->ReadParameter(name); });
}

Status RunModel::WriteMean(const std::string& folder, tensor::DType dtype,
                           const std::vector<std::string>& checkpoints) const {
  if (config_.lora) {
    METIER_ASSIGN(const LoraSet mean, LoraSet::Mean(source_.spec, checkpoints));
    return mean.Save(folder, config_.model);
  }
  std::vector<ModelSource> sources;
  for (const std::string& checkpoint : checkpoints) {
    METIER_ASSIGN(ModelSource source, OpenModelAt(checkpoint));
    sources.push_back(std::move(source));
  }
  return model::WriteHuggingFaceModel(folder, network_->spec(), dtype, MeanOf(std::move(sources)));
}

Status RunModel::WriteFinal(const std::string& folder,
                            const std::vector<std::string>& checkpoints) const {
  tensor::DType dtype = tensor::DType::kBF16;
  if (config_.dtype == "auto" && !source_.path.empty() &&
      (source_.stored == tensor::DType::kF32 || source_.stored == tensor::DType::kF16))
    dtype = source_.stored;
  if (config_.dtype == "float32") dtype = tensor::DType::kF32;
  if (config_.dtype == "float16") dtype = tensor::DType::kF16;
  METIER_TRY(checkpoints.empty() ? WriteWeights(folder, dtype)
                                 : WriteMean(folder, dtype, checkpoints));
  const std::string& tokenizer = config_.tokenizer.empty() ? source_.path : config_.tokenizer;
  if (tokenizer.empty()) return Ok();
  METIER_ASSIGN(const std::vector<std::string> copied, CopyTokenizerFiles(tokenizer, folder));
  if (!copied.empty() || config_.tokenizer.empty()) return Ok();
  return Error(ErrorCode::kNotFound,
               fmt::format("tokenizer: '{}' has no tokenizer files", tokenizer));
}

}  // namespace metier::train
