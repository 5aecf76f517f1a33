#include "evaluate/backend_model.h"

#include <algorithm>
#include <cmath>

namespace metier::evaluate {
namespace {

using text::TokenId;

// Bounds the logits of one step: 256 rows of a 150 k vocabulary are 150 MB.
constexpr std::size_t kStepTokens = 256;

// ln softmax(logits)[token], summed in double.
double LogProbOf(std::span<const float> logits, TokenId token) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - highest - std::log(sum);
}

TokenId MostLikely(const model::Rows& rows) {
  const auto logits = rows.Row(rows.count - 1);
  // Ties: the lowest id.
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

// A reply that is being written.
struct BackendModel::Answer {
  Slot* slot = nullptr;
  std::vector<TokenId>* reply = nullptr;
  TokenId next = 0;  // what the model says after all that is cached
};

Result<std::unique_ptr<BackendModel>> BackendModel::Create(model::Backend& backend,
                                                           model::AdapterId adapter) {
  const model::ModelSpec& spec = backend.spec();
  if (!spec.predicts_next()) {
    return Error(ErrorCode::kInvalidArgument,
                 "a '" + spec.family +
                     "' model is an encoder: it gives no probability to a text that goes on");
  }
  std::unique_ptr<BackendModel> model(new BackendModel(backend, adapter));
  model->AddSlots(1);
  // A mixture by sequence needs a prompt first.
  if (!backend.RoutesSequences(adapter)) METIER_TRY(model->Open(model->slots_.front(), {}));
  return model;
}

BackendModel::~BackendModel() {
  for (const Slot& slot : slots_) {
    if (slot.sequence) backend_.CloseSequence(*slot.sequence);
  }
}

std::int64_t BackendModel::MaxTokens() const {
  return backend_.spec().max_positions - backend_.PrefixTokens(adapter_);
}

void BackendModel::AddSlots(std::size_t count) {
  if (slots_.size() < count) slots_.resize(count);
}

Status BackendModel::Open(Slot& slot, std::span<const TokenId> prompt) {
  model::AdapterId adapter = adapter_;
  if (backend_.RoutesSequences(adapter_)) {
    // Several continuations of one prompt are asked for one after the other.
    if (slot.sequence && std::ranges::equal(prompt, slot.prompt)) return Ok();
    METIER_ASSIGN(adapter, backend_.RouteSequence(adapter_, prompt));
    slot.prompt.assign(prompt.begin(), prompt.end());
  }
  if (slot.sequence && slot.adapter == adapter) return Ok();
  METIER_ASSIGN(const model::SequenceId sequence, backend_.OpenSequence(adapter));
  if (slot.sequence) backend_.CloseSequence(*slot.sequence);
  slot.sequence = sequence;
  slot.adapter = adapter;
  slot.cached.clear();
  return Ok();
}

std::size_t BackendModel::Reuse(Slot& slot, std::span<const TokenId> tokens, std::size_t most) {
  const std::size_t limit = std::min({tokens.size(), slot.cached.size(), most});
  const auto differ = std::mismatch(
      tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(limit), slot.cached.begin());
  const auto shared = static_cast<std::size_t>(differ.first - tokens.begin());
  backend_.Truncate(*slot.sequence, static_cast<std::int64_t>(shared));
  slot.cached.resize(shared);
  return shared;
}

Result<model::Rows> BackendModel::Append(Slot& slot, std::span<const TokenId> tokens,
                                         model::Want want) {
  const model::SequenceStep step{
      .sequence = *slot.sequence, .tokens = tokens, .types = {}, .want = want};
  METIER_ASSIGN(const auto rows, backend_.Forward({&step, 1}));
  slot.cached.insert(slot.cached.end(), tokens.begin(), tokens.end());
  return rows.front();
}

Result<TokenId> BackendModel::Prefill(Slot& slot, std::span<const TokenId> tokens) {
  while (tokens.size() > kStepTokens) {
    METIER_TRY(Append(slot, tokens.first(kStepTokens), model::Want::kNothing));
    tokens = tokens.subspan(kStepTokens);
  }
  METIER_ASSIGN(const model::Rows rows, Append(slot, tokens, model::Want::kLast));
  return MostLikely(rows);
}

Result<std::vector<double>> BackendModel::LogProbs(std::span<const TokenId> tokens,
                                                   std::size_t first) {
  METIER_CHECK(first >= 1, "the first token of a text has no prediction");
  std::vector<double> log_probs;
  if (first >= tokens.size()) return log_probs;
  Slot& slot = slots_.front();
  METIER_TRY(Open(slot, tokens.first(first)));
  // The row of token i predicts token i + 1, so rows are needed from first - 1 on.
  std::size_t done = Reuse(slot, tokens, first - 1);
  while (done < tokens.size() - 1) {
    const std::size_t count = std::min(kStepTokens, tokens.size() - 1 - done);
    METIER_ASSIGN(const model::Rows rows,
                  Append(slot, tokens.subspan(done, count), model::Want::kAll));
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t next = done + i + 1;
      if (next >= first)
        log_probs.push_back(LogProbOf(rows.Row(static_cast<std::int64_t>(i)), tokens[next]));
    }
    done += count;
  }
  return log_probs;
}

Status BackendModel::Step(std::span<Answer*> answers) {
  std::vector<model::SequenceStep> steps;
  for (const Answer* answer : answers) {
    steps.push_back({.sequence = *answer->slot->sequence,
                     .tokens = {&answer->next, 1},
                     .types = {},
                     .want = model::Want::kLast});
  }
  METIER_ASSIGN(const auto rows, backend_.Forward(steps));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    answers[i]->slot->cached.push_back(answers[i]->next);
    answers[i]->next = MostLikely(rows[i]);
  }
  return Ok();
}

Result<std::vector<std::vector<TokenId>>> BackendModel::Greedy(std::span<const Prompt> prompts,
                                                               std::int64_t max_tokens,
                                                               std::span<const TokenId> stop) {
  std::vector<std::vector<TokenId>> replies(prompts.size());
  std::vector<Answer> answers(prompts.size());
  for (const Prompt& prompt : prompts) AddSlots(prompt.slot + 1);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const std::span<const TokenId> tokens = prompts[i].tokens;
    if (tokens.empty())
      return Error(ErrorCode::kInvalidArgument, "an empty prompt has no continuation");
    answers[i] = {&slots_[prompts[i].slot], &replies[i]};
    METIER_TRY(Open(*answers[i].slot, tokens));
    // At least the last token is computed again: its row is what we need.
    const std::size_t shared = Reuse(*answers[i].slot, tokens, tokens.size() - 1);
    METIER_ASSIGN(answers[i].next, Prefill(*answers[i].slot, tokens.subspan(shared)));
  }
  std::vector<Answer*> writing;
  for (Answer& answer : answers) writing.push_back(&answer);
  while (true) {
    std::erase_if(writing, [&](Answer* answer) {
      if (std::find(stop.begin(), stop.end(), answer->next) != stop.end()) return true;
      answer->reply->push_back(answer->next);
      return static_cast<std::int64_t>(answer->reply->size()) >= max_tokens ||
             static_cast<std::int64_t>(answer->slot->cached.size()) >= MaxTokens();
    });
    if (writing.empty()) return replies;
    METIER_TRY(Step(writing));
  }
}

}  // namespace metier::evaluate
