// engine/feed_forward.h - the first half of a feed-forward, with adapters: what dense layers and
// experts share.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/compute.h"
#include "engine/lora.h"
#include "engine/weights.h"
#include "model/model_spec.h"

namespace metier::engine {

// hidden[r] = act(gate x[r]) * (up x[r]), or act(up x[r]) where the spec is not gated. x: [rows,
// width] with runs in the order of the rows; hidden: [rows, hidden]. `space`: scratch.
void MultiplyHidden(Compute& compute, const model::ModelSpec& spec, const FeedForward& ffn,
                    std::span<const AdapterRun> runs, const float* x, std::size_t rows,
                    float* hidden, std::vector<float>& space);

}  // namespace metier::engine
