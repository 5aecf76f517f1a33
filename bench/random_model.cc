// bench/random_model.cc - a model of any shape with random weights, for measuring speed and memory
// where the real one may not be downloaded or shipped.
//
//   random_model --config config.json --vocab vocabulary.gguf --dtype BF16 --out model.gguf
//
// The vocabulary's "tokenizer." entries go along, so that texts and recipes run as with the real
// model. A vocabulary that is padded in the model may be shorter than the config's vocab_size.
#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/json.h"
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

Status Write(const Flags& flags) {
  METIER_ASSIGN(const Json config, ReadJsonFile(flags.config));
  if (!config.is_object() || !config.contains("model_type") || !config["model_type"].is_string()) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("'{}' has no \"model_type\", expected a family such as \"qwen2\"; give "
                    "the config.json of a Hugging Face model",
                    flags.config));
  }
  METIER_ASSIGN(const model::Family* family,
                model::FindFamilyByModelType(config["model_type"].get<std::string>()));
  METIER_ASSIGN(const model::ModelSpec spec, family->from_config(config));
  METIER_TRY(model::Validate(spec));
  const std::optional<tensor::DType> dtype = tensor::DTypeFromName(flags.dtype);
  if (!dtype) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("--dtype: found {}, expected F32, F16, BF16 or Q8_0", flags.dtype));
  }
  METIER_ASSIGN(const Metadata metadata, TokenizerEntries(flags));
  std::map<std::string, model::Parameter> parameters;
  for (const model::Parameter& parameter : model::Parameters(spec))
    parameters[parameter.name] = parameter;
  METIER_TRY(model::WriteGgufModel(
      flags.out, spec, *dtype, metadata, [&](const std::string& name) -> Result<tensor::Tensor> {
        return model::RandomParameter(spec, parameters.at(name), flags.seed);
      }));
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
  app.add_option("--dtype", flags.dtype, "F32, F16, BF16 or Q8_0");
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
