// train/knowledge_edit.h - facts written into the feed-forward layers of a dense decoder.
//
// A down projection W is read as a memory: its input at a subject's last token is the key k, its
// output what the network knows of the subject. ROME (Meng et al. 2022, arXiv 2202.05262) finds the
// value v* that makes the network say the target (edit_value.h) and gives k that value with the
// smallest change under the covariance of all keys (rank_one.h), fact by fact in one layer; keys of
// facts that were written before count among these (ours: else later facts undo them). MEMIT
// (Meng et al. 2023, arXiv 2210.07229, algorithm 1) finds the values of all facts at the last of
// several layers first and lets each layer, from the lowest on, do its share of what is missing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "recipe/edit_config.h"
#include "train/edited_weights.h"
#include "train/fact_batch.h"
#include "train/network.h"
#include "train/torch.h"

namespace metier::train {

// The layers that `config` and the facts' own layers name, sorted. kUnsupported: a network without
// a dense feed-forward in each layer, an encoder. kInvalidArgument: a layer that is not there, a
// fact's own layer with memit.
Result<std::vector<std::int64_t>> LayersToEdit(const model::ModelSpec& spec,
                                               const recipe::EditConfig& config,
                                               const std::vector<Fact>& facts);

struct EditInputs {
  const std::vector<Fact>& facts;
  const Ids& begin;
  const std::vector<Ids>& prefixes;
  const std::vector<std::int64_t>& layers;                // of LayersToEdit
  const std::map<std::int64_t, at::Tensor>& covariances;  // of these (key_covariance.h)
};

// What became of a fact's value.
struct WrittenFact {
  std::vector<std::int64_t> layers;
  double objective = 0;  // L(d)
  std::int64_t steps = 0;
  double change = 0;  // |d| / |h|
};

// Changes `weights` and their network. `on_step` is told the number of the fact and returns true to
// end. Errors as of FindValue, RomeChange, MemitChange and EditedWeights::Add.
using OnFactStep = std::function<bool(std::size_t fact, std::int64_t step, double objective)>;
Result<std::vector<WrittenFact>> WriteFacts(const Network& network, const EditInputs& inputs,
                                            const recipe::EditConfig& config,
                                            EditedWeights& weights, const OnFactStep& on_step);

}  // namespace metier::train
