#include "cli/torch_rows.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "format/safetensors.h"
#include "specialist/train_plugin.h"

namespace metier::cli {
namespace {

// A file that is removed again; the map of it stays readable.
class ScratchFile {
 public:
  ScratchFile()
      : path_((std::filesystem::temp_directory_path() /
               fmt::format("metier-{}.safetensors", ::getpid()))
                  .string()) {}
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

Result<TorchRows> ComputeTorchRows(const TorchRequest& request) {
  METIER_ASSIGN(const auto plugin, specialist::TrainPlugin::Load());
  const ScratchFile scratch;
  const std::vector<model::TokenId> tokens(request.tokens.begin(), request.tokens.end());
  Json call = {{"model", request.model},
               {"tokens", Json::array({tokens})},
               {"device", request.device},
               {"threads", request.threads},
               {"out", scratch.path()}};
  if (!request.adapter.empty()) call["adapter"] = request.adapter;
  METIER_TRY(plugin.Call("logits", call,
                         [](const Json&) { return specialist::TrainPlugin::Continue::kYes; }));
  METIER_ASSIGN(const auto file, format::SafetensorsFile::Open(scratch.path()));
  const tensor::TensorView* rows = file.Find("logits.0");
  if (rows == nullptr) rows = file.Find("hidden.0");
  if (rows == nullptr || rows->dtype != tensor::DType::kF32) {
    return Error(ErrorCode::kDataCorrupt,
                 "the plug-in's answer: expected the tensor logits.0 or hidden.0 of type F32");
  }
  auto values = std::make_shared<std::vector<float>>(rows->bytes.size() / sizeof(float));
  std::memcpy(values->data(), rows->bytes.data(), rows->bytes.size());
  const std::span<const float> view = *values;
  return TorchRows{std::move(values), view};
}

}  // namespace metier::cli
