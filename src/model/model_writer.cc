#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "format/decode.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "model/gguf_types.h"
#include "model/model_files.h"
#include "model/pooling_files.h"
#include "model/stored_tensors.h"

namespace metier::model {
namespace {

using tensor::DType;
using tensor::Tensor;

// What both kinds of file need: the tensors of theirs, filled from parameters of ours.
class Assembler {
 public:
  Assembler(const ModelSpec& spec, std::vector<TensorRule> rules, const ParameterReader& read)
      : spec_(spec),
        rules_(std::move(rules)),
        parameters_(Parameters(spec)),
        tensors_(StoredTensors(spec, rules_)),
        read_(read) {}

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  // The first parameter in a tensor: its name tells what kind of tensor this is.
  const std::string& NameOf(const StoredTensor& tensor) const {
    return rules_[tensor.parts.front()].ours;
  }

  // The tensor `index`, F32.
  Result<Tensor> Assemble(std::size_t index) const {
    const StoredTensor& tensor = tensors_[index];
    Tensor stored(DType::kF32, tensor.shape);
    for (const std::size_t part : tensor.parts) {
      METIER_ASSIGN(const Tensor ours, read_(rules_[part].ours));
      if (ours.dtype() != DType::kF32 || ours.shape() != parameters_[part].shape)
        return Error(
            ErrorCode::kInvalidArgument,
            fmt::format("parameter '{}': {} {} was given, F32 {} expected", rules_[part].ours,
                        tensor::InfoOf(ours.dtype()).name, tensor::FormatShape(ours.shape()),
                        tensor::FormatShape(parameters_[part].shape)));
      if (IsStoredAsIs(rules_[part]) && ours.shape() == tensor.shape) return ours;
      Store(rules_[part], spec_.head_dim, ours, stored);
    }
    return stored;
  }

 private:
  const ModelSpec& spec_;
  std::vector<TensorRule> rules_;
  std::vector<Parameter> parameters_;
  std::vector<StoredTensor> tensors_;
  const ParameterReader& read_;
};

// Encodes piece by piece, each piece on all threads: a large tensor is not held twice.
class Encoder {
 public:
  explicit Encoder(int threads) : pool_(threads > 0 ? threads : ThreadPool::DefaultThreads()) {}

  Status Encode(const format::TensorInfo& info, const Tensor& values,
                const format::ByteSink& sink) {
    for (std::span<const float> rest = values.f32(); !rest.empty();) {
      const auto piece = rest.first(std::min(kPiece, rest.size()));
      rest = rest.subspan(piece.size());
      bytes_.resize(BytesOf(info.dtype, piece.size()));
      auto encoded = EncodePiece(info.dtype, piece);
      if (!encoded.ok()) return std::move(encoded).error().With("tensor '" + info.name + "'");
      METIER_TRY(sink(bytes_));
    }
    return Ok();
  }

 private:
  // Elements: whole blocks of every type.
  static constexpr std::size_t kPiece = std::size_t{1} << 20;
  static constexpr std::size_t kPart = std::size_t{1} << 14;  // a thread's

  static std::size_t BytesOf(DType dtype, std::size_t elements) {
    return static_cast<std::size_t>(tensor::BytesFor(dtype, elements).value_or(0));
  }

  Status EncodePiece(DType dtype, std::span<const float> piece) {
    const std::size_t parts = (piece.size() + kPart - 1) / kPart;
    std::vector<Status> done(parts);
    pool_.ParallelFor(parts, 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const auto part = piece.subspan(i * kPart, std::min(kPart, piece.size() - i * kPart));
        done[i] = format::EncodeFromF32(
            dtype, part,
            std::span(bytes_).subspan(BytesOf(dtype, i * kPart), BytesOf(dtype, part.size())));
      }
    });
    for (Status& part : done) METIER_TRY(std::move(part));
    return Ok();
  }

  ThreadPool pool_;
  std::vector<std::byte> bytes_;
};

Status CheckDType(DType dtype, std::initializer_list<DType> allowed) {
  std::string names;
  for (const DType candidate : allowed) {
    if (candidate == dtype) return Ok();
    names += fmt::format(" {}", tensor::InfoOf(candidate).name);
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("models cannot be written as {}; expected one of{}",
                           tensor::InfoOf(dtype).name, names));
}

// The config.json, if reading it gives the spec back.
Result<Json> ConfigOf(const Family& family, const ModelSpec& spec, DType dtype) {
  Json config = family.to_config(spec);
  config["torch_dtype"] = dtype == DType::kF32   ? "float32"
                          : dtype == DType::kF16 ? "float16"
                                                 : "bfloat16";
  auto again = family.from_config(config);
  if (again.ok()) {
    again->pooling = spec.pooling;  // these two stand in modules.json
    again->normalise_pooled = spec.normalise_pooled;
  }
  if (again.ok() && *again == spec) return config;
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("a config.json of family {} cannot express this model{}; write GGUF "
                           "instead",
                           family.name,
                           spec.rope.scaling == RopeScaling::kFactors
                               ? " (its rotary factors follow no formula known to transformers)"
                               : ""));
}

