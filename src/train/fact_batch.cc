#include "train/fact_batch.h"

#include <algorithm>
#include <utility>

namespace metier::train {
namespace {

void AppendIds(const Ids& from, Ids& to) { to.insert(to.end(), from.begin(), from.end()); }

std::size_t PlaceOfLayer(const std::vector<std::int64_t>& layers, std::int64_t layer) {
  return static_cast<std::size_t>(std::find(layers.begin(), layers.end(), layer) - layers.begin());
}

}  // namespace

FactBatch MakeFactBatch(const Fact& fact, const Ids& begin, const std::vector<Ids>& prefixes,
                        at::Device device) {
  std::vector<Ids> sequences;
  std::vector<std::vector<std::uint8_t>> predicted;
  std::vector<std::int64_t> subjects;
  std::int64_t tokens = 0;
  const auto add = [&](const Ids& prefix, const Ids& prompt, const Ids& target,
                       std::int64_t subject) {
    Ids sequence = begin;
    AppendIds(prefix, sequence);
    subjects.push_back(tokens + static_cast<std::int64_t>(sequence.size()) + subject);
    AppendIds(prompt, sequence);
    std::vector<std::uint8_t> counts(sequence.size(), 0);
    AppendIds(target, sequence);
    counts.resize(sequence.size(), 1);
    tokens += static_cast<std::int64_t>(sequence.size());
    sequences.push_back(std::move(sequence));
    predicted.push_back(std::move(counts));
  };
  add({}, fact.prompt, fact.target, fact.subject);
  for (const Ids& prefix : prefixes) add(prefix, fact.prompt, fact.target, fact.subject);
  // Any token: its place is predicted, it is not read.
  add({}, fact.essence, {fact.target.front()}, fact.essence_subject);
  FactBatch made;
  made.contexts = static_cast<std::int64_t>(prefixes.size()) + 1;
  made.batch = MakeBatch(sequences, predicted, device);
  const double each = prefixes.empty() ? 0 : 0.5 / static_cast<double>(prefixes.size());
  made.weights = at::full({made.contexts}, each, at::TensorOptions().dtype(at::kDouble));
  made.weights[0] = prefixes.empty() ? 1 : 0.5;
  made.weights = made.weights.to(device);
  made.subjects = torch::tensor(subjects, at::kLong).to(device);
  return made;
}

std::vector<SubjectReading> ReadSubject(const Network& network, const FactBatch& facts,
                                        const std::vector<std::int64_t>& layers) {
  const torch::NoGradGuard no_grad;
  std::vector<SubjectReading> readings(layers.size());
  const at::Tensor rows = facts.subjects.narrow(0, 0, facts.contexts);
  const auto mean_at = [&](const at::Tensor& of_tokens) {
    return at::mv(of_tokens.index_select(0, rows).to(at::kDouble).t(), facts.weights);
  };
  Pass pass;
  pass.rows = facts.batch.predicting;
  pass.down = [&](const DownSite& site) {
    const std::size_t place = PlaceOfLayer(layers, site.layer);
    if (place < layers.size())
      readings[place] = {mean_at(site.input), mean_at(site.output) + mean_at(site.residual)};
    return site.output;
  };
  network.Hidden(facts.batch, pass);
  return readings;
}

AnswerReading ReadAnswer(const Network& network, const Ids& begin, const Ids& prompt,
                         const Ids& answer) {
  const torch::NoGradGuard no_grad;
  Ids sequence = begin;
  AppendIds(prompt, sequence);
  std::vector<std::uint8_t> predicted(sequence.size(), 0);
  AppendIds(answer, sequence);
  predicted.resize(sequence.size(), 1);
  const Batch batch = MakeBatch({sequence}, {predicted}, network.options().device);
  Pass pass;
  pass.rows = batch.predicting;
  const at::Tensor logits = network.Logits(batch, pass).to(at::kDouble);
  const at::Tensor log_p = at::log_softmax(logits, 1);
  const at::Tensor best = logits.argmax(1).to(at::kCPU);
  AnswerReading reading;
  reading.log_probability = log_p.gather(1, batch.targets.unsqueeze(1)).sum().item<double>();
  for (std::int64_t i = 0; i < best.size(0); ++i)
    reading.best.push_back(static_cast<std::int32_t>(best[i].item<std::int64_t>()));
  return reading;
}

}  // namespace metier::train
