// model/gguf_vocab.h - the vocabulary inside of a GGUF file, handed to text/.
#pragma once

#include "base/limits.h"
#include "base/result.h"
#include "format/gguf.h"
#include "text/tokenizer.h"

namespace metier::model {

// Copies tokenizer.ggml.* and tokenizer.huggingface.json. kNotFound: the file has no vocabulary
// (tokenizer.ggml.model absent, "no_vocab" or "none"). kDataCorrupt: a key of the wrong type.
Result<text::GgufVocab> ReadGgufVocab(const format::GgufFile& file);

// ReadGgufVocab and text::TokenizerFromGguf.
Result<text::Tokenizer> LoadGgufTokenizer(const format::GgufFile& file, const Limits& limits = {});

}  // namespace metier::model
