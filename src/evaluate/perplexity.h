// evaluate/perplexity.h - exp of the mean negative log-likelihood, with every choice that changes
// the figure spelled out.
//
// sliding: windows of `window` tokens, each beginning `stride` after the one before; a window
// scores only the tokens that no
//   earlier one has scored, so each token is scored once, with at least window - stride tokens
//   before it (all windows but the first). stride == window: disjoint windows.
// halves:  disjoint windows; only the second half of each is scored, and a rest shorter than a
// window is dropped.
//   With bos: replace this is what llama.cpp's perplexity program computes.
//
// Figures, from the summed NLL of the scored tokens:
//   token perplexity  exp(nll / tokens)
//   word perplexity   exp(nll / words), words = fields between runs of white space (as
//   lm-evaluation-harness counts) bits per byte     nll / (ln 2 * bytes); byte perplexity is 2 to
//   its power
// Words and bytes are those of the text; with `halves` only part of it is scored, and they are not
// reported.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "evaluate/language_model.h"
#include "recipe/fields.h"
#include "text/tokenizer.h"

namespace metier::evaluate {

struct PerplexityOptions {
  std::string file;
  std::string documents = "whole";
  std::int64_t window = 0;
  std::int64_t stride = 0;
  std::string scoring = "sliding";
  std::string bos = "auto";

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file, "text, or JSONL with a \"text\" field when its name ends in .jsonl")
        .Required();
    field("documents", documents, "whole: the file is one document; lines: each line is one")
        .OneOf({"whole", "lines"});
    field("window", window, "tokens a window holds; 0: as many as the model takes").AtLeast(0);
    field("stride", stride, "tokens from one window to the next; 0: half a window").AtLeast(0);
    field("scoring", scoring,
          "sliding: every token once; halves: the second half of disjoint windows")
        .OneOf({"sliding", "halves"});
    field("bos", bos,
          "first: before each document; replace: over the first token of each window; none; auto: "
          "first if the "
          "tokenizer adds one, else none")
        .OneOf({"auto", "first", "replace", "none"});
  }
};

// One forward pass: tokens [begin, end) of the document, of which [score, end) count.
struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t score = 0;
};
std::vector<Window> SlidingWindows(std::size_t tokens, std::size_t window, std::size_t stride);
std::vector<Window> HalfWindows(std::size_t tokens, std::size_t window);

struct PerplexityResult {
  double nll = 0;  // summed over scored tokens, natural logarithm
  std::int64_t scored_tokens = 0;
  std::int64_t tokens = 0;  // of the text, without BOS
  std::int64_t words = 0;   // 0: not reported
  std::int64_t bytes = 0;   // 0: not reported
  std::int64_t documents = 0;
  std::int64_t windows = 0;
  std::int64_t window = 0;  // as resolved
  std::int64_t stride = 0;
  std::string bos;

  double TokenPerplexity() const;
  double WordPerplexity() const;
  double BitsPerByte() const;
  Json ToJson() const;
};

// `on_window` hears of each window that was scored. kInvalidArgument: a window the model cannot
// hold, a stride beyond the window, text too short to score anything.
Result<PerplexityResult> MeasurePerplexity(LanguageModel& model, const text::Tokenizer& tokenizer,
                                           const PerplexityOptions& options,
                                           const OnProgress& on_window = {});

}  // namespace metier::evaluate
