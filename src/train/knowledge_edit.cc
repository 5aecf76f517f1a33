#include "train/knowledge_edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "train/edit_value.h"
#include "train/rank_one.h"

namespace metier::train {
namespace {

Status CheckLayer(const model::ModelSpec& spec, std::int64_t layer) {
  if (layer >= 0 && layer < spec.layers) return Ok();
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("layer {}: the model has layers 0 to {}", layer, spec.layers - 1));
}

Status CheckDense(const model::ModelSpec& spec) {
  if (spec.moe.experts > 0) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("a {} with {} experts cannot be edited: which expert answers is the "
                             "router's choice, so there is no one down projection to write to; "
                             "expected a dense decoder",
                             spec.family, spec.moe.experts));
  }
  if (!spec.causal || !spec.head) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("a {} says no next token, so it cannot be edited to say one; expected "
                             "a dense decoder",
                             spec.family));
  }
  return Ok();
}

// A value for each fact in turn.
class FactWriter {
 public:
  FactWriter(const Network& network, const EditInputs& inputs, const recipe::EditConfig& config,
             EditedWeights& weights, const OnFactStep& on_step)
      : network_(network), inputs_(inputs), config_(config), weights_(weights), on_step_(on_step) {}

  Result<std::vector<WrittenFact>> Rome() {
    std::vector<WrittenFact> written;
    // A fact that is written must stay when the next ones are: its key weighs as much as all texts.
    std::map<std::int64_t, at::Tensor> covariances = inputs_.covariances;
    for (std::size_t i = 0; i < inputs_.facts.size(); ++i) {
      const std::int64_t own = inputs_.facts[i].layer;
      const std::int64_t layer = own >= 0 ? own : DefaultLayer(network_.spec(), config_);
      const FactBatch batch = BatchOfFact(i);
      const SubjectReading reading = ReadSubject(network_, batch, {layer}).front();
      METIER_ASSIGN(const EditValue value, ValueOf(i, batch, layer, reading.stream));
      METIER_ASSIGN(const at::Tensor change,
                    RomeChange(covariances.at(layer), reading.key, value.change.to(at::kDouble)));
      METIER_TRY(weights_.Add(layer, change));
      covariances[layer] = covariances.at(layer) + at::outer(reading.key, reading.key);
      written.push_back(Written(value, {layer}, reading.stream));
    }
    return written;
  }

  Result<std::vector<WrittenFact>> Memit() {
    const std::vector<std::int64_t>& layers = inputs_.layers;
    std::vector<FactBatch> batches;
    std::vector<at::Tensor> streams;  // what each is to be, double [width]
    std::vector<WrittenFact> written;
    for (std::size_t i = 0; i < inputs_.facts.size(); ++i) {
      batches.push_back(BatchOfFact(i));
      const SubjectReading reading = ReadSubject(network_, batches[i], {layers.back()}).front();
      METIER_ASSIGN(const EditValue value, ValueOf(i, batches[i], layers.back(), reading.stream));
      streams.push_back(reading.stream + value.change.to(at::kDouble));
      written.push_back(Written(value, layers, reading.stream));
    }
    for (std::size_t l = 0; l < layers.size(); ++l) {
      // Layers below were changed: keys and what is missing are read anew.
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> missing;
      for (std::size_t i = 0; i < batches.size(); ++i) {
        const auto readings = ReadSubject(network_, batches[i], {layers[l], layers.back()});
        const at::Tensor now = (l + 1 < layers.size() ? readings[1] : readings[0]).stream;
        keys.push_back(readings[0].key);
        missing.push_back((streams[i] - now) / static_cast<double>(layers.size() - l));
      }
      METIER_ASSIGN(const at::Tensor change,
                    MemitChange(inputs_.covariances.at(layers[l]) * config_.covariance,
                                at::stack(keys, 1), at::stack(missing, 1)));
      METIER_TRY(weights_.Add(layers[l], change));
    }
    return written;
  }

  static std::int64_t DefaultLayer(const model::ModelSpec& spec, const recipe::EditConfig& config) {
    return config.layer >= 0 ? config.layer : spec.layers / 4;
  }

 private:
  FactBatch BatchOfFact(std::size_t fact) const {
    return MakeFactBatch(inputs_.facts[fact], inputs_.begin, inputs_.prefixes,
                         network_.options().device);
  }

  Result<EditValue> ValueOf(std::size_t fact, const FactBatch& batch, std::int64_t layer,
                            const at::Tensor& stream) const {
    auto value = FindValue(
        network_, batch, layer, stream, config_,
        [&](std::int64_t step, double objective) { return on_step_(fact, step, objective); });
    if (!value.ok()) return std::move(value).error().With(fmt::format("fact {}", fact + 1));
    return value;
  }

  static WrittenFact Written(const EditValue& value, std::vector<std::int64_t> layers,
                             const at::Tensor& stream) {
    const auto length = at::linalg_vector_norm(stream).item<double>();
    return {std::move(layers), value.objective, value.steps,
            at::linalg_vector_norm(value.change).item<double>() / length};
  }

  const Network& network_;
  const EditInputs& inputs_;
  const recipe::EditConfig& config_;
  EditedWeights& weights_;
  const OnFactStep& on_step_;
};

}  // namespace

Result<std::vector<std::int64_t>> LayersToEdit(const model::ModelSpec& spec,
                                               const recipe::EditConfig& config,
                                               const std::vector<Fact>& facts) {
  METIER_TRY(CheckDense(spec));
  const std::int64_t last = FactWriter::DefaultLayer(spec, config);
  METIER_TRY(CheckLayer(spec, last));
  std::set<std::int64_t> layers;
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const std::int64_t own = facts[i].layer;
    if (own < 0) {
      layers.insert(last);
      continue;
    }
    if (config.method == "memit") {
      return Error(
          ErrorCode::kInvalidArgument,
          fmt::format("fact {}: found \"layer\": {}, but memit writes all facts to the same "
                      "layers; leave it out, or use method rome",
                      i + 1, own));
    }
    auto there = CheckLayer(spec, own);
    if (!there.ok()) return std::move(there).error().With(fmt::format("fact {}", i + 1));
    layers.insert(own);
  }
  if (config.method == "memit") {
    for (std::int64_t l = std::max<std::int64_t>(0, last - config.layers + 1); l < last; ++l)
      layers.insert(l);
  }
  return std::vector<std::int64_t>(layers.begin(), layers.end());
}

Result<std::vector<WrittenFact>> WriteFacts(const Network& network, const EditInputs& inputs,
                                            const recipe::EditConfig& config,
                                            EditedWeights& weights, const OnFactStep& on_step) {
  FactWriter writer(network, inputs, config, weights, on_step);
  return config.method == "memit" ? writer.Memit() : writer.Rome();
}

}  // namespace metier::train
