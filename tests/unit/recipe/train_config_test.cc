#include "recipe/train_config.h"

#include "recipe/fields.h"
#include "support/fixtures.h"

namespace metier::recipe {
namespace {

Result<TrainConfig> Parse(const std::string& yaml) {
  METIER_ASSIGN(const Json document, ParseYaml(yaml));
  return ParseTrainConfig(document);
}

const std::string kTuning = "model: base\ntrain_file: t.safetensors\noutput_dir: out\n";

TEST(TrainConfig, ReadsWhatUsersWrite) {
  ASSERT_OK_AND_ASSIGN(
      const TrainConfig config,
      Parse(kTuning + "learning_rate: 2e-4\nmax_seq_len: 512\ntokens_per_batch: 2048\n"
                      "lora: {rank: 8, alpha: 16, target_modules: [q_proj], rank_pattern: "
                      "{v_proj: 4}}\n"));
  EXPECT_DOUBLE_EQ(config.learning_rate, 2e-4);
  ASSERT_TRUE(config.lora.has_value());
  EXPECT_EQ(config.lora->rank, 8);
  EXPECT_EQ(config.lora->rank_pattern.at("v_proj"), 4);
  EXPECT_EQ(BatchSize(config), 4);
}

TEST(TrainConfig, ReadsBackWhatItWrites) {
  ASSERT_OK_AND_ASSIGN(const TrainConfig config,
                       Parse(kTuning + "seed: 7\nlora: {rank: 3}\nbf16: false\n"));
  const Json written = WriteFields(config);
  ASSERT_OK_AND_ASSIGN(const TrainConfig again, ParseTrainConfig(written));
  EXPECT_EQ(DumpCompact(WriteFields(again)), DumpCompact(written));
  EXPECT_EQ(again.seed, 7);
  EXPECT_EQ(again.lora->rank, 3);
  EXPECT_FALSE(again.bf16);
}

TEST(TrainConfig, NamesTheNearestKey) {
  EXPECT_ERROR(Parse(kTuning + "learning_rat: 1\n"), ErrorCode::kDataCorrupt,
               "did you mean 'learning_rate'");
  EXPECT_ERROR(Parse(kTuning + "lora: {ranks: 1}\n"), ErrorCode::kDataCorrupt, "train.lora");
}

TEST(TrainConfig, RefusesContradictions) {
  const struct {
    const char* yaml;
    const char* message;
  } cases[] = {
      {"train_file: t\noutput_dir: o\n", "neither 'model' nor 'init'"},
      {"model: m\ninit: {config: c}\ntrain_file: t\noutput_dir: o\n", "both 'model' and 'init'"},
      {"init: {config: c}\ntrain_file: t\noutput_dir: o\n", "expected pretrain"},
      {"stage: pretrain\ninit: {}\ntrain_file: t\noutput_dir: o\n", "exactly one of"},
      {"stage: pretrain\ninit: {config: c}\nlora: {}\ntrain_file: t\noutput_dir: o\n", "random"},
      {"model: m\ntrain_file: t\noutput_dir: o\ntokens_per_batch: 1500\n", "multiple"},
      {"model: m\ntrain_file: t\noutput_dir: o\neval_steps: 5\n", "eval_file"},
      {"model: m\ntrain_file: t\noutput_dir: o\ndevice: tpu\n", "cuda"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {target_modules: []}\n", "empty"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlearning_rate: -1\n", "learning_rate"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlearning_rate: 0\nembedding_learning_rate: 0.1\n",
       "learning_rate: 0"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nembedding_learning_rate: 0.1\n",
       "modules_to_save"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {trainable_token_indices: [3, 4, 3]}\n",
       "a token twice"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {trainable_token_indices: [-3]}\n",
       "trainable_token_indices"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {target_modules: [], use_dora: true, "
       "trainable_token_indices: [3]}\n",
       "use_dora"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nsvf: {}\n", "found with 'lora'"},
      {"model: m\ntrain_file: t\n", "output_dir"},
      {"model: m\noutput_dir: o\n", "neither 'train_file' nor 'train_mixture'"},
      {"model: m\ntrain_file: t\ntrain_mixture: {sources: [{file: a}]}\noutput_dir: o\n",
       "both 'train_file' and 'train_mixture'"},
      {"model: m\ntrain_mixture: {sources: []}\noutput_dir: o\n", "empty list"},
      {"model: m\ntrain_mixture: {sources: [{file: a, weight: 0}]}\noutput_dir: o\n",
       "sources[0].weight"},
      {"model: m\ntrain_mixture: {sources: [{file: a, repeats: 9000000000}]}\noutput_dir: o\n",
       "sources[0].repeats"},
      {"model: m\ntrain_mixture: {sources: [{file: a, weight: 2}]}\noutput_dir: o\n",
       "order: shuffle"},
      {"model: m\ntrain_file: t\noutput_dir: o\naverage_checkpoints: 2\n", "without save_steps"},
      {"model: m\ntrain_file: t\noutput_dir: o\naverage_checkpoints: 3\nsave_steps: 1\n",
       "save_total_limit: 2"},
      {"model: m\ntrain_file: t\noutput_dir: o\naverage_checkpoints: 1\nema_decay: 0.9\n",
       "with ema_decay"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\newc: {file: e}\n", "found with 'lora'"},
      {"init: {spec: {}}\nstage: pretrain\ntrain_file: t\noutput_dir: o\newc: {file: e}\n",
       "nothing to forget"},
      {"model: m\ntrain_file: t\noutput_dir: o\newc: {weight: 1}\n", "file"},
      {"model: m\ntrain_file: t\noutput_dir: o\nstage: dpo\ndistill: {teacher: t}\n",
       "which compares answers"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlabel_smoothing_factor: 0.1\ndistill: {teacher: "
       "t}\n",
       "label_smoothing_factor"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nrope_scaling: {factor: 2}\n",
       "config.json"},
      {"model: m\ntrain_file: t\noutput_dir: o\nrope_scaling: {factor: 1}\n", "factor"},
      {"model: m\ntrain_file: t\noutput_dir: o\neval_file: e\neval_files: [{name: a, file: b}]\n",
       "both 'eval_file' and 'eval_files'"},
      {"model: m\ntrain_file: t\noutput_dir: o\neval_files: [{name: a, file: b}, {name: a, file: "
       "c}]\n",
       "of the name 'a'"},
      {"model: m\ntrain_mixture: {sources: [{file: a, expert: x}]}\noutput_dir: o\n",
       "without 'router'"},
      {"model: m\ntrain_file: t\noutput_dir: o\nrouter: {}\n", "router.experts"},
      {"model: m\ntrain_file: t\noutput_dir: o\nrouter: {mixture: x}\nlora: {}\n", "with 'lora'"},
      {"model: m\ntrain_file: t\noutput_dir: o\nrouter: {mixture: x, route_by: sequence}\n",
       "without an 'expert'"},
      {"stage: pretrain\nmodel: m\ntrain_file: t\noutput_dir: o\nrouter: {mixture: x, route_by: "
       "sequence}\n",
       "stage pretrain"},
      {"model: m\ntrain_mixture: {order: random, sources: [{file: a}]}\noutput_dir: o\n",
       "priority"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nquantization_bit: 5\n",
       "expected 4 or 8, or 0"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nquantization_type: Q4_0\n",
       "quantization_type: found without quantization_bit"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nquantization_head: true\n",
       "quantization_head: found without quantization_bit"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nquantization_bit: 4\n"
       "quantization_type: Q8_0\n",
       "found Q8_0 with quantization_bit: 4"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nquantization_bit: 8\n"
       "quantization_type: Q4_K\n",
       "found Q4_K with quantization_bit: 8"},
      {"model: m\ntrain_file: t\noutput_dir: o\nquantization_bit: 4\n",
       "a weight that learns cannot"},
      {"model: m\ntrain_file: t\noutput_dir: o\nsvf: {}\nquantization_bit: 4\n",
       "takes the weights apart"},
      {"model: m\ntrain_file: t\noutput_dir: o\nlora: {}\nquantization_bit: 4\ndevice: cuda\n",
       "found with device: cuda"},
      {"model: m\ntrain_file: t\noutput_dir: o\nprefix: {num_virtual_tokens: 0}\n",
       "num_virtual_tokens"},
      {"model: m\ntrain_file: t\noutput_dir: o\nprefix: {}\nlora: {}\n", "found with 'lora'"},
      {"model: m\ntrain_file: t\noutput_dir: o\nprefix: {}\nstage: dpo\n",
       "a prefix begins at random"},
      {"model: m\ntrain_file: t\noutput_dir: o\nprefix: {}\newc: {file: e}\n",
       "found with 'prefix'"},
  };
  for (const auto& wrong : cases)
    EXPECT_ERROR(Parse(wrong.yaml), ErrorCode::kDataCorrupt, wrong.message);
}

}  // namespace
}  // namespace metier::recipe
