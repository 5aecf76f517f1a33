#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/dispatch.h"

namespace metier::engine {

using text::TokenId;

namespace {

Status CheckRange(const char* name, double value, double least, double most) {
  if (value >= least && value <= most) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("{} is {}, it must lie between {} and {}", name, value, least, most));
}

bool Allowed(TokenMask mask, std::size_t id) {
  return id / 64 < mask.size() && ((mask[id / 64] >> (id % 64)) & 1U) != 0;
}

// Larger first; equal ones by id.
bool Likelier(const std::pair<float, TokenId>& a, const std::pair<float, TokenId>& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

}  // namespace

Status Validate(const SamplerOptions& options) {
  constexpr double kInfinity = std::numeric_limits<double>::max();
  METIER_TRY(CheckRange("temperature", options.temperature, 0, 100));
  METIER_TRY(CheckRange("top_k", static_cast<double>(options.top_k), 0, kInfinity));
  METIER_TRY(CheckRange("top_p", options.top_p, 0, 1));
  METIER_TRY(CheckRange("min_p", options.min_p, 0, 1));
  METIER_TRY(CheckRange("repetition_penalty", options.repetition_penalty, 1e-6, 1e6));
  METIER_TRY(CheckRange("presence_penalty", options.presence_penalty, -100, 100));
  METIER_TRY(CheckRange("frequency_penalty", options.frequency_penalty, -100, 100));
  METIER_TRY(CheckRange("top_logprobs", options.top_logprobs, -1, 1000));
  for (const auto& [token, bias] : options.logit_bias) {
    METIER_TRY(CheckRange("logit_bias of a token", bias, -1000, 1000));
    METIER_TRY(CheckRange("a token of logit_bias", token, 0, std::numeric_limits<TokenId>::max()));
  }
  return Ok();
}

double LogSumExp(std::span<const float> values) {
  const double max = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const float value : values) sum += std::exp(value - max);
  return max + std::log(sum);
}

Sampler::Sampler(const SamplerOptions& options)
    : options_(options), rng_(options.seed, options.stream) {}

void Sampler::AddPrompt(std::span<const TokenId> tokens) {
  if (options_.repetition_penalty == 1.0) return;
  prompt_tokens_.insert(prompt_tokens_.end(), tokens.begin(), tokens.end());
  std::sort(prompt_tokens_.begin(), prompt_tokens_.end());
  prompt_tokens_.erase(std::unique(prompt_tokens_.begin(), prompt_tokens_.end()),
                       prompt_tokens_.end());
}

bool Sampler::CountsChoices() const {
  return options_.repetition_penalty != 1.0 || options_.presence_penalty != 0 ||
         options_.frequency_penalty != 0;
}

void Sampler::ExpectChoices(std::size_t count) {
  if (CountsChoices()) answer_counts_.reserve(count);
}

void Sampler::Count(TokenId token) {
  const auto at = std::lower_bound(answer_counts_.begin(), answer_counts_.end(), token,
                                   [](const auto& entry, TokenId id) { return entry.first < id; });
  if (at != answer_counts_.end() && at->first == token) {
    ++at->second;
  } else {
    answer_counts_.emplace(at, token, 1);
  }
}

void Sampler::ApplyPenalties(std::span<float> logits) const {
  for (const auto& [token, bias] : options_.logit_bias)
    logits[static_cast<std::size_t>(token)] += static_cast<float>(bias);
  const auto repeat = [&](TokenId token) {
    float& logit = logits[static_cast<std::size_t>(token)];
    const auto penalty = static_cast<float>(options_.repetition_penalty);
    logit = logit > 0 ? logit / penalty : logit * penalty;
  };
  if (options_.repetition_penalty != 1.0) {
    for (const TokenId token : prompt_tokens_) repeat(token);
    for (const auto& [token, count] : answer_counts_) {
      if (!std::binary_search(prompt_tokens_.begin(), prompt_tokens_.end(), token)) repeat(token);
    }
  }
  for (const auto& [token, count] : answer_counts_) {
    logits[static_cast<std::size_t>(token)] -= static_cast<float>(
        options_.presence_penalty + options_.frequency_penalty * static_cast<double>(count));
  }
}

Result<Choice> Sampler::Next(std::span<const float> logits, TokenMask mask) {
  const auto vocab = static_cast<TokenId>(logits.size());
  for (const float logit : logits) {
    // +infinity breaks the softmax as a NaN does; -infinity is merely impossible.
    if (std::isnan(logit) || logit == std::numeric_limits<float>::infinity()) {
      return Error(ErrorCode::kDataCorrupt,
                   "the model's logits are not numbers; its weights are broken or do not fit its "
                   "configuration");
    }
  }
  for (const auto& [token, bias] : options_.logit_bias) {
    if (token >= vocab) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("logit_bias names token {}, the vocabulary has {}", token, vocab));
    }
  }
  adjusted_.assign(logits.begin(), logits.end());
  ApplyPenalties(adjusted_);
  if (!mask.empty()) {
    for (std::size_t id = 0; id < adjusted_.size(); ++id) {
      if (!Allowed(mask, id)) adjusted_[id] = -std::numeric_limits<float>::infinity();
    }
  }
  const std::size_t best = kernels::Kernels().argmax(adjusted_.data(), adjusted_.size());
  if (adjusted_[best] == -std::numeric_limits<float>::infinity()) {
    return Error(ErrorCode::kInvalidArgument,
                 "no token may come next: the grammar or the biases forbid every one");
  }
  Choice choice;
  choice.token = options_.temperature == 0 ? static_cast<TokenId>(best) : Draw(adjusted_);
  if (CountsChoices()) Count(choice.token);
  if (options_.top_logprobs < 0) return choice;
  const double total = LogSumExp(logits);
  choice.logprob = logits[static_cast<std::size_t>(choice.token)] - total;
  const std::size_t count =
      std::min(logits.size(), static_cast<std::size_t>(options_.top_logprobs));
  candidates_.clear();
  for (std::size_t id = 0; id < logits.size(); ++id)
    candidates_.emplace_back(logits[id], static_cast<TokenId>(id));
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(candidates_.begin(), end, candidates_.end(), Likelier);
  for (auto it = candidates_.begin(); it != end; ++it)
    choice.top.push_back({it->second, it->first - total});
  return choice;
}

// Candidates in descending order, probabilities in double, one uniform number: the same (logits,
// options, stream) give the same token everywhere.
TokenId Sampler::Draw(std::span<const float> logits) {
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] > -std::numeric_limits<float>::infinity())
      candidates_.emplace_back(logits[id], static_cast<TokenId>(id));
  }
  std::size_t kept = candidates_.size();
  if (options_.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(options_.top_k));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates_.end(), Likelier);
  weights_.resize(kept);
  const double max = candidates_.front().first;
  for (std::size_t i = 0; i < kept; ++i)
    weights_[i] = std::exp((candidates_[i].first - max) / options_.temperature);
  if (options_.top_p < 1.0) {
    const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    double sum = 0;
    std::size_t last = 0;
    do {
      sum += weights_[last++];
    } while (last < kept && sum < options_.top_p * total);
    kept = last;
  }
  while (kept > 1 && weights_[kept - 1] < options_.min_p * weights_[0]) --kept;
  const double total =
      std::accumulate(weights_.begin(), weights_.begin() + static_cast<std::ptrdiff_t>(kept), 0.0);
  double target = rng_.Uniform() * total;
  for (std::size_t i = 0; i + 1 < kept; ++i) {
    target -= weights_[i];
    if (target < 0) return candidates_[i].second;
  }
  return candidates_[kept - 1].second;
}

}  // namespace metier::engine
