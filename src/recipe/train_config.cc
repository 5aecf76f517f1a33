#include "recipe/train_config.h"

#include <fmt/format.h>

#include "recipe/fields.h"

namespace metier::recipe {
namespace {

Error Contradiction(const std::string& path, const std::string& message) {
  return Error(ErrorCode::kDataCorrupt, fmt::format("{}: {}", path, message));
}

Status CheckModel(const TrainConfig& config, const std::string& path) {
  if (config.model.empty() == !config.init.has_value()) {
    return Contradiction(
        path, config.init
                  ? "found both 'model' and 'init', expected one: a model to start from, or "
                    "one to make"
                  : "found neither 'model' nor 'init', expected one: a model to start from, "
                    "or one to make");
  }
  if (!config.init) return Ok();
  if (config.stage != "pretrain") {
    return Contradiction(path + ".stage",
                         fmt::format("found \"{}\" with 'init', expected pretrain: "
                                     "a random model has nothing to tune",
                                     config.stage));
  }
  if (config.lora) {
    return Contradiction(
        path + ".lora",
        "found with 'init': an adapter on random weights learns nothing; leave one "
        "of them out");
  }
  if (config.init->config.empty() == config.init->spec.is_null())
    return Contradiction(path + ".init", "expected exactly one of 'config' (a file) and 'spec'");
  return Ok();
}

Status CheckData(const TrainConfig& config, const std::string& path) {
  const auto& mixture = config.train_mixture;
  if (config.train_file.empty() != mixture.has_value()) {
    return Contradiction(path, mixture
                                   ? "found both 'train_file' and 'train_mixture', expected one: a "
                                     "token file to learn from, or several"
                                   : "found neither 'train_file' nor 'train_mixture', expected "
                                     "one: a token file to learn from, or several");
  }
  if (!mixture) return Ok();
  if (mixture->sources.empty()) {
    return Contradiction(path + ".train_mixture.sources",
                         "found an empty list, expected files, each as {file: PATH, weight: 1}");
  }
  for (const DataSource& source : mixture->sources) {
    if (mixture->order != "shuffle" || source.weight == 1) continue;
    return Contradiction(
        path + ".train_mixture",
        fmt::format("found weight {:g} for '{}' with order: shuffle, which takes all examples "
                    "alike; say `order: shares` or `priority`, or repeat the file (`repeats`)",
                    source.weight, source.file));
  }
  return Ok();
}

}  // namespace

Result<TrainConfig> ParseTrainConfig(const Json& document, const std::string& path) {
  TrainConfig config;
  METIER_TRY(ReadFields(document, path, config));
  METIER_TRY(CheckModel(config, path));
  METIER_TRY(CheckData(config, path));
  if (config.tokens_per_batch % config.max_seq_len != 0) {
    return Contradiction(path + ".tokens_per_batch",
                         fmt::format("found {}, expected a multiple of max_seq_len ({})",
                                     config.tokens_per_batch, config.max_seq_len));
  }
  if (config.tokens_per_batch > 0 && !config.packing) {
    return Contradiction(path + ".tokens_per_batch",
                         "found with packing: false, where a batch is counted in examples; use "
                         "per_device_train_batch_size");
  }
  if (config.lora && config.lora->target_modules.empty())
    return Contradiction(path + ".lora.target_modules", "found an empty list, expected names");
  if (config.embedding_learning_rate > 0 && config.learning_rate == 0) {
    return Contradiction(path + ".embedding_learning_rate",
                         "found with learning_rate: 0; its schedule is a share of that rate's");
  }
  const bool frozen = config.lora && config.lora->modules_to_save.empty();
  if (config.embedding_learning_rate > 0 && frozen) {
    return Contradiction(path + ".embedding_learning_rate",
                         "found with an adapter that leaves embedding and head as they are; name "
                         "them in lora.modules_to_save, or leave it out");
  }
  if (config.eval_steps > 0 && config.eval_file.empty())
    return Contradiction(path + ".eval_steps",
                         "found without 'eval_file': there is nothing to evaluate");
  if (config.device != "cpu" && config.device != "cuda" && config.device.rfind("cuda:", 0) != 0) {
    return Contradiction(path + ".device",
                         fmt::format("found \"{}\", expected cpu, cuda or cuda:N", config.device));
  }
  return config;
}

std::vector<std::string> TrainFiles(const TrainConfig& config) {
  if (!config.train_mixture) return {config.train_file};
  std::vector<std::string> files;
  for (const DataSource& source : config.train_mixture->sources) files.push_back(source.file);
  return files;
}

std::int64_t BatchSize(const TrainConfig& config) {
  if (config.tokens_per_batch > 0) return config.tokens_per_batch / config.max_seq_len;
  return config.per_device_train_batch_size;
}

}  // namespace metier::recipe
