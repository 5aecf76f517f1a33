#include "specialist/rollouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/native_backend.h"
#include "engine/native_model.h"
#include "engine/scheduler.h"
#include "engine/scoring.h"
#include "evaluate/rewards.h"
#include "model/adapter_files.h"
#include "recipe/fields.h"
#include "specialist/runnable.h"

namespace metier::specialist {
namespace {

using Ids = std::vector<text::TokenId>;

struct RolloutQuestion {
  std::string question;
  std::string model;
  std::string tokenizer;
  std::string adapter;
  std::optional<std::string> reference;
  std::vector<std::vector<std::int64_t>> prompts;
  std::vector<std::vector<std::int64_t>> truths;
  std::int64_t answers = 1;
  std::int64_t max_tokens = 1;
  std::int64_t end_token = 0;
  bool greedy = false;
  std::int64_t seed = 0;
  std::vector<std::int64_t> streams;
  std::int64_t threads = 0;
  std::vector<recipe::RewardConfig> rewards;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("question", question, "what is asked").OneOf({"rollout"}).Required();
    field("model", model, "that answers").Required();
    field("tokenizer", tokenizer, "of its texts; empty: its own");
    field("adapter", adapter, "on top of it").Required();
    field("reference", reference,
          "another one, which says how likely it finds the answers; empty: the model alone");
    field("prompts", prompts, "as tokens").Required();
    field("truths", truths, "the data's answers").Required();
    field("answers", answers, "to each prompt").AtLeast(1);
    field("max_tokens", max_tokens, "of an answer").AtLeast(1);
    field("end_token", end_token, "that ends an answer").AtLeast(0);
    field("greedy", greedy, "the likeliest token each time");
    field("seed", seed, "of what is drawn").AtLeast(0);
    field("streams", streams, "of the seed, of each prompt's first answer").AtLeast(0);
    field("threads", threads, "0: all").AtLeast(0);
    field("rewards", rewards, "what answers are worth");
  }
};

Ids ToIds(const std::vector<std::int64_t>& list) { return {list.begin(), list.end()}; }

}  // namespace

struct Rollouts::Engine {
  std::string path;
  text::Tokenizer tokenizer;
  std::shared_ptr<engine::NativeBackend> backend;
  std::optional<std::pair<std::string, model::AdapterId>> reference;

  static Result<std::unique_ptr<Engine>> Open(const RolloutQuestion& question);
  Result<model::AdapterId> Add(const std::string& folder) const;
  Result<std::vector<engine::Generation>> Generate(const RolloutQuestion& question,
                                                   model::AdapterId adapter) const;
  Result<model::AdapterId> Reference(const std::string& folder);
};

Result<std::unique_ptr<Rollouts::Engine>> Rollouts::Engine::Open(const RolloutQuestion& question) {
  METIER_ASSIGN(const model::ModelFiles files, model::ModelFiles::Open(question.model));
  METIER_ASSIGN(auto weights, engine::NativeModel::FromFiles(files));
  METIER_ASSIGN(text::Tokenizer tokenizer,
                OpenTokenizer(question.tokenizer.empty() ? question.model : question.tokenizer));
  auto backend = std::make_shared<engine::NativeBackend>(
      std::move(weights), engine::NativeOptions{.threads = static_cast<int>(question.threads)});
  return std::make_unique<Engine>(
      Engine{question.model, std::move(tokenizer), std::move(backend), std::nullopt});
}

Result<model::AdapterId> Rollouts::Engine::Add(const std::string& folder) const {
  METIER_ASSIGN(const model::AdapterFiles files, model::OpenAdapter(backend->spec(), folder));
  return model::AddAdapter(*backend, files);
}

// Opened once: a run has one reference.
Result<model::AdapterId> Rollouts::Engine::Reference(const std::string& folder) {
  if (folder.empty()) return model::AdapterId::kNone;
  if (!reference || reference->first != folder) {
    METIER_ASSIGN(const model::AdapterId id, Add(folder));
    reference.emplace(folder, id);
  }
  return reference->second;
}

