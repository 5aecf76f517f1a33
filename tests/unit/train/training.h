// tests/unit/train/training.h - token files, tiny models, configurations and runs for the trainer's
// tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "format/token_file.h"
#include "support/fixtures.h"
#include "train/trainer.h"
#include "unit/train/device.h"

namespace metier::train {

using test::ReadAll;
using test::TempFolder;
using test::WriteAll;

// `loss` empty: every token counts.
inline void WriteTokens(const std::string& path,
                        const std::vector<std::vector<std::int32_t>>& examples,
                        const std::vector<std::vector<std::uint8_t>>& loss) {
  auto writer = format::TokenFileWriter::Create(path);
  ASSERT_OK(writer);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const std::vector<std::uint8_t> all(examples[i].size(), 1);
    ASSERT_OK(writer->Add(examples[i], loss.empty() ? all : loss[i]));
  }
  ASSERT_OK(writer->Finish({}));
}

// A llama of 2 layers, width 32: {"stage": "pretrain", "init": {...}, ...} with what a run needs.
inline Json TinyRun(const TempFolder& folder, const std::string& out) {
  return {{"stage", "pretrain"},
          {"init",
           {{"spec",
             {{"model_type", "llama"},
              {"vocab_size", 64},
              {"hidden_size", 32},
              {"intermediate_size", 48},
              {"num_hidden_layers", 2},
              {"num_attention_heads", 4},
              {"num_key_value_heads", 2},
              {"max_position_embeddings", 64},
              {"rms_norm_eps", 1e-5}}}}},
          {"train_file", folder / "train.safetensors"},
          {"output_dir", folder / out},
          {"max_seq_len", 32},
          {"per_device_train_batch_size", 1},
          {"learning_rate", 3e-3},
          {"warmup_ratio", 0},
          {"device", TestDeviceName()},
          {"threads", 1},
          {"bf16", false},
          {"dtype", "float32"},
          {"max_steps", 12},
          {"logging_steps", 3}};
}

// Sentences of a small grammar: token i is followed by 2 i + 1 mod 61, from random starts.
inline void WriteLearnable(const std::string& path, int examples) {
  std::vector<std::vector<std::int32_t>> all;
  for (int e = 0; e < examples; ++e) {
    std::vector<std::int32_t> ids = {(e * 17 + 5) % 61};
    for (int i = 0; i < 6 + e % 11; ++i) ids.push_back((2 * ids.back() + 1) % 61);
    all.push_back(std::move(ids));
  }
  WriteTokens(path, all, {});
}

inline Result<Json> RunTraining(const Json& document, const EventSink& sink = {},
                                const Ask& ask = {}) {
  METIER_ASSIGN(const recipe::TrainConfig config, recipe::ParseTrainConfig(document));
  return Train(config, sink, ask);
}

inline std::string HashOf(const std::string& path) {
  const Result<std::string> hash = Sha256OfFile(path);
  return hash.ok() ? *hash : hash.error().message();
}

// Stops when `step` is reached.
inline EventSink StopAt(std::int64_t step) {
  return [step](const Json& event) {
    return event.at("event") == "step" && event.at("step").get<std::int64_t>() >= step;
  };
}

// Runs in a folder of their own.
class Trainer : public ::testing::Test {
 protected:
  void SetUp() override { WriteLearnable(folder_ / "train.safetensors", 30); }

  // A model to put adapters on, trained for two steps. Adapters cannot move its embedding and head:
  // with the usual small random ones no hidden state could make a token certain (a width of 32 and
  // weights near 0.02 keep every logit below 1), so its weights are large.
  std::string Base(const std::string& model_type = "llama") {
    Json config = TinyRun(folder_, "base-" + model_type);
    config["max_steps"] = 2;
    config["init"]["std"] = 0.5;
    SetFamily(config, model_type);
    const Result<Json> reply = RunTraining(config);
    EXPECT_OK(reply);
    return folder_ / ("base-" + model_type) + "/final";
  }

  static void SetFamily(Json& config, const std::string& model_type) {
    Json& spec = config["init"]["spec"];
    spec["model_type"] = model_type;
    if (model_type != "mixtral") return;
    spec["num_local_experts"] = 4;
    spec["num_experts_per_tok"] = 2;
  }

  Json LoraRun(const std::string& base, const std::string& out) {
    Json config = TinyRun(folder_, out);
    config.erase("init");
    config["model"] = base;
    config["stage"] = "sft";
    config["lora"] = {{"rank", 8}, {"alpha", 16}};
    return config;
  }

  // Of a run with these settings, each in a folder of its own.
  double EvalLoss(Json config, const std::string& out, double rate, int steps) {
    config["output_dir"] = folder_ / out;
    config["learning_rate"] = rate;
    config["max_steps"] = steps;
    const Result<Json> reply = RunTraining(config);
    EXPECT_OK(reply);
    return reply.ok() ? reply->at("eval_loss").get<double>() : HUGE_VAL;
  }

  TempFolder folder_;
};

}  // namespace metier::train
