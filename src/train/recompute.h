// train/recompute.h - activation checkpointing (Chen et al. 2016, arXiv 1604.06174): a part of a
// network that keeps what it was given, forgets all that it computed on the way, and computes that
// again when its gradients are asked for.
#pragma once

#include <functional>

#include "train/torch.h"

namespace metier::train {

// What goes from layer to layer: the sum so far, and what the last sub-layer adds to it, or an
// undefined tensor.
struct Streams {
  at::Tensor x;
  at::Tensor delta;
};

// Requires to compute the same whenever it is called, as long as the graph lives.
using StreamsPart = std::function<Streams(const Streams&)>;

// part(in), with gradients for what goes in and for all parameters that it uses.
Streams Recomputed(StreamsPart part, const Streams& in);

}  // namespace metier::train
