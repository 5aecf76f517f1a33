// recipe/train_config.h - one training run, as users write it: the names of Hugging Face and
// LLaMA-Factory where they exist.
//
//   stage: sft
//   model: base/                      # or init: {config: config.json} for `pretrain`
//   train_file: train.safetensors     # token files, written by `metier data build`
//   output_dir: runs/sft
//   lora: {rank: 16, alpha: 32}
//   learning_rate: 2e-4
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "recipe/adapter_config.h"
#include "recipe/reward_config.h"

namespace metier::recipe {

// A model with experts made of a dense one, whose feed-forward each of them begins as (Komatsuzaki
// et al. 2023, arXiv 2212.05055).
struct UpcycleConfig {
  std::string model;
  std::int64_t experts = 8;
  std::int64_t top_k = 2;
  std::int64_t every = 1;
  bool residual = false;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("model", model, "the dense model: a Hugging Face directory or a GGUF file").Required();
    field("experts", experts, "of a layer that has them").AtLeast(1).AtMost(1024);
    field("top_k", top_k, "experts of a token; their weights sum to 1").AtLeast(1).AtMost(64);
    field("every", every, "every so many-th layer gets experts, the others stay dense")
        .AtLeast(1)
        .AtMost(1024);
    field("residual", residual, "keep the dense feed-forward beside the experts, too");
  }
};

// Where a model made from scratch comes from.
struct InitConfig {
  std::string config;
  Json spec;
  std::optional<UpcycleConfig> upcycle;
  std::int64_t vocab_size = 0;
  double std = 0.02;
  std::string attention = "normal";
  double query_key_bias_std = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("config", config, "a config.json to read");
    field("spec", spec, "the contents of a config.json, written here");
    field("upcycle", upcycle, "a model with experts, made of a dense one");
    field("vocab_size", vocab_size, "replaces the config's vocab_size; 0: keep").AtLeast(0);
    field("std", std, "standard deviation of the random weights").Above(0);
    field("attention", attention,
          "mimetic: heads begin by handing on what they look at, and learn to copy sooner")
        .OneOf({"normal", "mimetic"});
    field("query_key_bias_std", query_key_bias_std,
          "of the random biases of queries and keys: heads begin with distances they prefer")
        .AtLeast(0);
  }
};

// A token file among several.
struct DataSource {
  std::string file;
  double weight = 1;
  std::int64_t repeats = 1;
  std::string expert;
  std::string task;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file, "token file").Required();
    field("weight", weight, "its part of the mixture, against the other sources'")
        .Above(0)
        .AtMost(1e9);
    field("repeats", repeats, "how often an epoch has its examples").AtLeast(1).AtMost(1000000);
    field("expert", expert, "the router's expert whose domain it is; empty: no one's");
    field("task", task, "the task of its texts, for a model whose experts go by task");
  }
};

// Several token files, and how an epoch mixes them.
struct DataMixture {
  std::string order = "shuffle";
  std::vector<DataSource> sources;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("order", order,
          "shuffle: all examples alike; priority: sources of large weights early, passing into the "
          "others; shares: every batch has the sources' tokens as their weights, and an epoch as "
          "many tokens as the sources")
        .OneOf({"shuffle", "priority", "shares"});
    field("sources", sources, "the files").Required();
  }
};

// A token file that is evaluated on, among several.
struct EvalSource {
  std::string name;
  std::string file;
  std::string expert;
  std::string task;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("name", name, "what its eval_loss is called by").Required();
    field("file", file, "token file").Required();
    field("expert", expert, "the router's expert whose domain it is; empty: no one's");
    field("task", task,
          "the task of its texts: of a model whose experts go by task, or one of hyper.tasks");
  }
};

// Positions of a model with RoPE made longer than it was trained for (Chen et al. 2023,
// arXiv 2306.15595).
struct RopeScalingConfig {
  std::string rope_type = "linear";
  double factor = 1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("rope_type", rope_type, "linear: positions are divided by the factor").OneOf({"linear"});
    field("factor", factor, "so many times as many positions").Above(1).AtMost(1024).Required();
  }
};

