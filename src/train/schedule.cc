#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace metier::train {
namespace {

constexpr std::int64_t kInverseSqrtSteps = 10000;

}  // namespace

double LearningRate(const recipe::TrainConfig& config, std::int64_t step, std::int64_t total) {
  const auto warmup = std::min<std::int64_t>(
      total, config.warmup_steps > 0
                 ? config.warmup_steps
                 : std::llround(std::ceil(config.warmup_ratio * static_cast<double>(total))));
  const bool warms = config.lr_scheduler_type != "constant";
  if (warms && step < warmup)
    return config.learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const std::int64_t first = warms ? warmup : 0;
  const double progress =
      total > first ? static_cast<double>(step - first) / static_cast<double>(total - first) : 1;
  double share = 1;
  if (config.lr_scheduler_type == "cosine")
    share = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  if (config.lr_scheduler_type == "linear") share = 1 - progress;
  if (config.lr_scheduler_type == "inverse_sqrt") {
    // Without a warm-up as if one of so many steps had been.
    const std::int64_t scale = warmup > 0 ? warmup : kInverseSqrtSteps;
    share = std::sqrt(static_cast<double>(scale) / static_cast<double>(scale + step - first));
  }
  return config.learning_rate * (config.min_lr_ratio + (1 - config.min_lr_ratio) * share);
}

PackingOptions EvalPackingOf(const recipe::TrainConfig& config) {
  PackingOptions options;
  options.max_tokens = config.max_seq_len;
  options.packing = config.packing;
  options.all_tokens = config.stage == "pretrain";
  if (config.stage == "mlm") {
    options.masking = Masking{.probability = config.mlm_probability,
                              .mask_token = static_cast<std::int32_t>(config.mask_token_id)};
  }
  if (config.long_examples == "split") options.long_examples = LongExamples::kSplit;
  if (config.long_examples == "truncate") options.long_examples = LongExamples::kTruncate;
  if (config.long_examples == "auto" && (options.all_tokens || options.masking))
    options.long_examples = LongExamples::kSplit;
  return options;
}

PackingOptions GeneralPackingOf(const recipe::TrainConfig& config) {
  PackingOptions options = EvalPackingOf(config);
  options.long_examples = LongExamples::kSplit;
  return options;
}

PackingOptions PackingOf(const recipe::TrainConfig& config) {
  PackingOptions options = EvalPackingOf(config);
  if (!config.train_mixture) return options;
  const recipe::DataMixture& mixture = *config.train_mixture;
  if (mixture.order == "priority") options.mix.kind = OrderKind::kPriority;
  if (mixture.order == "shares") options.mix.kind = OrderKind::kShares;
  for (const recipe::DataSource& source : mixture.sources) {
    options.mix.weights.push_back(source.weight);
    options.mix.repeats.push_back(source.repeats);
  }
  return options;
}

StepReader::StepReader(const Corpus& corpus, const recipe::TrainConfig& config)
    : StepReader(0, config) {
  corpus_ = &corpus;
}

StepReader::StepReader(std::int64_t items, const recipe::TrainConfig& config)
    : items_(items),
      options_(PackingOf(config)),
      batch_size_(recipe::BatchSize(config)),
      accumulation_(config.gradient_accumulation_steps),
      seed_(static_cast<std::uint64_t>(config.seed)) {}

Status StepReader::StartEpoch() {
  ++epoch_;
  const auto epoch = static_cast<std::uint64_t>(epoch_);
  done_ = 0;
  packs_ = items_;
  if (corpus_ == nullptr) {
    order_.emplace(items_, seed_, epoch);
    return Ok();
  }
  METIER_ASSIGN(const PackingCounts counts, CountPacks(*corpus_, options_, seed_, epoch));
  packs_ = counts.packs;
  reader_ = std::make_unique<PackReader>(*corpus_, options_, seed_, epoch);
  return Ok();
}

Pack StepReader::NextPack() {
  if (corpus_ == nullptr) return {{order_->At(done_), 0, 1}};
  return reader_->Next();
}

std::int64_t StepReader::PredictionsOf(const Piece& piece) const {
  return corpus_ == nullptr ? 1 : Predictions(*corpus_, options_, piece);
}

Result<StepPlan> StepReader::Next() {
  if (epoch_ < 0 || done_ == packs_) METIER_TRY(StartEpoch());
  const std::int64_t group = corpus_ == nullptr ? 1 : corpus_->group();
  StepPlan plan;
  plan.epoch = epoch_;
  for (std::int64_t batch = 0; batch < accumulation_ && done_ < packs_; ++batch) {
    plan.batches.emplace_back();
    for (std::int64_t i = 0; i < batch_size_ && done_ < packs_; ++i, ++done_) {
      plan.batches.back().push_back(NextPack());
      const Pack& pack = plan.batches.back().back();
      for (const Piece& piece : pack) plan.predictions += PredictionsOf(piece);
      plan.groups += static_cast<std::int64_t>(pack.size()) / group;
    }
  }
  plan.epochs_done =
      static_cast<double>(epoch_) + static_cast<double>(done_) / static_cast<double>(packs_);
  return plan;
}

Status StepReader::Skip(std::int64_t steps) {
  for (std::int64_t i = 0; i < steps; ++i) {
    METIER_ASSIGN(const StepPlan plan, Next());
    static_cast<void>(plan);
  }
  return Ok();
}

namespace {

// `packs(epoch)`: how many an epoch has.
template <class Packs>
Result<std::int64_t> StepsOf(const recipe::TrainConfig& config, Packs&& packs) {
  if (config.max_steps > 0) return config.max_steps;
  const std::int64_t packs_a_step = recipe::BatchSize(config) * config.gradient_accumulation_steps;
  std::int64_t total = 0;
  for (double left = config.num_train_epochs; left > 0; left -= 1) {
    const auto epoch = static_cast<std::uint64_t>(config.num_train_epochs - left + 0.5);
    METIER_ASSIGN(const std::int64_t count, packs(epoch));
    const std::int64_t steps = (count + packs_a_step - 1) / packs_a_step;
    total +=
        left >= 1 ? steps : static_cast<std::int64_t>(std::ceil(left * static_cast<double>(steps)));
  }
  return total;
}

}  // namespace

Result<std::int64_t> TotalSteps(const Corpus& corpus, const recipe::TrainConfig& config) {
  return StepsOf(config, [&](std::uint64_t epoch) -> Result<std::int64_t> {
    METIER_ASSIGN(
        const PackingCounts counts,
        CountPacks(corpus, PackingOf(config), static_cast<std::uint64_t>(config.seed), epoch));
    return counts.packs;
  });
}

Result<std::int64_t> TotalSteps(std::int64_t items, const recipe::TrainConfig& config) {
  return StepsOf(config, [&](std::uint64_t) -> Result<std::int64_t> { return items; });
}

}  // namespace metier::train
