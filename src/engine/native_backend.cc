#include "engine/native_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "kernels/dispatch.h"

namespace metier::engine {

using model::AdapterId;
using model::Rows;
using model::SequenceId;
using model::SequenceStep;
using model::TokenId;
using model::Want;

namespace {

NativeOptions Resolve(NativeOptions options) {
  if (options.threads <= 0) options.threads = ThreadPool::DefaultThreads();
  if (!options.max_idle_cache_bytes) options.max_idle_cache_bytes = options.max_cache_bytes;
  if (options.max_cache_bytes == 0) options.max_cache_bytes = MachineMemoryBytes();
  if (options.max_result_bytes == 0) options.max_result_bytes = MachineMemoryBytes();
  if (options.kernels == nullptr) options.kernels = &kernels::Kernels();
  return options;
}

std::int64_t WantedRows(const SequenceStep& step) {
  switch (step.want) {
    case Want::kNothing: return 0;
    case Want::kLast: return 1;
    case Want::kAll: return static_cast<std::int64_t>(step.tokens.size());
  }
  return 0;
}

}  // namespace

NativeBackend::NativeBackend(std::shared_ptr<const NativeModel> model, const NativeOptions& options)
    : model_(std::move(model)),
      options_(Resolve(options)),
      cache_(model_->spec(), {.type = options_.kv_type,
                              .max_bytes = options_.max_cache_bytes,
                              .max_idle_bytes = *options_.max_idle_cache_bytes,
                              .hash = options_.page_hash}),
      compute_(*options_.kernels, options_.threads, options_.arithmetic),
      network_(model_, cache_, compute_),
      adapters_(model_->weights(), options_.arithmetic == Arithmetic::kFast
                                       ? kernels::FactorType::kInt8
                                       : kernels::FactorType::kF32) {}

CachedTokens& NativeBackend::Find(SequenceId sequence) {
  const auto found = sequences_.find(sequence);
  METIER_CHECK(found != sequences_.end(), "a sequence that this backend has not open");
  return found->second;
}

Result<SequenceId> NativeBackend::OpenSequence(AdapterId adapter) {
  METIER_TRY(adapters_.CheckUsable(adapter));
  const SequenceId id{next_sequence_++};
  const auto prefix = prefixes_.find(adapter);
  sequences_.emplace(
      id, prefix == prefixes_.end() ? CachedTokens(adapter) : cache_.Fork(prefix->second));
  return id;
}

void NativeBackend::CloseSequence(SequenceId sequence) {
  cache_.Close(Find(sequence));
  sequences_.erase(sequence);
}

std::int64_t NativeBackend::Length(SequenceId sequence) const {
  const auto found = sequences_.find(sequence);
  METIER_CHECK(found != sequences_.end(), "a sequence that this backend has not open");
  return found->second.length();
}

void NativeBackend::Truncate(SequenceId sequence, std::int64_t tokens) {
  METIER_CHECK(tokens >= 0 && tokens <= Length(sequence), "truncation to more than there is");
  cache_.Truncate(Find(sequence), tokens);
}

model::CachedPrefix NativeBackend::FindPrefix(AdapterId adapter,
                                              std::span<const TokenId> tokens) const {
  const auto prefix = prefixes_.find(adapter);
  if (prefix != prefixes_.end()) return cache_.FindPrefix(prefix->second, tokens);
  return cache_.FindPrefix(CachedTokens(adapter), tokens);
}

std::int64_t NativeBackend::PrefixTokens(AdapterId adapter) const {
  const auto prefix = prefixes_.find(adapter);
  return prefix == prefixes_.end() ? 0 : prefix->second.prefix();
}

std::int64_t NativeBackend::Adopt(SequenceId sequence, std::span<const TokenId> tokens) {
  return cache_.Adopt(Find(sequence), tokens);
}

Result<SequenceId> NativeBackend::ForkSequence(SequenceId sequence) {
  const SequenceId id{next_sequence_++};
  sequences_.emplace(id, cache_.Fork(Find(sequence)));
  return id;
}

Result<AdapterId> NativeBackend::AddAdapter(const model::Adapter& adapter) {
  if (adapter.prefix && !spec().causal) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("adapter '{}': a prefix is a past, and a '{}' model keeps none",
                             adapter.name, spec().family));
  }
  METIER_ASSIGN(const AdapterId id, adapters_.Add(adapter));
  if (!adapter.prefix) return id;
  CachedTokens past(id);
  if (Status reserved = cache_.Reserve(past, adapter.prefix->tokens); !reserved.ok()) {
    cache_.Close(past);
    adapters_.Remove(id);
    return std::move(reserved).error().With("adapter '" + adapter.name + "'");
  }
  network_.StorePrefix(past, *adapter.prefix);
  cache_.AppendPrefix(past, adapter.prefix->tokens);
  prefixes_.emplace(id, std::move(past));
  return id;
}