// Weights that earlier data need stay near where the run found them (elastic weight consolidation,
// Kirkpatrick et al. 2017, arXiv 1612.00796).
struct ConsolidationConfig {
  std::string file;
  double weight = 100;
  std::int64_t max_examples = 256;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file, "token file of what must not be forgotten").Required();
    field("weight", weight, "of the penalty").Above(0);
    field("max_examples", max_examples,
          "so many of the file's examples say how much each weight matters")
        .AtLeast(1);
  }
};

// Another model's distribution of the next token, to learn from (train/distillation.h).
struct DistillConfig {
  std::string teacher;
  std::string adapter;
  double alpha = 0.5;
  double temperature = 1;
  double until = 1;
  double confidence = 0;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("teacher", teacher, "a model of the same vocabulary").Required();
    field("adapter", adapter, "PEFT directory to put on it");
    field("alpha", alpha, "weight of the teacher's distribution; the labels have the rest")
        .AtLeast(0)
        .AtMost(1);
    field("temperature", temperature, "both distributions are flattened by it").Above(0);
    field("until", until, "share of the steps after which only the labels are learned from")
        .Above(0)
        .AtMost(1);
    field("confidence", confidence,
          "of a weak teacher: weight that the model's own best guess has gained after a fifth of "
          "the steps, taken from the teacher's and the labels' alike")
        .AtLeast(0)
        .AtMost(0.99);
  }
};

struct TrainConfig {
  std::string stage = "sft";
  std::string model;
  std::optional<InitConfig> init;
  std::optional<RopeScalingConfig> rope_scaling;
  std::string tokenizer;
  std::string train_file;
  std::optional<DataMixture> train_mixture;
  std::string eval_file;
  std::vector<EvalSource> eval_files;
  std::string general_file;
  std::string output_dir;
  std::optional<LoraConfig> lora;
  std::optional<SvfConfig> svf;
  std::optional<PrefixConfig> prefix;
  std::optional<RouterConfig> router;
  std::optional<HyperConfig> hyper;
  std::optional<ConsolidationConfig> ewc;
  std::optional<DistillConfig> distill;
  std::optional<GrpoConfig> grpo;
  std::int64_t quantization_bit = 0;
  std::string quantization_type = "auto";
  bool quantization_head = false;

  std::int64_t max_seq_len = 1024;
  bool packing = true;
  std::string long_examples = "auto";
  std::int64_t per_device_train_batch_size = 4;
  std::int64_t tokens_per_batch = 0;
  std::int64_t gradient_accumulation_steps = 1;

  double num_train_epochs = 1;
  std::int64_t max_steps = 0;
  double learning_rate = 2e-4;
  double embedding_learning_rate = 0;
  std::string lr_scheduler_type = "cosine";
  double warmup_ratio = 0.03;
  std::int64_t warmup_steps = 0;
  double min_lr_ratio = 0;
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1;
  double label_smoothing_factor = 0;
  double neftune_noise_alpha = 0;
  double mlm_probability = 0.15;
  std::int64_t mask_token_id = -1;
  double pref_beta = 0.1;
  double pref_ftx = 0;
  double dpo_label_smoothing = 0;
  double kto_chosen_weight = 1;
  double kto_rejected_weight = 1;
  double router_aux_loss_coef = 0;
  double router_z_loss_coef = 0;
  double expert_capacity_factor = 0;
  std::int64_t expert_min_capacity = 4;
  std::string expert_drop_order = "random";
  double ema_decay = 0;
  std::int64_t average_checkpoints = 0;

  bool gradient_checkpointing = false;
  bool bf16 = true;
  std::string dtype = "auto";
  std::string device = "cpu";
  std::int64_t threads = 0;
  std::int64_t seed = 1;

