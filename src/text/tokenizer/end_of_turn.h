// text/tokenizer/end_of_turn.h - tokens that end an answer, known by how they are spelled: neither
// GGUF nor tokenizer.json files have a complete list.
#pragma once

#include <string_view>

namespace metier::text {

inline bool EndsTurn(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "<|eot_id|>",
      "<|im_end|>",
      "<|end|>",
      "<|return|>",
      "<|call|>",
      "<end_of_turn>",
      "<|endoftext|>",
      "</s>",
      "<|eom_id|>",
      "<EOT>",
      "[EOT]",
      "[EOS]",
      "<eos>",
      "<turn|>",
      "<|end_of_text|>",
      "<end_of_utterance>",
      "<｜end▁of▁sentence｜>",
  };
  for (const std::string_view known : kNames) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace metier::text