// Answer a to prompt p is at p * answers + a.
Result<std::vector<engine::Generation>> Rollouts::Engine::Generate(const RolloutQuestion& question,
                                                                   model::AdapterId adapter) const {
  const auto answers = static_cast<std::size_t>(question.answers);
  std::vector<std::optional<Result<engine::Generation>>> done(question.prompts.size() * answers);
  engine::Scheduler scheduler(*backend, tokenizer, {.max_running = 64, .max_waiting = 0});
  for (std::size_t i = 0; i < done.size(); ++i) {
    const std::size_t prompt = i / answers;
    engine::Request request;
    request.prompt = ToIds(question.prompts[prompt]);
    request.adapter = adapter;
    request.options.sampler.temperature = question.greedy ? 0 : 1;
    request.options.sampler.seed = static_cast<std::uint64_t>(question.seed);
    request.options.sampler.stream =
        static_cast<std::uint64_t>(question.streams[prompt]) + i % answers;
    request.options.max_tokens = question.max_tokens;
    request.options.end_tokens = {static_cast<text::TokenId>(question.end_token)};
    request.on_done = [&done, i](Result<engine::Generation> result) {
      done[i].emplace(std::move(result));
    };
    METIER_TRY(scheduler.Submit(std::move(request)));
  }
  while (scheduler.Step()) {
  }
  std::vector<engine::Generation> generations;
  for (std::optional<Result<engine::Generation>>& one : done) {
    METIER_ASSIGN(engine::Generation generation, std::move(one).value());
    generations.push_back(std::move(generation));
  }
  return generations;
}

Rollouts::Rollouts() = default;
Rollouts::~Rollouts() = default;

Result<Json> Rollouts::Answer(const Json& document) {
  RolloutQuestion question;
  METIER_TRY(recipe::ReadFields(document, "rollout", question));
  if (question.truths.size() != question.prompts.size() ||
      question.streams.size() != question.prompts.size())
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("rollout: found {} prompts, {} truths and {} streams, expected as many of each",
                    question.prompts.size(), question.truths.size(), question.streams.size()));
  METIER_ASSIGN(const evaluate::Rewards rewards, evaluate::Rewards::Create(question.rewards));
  if (!engine_ || engine_->path != question.model) {
    METIER_ASSIGN(engine_, Engine::Open(question));
  }
  METIER_ASSIGN(const model::AdapterId adapter, engine_->Add(question.adapter));
  Result<std::vector<engine::Generation>> generations = engine_->Generate(question, adapter);
  METIER_TRY(engine_->backend->RemoveAdapter(adapter));
  METIER_TRY(generations);
  std::vector<std::string> truths;
  for (const std::vector<std::int64_t>& ids : question.truths) {
    METIER_ASSIGN(std::string truth, engine_->tokenizer.Decode(ToIds(ids)));
    truths.push_back(std::move(truth));
  }
  model::AdapterId reference = model::AdapterId::kNone;
  if (question.reference) {
    METIER_ASSIGN(reference, engine_->Reference(*question.reference));
  }
  Json groups = Json::array();
  for (std::size_t i = 0; i < generations->size(); ++i) {
    const engine::Generation& generation = (*generations)[i];
    const std::size_t prompt = i / static_cast<std::size_t>(question.answers);
    METIER_ASSIGN(const std::string text, engine_->tokenizer.Decode(generation.tokens));
    const bool ended = generation.finish == engine::FinishReason::kStop;
    Json answer = {{"tokens", generation.tokens},
                   {"ended", ended},
                   {"reward", rewards.Of(text, truths[prompt])}};
    if (question.reference) {
      Ids tokens = ToIds(question.prompts[prompt]);
      const auto first = static_cast<std::int64_t>(tokens.size()) - 1;
      tokens.insert(tokens.end(), generation.tokens.begin(), generation.tokens.end());
      if (ended) tokens.push_back(static_cast<text::TokenId>(question.end_token));
      METIER_ASSIGN(
          const std::vector<double> scores,
          engine::ScoreTokens(*engine_->backend, tokens, {.adapter = reference, .first = first}));
      answer["reference"] = scores;
    }
    if (i % static_cast<std::size_t>(question.answers) == 0) groups.push_back(Json::array());
    groups.back().push_back(std::move(answer));
  }
  return Json{{"answers", std::move(groups)}};
}

}  // namespace metier::specialist