  std::int64_t logging_steps = 10;
  std::int64_t eval_steps = 0;
  bool eval_on_start = false;
  std::int64_t save_steps = 0;
  std::int64_t save_total_limit = 2;
  std::string resume_from_checkpoint = "auto";

  bool optimizer_sharding = true;
  double ddp_bucket_cap_mb = 25;
  std::int64_t ddp_timeout = 300;

  // The one list of the fields: reading, writing, schema and help walk it.
  template <class Visitor>
  void Visit(Visitor&& field) {
    VisitData(field);
    VisitOptimisation(field);
    VisitRun(field);
  }

 private:
  template <class Visitor>
  void VisitData(Visitor&& field) {
    field("stage", stage,
          "pretrain: loss on every token; sft: loss where the data says so; dpo, orpo: pairs of a "
          "better and a worse answer; kto: answers that are good or bad; mlm: an encoder restores "
          "hidden tokens; grpo: an adapter's own answers to the data's prompts, by what they are "
          "worth")
        .OneOf({"pretrain", "sft", "dpo", "orpo", "kto", "mlm", "grpo"});
    field("model", model, "model to start from: a Hugging Face directory or a GGUF file");
    field("init", init, "make the model from scratch instead (with `stage: pretrain` or `mlm`)");
    field("rope_scaling", rope_scaling,
          "train the model with longer positions, and write them into its config");
    field("tokenizer", tokenizer, "directory whose tokenizer files go into the output");
    field("train_file", train_file, "token file to learn from");
    field("train_mixture", train_mixture, "several of them instead, and how they are mixed");
    field("eval_file", eval_file, "token file for eval_loss");
    field("eval_files", eval_files,
          "several of them instead: eval_loss of each by its name, and the mean of these");
    field(
        "general_file", general_file,
        "token file of what the model should still be able to read afterwards; its loss before and "
        "after the run is in log and manifest. Without it, with 'model': texts of many kinds that "
        "come with metier; none: not measured");
    field("output_dir", output_dir, "checkpoints, logs and the final model go here").Required();
    field("lora", lora, "train an adapter and leave the model as it is; absent: train everything");
    field("svf", svf,
          "train what the weights' singular values are multiplied with, and nothing else; 'metier "
          "merge --adapter' puts the result into the model");
    field("prefix", prefix,
          "train keys and values that every layer sees before the text, and nothing else");
    field("router", router, "train a router over adapters that are there");
    field(
        "hyper", hyper,
        "train a network that writes adapters for descriptions of tasks ('metier adapter write')");
    field("ewc", ewc, "elastic weight consolidation: forget less of earlier data");
    field("distill", distill, "learn from another model's distribution of the next token");
    field("grpo", grpo, "of stage grpo: what answers are worth, and how many there are");
    field("quantization_bit", quantization_bit,
          "with lora, prefix or router: the frozen model's linears stay in memory in blocks of so "
          "many "
          "bits a weight, 4 or 8 (QLoRA); 0: as products need them")
        .AtLeast(0)
        .AtMost(8);
    field("quantization_type", quantization_type,
          "type of these blocks, of 4 bits Q4_0, Q4_1, Q4_K, IQ4_NL or IQ4_XS, of 8 Q8_0; auto: "
          "linears that the file has in blocks stay as they are, others become Q4_0 or Q8_0")
        .OneOf({"auto", "Q4_0", "Q4_1", "Q4_K", "IQ4_NL", "IQ4_XS", "Q8_0"});
    field("quantization_head", quantization_head,
          "the head, too, where it is not the embedding; with auto it stays in blocks that the "
          "file has it in anyway");
    field("max_seq_len", max_seq_len, "tokens of one example, and of one pack").AtLeast(2);
    field("packing", packing,
          "fill packs of max_seq_len with whole examples that never see each other");
    field(
        "long_examples", long_examples,
        "what happens to examples longer than max_seq_len; auto: split for pretrain and mlm, else "
        "error")
        .OneOf({"auto", "split", "truncate", "error"});
    field("per_device_train_batch_size", per_device_train_batch_size,
          "packs (or, without packing, examples) computed at once, by each worker")
        .AtLeast(1);
    field("tokens_per_batch", tokens_per_batch,
          "the same in tokens, a multiple of max_seq_len; 0: not used")
        .AtLeast(0);
    field("gradient_accumulation_steps", gradient_accumulation_steps,
          "batches of one step, of each worker")
        .AtLeast(1);
  }

