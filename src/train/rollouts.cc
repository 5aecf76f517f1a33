#include "train/rollouts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "recipe/fields.h"

namespace metier::train {
namespace {

bool HasPrompt(const Corpus& corpus, std::int64_t example) {
  const auto loss = corpus.Loss(example);
  const auto first = std::ranges::find(loss, std::uint8_t{1});
  return first != loss.begin() && first != loss.end();
}

std::span<const std::int32_t> PromptOf(const Corpus& corpus, std::int64_t example) {
  return corpus.Ids(example).first(static_cast<std::size_t>(corpus.Prompt(example)));
}

std::span<const std::int32_t> TruthOf(const Corpus& corpus, std::int64_t example) {
  const auto answer = corpus.Ids(example).subspan(static_cast<std::size_t>(corpus.Prompt(example)));
  return answer.first(answer.size() - 1);
}

Json ListOf(std::span<const std::int32_t> ids) {
  return std::vector<std::int32_t>(ids.begin(), ids.end());
}

Error NotAnAnswer(const std::string& what) {
  return {ErrorCode::kDataCorrupt, fmt::format("the program's answers to prompts: {}", what)};
}

Result<Rollout> ReadRollout(const Json& document, const Json& question, std::int64_t vocab) {
  Rollout rollout;
  if (!document.is_object() || !document.contains("tokens") || !document.contains("reward"))
    return NotAnAnswer("one without tokens or reward");
  for (const Json& id : document["tokens"]) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= vocab)
      return NotAnAnswer(fmt::format("token {}, the model has {}", id.dump(), vocab));
    rollout.tokens.push_back(id.get<std::int32_t>());
  }
  rollout.ended = document.value("ended", false);
  if (rollout.ended) rollout.tokens.push_back(question.at("end_token").get<std::int32_t>());
  if (!document["reward"].is_number() || !std::isfinite(document["reward"].get<double>()))
    return NotAnAnswer(fmt::format("reward {}", document["reward"].dump()));
  rollout.reward = document["reward"].get<double>();
  if (!question.contains("reference")) return rollout;
  for (const Json& value : document.value("reference", Json::array()))
    rollout.reference.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  if (rollout.reference.size() != rollout.tokens.size() ||
      !std::ranges::all_of(rollout.reference, [](double value) { return std::isfinite(value); }))
    return NotAnAnswer(fmt::format("{} ln p of a reference for {} tokens", rollout.reference.size(),
                                   rollout.tokens.size()));
  return rollout;
}

}  // namespace

Result<std::int64_t> CheckPrompts(const Corpus& corpus, const recipe::TrainConfig& config) {
  const std::int64_t room = config.max_seq_len - config.grpo->max_completion_length;
  std::int64_t end = -1;
  for (std::int64_t example = 0; example < corpus.examples(); ++example) {
    const auto where = [&] {
      const std::size_t source = corpus.SourceOf(example);
      return fmt::format("example {} of '{}'", example - corpus.First(source), corpus.path(source));
    };
    if (!HasPrompt(corpus, example)) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("{} has no prompt and answer; stage grpo reads prompts that 'metier "
                               "data build' made of "
                               "rows with both",
                               where()));
    }
    if (corpus.Prompt(example) > room) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("the prompt of {} has {} tokens, which leaves less than "
                      "max_completion_length ({}) of "
                      "max_seq_len ({}); raise max_seq_len, or build the file with --max-tokens",
                      where(), corpus.Prompt(example), config.grpo->max_completion_length,
                      config.max_seq_len));
    }
    const std::int64_t last = corpus.Ids(example).back();
    if (example == 0) end = last;
    if (last != end) {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format(
              "{} ends with token {}, another with {}: without a token that ends all answers it is "
              "not known where the model's end; build the file with 'metier data build'",
              where(), last, end));
    }
  }
  return end;
}

Json RolloutQuestion(const recipe::TrainConfig& config, const Corpus& corpus,
                     std::int64_t end_token, const RolloutRequest& request) {
  const recipe::GrpoConfig& grpo = *config.grpo;
  Json prompts = Json::array();
  Json truths = Json::array();
  for (const std::int64_t example : request.examples) {
    prompts.push_back(ListOf(PromptOf(corpus, example)));
    truths.push_back(ListOf(TruthOf(corpus, example)));
  }
  Json question = {
      {"question", "rollout"},
      {"model", config.model},
      {"tokenizer", config.tokenizer},
      {"adapter", request.adapter},
      {"prompts", std::move(prompts)},
      {"truths", std::move(truths)},
      {"answers", request.greedy ? 1 : grpo.num_generations},
      {"max_tokens", grpo.max_completion_length},
      {"end_token", end_token},
      {"greedy", request.greedy},
      {"seed", static_cast<std::int64_t>(request.seed >> 1)},
      {"streams", std::vector<std::int64_t>(request.streams.begin(), request.streams.end())},
      {"threads", config.threads},
      {"rewards", recipe::WriteFields(grpo)["rewards"]}};
  if (grpo.beta > 0 && !request.greedy) question["reference"] = config.lora->adapter;
  return question;
}

Result<std::vector<RolloutGroup>> ReadRollouts(const Json& answer, const Json& question,
                                               std::int64_t vocab) {
  const std::size_t prompts = question.at("prompts").size();
  const auto answers = question.at("answers").get<std::size_t>();
  if (!answer.is_object() || !answer.contains("answers") || answer["answers"].size() != prompts)
    return NotAnAnswer(fmt::format("not {} groups", prompts));
  std::vector<RolloutGroup> groups;
  for (const Json& group : answer["answers"]) {
    if (group.size() != answers)
      return NotAnAnswer(fmt::format("a group that is not of {}", answers));
    groups.emplace_back();
    for (const Json& document : group) {
      METIER_ASSIGN(Rollout rollout, ReadRollout(document, question, vocab));
      groups.back().push_back(std::move(rollout));
    }
  }
  return groups;
}

}  // namespace metier::train
