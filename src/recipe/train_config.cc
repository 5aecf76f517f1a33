#include "recipe/train_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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
  const bool upcycles = config.init->upcycle.has_value();
  if (config.stage != "pretrain" && config.stage != "mlm" && !upcycles) {
    return Contradiction(path + ".stage",
                         fmt::format("found \"{}\" with 'init', expected pretrain or mlm: "
                                     "a random model has nothing to tune",
                                     config.stage));
  }
  if (config.lora) {
    return Contradiction(
        path + ".lora",
        "found with 'init': an adapter on random weights learns nothing; leave one "
        "of them out");
  }
  const int ways = (config.init->config.empty() ? 0 : 1) + (config.init->spec.is_null() ? 0 : 1) +
                   (upcycles ? 1 : 0);
  if (ways != 1)
    return Contradiction(path + ".init",
                         "expected exactly one of 'config' (a file), 'spec' and 'upcycle'");
  if (upcycles && config.init->vocab_size > 0)
    return Contradiction(path + ".init.vocab_size",
                         "found with 'upcycle', which keeps the model's");
  return Ok();
}

Status CheckData(const TrainConfig& config, const std::string& path) {
  if (config.hyper) return Ok();  // its tasks have files
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

Status CheckEvaluation(const TrainConfig& config, const std::string& path) {
  if (!config.eval_file.empty() && !config.eval_files.empty()) {
    return Contradiction(path,
                         "found both 'eval_file' and 'eval_files', expected one: a token "
                         "file to evaluate on, or several");
  }
  std::set<std::string> names;
  for (const EvalSource& source : config.eval_files) {
    if (names.insert(source.name).second) continue;
    return Contradiction(path + ".eval_files",
                         fmt::format("found two files of the name '{}'", source.name));
  }
  return Ok();
}

Status CheckLora(const LoraConfig& lora, const std::string& path) {
  const std::vector<std::int64_t>& tokens = lora.trainable_token_indices;
  if (lora.target_modules.empty() && tokens.empty()) {
    return Contradiction(path + ".target_modules",
                         "found an empty list, expected names, or trainable_token_indices beside "
                         "it");
  }
  if (lora.target_modules.empty() && lora.use_dora)
    return Contradiction(path + ".use_dora",
                         "found with target_modules: [], where no weight learns");
  const std::set<std::int64_t> distinct(tokens.begin(), tokens.end());
  if (distinct.size() < tokens.size()) {
    return Contradiction(path + ".trainable_token_indices",
                         "found a token twice, expected each once");
  }
  return Ok();
}

// What a block of the configuration does not go together with, and whether that is there.
using Companions = std::initializer_list<std::pair<bool, const char*>>;

Status CheckAlone(const std::string& at, Companions others) {
  for (const auto& [found, name] : others) {
    if (found) return Contradiction(at, fmt::format("found with '{}', expected one of them", name));
  }
  return Ok();
}

Status CheckSvf(const TrainConfig& config, const std::string& path) {
  if (!config.svf) return Ok();
  return CheckAlone(path + ".svf", {{config.lora.has_value(), "lora"},
                                    {config.router.has_value(), "router"},
                                    {config.init.has_value(), "init"},
                                    {config.rope_scaling.has_value(), "rope_scaling"},
                                    {config.average_checkpoints > 0, "average_checkpoints"}});
}

Status CheckHyperTask(const HyperTask& task, bool reconstructs, const std::string& at) {
  const bool blank = std::ranges::any_of(task.descriptions, [](const std::string& text) {
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
  });
  if (task.descriptions.empty() || blank) {
    return Contradiction(at + ".descriptions",
                         fmt::format("found {}, expected at least one sentence that says what the "
                                     "task is",
                                     blank ? "a blank one" : "none"));
  }
  const std::size_t lists = task.description_ids.size();
  if (lists != 0 && lists != task.descriptions.size()) {
    return Contradiction(at + ".description_ids",
                         fmt::format("found {} lists of ids for {} descriptions, expected one each",
                                     lists, task.descriptions.size()));
  }
  for (const std::vector<std::int64_t>& ids : task.description_ids) {
    if (ids.empty()) return Contradiction(at + ".description_ids", "found a list without an id");
  }
  const std::string& wanted = reconstructs ? task.adapter : task.file;
  const std::string& other = reconstructs ? task.file : task.adapter;
  if (!wanted.empty() && other.empty()) return Ok();
  return Contradiction(
      at, fmt::format("expected '{}' and no '{}' in mode {}", reconstructs ? "adapter" : "file",
                      reconstructs ? "file" : "adapter", reconstructs ? "reconstruction" : "sft"));
}

Status CheckHyper(const TrainConfig& config, const std::string& path) {
  if (!config.hyper) return Ok();
  const HyperConfig& hyper = *config.hyper;
  const std::string at = path + ".hyper";
  METIER_TRY(CheckAlone(at, {{config.lora.has_value(), "lora"},
                             {config.prefix.has_value(), "prefix"},
                             {config.svf.has_value(), "svf"},
                             {config.router.has_value(), "router"},
                             {config.init.has_value(), "init"},
                             {config.rope_scaling.has_value(), "rope_scaling"},
                             {config.ewc.has_value(), "ewc"},
                             {config.distill.has_value(), "distill"},
                             {config.average_checkpoints > 0, "average_checkpoints"}}));
  if (!config.train_file.empty() || config.train_mixture) {
    return Contradiction(at, fmt::format("found with '{}': each of hyper.tasks has a file of its "
                                         "own; leave it out",
                                         config.train_mixture ? "train_mixture" : "train_file"));
  }
  if (LearnsFromAnswers(config)) {
    return Contradiction(at, fmt::format("found in stage {}, which compares answers; expected sft "
                                         "or pretrain",
                                         config.stage));
  }
  if (hyper.latent_size % 4 != 0) {
    return Contradiction(at + ".latent_size",
                         fmt::format("found {}, expected a multiple of 4: half of it is the "
                                     "task's, a quarter the layer's and a quarter the module's",
                                     hyper.latent_size));
  }
  if (hyper.tasks.empty())
    return Contradiction(at + ".tasks",
                         "found an empty list, expected tasks, each as {name: NAME, "
                         "descriptions: [TEXT], file: PATH}");
  std::set<std::string> names;
  for (const HyperTask& task : hyper.tasks) {
    if (!names.insert(task.name).second)
      return Contradiction(at + ".tasks", fmt::format("found two of the name '{}'", task.name));
    METIER_TRY(
        CheckHyperTask(task, Reconstructs(config), fmt::format("{}.tasks '{}'", at, task.name)));
  }
  return Ok();
}

Status CheckPrefix(const TrainConfig& config, const std::string& path) {
  if (!config.prefix) return Ok();
  METIER_TRY(
      CheckAlone(path + ".prefix", {{config.lora.has_value(), "lora"},
                                    {config.svf.has_value(), "svf"},
                                    {config.router.has_value(), "router"},
                                    {config.init.has_value(), "init"},
                                    {config.rope_scaling.has_value(), "rope_scaling"},
                                    {config.average_checkpoints > 0, "average_checkpoints"}}));
  if (!HasReference(config) || !config.prefix->adapter.empty()) return Ok();
  return Contradiction(path + ".prefix",
                       fmt::format("found in stage {} without 'adapter': a prefix begins at "
                                   "random, which is no reference; train one in stage sft and "
                                   "continue it",
                                   config.stage));
}

Status CheckQuantisation(const TrainConfig& config, const std::string& path) {
  const std::int64_t bits = config.quantization_bit;
  const std::string& type = config.quantization_type;
  if (bits == 0) {
    if (type == "auto" && !config.quantization_head) return Ok();
    return Contradiction(
        path + (type == "auto" ? ".quantization_head" : ".quantization_type"),
        "found without quantization_bit; say `quantization_bit: 4` or 8, or leave it out");
  }
  const std::string at = path + ".quantization_bit";
  if (bits != 4 && bits != 8)
    return Contradiction(at, fmt::format("found {}, expected 4 or 8, or 0 for none", bits));
  if (type != "auto" && (type == "Q8_0") != (bits == 8)) {
    return Contradiction(
        path + ".quantization_type",
        fmt::format("found {} with quantization_bit: {}, expected {}", type, bits,
                    bits == 8 ? "Q8_0 or auto" : "Q4_0, Q4_1, Q4_K, IQ4_NL, IQ4_XS or auto"));
  }
  if (config.svf)
    return Contradiction(at,
                         "found with 'svf', which takes the weights apart; use lora, or leave "
                         "it out");
  if (!config.lora && !config.prefix && !config.router) {
    return Contradiction(at,
                         "found without 'lora', 'prefix' or 'router': a weight that learns cannot "
                         "stay in blocks");
  }
  if (config.device == "cpu") return Ok();
  return Contradiction(at, fmt::format("found with device: {}, where blocks are not decoded; say "
                                       "`device: cpu`, or leave it out",
                                       config.device));
}

// Sources say whose domain they are to a router that is there, and only to one.
Status CheckRouter(const TrainConfig& config, const std::string& path) {
  bool named = false;
  if (config.train_mixture) {
    for (const DataSource& source : config.train_mixture->sources)
      named = named || !source.expert.empty();
  }
  if (!config.router) {
    for (const EvalSource& source : config.eval_files) named = named || !source.expert.empty();
    if (!named) return Ok();
    return Contradiction(path,
                         "found sources that name an expert without 'router', which has "
                         "them");
  }
  const RouterConfig& router = *config.router;
  const std::string at = path + ".router";
  if (config.lora)
    return Contradiction(at, "found with 'lora', expected one: a router, or an adapter to train");
  if (config.init)
    return Contradiction(at, "found with 'init': adapters belong to a model that is trained");
  if (router.experts.empty() && router.mixture.empty())
    return Contradiction(at + ".experts",
                         "found none, expected adapters, or a mixture's directory");
  if (router.route_by == "token") return Ok();
  if (config.stage == "pretrain" || config.stage == "mlm") {
    return Contradiction(at + ".route_by",
                         fmt::format("found \"sequence\" in stage {}: a sequence goes by its "
                                     "prompt, and where tokens are predicted everywhere there is "
                                     "none",
                                     config.stage));
  }
  if (router.top_k != 1)
    return Contradiction(at + ".top_k", fmt::format("found {} by sequence, expected 1: a sequence "
                                                    "is one expert's",
                                                    router.top_k));
  if (!named) {
    return Contradiction(at + ".route_by",
                         "found \"sequence\" without an 'expert' in train_mixture.sources: these "
                         "routers learn from nothing else");
  }
  if (router.domain_loss == 0)
    return Contradiction(at + ".domain_loss", "found 0 by sequence, where routers learn from it");
  return Ok();
}

Status CheckAnswers(const TrainConfig& config, const std::string& path) {
  if (!LearnsFromAnswers(config)) return Ok();
  if (config.router)
    return Contradiction(path + ".stage", fmt::format("found \"{}\" with 'router', which learns in "
                                                      "stages pretrain and sft",
                                                      config.stage));
  if (config.long_examples == "split" || config.long_examples == "truncate") {
    return Contradiction(
        path + ".long_examples",
        fmt::format("found \"{}\" in stage {}, expected error: an answer is whole "
                    "or says nothing; `metier data build --long-examples` shortens "
                    "prompts",
                    config.long_examples, config.stage));
  }
  return Ok();
}

Status CheckMasking(const TrainConfig& config, const std::string& path) {
  const std::string at = path + ".mask_token_id";
  if (config.stage != "mlm") {
    if (config.mask_token_id < 0) return Ok();
    return Contradiction(at, fmt::format("found in stage {}, expected mlm, or none", config.stage));
  }
  if (config.prefix || config.hyper) {
    return Contradiction(path + ".stage",
                         fmt::format("found \"mlm\" with '{}', which is made for decoders",
                                     config.prefix ? "prefix" : "hyper"));
  }
  if (config.mask_token_id >= 0) return Ok();
  return Contradiction(at,
                       "found none in stage mlm, expected the id of the token that hides others, "
                       "as the tokenizer_config.json of most encoders names it (mask_token)");
}

Status CheckAverages(const TrainConfig& config, const std::string& path) {
  const std::int64_t wanted = config.average_checkpoints;
  if (wanted == 0) return Ok();
  if (config.ema_decay > 0) {
    return Contradiction(path + ".average_checkpoints",
                         "found with ema_decay, expected one of them: each writes a model of its "
                         "own");
  }
  if (config.router) {
    return Contradiction(path + ".average_checkpoints",
                         "found with 'router'; use ema_decay to average its weights");
  }
  if (config.save_steps == 0) {
    return Contradiction(path + ".average_checkpoints",
                         fmt::format("found {} without save_steps, which says how far apart they "
                                     "are",
                                     wanted));
  }
  if (config.save_total_limit > 0 && config.save_total_limit < wanted) {
    return Contradiction(path + ".average_checkpoints",
                         fmt::format("found {} with save_total_limit: {}, which keeps fewer",
                                     wanted, config.save_total_limit));
  }
  return Ok();
}

Status CheckConsolidation(const TrainConfig& config, const std::string& path) {
  if (!config.ewc) return Ok();
  const std::string at = path + ".ewc";
  if (config.lora || config.svf || config.prefix || config.router) {
    const char* other = config.lora     ? "lora"
                        : config.svf    ? "svf"
                        : config.prefix ? "prefix"
                                        : "router";
    return Contradiction(at, fmt::format("found with '{}', which leaves the model as it is; train "
                                         "the whole model, or leave it out",
                                         other));
  }
  if (config.init)
    return Contradiction(at, "found with 'init': a random model has nothing to forget");
  return Ok();
}

Status CheckTeacher(const TrainConfig& config, const std::string& path) {
  if (!config.distill) return Ok();
  const std::string at = path + ".distill";
  if (LearnsFromAnswers(config)) {
    return Contradiction(at, fmt::format("found in stage {}, which compares answers; expected "
                                         "pretrain or sft",
                                         config.stage));
  }
  if (config.router)
    return Contradiction(at, "found with 'router'; distil an adapter, then train the router");
  if (config.lora && !config.lora->trainable_token_indices.empty()) {
    return Contradiction(at,
                         "found with lora.trainable_token_indices, whose rows of the head it "
                         "does not know; leave one of them out");
  }
  if (config.label_smoothing_factor > 0)
    return Contradiction(at, "found with label_smoothing_factor, expected one of them");
  return Ok();
}

Status CheckReinforcement(const TrainConfig& config, const std::string& path) {
  const std::string at = path + ".grpo";
  if (config.stage != "grpo") {
    if (!config.grpo) return Ok();
    return Contradiction(at,
                         fmt::format("found in stage {}, expected grpo, or none", config.stage));
  }
  if (!config.grpo || config.grpo->rewards.empty()) {
    return Contradiction(at,
                         "found no rewards in stage grpo, expected some, each as {kind: label}");
  }
  if (!config.lora) {
    return Contradiction(
        path + ".lora",
        "found none in stage grpo, which trains adapters: the answers come from the native engine, "
        "which takes a new one after each step");
  }
  METIER_TRY(CheckAlone(at, {{config.distill.has_value(), "distill"},
                             {config.train_mixture.has_value(), "train_mixture"},
                             {config.rope_scaling.has_value(), "rope_scaling"},
                             {config.quantization_bit > 0, "quantization_bit"},
                             {config.tokens_per_batch > 0, "tokens_per_batch"}}));
  for (const RewardConfig& reward : config.grpo->rewards) {
    if ((reward.kind == "regex") != reward.pattern.empty()) continue;
    return Contradiction(at + ".rewards",
                         fmt::format("found kind {} {} a pattern, which regex has and no other",
                                     reward.kind, reward.pattern.empty() ? "without" : "with"));
  }
  if (config.grpo->max_completion_length < config.max_seq_len) return Ok();
  return Contradiction(
      at + ".max_completion_length",
      fmt::format(
          "found {}, expected less than max_seq_len ({}), which has room for prompt and answer",
          config.grpo->max_completion_length, config.max_seq_len));
}

}  // namespace

