// model/mixture.h - adapters of one base that answer together: a router gives every token, or every
// sequence, to some of them.
//
//   y = W x + sum over the chosen experts e of weight_e * scale_e * B_e A_e x
//
// By token: Self-MoE (Kang et al., 2024, section 2.3). By sequence: Mixture-of-LoRAs (Feng et al.,
// 2024, section 3.2). The experts are ordinary adapters, and remain usable alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/model_spec.h"
#include "tensor/tensor.h"

namespace metier::model {

// scores = weight x + bias, of the input of one linear; what they choose holds for `linears`.
struct AdapterRouter {
  // Ours, without ".weight": "layers.0.attn.q". Those that share its input are as good.
  std::string reads;
  // Of the same layer, and computed no earlier than `reads`.
  std::vector<std::string> linears;
  tensor::Tensor weight;               // [experts, in], F32, owned
  std::optional<tensor::Tensor> bias;  // [experts], F32, owned
};

enum class RouteBy : std::uint8_t {
  kToken,     // each token by its own scores
  kSequence,  // all tokens of a sequence alike, by the mean of the prompt's scores (Backend)
};

struct AdapterMixture {
  std::string name;
  RouteBy by = RouteBy::kToken;
  std::int64_t top_k = 1;  // experts that a token goes to
  RouterScore score = RouterScore::kTopKThenSoftmax;
  bool normalise_top_k = false;        // divide the chosen weights by their sum
  std::vector<AdapterRouter> routers;  // every linear that an expert changes is routed by one
};

}  // namespace metier::model
