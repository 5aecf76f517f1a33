// train/mixture.h - adapters of one frozen network that answer together, and the routers that learn
// which of them each token or sequence goes to (model/mixture.h says what is computed).
//
// Experts are computed for all tokens, side by side as one adapter whose rank is the sum of theirs:
// what a token does not use is multiplied by 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/mixture.h"
#include "model/model_spec.h"
#include "recipe/train_config.h"
#include "train/lora.h"
#include "train/torch.h"

namespace metier::train {

struct MixtureRouter {
  std::string reads;                 // ours: "layers.0.attn.q"
  std::vector<std::string> linears;  // that its choice holds for
  at::Tensor weight;                 // real [experts, in]
  at::Tensor bias;                   // real [experts]
};

class MixtureSet {
 public:
  enum class Learns { kNothing, kRouters, kAll };

  MixtureSet() = default;

  // The experts of the configuration, behind those of its mixture, whose routers get rows for the
  // new ones; routers and rows begin small, at random, of `seed`. kInvalidArgument: no expert, a
  // name twice, fewer experts than a token goes to; an expert with weights of its own
  // (modules_to_save) or on linears that are not routed; a mixture that routes by something else.
  static Result<MixtureSet> Create(const model::ModelSpec& spec, const recipe::RouterConfig& config,
                                   std::uint64_t seed, at::ScalarType real, at::Device device);

  // A mixture's directory.
  static Result<MixtureSet> Load(const model::ModelSpec& spec, const std::string& folder,
                                 Learns learns, at::ScalarType real, at::Device device);

  // Writes the mixture and its experts.
  Status Save(const std::string& folder, const std::string& base_model) const;

  bool empty() const { return experts_.empty(); }
  model::RouteBy by() const { return choice_.by; }
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<LoraSet>& experts() const { return experts_; }
  const std::vector<MixtureRouter>& routers() const { return routers_; }
  Learns learns() const { return learns_; }

  // How a row's experts follow from its scores.
  model::MoeSpec Choice() const;

  // Of a linear by our name; kNone: no router routes it.
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::size_t RouterOf(const std::string& linear) const;

  // x: [rows, in] of any type; [rows, experts] real, differentiable in the router.
  at::Tensor Scores(std::size_t router, const at::Tensor& x) const;

 private:
  Status AddExpert(const model::ModelSpec& spec, const std::string& name, const std::string& folder,
                   at::ScalarType real, at::Device device);
  Status AddRouters(const model::ModelSpec& spec, const std::string& routers, std::uint64_t seed,
                    at::ScalarType real, at::Device device);
  void GrowRouters(std::uint64_t seed);
  Status Check() const;
  void SetLearning(Learns learns);

  model::AdapterMixture choice_;  // its routers: none
  Learns learns_ = Learns::kNothing;
  std::vector<std::string> names_;
  std::vector<LoraSet> experts_;
  std::vector<MixtureRouter> routers_;
};

// The experts' adapters on linears that are computed as one product, side by side. a: [ranks, in],
// b: [rows, ranks], as FuseLora's; undefined where no expert changes them.
struct FusedMixture {
  struct Segment {  // of consecutive ranks
    std::size_t router = 0;
    std::int64_t expert = 0;
    std::int64_t ranks = 0;
    std::size_t module = 0;  // of the expert
  };
  at::Tensor a;
  at::Tensor b;
  std::vector<Segment> segments;
};
FusedMixture FuseMixture(const MixtureSet& mixture, const std::vector<LinearPart>& parts);

}  // namespace metier::train
