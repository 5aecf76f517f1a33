// tests/unit/text/gguf_vocab_fixture.h - the vocabulary of a GGUF fixture, read without src/format,
// which stands on the same floor as text/. Trusts the file: a fixture is checked by its hash.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace metier::test {

// `bytes` is a whole GGUF file. Keys other than tokenizer.ggml.* and general.name are passed over.
text::GgufVocab ReadGgufVocab(const std::string& bytes);

}  // namespace metier::test
