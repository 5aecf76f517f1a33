#include "train/references.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "format/safetensors.h"
#include "train/preference.h"
#include "train/tensor_file.h"

namespace metier::train {
namespace {

constexpr const char* kReferencesFile = "/references.safetensors";

std::vector<Reading*> Readings(RunData& data) {
  std::vector<Reading*> readings = {&data.train()};
  for (Reading& reading : data.evals()) readings.push_back(&reading);
  return readings;
}

// Whole examples in the order of the file, as many as fill a batch.
std::vector<Pack> PacksFrom(const Corpus& corpus, const recipe::TrainConfig& config,
                            std::int64_t first) {
  std::vector<Pack> packs(1);
  std::int64_t tokens = 0;
  const std::int64_t most = config.max_seq_len * recipe::BatchSize(config);
  for (std::int64_t e = first; e < corpus.examples(); ++e) {
    tokens += corpus.Length(e);
    if (!packs.front().empty() && tokens > most) break;
    packs.front().push_back({e, 0, corpus.Length(e)});
  }
  return packs;
}

// Sums of ln p of a batch's answers, of its data alone.
void Append(const Network& network, const Batch& batch, std::size_t count,
            std::vector<double>& values) {
  const at::Tensor sums =
      ScoreAnswers(network.LogProbs(batch), batch).sums.to(at::kCPU, at::kDouble);
  const auto* begin = sums.data_ptr<double>();
  values.insert(values.end(), begin, begin + count);
}

std::vector<NamedTensor> Tensors(RunData& data, bool mismatched) {
  std::vector<NamedTensor> tensors;
  std::size_t number = 0;
  for (Reading* reading : Readings(data)) {
    const auto examples = reading->corpus.examples();
    const std::string name = fmt::format("{}", number++);
    tensors.push_back({name + ".own", at::empty({examples}, at::kDouble)});
    if (mismatched) tensors.push_back({name + ".mismatched", at::empty({examples}, at::kDouble)});
  }
  return tensors;
}

at::Tensor TensorOf(const std::vector<double>& values) {
  return torch::tensor(values, at::kDouble);
}

std::vector<double> ValuesOf(const at::Tensor& tensor) {
  const auto* values = tensor.data_ptr<double>();
  return {values, values + tensor.numel()};
}

std::string KeyOf(const Json& run) { return Sha256Hex(DumpCompact(run)); }

}  // namespace

Result<bool> ComputeReferences(const Network& network, const recipe::TrainConfig& config,
                               RunData& data, const OnAnswers& on_answers) {
  const torch::NoGradGuard no_grad;
  const at::Device device = network.options().device;
  const bool mismatches = config.stage == "kto";
  std::int64_t total = 0;
  for (const Reading* reading : Readings(data)) total += reading->corpus.examples();
  std::int64_t done = 0;
  for (Reading* reading : Readings(data)) {
    std::vector<double> own;
    std::vector<double> mismatched;
    while (static_cast<std::int64_t>(own.size()) < reading->corpus.examples()) {
      const std::vector<Pack> packs =
          PacksFrom(reading->corpus, config, static_cast<std::int64_t>(own.size()));
      const std::size_t count = packs.front().size();
      Append(network, data.MakeBatch(*reading, packs, device), count, own);
      if (mismatches)
        Append(network, data.MakeMismatched(*reading, packs, device), count, mismatched);
      done += static_cast<std::int64_t>(count);
      if (on_answers(done, total) && done < total) return false;
    }
    reading->references = std::move(own);
    reading->mismatched = std::move(mismatched);
  }
  return true;
}

Status SaveReferences(const std::string& folder, const RunData& data, const Json& run) {
  std::vector<NamedTensor> tensors;
  std::size_t number = 0;
  const auto add = [&](const Reading& reading) {
    const std::string name = fmt::format("{}", number++);
    tensors.push_back({name + ".own", TensorOf(reading.references)});
    if (!reading.mismatched.empty())
      tensors.push_back({name + ".mismatched", TensorOf(reading.mismatched)});
  };
  add(data.train());
  for (const Reading& reading : data.evals()) add(reading);
  return SaveTensors(folder + kReferencesFile, tensors, KeyOf(run));
}

Result<bool> LoadReferences(const std::string& folder, RunData& data, const Json& run) {
  const std::string path = folder + kReferencesFile;
  if (!std::filesystem::exists(path)) return false;
  METIER_ASSIGN(const format::SafetensorsFile file, format::SafetensorsFile::Open(path));
  const auto key = file.metadata().find("format");
  if (key == file.metadata().end() || key->second != KeyOf(run)) return false;
  const bool mismatched = file.Find("0.mismatched") != nullptr;
  const std::vector<NamedTensor> tensors = Tensors(data, mismatched);
  METIER_TRY(LoadTensors(path, tensors, "references"));
  auto next = tensors.begin();
  for (Reading* reading : Readings(data)) {
    reading->references = ValuesOf((next++)->tensor);
    if (mismatched) reading->mismatched = ValuesOf((next++)->tensor);
  }
  return true;
}

}  // namespace metier::train