  template <class Visitor>
  void VisitOptimisation(Visitor&& field) {
    field("num_train_epochs", num_train_epochs, "passes over the data; the last may be partial")
        .Above(0);
    field("max_steps", max_steps, "stop after so many steps; 0: num_train_epochs decides")
        .AtLeast(0);
    field("learning_rate", learning_rate, "peak, reached at the end of the warm-up").AtLeast(0);
    field("embedding_learning_rate", embedding_learning_rate,
          "the peak of token embedding and head, or their rows, where they learn; 0: learning_rate")
        .AtLeast(0);
    field("lr_scheduler_type", lr_scheduler_type, "shape after the warm-up")
        .OneOf({"cosine", "linear", "inverse_sqrt", "constant_with_warmup", "constant"});
    field("warmup_ratio", warmup_ratio, "share of the steps spent rising from 0")
        .AtLeast(0)
        .AtMost(1);
    field("warmup_steps", warmup_steps, "the same in steps; 0: warmup_ratio decides").AtLeast(0);
    field("min_lr_ratio", min_lr_ratio,
          "share of the peak where cosine and linear end, and which inverse_sqrt comes near")
        .AtLeast(0)
        .AtMost(1);
    field("weight_decay", weight_decay, "decoupled; not applied to norms and biases").AtLeast(0);
    field("adam_beta1", adam_beta1, "decay of the gradient's mean").AtLeast(0).AtMost(0.99999);
    field("adam_beta2", adam_beta2, "decay of its square's mean").AtLeast(0).AtMost(0.9999999);
    field("adam_epsilon", adam_epsilon, "added to the root of the latter").Above(0);
    field("max_grad_norm", max_grad_norm, "longer gradients are scaled to this length; 0: never")
        .AtLeast(0);
    field("label_smoothing_factor", label_smoothing_factor,
          "share of a target that the whole vocabulary gets alike; not in eval_loss")
        .AtLeast(0)
        .AtMost(0.99);
    field("neftune_noise_alpha", neftune_noise_alpha,
          "noise on embeddings in training (NEFTune: 5 to 15); 0: none")
        .AtLeast(0);
    field(
        "mlm_probability", mlm_probability,
        "mlm: share of the tokens with loss that is to be restored; of these 8 in 10 are hidden by "
        "the mask, 1 by any token, 1 is left as it is")
        .Above(0)
        .AtMost(1);
    field("mask_token_id", mask_token_id, "mlm: the mask, a token of the model's vocabulary")
        .AtLeast(-1);
    field("pref_beta", pref_beta,
          "dpo, kto: how little the answers may move from the reference; orpo: weight of the odds")
        .Above(0);
    field("pref_ftx", pref_ftx, "dpo: weight of the better answers' own loss beside it").AtLeast(0);
    field("dpo_label_smoothing", dpo_label_smoothing,
          "share of pairs that may be the wrong way round")
        .AtLeast(0)
        .AtMost(0.5);
    field("kto_chosen_weight", kto_chosen_weight, "weight of good answers").Above(0);
    field("kto_rejected_weight", kto_rejected_weight, "weight of bad answers").Above(0);
    field("router_aux_loss_coef", router_aux_loss_coef,
          "weight of the experts' balance loss, which is 1 where all are used alike")
        .AtLeast(0);
    field("router_z_loss_coef", router_z_loss_coef,
          "weight of the mean square of log sum exp of the experts' scores")
        .AtLeast(0);
    field("expert_capacity_factor", expert_capacity_factor,
          "in training an expert computes at most so many times its even share of a batch; what is "
          "over passes it by; 0: it computes all")
        .AtLeast(0);
    field("expert_min_capacity", expert_min_capacity, "but never less than so many tokens")
        .AtLeast(1);
    field("expert_drop_order", expert_drop_order,
          "who is over: random, drawn anew for each batch; or position, the last ones")
        .OneOf({"random", "position"});
    field("ema_decay", ema_decay,
          "keep a running average of the weights (0.999), evaluate it and write it as the final "
          "model; 0: none")
        .AtLeast(0)
        .AtMost(0.9999999);
    field("average_checkpoints", average_checkpoints,
          "write the mean of so many last checkpoints as the final model; 0: the last weights")
        .AtLeast(0);
  }

