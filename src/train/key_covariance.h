// train/key_covariance.h - what texts ask of a feed-forward: the second moment of the inputs of its
// down projection, which an edit has to leave answered as they were.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/result.h"
#include "train/fact_batch.h"
#include "train/network.h"
#include "train/torch.h"

namespace metier::train {

// By layer: E[k k^T] over all tokens of the texts, and `ridge` times the mean of its diagonal on
// its diagonal; double [hidden, hidden], on the network's device. The texts are cut into sequences
// of at most `longest` tokens, `begin` included. `on_tokens` is called with tokens done and returns
// true to end, which is then kInvalidArgument. kInvalidArgument: no token, keys that are zero.
Result<std::map<std::int64_t, at::Tensor>> KeyCovariances(
    const Network& network, const std::vector<Ids>& texts, const Ids& begin, std::int64_t longest,
    const std::vector<std::int64_t>& layers, double ridge,
    const std::function<bool(std::int64_t tokens)>& on_tokens);

// `count` pieces of `tokens` tokens at random places of the texts; those of a seed are always the
// same. kInvalidArgument: no text is as long.
Result<std::vector<Ids>> DrawPrefixes(const std::vector<Ids>& texts, std::int64_t count,
                                      std::int64_t tokens, std::uint64_t seed);

}  // namespace metier::train
