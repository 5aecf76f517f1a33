// merge/compatible.h - whether models can be merged at all: weights of one network, tokens of one
// vocabulary.
//
// A merge of weights that mean different things gives a model that loads, runs and babbles, and a
// row of the embedding that stands for another token in each model is the same mistake in small.
// Both are found here, before anything is computed.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "merge/source_model.h"
#include "model/model_spec.h"
#include "text/tokenizer.h"

namespace metier::merge {

// Whether one network computes both: the same family, sizes, norms, positions, experts. Apart from
// the number of layers and what they see of the past, which who stacks layers compares; whether the
// head is tied, which a merge can undo; and the longest sequence, where that is no parameter.
// kInvalidArgument: the first field that differs, with both values.
Status CheckSameNetwork(const std::string& name, const model::ModelSpec& spec,
                        const std::string& other_name, const model::ModelSpec& other);

// Whether every id is the same token in both. kInvalidArgument: how many are not, and the first of
// them with both spellings.
Status CheckSameTokens(const std::string& name, const text::Tokenizer& tokenizer,
                       const std::string& other_name, const text::Tokenizer& other);

// Both of the above for all models against the first, and for the tokenizer that the result gets
// (`tokenizer_source`, which may be none of the models). kInvalidArgument: what these say; a model
// without a tokenizer where others have one.
//
// Notes for people: roles of tokens (BOS, EOS, padding, unknown) that differ from the result's.
Result<std::vector<std::string>> CheckCompatible(const std::vector<std::string>& order,
                                                 const SourceModels& models,
                                                 const std::string& tokenizer_source);

}  // namespace metier::merge
