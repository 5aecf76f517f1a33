// train/edited_weights.h - the down projections that edits change: in the network, and as they are
// going to be stored.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model_files.h"
#include "train/network.h"
#include "train/tensor_file.h"
#include "train/torch.h"

namespace metier::train {

class EditedWeights {
 public:
  // Borrows both. The network is one of the files' model.
  EditedWeights(Network& network, const model::ModelFiles& files)
      : network_(network), files_(files) {}

  // Adds `change`, double [width, hidden], to a layer's down projection and rounds the sum to the
  // stored type: what the network has from then on is what will be in the file. kUnsupported: a
  // type that cannot be written back. kDataCorrupt: a sum that the type cannot hold.
  Status Add(std::int64_t layer, const at::Tensor& change);

  // Those that were changed, under our names, F32.
  std::vector<NamedTensor> Tensors() const;
  // Of each of these: |changed - original| / |original|.
  std::vector<double> Changes() const;

 private:
  struct Edited {
    at::Tensor original;  // double, on the CPU
    at::Tensor current;
  };

  Network& network_;
  const model::ModelFiles& files_;
  std::map<std::string, Edited> edited_;
};

}  // namespace metier::train