  template <class Visitor>
  void VisitRun(Visitor&& field) {
    field("gradient_checkpointing", gradient_checkpointing,
          "keep of each layer its inputs alone and compute the rest again for its gradients: less "
          "memory, a third more time");
    field(
        "bf16", bf16,
        "matrix products in bf16 where the device has them, otherwise in float; weights, sums and "
        "the optimiser stay in float");
    field("dtype", dtype,
          "type of the final model's weights; auto: as the model read, else bfloat16")
        .OneOf({"auto", "float32", "float16", "bfloat16"});
    field("device", device, "cpu, cuda or cuda:N");
    field("threads", threads, "CPU threads; 0: all cores this process may use")
        .AtLeast(0)
        .AtMost(1024);
    field("seed", seed, "of initial weights, order of the data and dropout").AtLeast(0);
    field("logging_steps", logging_steps, "steps between lines of the log").AtLeast(1);
    field("eval_steps", eval_steps, "steps between evaluations; 0: only at the end").AtLeast(0);
    field("eval_on_start", eval_on_start, "evaluate before the first step, too");
    field("save_steps", save_steps, "steps between checkpoints; 0: only when stopped").AtLeast(0);
    field("save_total_limit", save_total_limit, "checkpoints kept; 0: all").AtLeast(0);
    field("resume_from_checkpoint", resume_from_checkpoint,
          "auto: the newest in output_dir if there is one; never: start anew and remove "
          "them; or a checkpoint's path");
    field("optimizer_sharding", optimizer_sharding,
          "of several workers (processes) each keeps the optimiser's state of its share of the "
          "weights alone");
    field("ddp_bucket_cap_mb", ddp_bucket_cap_mb,
          "of several workers: MiB of gradients that are sent at once")
        .Above(0)
        .AtMost(4096);
    field("ddp_timeout", ddp_timeout,
          "of several workers: seconds that they wait for each other at the start, and after which "
          "a silent one counts as gone")
        .AtLeast(1)
        .AtMost(86400);
  }
};

// Reads and checks a configuration: fields by themselves (recipe/fields.h) and against each other.
// kDataCorrupt, with the key: a field is wrong, or two contradict.
Result<TrainConfig> ParseTrainConfig(const Json& document, const std::string& path = "train");

// The token files to learn from: train_file, or those of train_mixture, or of hyper's tasks.
std::vector<std::string> TrainFiles(const TrainConfig& config);

// Whether a hypernetwork learns from adapters, and not from texts.
bool Reconstructs(const TrainConfig& config);

// Whether the stage learns from judged answers, dpo and orpo from pairs of them; and whether it
// compares them with a reference.
bool LearnsFromAnswers(const TrainConfig& config);
bool LearnsFromPairs(const TrainConfig& config);
bool HasReference(const TrainConfig& config);

// Whether the model's weights stay, and what learns is beside them: an adapter, a router, a prefix,
// a network that writes adapters.
bool LeavesModel(const TrainConfig& config);

// Packs (or examples, without packing) of one batch.
std::int64_t BatchSize(const TrainConfig& config);

}  // namespace metier::recipe
