// text/tokenizer/gguf_pre.h - the pre-tokenizers that GGUF files name in tokenizer.ggml.pre.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace metier::text {

struct GgufPreTokenizer {
  // Patterns whose matches and gaps are isolated, one after the other (Oniguruma syntax).
  std::span<const std::string_view> patterns;
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool add_sep = false;  // SEP behind the text, unless the file says otherwise
};

// kUnsupported: a name that is not known, with the nearest one that is.
Result<GgufPreTokenizer> FindGgufPreTokenizer(std::string_view name);

}  // namespace metier::text
