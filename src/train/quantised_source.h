// train/quantised_source.h - the linears of a frozen model as blocks of a quantised type: those of
// its file, or made of its weights as they are read.
#pragma once

#include "base/result.h"
#include "recipe/train_config.h"
#include "train/model_source.h"
#include "train/network.h"

namespace metier::train {

// What a network of the source holds in blocks as quantization_bit and its like ask: all linears,
// experts' too, the head where it is asked for or where `auto` finds it in blocks; not the
// embedding, routers, norms and biases. Nothing where the configuration asks for none. From then on
// `source` gives what the blocks are worth, so that what begins as the weights (DoRA's lengths)
// begins as those in use.
//
// kInvalidArgument: rows that are not whole blocks; a head that is the embedding. kUnsupported: a
// GPTQ file whose columns have another order, with `auto`. Of its reader: a weight that is not
// finite.
Result<BlockSource> QuantiseSource(const recipe::TrainConfig& config, ModelSource& source);

}  // namespace metier::train
