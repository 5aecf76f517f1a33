// What of a Run (run.h) learns from its own answers (stage grpo).
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/rng.h"
#include "train/run.h"

namespace metier::train {
namespace {

constexpr std::uint64_t kRolloutSeed = 0x726f6c6c6f7574ULL;  // apart from the data's streams

}  // namespace

Status Run::PreparePolicy() {
  if (!config_.grpo) return Ok();
  if (!ask_) {
    return Error(ErrorCode::kUnsupported,
                 "stage grpo: the program that runs this answers no prompts; use 'metier train'");
  }
  METIER_ASSIGN(end_token_, CheckPrompts(data_->train().corpus, config_));
  for (const Reading& reading : data_->evals()) {
    METIER_ASSIGN(const std::int64_t end, CheckPrompts(reading.corpus, config_));
    if (end == end_token_) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': answers end with token {}, those of the training data with {}",
                             reading.corpus.path(0), end, end_token_));
  }
  return Ok();
}

std::string Run::PolicyFolder() const {
  return fmt::format("{}/policy-{}", config_.output_dir, workers_.rank());
}

void Run::RemovePolicy() const {
  if (!config_.grpo) return;
  std::error_code ignored;
  std::filesystem::remove_all(PolicyFolder(), ignored);
}

// The weights as they are, for the program to read.
Status Run::SavePolicy() const {
  return model_->network().lora().Save(PolicyFolder(), config_.model);
}

// One group for each of `examples`, by the weights that were saved last.
Result<std::vector<RolloutGroup>> Run::AskFor(const Corpus& corpus,
                                              const std::vector<std::int64_t>& examples,
                                              const std::vector<std::int64_t>& streams,
                                              bool greedy) {
  RolloutRequest request;
  request.adapter = PolicyFolder();
  request.examples = examples;
  request.streams = streams;
  request.greedy = greedy;
  request.seed = Rng(static_cast<std::uint64_t>(config_.seed) ^ kRolloutSeed,
                     static_cast<std::uint64_t>(state_.step))
                     .Next();
  const Json question = RolloutQuestion(config_, corpus, end_token_, request);
  METIER_ASSIGN(const Json answer, ask_(question));
  return ReadRollouts(answer, question, model_->source().spec.vocab);
}

// To the prompts of this worker's batches, in order. A prompt's stream is its place in the step,
// whoever answers it.
Result<std::vector<RolloutGroup>> Run::AnswersTo(const StepPlan& plan) {
  if (!config_.grpo) return std::vector<RolloutGroup>();
  std::vector<std::int64_t> examples;
  std::vector<std::int64_t> streams;
  std::int64_t stream = 0;
  const auto workers = static_cast<std::size_t>(workers_.count());
  for (std::size_t i = 0; i < plan.batches.size(); ++i) {
    const bool own = i % workers == static_cast<std::size_t>(workers_.rank());
    for (const Pack& pack : plan.batches[i]) {
      if (own) {
        examples.push_back(pack.front().example);
        streams.push_back(stream);
      }
      stream += config_.grpo->num_generations;
    }
  }
  if (examples.empty()) return std::vector<RolloutGroup>();
  METIER_TRY(SavePolicy());
  return AskFor(data_->train().corpus, examples, streams, /*greedy=*/false);
}

// The loss of one batch of prompts. `answers`: to these.
at::Tensor Run::PolicyPart(const std::vector<Pack>& packs, std::span<const RolloutGroup> answers,
                           const StepShare& share, std::uint64_t key) {
  std::vector<PromptedGroup> groups;
  const Corpus& corpus = data_->train().corpus;
  for (std::size_t p = 0; p < packs.size(); ++p) {
    const std::int64_t example = packs[p].front().example;
    groups.push_back(
        {corpus.Ids(example).first(static_cast<std::size_t>(corpus.Prompt(example))), &answers[p]});
  }
  const PolicyBatch policy =
      MakePolicyBatch(*config_.grpo, groups, share.prediction, Device(), tally_.policy);
  state_.tokens += policy.batch.read;
  const at::Tensor log_probs = model_->network().LogProbs(policy.batch, {.key = key});
  return PolicyLoss(*config_.grpo, policy, log_probs, tally_.policy);
}

// What the likeliest answers to the evaluation's prompts are worth.
Status Run::AddEvalRewards(Json& metrics) {
  if (!config_.grpo) return Ok();
  constexpr std::size_t kAtOnce = 256;
  const RunModel::Averaged averaged(*model_);
  METIER_TRY(SavePolicy());
  double sum = 0;
  for (const Reading& reading : data_->evals()) {
    double reward = 0;
    const std::int64_t count = reading.corpus.examples();
    for (std::int64_t first = 0; first < count;) {
      std::vector<std::int64_t> examples;
      while (first < count && examples.size() < kAtOnce) examples.push_back(first++);
      METIER_ASSIGN(const std::vector<RolloutGroup> groups,
                    AskFor(reading.corpus, examples, std::vector<std::int64_t>(examples.size()),
                           /*greedy=*/true));
      for (const RolloutGroup& group : groups) reward += group.front().reward;
    }
    reward /= static_cast<double>(std::max<std::int64_t>(1, count));
    sum += reward;
    if (!reading.name.empty()) metrics["eval_reward_" + reading.name] = reward;
  }
  metrics["eval_reward"] = sum / static_cast<double>(data_->evals().size());
  return Ok();
}

}  // namespace metier::train
