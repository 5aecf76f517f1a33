#include "train/objective.h"

#include <algorithm>
#include <utility>

namespace metier::train {
namespace {

// What is of each sequence, [sequences, ...], for each of its tokens: [tokens, ...].
at::Tensor ForTokens(const at::Tensor& values, const Batch& batch) {
  std::vector<std::int64_t> lengths;
  for (std::size_t s = 1; s < batch.layout.starts.size(); ++s)
    lengths.push_back(batch.layout.starts[s] - batch.layout.starts[s - 1]);
  return values.repeat_interleave(torch::tensor(lengths, at::kLong).to(values.device()), 0);
}

// What stands for data in a note, without the batch's filling.
at::Tensor OfData(const at::Tensor& rows, const RouterNote& note, const Batch& batch) {
  return rows.narrow(0, 0, note.rows.defined() ? batch.counted : batch.read);
}

// Mean cross-entropy over the rows that have a domain; undefined: none has.
at::Tensor DomainLoss(const at::Tensor& scores, const at::Tensor& domains) {
  const auto labelled = domains.ge(0).sum().item<std::int64_t>();
  if (labelled == 0) return {};
  return at::cross_entropy_loss(scores, domains, {}, at::Reduction::Sum, /*ignore_index=*/-1) /
         static_cast<double>(labelled);
}

void Count(const at::Tensor& scores, const at::Tensor& domains, RoutingCounts& counts) {
  counts.right += scores.argmax(-1).eq(domains).sum().item<std::int64_t>();
  counts.all += domains.ge(0).sum().item<std::int64_t>();
}

at::Tensor BalanceLoss(const at::Tensor& scores, const at::Tensor& chosen) {
  const std::int64_t experts = scores.size(1);
  const at::Tensor counts = at::bincount(chosen.reshape({-1}), {}, experts).to(scores.options());
  const at::Tensor share = counts / static_cast<double>(chosen.numel());
  const at::Tensor probability = at::softmax(scores, -1).mean(0);
  return static_cast<double>(experts) * (share * probability).sum();
}

at::Tensor ZLoss(const at::Tensor& scores) { return at::logsumexp(scores, -1).square().mean(); }

at::Tensor TokensOfExperts(const std::vector<RouterNote>& notes, const Batch& batch,
                           std::int64_t experts) {
  std::vector<at::Tensor> layers;
  for (const RouterNote& note : notes) {
    if (note.of_mixture) continue;
    at::Tensor tokens = note.taken;
    if (tokens.defined()) {
      // Layers may have fewer experts than the widest.
      tokens = at::constant_pad_nd(tokens, {0, experts - tokens.size(0)});
    } else {
      tokens = at::bincount(OfData(note.chosen, note, batch).reshape({-1}), {}, experts);
    }
    layers.push_back(tokens);
  }
  return layers.empty() ? at::Tensor() : at::stack(layers).to(at::kCPU);
}

// Choices of the data that were over an expert's capacity.
std::int64_t ChoicesOver(const std::vector<RouterNote>& notes, const Batch& batch) {
  std::int64_t over = 0;
  for (const RouterNote& note : notes) {
    if (!note.within.defined()) continue;
    over += OfData(note.within, note, batch).logical_not().sum().item<std::int64_t>();
  }
  return over;
}

std::int64_t LayersWithExperts(const model::ModelSpec& spec) {
  std::int64_t count = 0;
  for (std::int64_t n = 0; n < spec.layers; ++n) count += spec.experts_of(n) > 0 ? 1 : 0;
  return count;
}

// Sequences of a batch that are answers, and not its filling.
std::int64_t AnswersOf(const Batch& batch) {
  return std::ranges::count_if(batch.judgements, [](format::Judgement judgement) {
    return judgement != format::Judgement::kNone;
  });
}

// Adds a term, or becomes it.
void Add(at::Tensor& sum, const at::Tensor& term) { sum = sum.defined() ? sum + term : term; }

// Scores of every router for the prompts of a batch's sequences, differentiable in the routers.
std::vector<at::Tensor> PromptScores(const Network& network, const Batch& batch) {
  std::vector<at::Tensor> scores = network.RouterInputs(PromptsOf(batch));
  for (std::size_t r = 0; r < scores.size(); ++r)
    scores[r] = network.mixture().Scores(r, scores[r]);
  return scores;
}

// What these scores choose, for every token: [tokens, experts]. A sequence with a domain goes to
// the expert of its own where `forced`.
at::Tensor SequenceGates(const MixtureSet& mixture, const at::Tensor& scores, const Batch& batch,
                         bool forced) {
  const RouterChoice choice = ChooseExperts(mixture.Choice(), scores.detach());
  at::Tensor gates = at::zeros_like(scores).scatter(1, choice.chosen, choice.weights).detach();
  if (forced) {
    const at::Tensor known = batch.domains.ge(0).unsqueeze(1);
    const at::Tensor own =
        at::one_hot(batch.domains.clamp_min(0), scores.size(1)).to(scores.options());
    gates = at::where(known, own, gates);
  }
  return ForTokens(gates, batch);
}

}  // namespace

at::Tensor Objective::BySequence(const Network& network, const Batch& batch, double weight,
                                 std::uint64_t key) const {
  const std::vector<at::Tensor> scores = PromptScores(network, batch);
  at::Tensor loss;
  for (const at::Tensor& of_router : scores) {
    const at::Tensor term = DomainLoss(of_router, batch.domains);
    if (term.defined()) Add(loss, term);
  }
  const double share = weight * static_cast<double>(batch.counted);
  if (loss.defined())
    loss = loss * (config_.router->domain_loss * share / static_cast<double>(scores.size()));
  if (config_.router->train_experts) {
    Pass pass{.key = key};
    for (const at::Tensor& of_router : scores)
      pass.gates.push_back(SequenceGates(network.mixture(), of_router, batch, /*forced=*/true));
    Add(loss, network.Loss(batch, weight, std::move(pass)));
  }
  // Nothing to learn from: a batch of sequences without a domain.
  return loss.defined() ? loss : scores.front().sum() * 0;
}

at::Tensor Objective::RouterLoss(const std::vector<RouterNote>& notes, const Batch& batch,
                                 const model::ModelSpec& spec) const {
  at::Tensor domains;
  at::Tensor mixture;
  at::Tensor experts;
  std::int64_t routers = 0;
  for (const RouterNote& note : notes) {
    const at::Tensor scores = OfData(note.scores, note, batch);
    if (scores.size(0) == 0) continue;
    if (note.of_mixture) {
      if (!domains.defined()) domains = ForTokens(batch.domains, batch);
      const at::Tensor own = note.rows.defined() ? domains.index_select(0, note.rows) : domains;
      const at::Tensor term = DomainLoss(scores, OfData(own, note, batch));
      ++routers;
      if (term.defined()) Add(mixture, config_.router->domain_loss * term);
      continue;
    }
    const double layers = static_cast<double>(LayersWithExperts(spec));
    // Experts that choose are used alike.
    if (config_.router_aux_loss_coef > 0 && note.chosen.defined()) {
      Add(experts, BalanceLoss(scores, OfData(note.chosen, note, batch)) *
                       (config_.router_aux_loss_coef / layers));
    }
    if (config_.router_z_loss_coef > 0)
      Add(experts, ZLoss(scores) * (config_.router_z_loss_coef / layers));
  }
  at::Tensor loss = experts;
  if (mixture.defined()) Add(loss, mixture / static_cast<double>(routers));
  return loss;
}

at::Tensor Objective::Answers(const Network& network, const Batch& batch, std::uint64_t key,
                              Tally& tally) const {
  double shift = 0;
  if (batch.mismatched) {
    const torch::NoGradGuard no_grad;
    const Batch& others = *batch.mismatched;
    const at::Tensor sums = ScoreAnswers(network.LogProbs(others), others).sums;
    // The filling has no rows and no reference: 0 - 0.
    const double sum = (sums - others.references.to(sums.options())).sum().item<double>();
    shift = std::max(0.0, sum / static_cast<double>(AnswersOf(others)));
  }
  const AnswerScores scores = ScoreAnswers(network.LogProbs(batch, {.key = key}), batch);
  return PreferenceLoss(config_, scores, batch, shift, &tally.rewards);
}

at::Tensor Objective::Predictions(const Network& network, const Batch& batch,
                                  const StepShare& share, Pass pass) const {
  const bool taught = teacher_ != nullptr && config_.distill->alpha > 0 &&
                      (share.done < config_.distill->until || config_.distill->until == 1);
  if (!taught) return network.Loss(batch, share.prediction, std::move(pass));
  const recipe::DistillConfig& distill = *config_.distill;
  constexpr double kRamp = 0.2;  // of the steps, until the own guess has its whole weight
  DistillTerms terms;
  terms.own = distill.confidence * std::min(1.0, share.done / kRamp);
  terms.labels = (1 - terms.own) * (1 - distill.alpha);
  terms.teacher = (1 - terms.own) * distill.alpha;
  terms.temperature = distill.temperature;
  return network.DistilledLoss(batch, share.prediction, *teacher_, terms, std::move(pass));
}

at::Tensor Objective::Loss(const Network& network, const Batch& batch, const StepShare& share,
                           std::uint64_t key, Tally& tally) const {
  if (recipe::LearnsFromAnswers(config_)) return Answers(network, batch, key, tally) * share.answer;
  const bool mixes = !network.mixture().empty();
  if (mixes && network.mixture().by() == model::RouteBy::kSequence)
    return BySequence(network, batch, share.prediction, key);
  const bool experts = network.spec().moe.experts > 0;
  const bool asks = experts || (mixes && config_.router->domain_loss > 0);
  std::vector<RouterNote> notes;
  at::Tensor loss =
      Predictions(network, batch, share, {.key = key, .notes = asks ? &notes : nullptr});
  if (notes.empty()) return loss;
  if (experts) {
    const at::Tensor tokens = TokensOfExperts(notes, batch, network.spec().moe.experts);
    at::Tensor& all = tally.expert_tokens;
    if (tokens.defined()) all = all.defined() ? all + tokens : tokens;
    tally.choices_over += ChoicesOver(notes, batch);
  }
  const at::Tensor beside = RouterLoss(notes, batch, network.spec());
  if (!beside.defined()) return loss;
  return loss + beside * (share.prediction * static_cast<double>(batch.counted));
}

at::Tensor Objective::EvalLoss(const Network& network, const Batch& batch, Tally& tally) const {
  if (recipe::LearnsFromAnswers(config_)) return Answers(network, batch, 0, tally);
  return TextLoss(network, batch, tally);
}

at::Tensor Objective::TextLoss(const Network& network, const Batch& batch, Tally& tally) const {
  if (network.mixture().empty()) return network.Loss(batch, 1);
  if (network.mixture().by() == model::RouteBy::kSequence) {
    Pass pass;
    for (const at::Tensor& scores : PromptScores(network, batch)) {
      Count(scores, batch.domains, tally.routing);
      pass.gates.push_back(SequenceGates(network.mixture(), scores, batch, /*forced=*/false));
    }
    return network.Loss(batch, 1, std::move(pass));
  }
  std::vector<RouterNote> notes;
  const at::Tensor loss = network.Loss(batch, 1, {.notes = &notes});
  const at::Tensor domains = ForTokens(batch.domains, batch);
  for (const RouterNote& note : notes) {
    if (!note.of_mixture) continue;
    const at::Tensor own = note.rows.defined() ? domains.index_select(0, note.rows) : domains;
    Count(OfData(note.scores, note, batch), OfData(own, note, batch), tally.routing);
  }
  return loss;
}

}  // namespace metier::train
