// tests/unit/train/training.h - token files, tiny models and configurations for the trainer's
// tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "format/token_file.h"
#include "support/fixtures.h"

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

}  // namespace metier::train