Result<AdapterId> NativeBackend::AddMixture(const model::AdapterMixture& mixture,
                                            std::span<const AdapterId> experts) {
  for (const AdapterId expert : experts) {
    if (!prefixes_.contains(expert)) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter {} is a prefix, which cannot be mixed with others",
                             static_cast<std::int64_t>(expert)));
  }
  return adapters_.AddMixture(mixture, experts);
}

Status NativeBackend::RemoveAdapter(AdapterId adapter) {
  METIER_TRY(adapters_.CheckRemovable(adapter));
  const auto users = std::count_if(sequences_.begin(), sequences_.end(), [&](const auto& entry) {
    return entry.second.adapter() == adapter;
  });
  if (users > 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("adapter {} is in use by {} open sequences; close them first",
                             static_cast<std::int64_t>(adapter), users));
  }
  if (const auto prefix = prefixes_.find(adapter); prefix != prefixes_.end()) {
    cache_.Close(prefix->second);
    prefixes_.erase(prefix);
  }
  cache_.Forget(adapter);
  adapters_.Remove(adapter);
  return Ok();
}

Result<AdapterId> NativeBackend::RouteSequence(AdapterId mixture, std::span<const TokenId> prompt) {
  METIER_ASSIGN(const std::shared_ptr<const LoadedMixture> mixed,
                adapters_.FindBySequence(mixture));
  METIER_ASSIGN(std::vector<float> scores, ScorePrompt(mixed, prompt));
  std::vector<RowChoice> choices;
  for (std::size_t router = 0; router < mixed->routers().size(); ++router) {
    choices.push_back(
        mixed->Choose(std::span(scores).subspan(router * mixed->experts(), mixed->experts())));
  }
  const AdapterId routed = adapters_.AddRouted(mixture, choices);
  ForgetOldRoutes(mixture);
  return routed;
}

void NativeBackend::ForgetOldRoutes(AdapterId mixture) {
  const std::vector<AdapterId> old = adapters_.OldRoutes(mixture, options_.kept_routes);
  if (old.empty()) return;
  std::set<AdapterId> open;
  for (const auto& [id, tokens] : sequences_) open.insert(tokens.adapter());
  for (const AdapterId routed : old) {
    if (open.contains(routed)) continue;
    cache_.Forget(routed);
    adapters_.Remove(routed);
  }
}

Result<std::vector<float>> NativeBackend::ScorePrompt(std::shared_ptr<const LoadedMixture> mixture,
                                                      std::span<const TokenId> prompt) {
  std::vector<float> scores(mixture->routers().size() * mixture->experts());
  const LoadedAdapter scoring =
      LoadedAdapter::Of({.mixture = std::move(mixture), .sums = &scores}, model_->weights());
  METIER_ASSIGN(const SequenceId sequence, OpenSequence(AdapterId::kNone));
  const SequenceStep step{.sequence = sequence, .tokens = prompt, .want = Want::kNothing};
  Status computed = CheckSteps({&step, 1});
  if (computed.ok()) computed = Reserve({&step, 1});
  if (computed.ok()) RunPasses({&step, 1}, nullptr, &scoring);
  CloseSequence(sequence);
  METIER_TRY(computed);
  for (float& score : scores) score /= static_cast<float>(prompt.size());
  return scores;
}

std::int64_t NativeBackend::ResultWidth() const {
  return spec().head ? spec().vocab : spec().width;
}

Status NativeBackend::CheckTokens(const SequenceStep& step, std::int64_t places) const {
  const auto count = static_cast<std::int64_t>(step.tokens.size());
  if (count == 0) return Error(ErrorCode::kInvalidArgument, "a step without tokens");
  if (places + count > spec().max_positions) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} tokens after {} make {} positions, the model has {}; shorten the "
                             "text",
                             count, places, places + count, spec().max_positions));
  }
  for (std::size_t i = 0; i < step.tokens.size(); ++i) {
    const TokenId token = step.tokens[i];
    if (token < 0 || token >= spec().vocab) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("token {} at index {} is outside the vocabulary of {}", token, i,
                               spec().vocab));
    }
  }
  if (step.types.empty()) return Ok();
  if (spec().types == 0)
    return Error(ErrorCode::kInvalidArgument, "token types for a model that has none");
  if (step.types.size() != step.tokens.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("{} token types for {} tokens", step.types.size(), count));
  }
  for (const TokenId type : step.types) {
    if (type < 0 || type >= spec().types) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("token type {} where the model has {}", type, spec().types));
    }
  }
  return Ok();
}

