// train/initial.h - the values that a model made from scratch begins with.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/model_spec.h"
#include "recipe/train_config.h"
#include "tensor/tensor.h"

namespace metier::train {

// Norms change nothing, biases are zero, all other weights N(0, init.std), the same for a (spec,
// seed) on every machine. Two departures that make small models learn to copy from their context in
// a fraction of the steps:
//
//   init.attention mimetic   the output of each head is the transpose of its values, so that a head
//                            hands on what it looks at (Trockman and Kolter 2023, "Mimetic
//                            Initialization of Self-Attention Layers", the value-output part)
//   init.query_key_bias_std  biases of queries and keys N(0, this): under rotary positions each
//                            head then prefers some distances from the start, whatever stands there
//
// kInvalidArgument: no parameter of that name; a query-key bias for a spec without biases.
Result<tensor::Tensor> InitialParameter(const model::ModelSpec& spec, const std::string& name,
                                        std::uint64_t seed, const recipe::InitConfig& init);

}  // namespace metier::train
