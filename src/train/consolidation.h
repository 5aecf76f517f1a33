// train/consolidation.h - elastic weight consolidation (Kirkpatrick et al. 2017, arXiv 1612.00796,
// equation 3): weights that earlier data need stay near where a run found them.
//
//   L + weight / 2 * sum_i F_i (theta_i - theta*_i)^2
//
// F, the importance, is the diagonal of the empirical Fisher information: the mean over examples of
// the squared gradient of an example's ln p. theta* are the weights that the run began with. Both
// are computed before the first step and kept in the run's folder.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "train/network.h"
#include "train/run_data.h"
#include "train/tensor_file.h"
#include "train/torch.h"

namespace metier::train {

class Consolidation {
 public:
  // Anchored where the trainables are now, without any importance yet. They are shared, not copied.
  Consolidation(std::vector<Trainable> trainables, double weight);

  // Measures the importance by the examples of `old`, `count` of them at equal distances, each cut
  // at max_seq_len; one without a token to predict counts as 0. Leaves no gradients. False: asked
  // to end. `on_examples` is called with examples done and to do and returns true to ask for that.
  using OnExamples = std::function<bool(std::int64_t done, std::int64_t total)>;
  bool Measure(const Network& network, const RunData& data, const Reading& old, std::int64_t count,
               const OnExamples& on_examples);

  // Adds the penalty's gradient to those of the trainables; the value is the penalty.
  double AddGradients();

  // OUT/consolidation.safetensors: "importance.<name>" and "anchor.<name>", F32. `run` says which
  // run they are of.
  Status Save(const std::string& folder, const Json& run) const;
  // False: there is none, or of another run.
  Result<bool> Load(const std::string& folder, const Json& run);

  // All of it, shared: what several workers have to have alike.
  std::vector<NamedTensor> Tensors() const;

 private:
  std::vector<Trainable> trainables_;
  std::vector<at::Tensor> importance_;
  std::vector<at::Tensor> anchor_;
  double weight_;
};

}  // namespace metier::train