Status NativeBackend::CheckSteps(std::span<const SequenceStep> steps) {
  named_.clear();
  std::uint64_t rows = 0;
  for (const SequenceStep& step : steps) {
    named_.push_back(step.sequence);
    METIER_TRY(CheckTokens(step, Find(step.sequence).places()));
    rows += static_cast<std::uint64_t>(WantedRows(step));
  }
  std::sort(named_.begin(), named_.end());
  if (std::adjacent_find(named_.begin(), named_.end()) != named_.end())
    return Error(ErrorCode::kInvalidArgument, "one sequence twice in a step");
  const auto row_bytes = static_cast<std::uint64_t>(ResultWidth()) * sizeof(float);
  const auto bytes = CheckedMul(rows, row_bytes);
  if (!bytes || *bytes > options_.max_result_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("results of {} tokens at {} bytes each are over the limit of {} "
                             "bytes; ask for fewer at once",
                             rows, row_bytes, options_.max_result_bytes));
  }
  return Ok();
}

Status NativeBackend::Reserve(std::span<const SequenceStep> steps) {
  for (const SequenceStep& step : steps) {
    CachedTokens& tokens = Find(step.sequence);
    Status reserved =
        cache_.Reserve(tokens, tokens.length() + static_cast<std::int64_t>(step.tokens.size()));
    if (reserved.ok()) continue;
    for (const SequenceStep& other : steps) {
      CachedTokens& gained = Find(other.sequence);
      cache_.Truncate(gained, gained.length());
    }
    return reserved;
  }
  return Ok();
}

// Cuts the steps into passes of at most pass_tokens rows. An encoder's text must stay whole (every
// token sees every other), so there a pass is one text or more. `scoring`: an adapter for all of
// them, of passes without results.
void NativeBackend::RunPasses(std::span<const SequenceStep> steps, float* out,
                              const LoadedAdapter* scoring) {
  const auto limit = static_cast<std::size_t>(std::max<std::int64_t>(options_.pass_tokens, 1));
  pass_.clear();
  std::size_t rows = 0;
  const auto run = [&] {
    if (pass_.empty()) return;
    scoring == nullptr ? network_.Run(pass_, out) : network_.RunLayers(pass_);
    for (const Segment& segment : pass_)
      out += (segment.tokens.size() - segment.want_from) * static_cast<std::size_t>(ResultWidth());
    pass_.clear();
    rows = 0;
  };
  for (const SequenceStep& step : steps) {
    const CachedTokens& sequence = Find(step.sequence);
    const std::size_t want_from = step.tokens.size() - static_cast<std::size_t>(WantedRows(step));
    for (std::size_t begin = 0; begin < step.tokens.size();) {
      std::size_t count = step.tokens.size() - begin;
      if (rows > 0 && (rows == limit || (!spec().causal && rows + count > limit))) run();
      if (spec().causal) count = std::min(count, limit - rows);
      pass_.push_back({.past = &sequence,
                       .adapter = scoring != nullptr ? scoring : adapters_.Find(sequence.adapter()),
                       .tokens = step.tokens.subspan(begin, count),
                       .types = step.types.empty() ? step.types : step.types.subspan(begin, count),
                       .first_position = sequence.places() + static_cast<std::int64_t>(begin),
                       .row = rows,
                       .want_from = std::clamp(want_from, begin, begin + count) - begin});
      rows += count;
      begin += count;
    }
  }
  run();
}

Result<std::span<const Rows>> NativeBackend::Forward(std::span<const SequenceStep> steps) {
  METIER_TRY(CheckSteps(steps));
  METIER_TRY(Reserve(steps));
  rows_.clear();
  std::size_t values = 0;
  for (const SequenceStep& step : steps)
    values += static_cast<std::size_t>(WantedRows(step) * ResultWidth());
  results_.resize(values);
  RunPasses(steps, results_.data());
  std::size_t at = 0;
  for (const SequenceStep& step : steps) {
    const std::int64_t count = WantedRows(step);
    const auto size = static_cast<std::size_t>(count * ResultWidth());
    rows_.push_back({count, ResultWidth(), std::span<const float>(results_).subspan(at, size)});
    at += size;
    CachedTokens& tokens = Find(step.sequence);
    if (spec().causal) {
      cache_.Append(tokens, step.tokens);
    } else {
      cache_.Truncate(tokens, 0);
    }
  }
  return std::span<const Rows>(rows_);
}

}  // namespace metier::engine
