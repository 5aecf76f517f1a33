// tests/unit/data/encoding.h - a tokenizer of characters, chat templates, and examples as people
// read them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/encode.h"
#include "data/preview.h"
#include "support/fixtures.h"

namespace metier::data {

// A byte-level tokenizer: one token a character, and control tokens.
inline text::Tokenizer Characters() {
  Json vocab = Json::object();
  std::int64_t id = 0;
  for (int c = 33; c < 127; ++c) vocab[std::string(1, static_cast<char>(c))] = id++;
  vocab["\u0120"] = id++;
  vocab["\u010A"] = id++;
  Json tokenizer = Json::object();
  tokenizer["added_tokens"] = Json::array();
  for (const char* name : {"<s>", "</s>", "<|end|>"}) {
    tokenizer["added_tokens"].push_back(Json{{"id", id++},
                                             {"content", name},
                                             {"single_word", false},
                                             {"lstrip", false},
                                             {"rstrip", false},
                                             {"normalized", false},
                                             {"special", true}});
  }
  tokenizer["model"] = Json{{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}};
  tokenizer["pre_tokenizer"] = *ParseJson(
      R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})");
  tokenizer["decoder"] = *ParseJson(R"({"type": "ByteLevel"})");
  auto made = text::TokenizerFromJson(tokenizer, Json{{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  EXPECT_OK(made);
  return *std::move(made);
}

inline text::ChatTemplate Template(std::string_view source) {
  auto parsed = text::ChatTemplate::Parse(source);
  EXPECT_OK(parsed);
  return *std::move(parsed);
}

inline constexpr std::string_view kMarked =
    "{% for m in messages %}{{ m.role[0] + ':' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}";
inline constexpr std::string_view kUnmarked =
    "{% for m in messages %}{{ m.role[0] + ':' + m.content + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}";
// Drops what stands before '=' once the turn is not the last.
inline constexpr std::string_view kForgetful =
    "{% for m in messages %}{{ m.role[0] + ':' + (m.content if loop.last else "
    "m.content.split('=')[-1]) + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}";

// The texts of examples, ⟦trained⟧ stretches in brackets.
inline std::vector<std::string> Shown(const text::Tokenizer& tokenizer,
                                      const std::vector<Example>& examples) {
  std::vector<std::string> shown;
  for (const Example& example : examples) {
    const auto text = Preview(tokenizer, example.ids, example.loss, PreviewStyle::kBrackets);
    EXPECT_OK(text);
    shown.push_back(*text);
  }
  return shown;
}

}  // namespace metier::data
