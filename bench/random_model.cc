// bench/random_model.cc - a model of any shape with random weights, for measuring speed and memory
// where the real one may not be downloaded or shipped.
//
//   random_model --config bench/shapes/llama-1b.json --dtype Q4_0 --out model.gguf
//
// Norms are one, biases near zero; weights have mean 0 and deviation 0.02. With --vocab a
// vocabulary's "tokenizer." entries go along, so that texts and recipes run as with the real model.
// A vocabulary that is padded in the model may be shorter than the config's vocab_size.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <span>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "fmt/format.h"
#include "format/gguf.h"
#include "model/family.h"
#include "model/model_files.h"
#include "tensor/dtype.h"

namespace metier {
namespace {

struct Flags {
  std::string config;
  std::string vocab;
  std::string chat_template;
  std::string dtype = "BF16";
  std::string head_dtype = "auto";
  std::string out;
  std::uint64_t seed = 1;
};

using Metadata = std::map<std::string, format::GgufValue>;

Result<Metadata> TokenizerEntries(const Flags& flags) {
  Metadata metadata = {{"general.name", std::string("random weights")}};
  if (!flags.vocab.empty()) {
    METIER_ASSIGN(const format::GgufFile vocab, format::GgufFile::Open(flags.vocab));
    for (const auto& [key, value] : vocab.metadata())
      if (key.starts_with("tokenizer.")) metadata[key] = value;
  }
  if (!flags.chat_template.empty()) {
    constexpr std::uint64_t kMostBytes = 1ULL << 20;
    METIER_ASSIGN(metadata["tokenizer.chat_template"], ReadFile(flags.chat_template, kMostBytes));
  }
  return metadata;
}

Result<model::ModelSpec> ReadShape(const std::string& path) {
  METIER_ASSIGN(const Json config, ReadJsonFile(path));
  if (!config.is_object() || !config.contains("model_type") || !config["model_type"].is_string()) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("'{}' has no \"model_type\", expected a family such as \"qwen2\"; give "
                    "the config.json of a Hugging Face model",
                    path));
  }
  METIER_ASSIGN(const model::Family* family,
                model::FindFamilyByModelType(config["model_type"].get<std::string>()));
  METIER_ASSIGN(model::ModelSpec spec, family->from_config(config));
  METIER_TRY(model::Validate(spec));
  return spec;
}

Result<tensor::DType> TypeNamed(const std::string& flag, const std::string& name) {
  if (const auto dtype = tensor::DTypeFromName(name)) return *dtype;
  return Error(ErrorCode::kInvalidArgument,
               fmt::format("{}: found {}, expected a type such as BF16 or Q4_K", flag, name));
}

// Parameters whose values come from a stream of chance for each chunk, so that threads can share
// the work. Each value is the sum of four uniform numbers: near enough to normal for weights that
// nobody learns from, and without the logarithm and cosine of model::RandomParameter.
class RandomWeights {
 public:
  RandomWeights(const model::ModelSpec& spec, std::uint64_t seed)
      : seed_(seed), pool_(ThreadPool::DefaultThreads()) {
    std::uint64_t stream = 0;
    for (const model::Parameter& parameter : model::Parameters(spec)) {
      const bool norm = parameter.name.ends_with("norm.weight");
      entries_[parameter.name] = {parameter.shape, stream,
                                  norm && !spec.norm.plus_one ? 1.0F : 0.0F};
      stream += Chunks(parameter.shape);
    }
  }

  tensor::Tensor Make(const std::string& name) {
    const Entry& entry = entries_.at(name);
    tensor::Tensor out(tensor::DType::kF32, entry.shape);
    const std::span<float> values = out.f32();
    pool_.ParallelFor(Chunks(entry.shape), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const auto chunk = values.subspan(i * kChunk, std::min(kChunk, values.size() - i * kChunk));
        Rng rng(seed_, entry.stream + i);
        for (float& value : chunk) value = entry.mean + Bell(rng.Next());
      }
    });
    return out;
  }

 private:
  struct Entry {
    tensor::Shape shape;
    std::uint64_t stream = 0;  // of its first chunk
    float mean = 0;
  };
  static constexpr std::size_t kChunk = std::size_t{1} << 16;

  static std::size_t Chunks(const tensor::Shape& shape) {
    return (static_cast<std::size_t>(tensor::ElementCount(shape)) + kChunk - 1) / kChunk;
  }

  // Four numbers of 16 bits, each of variance 2^32 / 12.
  static float Bell(std::uint64_t bits) {
    const std::uint64_t sum =
        (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    constexpr float kDeviation = 37837.0F;  // sqrt(2^32 / 3)
    constexpr float kScale = 0.02F;
    return (static_cast<float>(sum) - 131070.0F) * (kScale / kDeviation);
  }

  std::uint64_t seed_;
  ThreadPool pool_;
  std::map<std::string, Entry> entries_;
};

Status Write(const Flags& flags) {
  METIER_ASSIGN(const model::ModelSpec spec, ReadShape(flags.config));
  model::GgufOptions options;
  METIER_ASSIGN(options.dtype, TypeNamed("--dtype", flags.dtype));
  if (flags.head_dtype != "auto") {
    METIER_ASSIGN(options.head_dtype, TypeNamed("--head-dtype", flags.head_dtype));
  }
  METIER_ASSIGN(const Metadata metadata, TokenizerEntries(flags));
  RandomWeights weights(spec, flags.seed);
  METIER_TRY(model::WriteGgufModel(
      flags.out, spec, options, metadata,
      [&](const std::string& name) -> Result<tensor::Tensor> { return weights.Make(name); }));
  fmt::print("{}: {}, {:.1f} million parameters, {}\n", flags.out, spec.family,
             static_cast<double>(model::ParameterCount(spec)) / 1e6, flags.dtype);
  return Ok();
}

int Main(int argc, char** argv) {
  CLI::App app("A model with random weights, as GGUF.", "random_model");
  app.option_defaults()->always_capture_default();
  Flags flags;
  app.add_option("--config", flags.config, "config.json of the shape")->required();
  app.add_option("--vocab", flags.vocab, "GGUF file whose tokenizer goes along");
  app.add_option("--template", flags.chat_template, "Jinja file of the chat template");
  app.add_option("--dtype", flags.dtype, "F32, F16, BF16, Q4_0, Q4_K, ...");
  app.add_option("--head-dtype", flags.head_dtype,
                 "of embedding and head; auto: as --dtype, but Q6_K where that is smaller");
  app.add_option("--out", flags.out, "GGUF file to write")->required();
  app.add_option("--seed", flags.seed, "the same seed makes the same weights");
  CLI11_PARSE(app, argc, argv);
  const Status written = Write(flags);
  if (written.ok()) return 0;
  fmt::print(stderr, "random_model: {}\n", written.error().message());
  return 3;
}

}  // namespace
}  // namespace metier

int main(int argc, char** argv) { return metier::Main(argc, argv); }
