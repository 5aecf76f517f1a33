#include "train/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "model/family.h"
#include "train/initial.h"

namespace metier::train {
namespace {

namespace fs = std::filesystem;

Result<ModelSource> RandomModel(const recipe::TrainConfig& config) {
  const recipe::InitConfig& init = *config.init;
  Json document = init.spec;
  if (!init.config.empty()) {
    METIER_ASSIGN(document, ReadJsonFile(init.config));
  }
  if (!document.is_object() || !document.contains("model_type") ||
      !document["model_type"].is_string()) {
    return Error(ErrorCode::kDataCorrupt,
                 "init: expected a mapping with 'model_type' (\"llama\", \"gpt2\", ...)");
  }
  if (init.vocab_size > 0) document["vocab_size"] = init.vocab_size;
  METIER_ASSIGN(const model::Family* family,
                model::FindFamilyByModelType(document["model_type"].get<std::string>()));
  ModelSource source;
  METIER_ASSIGN(source.spec, family->from_config(document));
  METIER_TRY(model::Validate(source.spec));
  const auto seed = static_cast<std::uint64_t>(config.seed);
  source.read = [spec = source.spec, seed, init](const std::string& name) {
    return InitialParameter(spec, name, seed, init);
  };
  return source;
}

// Of a dense model's spec, with experts in every so many-th layer. The spec must be one that our
// own family can write.
Result<model::ModelSpec> UpcycledSpec(const model::ModelSpec& dense,
                                      const recipe::UpcycleConfig& asked) {
  const auto refused = [&](const std::string& why) {
    return Error(ErrorCode::kUnsupported, fmt::format("init.upcycle: '{}' {}", asked.model, why));
  };
  if (dense.moe.experts > 0) return refused("has experts already; expected a dense model");
  if (asked.every > dense.layers) {
    return refused(fmt::format("has {} layers, and every {}th of them is none; lower `every`",
                               dense.layers, asked.every));
  }
  model::ModelSpec spec = dense;
  spec.family = "metier_experts";
  spec.moe.experts = asked.experts;
  spec.moe.top_k = asked.top_k;
  // Weights that sum to 1: what copies of one feed-forward give is what it gave.
  spec.moe.score = model::RouterScore::kTopKThenSoftmax;
  spec.moe.normalise_top_k = false;
  spec.moe.residual = asked.residual;
  if (asked.every > 1) {
    for (std::int64_t n = 1; n <= spec.layers; ++n)
      spec.moe.of_layer.push_back(n % asked.every == 0 ? asked.experts : 0);
  }
  METIER_ASSIGN(const model::Family* family, model::FindFamily(spec.family));
  const auto again = family->from_config(family->to_config(spec));
  if (!again.ok() || *again != spec) {
    return refused(
        fmt::format("is of family {}, whose network cannot be written with experts; "
                    "expected a decoder like llama, mistral, qwen2 or qwen3",
                    dense.family));
  }
  METIER_TRY(model::Validate(spec));
  return spec;
}

// "layers.1.experts.2.up.weight" -> "layers.1.ffn.up.weight".
std::string OfFeedForward(const std::string& name) {
  const std::string experts = ".experts.";
  const std::size_t at = name.find(experts);
  if (at == name.npos) return name;
  return name.substr(0, at) + ".ffn" + name.substr(name.find('.', at + experts.size()));
}

Result<ModelSource> UpcycledModel(const recipe::TrainConfig& config) {
  const recipe::InitConfig& init = *config.init;
  METIER_ASSIGN(const ModelSource dense, OpenModelAt(init.upcycle->model));
  ModelSource source = dense;
  METIER_ASSIGN(source.spec, UpcycledSpec(dense.spec, *init.upcycle));
  const auto seed = static_cast<std::uint64_t>(config.seed);
  source.read = [spec = source.spec, seed, init,
                 from = dense.read](const std::string& name) -> Result<tensor::Tensor> {
    const bool added = name.find(".router.") != name.npos || name.find(".mix.") != name.npos;
    return added ? InitialParameter(spec, name, seed, init) : from(OfFeedForward(name));
  };
  return source;
}

Status ScaleRope(const recipe::RopeScalingConfig& scaling, model::ModelSpec& spec) {
  if (spec.position != model::PositionKind::kRope) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("rope_scaling: a model of family '{}' has no RoPE", spec.family));
  }
  if (spec.rope.scaling != model::RopeScaling::kNone) {
    return Error(ErrorCode::kInvalidArgument,
                 "rope_scaling: the model's config scales its positions already; leave it out, or "
                 "change it there");
  }
  spec.rope.scaling = model::RopeScaling::kLinear;
  spec.rope.factor = scaling.factor;
  spec.max_positions = std::llround(static_cast<double>(spec.max_positions) * scaling.factor);
  return model::Validate(spec);
}

}  // namespace

Result<ModelSource> OpenModelAt(const std::string& path) {
  METIER_ASSIGN(model::ModelFiles opened, model::ModelFiles::Open(path));
  const auto files = std::make_shared<const model::ModelFiles>(std::move(opened));
  ModelSource source;
  source.spec = files->spec();
  source.path = path;
  source.stored = files->StoredType("embed.tokens");
  source.read = [files](const std::string& name) { return files->LoadF32(name); };
  source.files = files;
  return source;
}

Result<ModelSource> OpenModelSource(const recipe::TrainConfig& config) {
  METIER_ASSIGN(ModelSource source, !config.init           ? OpenModelAt(config.model)
                                    : config.init->upcycle ? UpcycledModel(config)
                                                           : RandomModel(config));
  if (config.rope_scaling) METIER_TRY(ScaleRope(*config.rope_scaling, source.spec));
  return source;
}

Result<at::Device> ParseDevice(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  if (name != "cuda" && name.rfind("cuda:", 0) != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("device: found \"{}\", expected cpu, cuda or cuda:N", name));
  }
  if (!torch::cuda::is_available()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("device {}: this LibTorch ({}) sees no CUDA device; use device: cpu",
                             name, TORCH_VERSION));
  }
  int index = 0;
  if (name.size() > 5) {
    const char* begin = name.data() + 5;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(begin, end, index);
    const auto devices = static_cast<int>(torch::cuda::device_count());
    if (parsed.ec != std::errc() || parsed.ptr != end || index < 0 || index >= devices) {
      return Error(ErrorCode::kInvalidArgument,
                   fmt::format("device {}: expected cuda:0 to cuda:{}", name, devices - 1));
    }
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

Result<std::string> HashModel(const std::string& path) {
  if (path.empty()) return std::string();
  std::vector<std::string> files;
  if (fs::is_directory(path)) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(path, failed)) {
      const std::string name = entry.path().filename().string();
      const std::string extension = entry.path().extension().string();
      if (name == "config.json" || name == "adapter_config.json" || extension == ".safetensors" ||
          name == "model.safetensors.index.json")
        files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(path);
  }
  Sha256 hash;
  for (const std::string& file : files) {
    METIER_ASSIGN(const std::string one, Sha256OfFile(file));
    hash.Add(fs::path(file).filename().string() + "\n" + one + "\n");
  }
  return std::move(hash).Hex();
}

}  // namespace metier::train
