// text/tokenizer/huggingface.h - the documents of a Hugging Face directory -> a tokenizer.
#pragma once

#include "base/json.h"
#include "base/limits.h"
#include "text/tokenizer.h"

namespace metier::text {

struct HfDocuments {
  Json tokenizer;             // tokenizer.json
  Json config = nullptr;      // tokenizer_config.json, or null
  Json generation = nullptr;  // generation_config.json, or null: further ids that end an answer
};
Result<Tokenizer> TokenizerFromDocuments(const HfDocuments& documents, const Limits& limits);

}  // namespace metier::text
