// text/tokenizer/post_processor.h - the tokens around an encoded text: BOS, [CLS] ... [SEP].
#pragma once

#include <vector>

#include "text/tokenizer.h"

namespace metier::text {

// All of the library's post-processors come down to this for one sequence.
struct PostProcessor {
  std::vector<TokenId> before;
  std::vector<TokenId> behind;
};

}  // namespace metier::text