GgufMetadata WithGeneralKeys(GgufMetadata ours, const GgufMetadata& given,
                             std::uint64_t file_type) {
  ours["general.type"] = std::string("model");
  ours["general.file_type"] = file_type;
  ours["general.quantization_version"] = std::uint64_t{2};
  ours.insert(given.begin(), given.end());
  // Readers insist on the key; this value says that there is no vocabulary.
  ours.emplace("tokenizer.ggml.model", std::string("no_vocab"));
  return ours;
}

// Llama 3's scaling, and any other that is no single number, travels as a tensor.
Tensor RopeFactorTensor(const ModelSpec& spec) {
  Tensor tensor(DType::kF32, {spec.head_dim / 2});
  const std::vector<double> factors = RopeFactors(spec);
  std::transform(factors.begin(), factors.end(), tensor.f32().begin(),
                 [](double factor) { return static_cast<float>(factor); });
  return tensor;
}

std::uint64_t HashOf(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

Status WriteHuggingFaceModel(const std::string& folder, const ModelSpec& spec, DType dtype,
                             const ParameterReader& read) {
  METIER_TRY(CheckDType(dtype, {DType::kF32, DType::kF16, DType::kBF16}));
  METIER_TRY(Validate(spec));
  METIER_ASSIGN(const Family* family, FindFamily(spec.family));
  METIER_ASSIGN(const Json config, ConfigOf(*family, spec, dtype));
  const Assembler assembler(spec, family->hf_rules(spec), read);
  std::vector<format::TensorInfo> infos;
  for (const StoredTensor& tensor : assembler.tensors())
    infos.push_back({tensor.name, dtype, tensor.shape});
  Encoder encoder(0);
  METIER_TRY(format::StreamSafetensorsModel(
      folder, infos, {{"format", "pt"}},
      [&](std::size_t index, const format::ByteSink& sink) -> Status {
        METIER_ASSIGN(const Tensor values, assembler.Assemble(index));
        return encoder.Encode(infos[index], values, sink);
      }));
  METIER_TRY(WritePooling(folder, spec));
  return WriteFileAtomic(folder + "/config.json", DumpPretty(config));
}

Status WriteGgufModel(const std::string& path, const ModelSpec& spec, const GgufOptions& options,
                      const std::map<std::string, format::GgufValue>& metadata,
                      const ParameterReader& read) {
  METIER_ASSIGN(const GgufTypes types, GgufTypes::Create(options.dtype, options.head_dtype));
  METIER_TRY(Validate(spec));
  METIER_ASSIGN(const Family* family, FindFamily(spec.family));
  if (family->to_gguf == nullptr)
    return Error(
        ErrorCode::kUnsupported,
        fmt::format("family {} has no GGUF form; write a Hugging Face directory", family->name));
  METIER_ASSIGN(GgufMetadata ours, family->to_gguf(spec));
  const Assembler assembler(spec, family->gguf_rules(spec), read);
  std::vector<format::TensorInfo> infos;
  for (const StoredTensor& tensor : assembler.tensors())
    infos.push_back({tensor.name, types.Of(assembler.NameOf(tensor), tensor.shape), tensor.shape});
  const bool factors =
      spec.position == PositionKind::kRope &&
      (spec.rope.scaling == RopeScaling::kLlama3 || spec.rope.scaling == RopeScaling::kFactors);
  if (factors) infos.push_back({"rope_freqs.weight", DType::kF32, {spec.head_dim / 2}});
  Encoder encoder(options.threads);
  return format::StreamGguf(path, WithGeneralKeys(std::move(ours), metadata, types.file_type),
                            infos, [&](std::size_t index, const format::ByteSink& sink) -> Status {
                              if (index == assembler.tensors().size())
                                return sink(RopeFactorTensor(spec).bytes());
                              METIER_ASSIGN(const Tensor values, assembler.Assemble(index));
                              return encoder.Encode(infos[index], values, sink);
                            });
}

Tensor RandomParameter(const ModelSpec& spec, const Parameter& parameter, std::uint64_t seed,
                       double scale) {
  Tensor out(DType::kF32, parameter.shape);
  const bool norm = parameter.name.ends_with("norm.weight");
  const double mean = norm && !spec.norm.plus_one ? 1 : 0;
  Rng rng(seed, HashOf(parameter.name));
  for (float& value : out.f32()) value = static_cast<float>(mean + scale * rng.Normal());
  return out;
}

Result<Tensor> RandomParameter(const ModelSpec& spec, const std::string& name, std::uint64_t seed,
                               double scale) {
  for (const Parameter& parameter : Parameters(spec)) {
    if (parameter.name == name) return RandomParameter(spec, parameter, seed, scale);
  }
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("parameter '{}': a {} of this spec has none", name, spec.family));
}

}  // namespace metier::model