Result<TrainConfig> ParseTrainConfig(const Json& document, const std::string& path) {
  TrainConfig config;
  METIER_TRY(ReadFields(document, path, config));
  METIER_TRY(CheckModel(config, path));
  METIER_TRY(CheckData(config, path));
  METIER_TRY(CheckEvaluation(config, path));
  METIER_TRY(CheckRouter(config, path));
  METIER_TRY(CheckSvf(config, path));
  METIER_TRY(CheckPrefix(config, path));
  METIER_TRY(CheckHyper(config, path));
  METIER_TRY(CheckQuantisation(config, path));
  METIER_TRY(CheckAnswers(config, path));
  METIER_TRY(CheckMasking(config, path));
  METIER_TRY(CheckAverages(config, path));
  METIER_TRY(CheckConsolidation(config, path));
  METIER_TRY(CheckTeacher(config, path));
  METIER_TRY(CheckReinforcement(config, path));
  if (config.rope_scaling && config.lora) {
    return Contradiction(path + ".rope_scaling",
                         "found with 'lora': an adapter has no place for it; write rope_scaling "
                         "and max_position_embeddings into the config.json of the model instead");
  }
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
  if (config.lora) METIER_TRY(CheckLora(*config.lora, path + ".lora"));
  if (config.embedding_learning_rate > 0 && config.learning_rate == 0) {
    return Contradiction(path + ".embedding_learning_rate",
                         "found with learning_rate: 0; its schedule is a share of that rate's");
  }
  const bool frozen = config.svf || config.prefix || config.hyper ||
                      (config.lora && config.lora->modules_to_save.empty() &&
                       config.lora->trainable_token_indices.empty());
  if (config.embedding_learning_rate > 0 && frozen) {
    return Contradiction(path + ".embedding_learning_rate",
                         "found with an adapter that leaves embedding and head as they are; name "
                         "them in lora.modules_to_save, their rows in "
                         "lora.trainable_token_indices, or leave it out");
  }
  if (config.gradient_checkpointing && (config.router || config.hyper)) {
    return Contradiction(path + ".gradient_checkpointing",
                         fmt::format("found with '{}', whose part of the model is computed once; "
                                     "leave it out",
                                     config.router ? "router" : "hyper"));
  }
  const bool evaluates = config.eval_steps > 0 || config.eval_on_start;
  if (evaluates && config.eval_file.empty() && config.eval_files.empty())
    return Contradiction(path + (config.eval_on_start ? ".eval_on_start" : ".eval_steps"),
                         "found without 'eval_file': there is nothing to evaluate");
  if (config.device != "cpu" && config.device != "cuda" && config.device.rfind("cuda:", 0) != 0) {
    return Contradiction(path + ".device",
                         fmt::format("found \"{}\", expected cpu, cuda or cuda:N", config.device));
  }
  return config;
}

std::vector<std::string> TrainFiles(const TrainConfig& config) {
  std::vector<std::string> files;
  if (config.hyper) {
    for (const HyperTask& task : config.hyper->tasks)
      if (!task.file.empty()) files.push_back(task.file);
    return files;
  }
  if (!config.train_mixture) return {config.train_file};
  for (const DataSource& source : config.train_mixture->sources) files.push_back(source.file);
  return files;
}

bool Reconstructs(const TrainConfig& config) {
  return config.hyper && config.hyper->mode == "reconstruction";
}

bool LearnsFromPairs(const TrainConfig& config) {
  return config.stage == "dpo" || config.stage == "orpo";
}

bool LeavesModel(const TrainConfig& config) {
  return config.lora || config.svf || config.prefix || config.router || config.hyper;
}

bool HasReference(const TrainConfig& config) {
  return config.stage == "dpo" || config.stage == "kto";
}

bool LearnsFromAnswers(const TrainConfig& config) {
  return LearnsFromPairs(config) || HasReference(config);
}

std::int64_t BatchSize(const TrainConfig& config) {
  if (config.tokens_per_batch > 0) return config.tokens_per_batch / config.max_seq_len;
  return config.per_device_train_batch_size;
}

}  // namespace metier::recipe
