// tests/unit/engine/words.h - a small tokenizer: bytes, some words, and names for their ids.
#pragma once

#include <string>
#include <utility>

#include "support/fixtures.h"
#include "text/tokenizer.h"

namespace metier::engine::test {

inline constexpr text::TokenId kEos = 2;
inline constexpr text::TokenId kHello = 259;
inline constexpr text::TokenId kWorld = 260;
inline constexpr text::TokenId kLy = 261;
inline constexpr text::TokenId kSto = 262;
inline constexpr text::TokenId kP = 263;
inline constexpr std::int64_t kVocab = 265;

inline text::TokenId Byte(unsigned char byte) { return 3 + byte; }

// Ids: 0 <unk>, 1 <s>, 2 </s>, 3..258 bytes, then words, up to `vocab`.
inline text::Tokenizer Words(std::int64_t vocab = kVocab) {
  text::GgufVocab words;
  words.model = "llama";
  const auto add = [&](const std::string& token, std::int32_t type) {
    words.tokens.push_back(token);
    words.scores.push_back(-static_cast<float>(words.tokens.size()));
    words.token_types.push_back(type);
  };
  add("<unk>", 2);
  add("<s>", 3);
  add("</s>", 3);
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789ABCDEF";
    add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 6);
  }
  for (const char* word : {"\u2581Hello", "\u2581world", "ly", "\u2581STO", "P", "\u2581end"})
    add(word, 1);
  while (static_cast<std::int64_t>(words.tokens.size()) < vocab)
    add("\u2581word" + std::to_string(words.tokens.size()), 1);
  words.bos = 1;
  words.eos = kEos;
  words.unk = 0;
  auto tokenizer = text::TokenizerFromGguf(std::move(words));
  EXPECT_TRUE(tokenizer.ok()) << (tokenizer.ok() ? "" : tokenizer.error().message());
  return std::move(tokenizer).value();
}

}  // namespace metier::engine::test
