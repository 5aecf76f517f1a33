#include "train/consolidation.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/hash.h"
#include "format/safetensors.h"

namespace metier::train {
namespace {

constexpr const char* kConsolidationFile = "/consolidation.safetensors";

std::string FormatOf(const Json& run) { return Sha256Hex(DumpCompact(run)); }

}  // namespace

Consolidation::Consolidation(std::vector<Trainable> trainables, double weight)
    : trainables_(std::move(trainables)), weight_(weight) {
  for (const Trainable& trainable : trainables_) {
    anchor_.push_back(trainable.value.detach().clone());
    importance_.push_back(at::zeros_like(anchor_.back()));
  }
}

bool Consolidation::Measure(const Network& network, const RunData& data, const Reading& old,
                            std::int64_t count, const OnExamples& on_examples) {
  count = std::min(count, old.corpus.examples());
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int64_t example = n * old.corpus.examples() / count;
    const Piece piece = {example, 0, std::min(old.corpus.Length(example), network.longest())};
    const Batch batch = data.MakeBatch(old, {{piece}}, network.options().device);
    if (batch.counted == 0) continue;
    network.Loss(batch, 1).backward();
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < trainables_.size(); ++i) {
      at::Tensor& gradient = trainables_[i].value.mutable_grad();
      if (gradient.defined())
        importance_[i].addcmul_(gradient, gradient, 1.0 / static_cast<double>(count));
      gradient.reset();
    }
    if (on_examples(n + 1, count) && n + 1 < count) return false;
  }
  return true;
}

double Consolidation::AddGradients() {
  const torch::NoGradGuard no_grad;
  double penalty = 0;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    const at::Tensor moved = trainables_[i].value.detach() - anchor_[i];
    const at::Tensor pull = importance_[i] * moved * weight_;
    penalty += (pull * moved).sum(at::kDouble).item<double>() / 2;
    at::Tensor& gradient = trainables_[i].value.mutable_grad();
    gradient.defined() ? gradient.add_(pull) : gradient = pull;
  }
  return penalty;
}

std::vector<NamedTensor> Consolidation::Tensors() const {
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i < trainables_.size(); ++i) {
    tensors.push_back({"importance." + trainables_[i].name, importance_[i]});
    tensors.push_back({"anchor." + trainables_[i].name, anchor_[i]});
  }
  return tensors;
}

Status Consolidation::Save(const std::string& folder, const Json& run) const {
  return SaveTensors(folder + kConsolidationFile, Tensors(), FormatOf(run));
}

Result<bool> Consolidation::Load(const std::string& folder, const Json& run) {
  const std::string path = folder + kConsolidationFile;
  if (!std::filesystem::exists(path)) return false;
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(path));
  const auto key = file.metadata().find("format");
  if (key == file.metadata().end() || key->second != FormatOf(run)) return false;
  METIER_TRY(LoadTensors(path, Tensors(), "consolidation"));
  return true;
}

}  // namespace metier::train
