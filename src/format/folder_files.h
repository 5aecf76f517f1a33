// format/folder_files.h - the files of a Hugging Face directory that make its tokenizer.
#pragma once

#include <string_view>

namespace metier::format {

// What may change a token id, sorted by name: vocabulary, merges, added tokens, and the roles of
// tokens. Any of them may be absent.
inline constexpr std::string_view kTokenizerFiles[] = {
    "added_tokens.json", "generation_config.json", "merges.txt", "special_tokens_map.json",
    "tokenizer.json",    "tokenizer_config.json",  "vocab.json"};

// These and what goes with them: chat templates, and the vocabularies that only other programs
// read. What a copy of a model takes along.
inline constexpr std::string_view kCopiedTokenizerFiles[] = {
    "added_tokens.json", "generation_config.json", "merges.txt",        "special_tokens_map.json",
    "tokenizer.json",    "tokenizer_config.json",  "vocab.json",        "vocab.txt",
    "tokenizer.model",   "chat_template.jinja",    "chat_template.json"};

}  // namespace metier::format
