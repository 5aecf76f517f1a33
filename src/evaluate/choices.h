// evaluate/choices.h - questions whose answer is one of given texts: the model answers with the one
// that it finds most likely, so every answer is one of them (labels of a classification, options of
// an exam).
//
// A row is {"prompt": text, "choices": [text, ...], "answer": its text or its index}, or the same
// with "messages" (the conversation before the answer, put into the model's chat template) in place
// of the prompt. A choice is worth the sum of ln p of its tokens behind the prompt, where tokens
// are those that training sees of such a row ("completion" rows of data/conversation.h; of
// messages, with the marker that ends the turn).
//
//   accuracy       the choice of the largest sum is the answer
//   accuracy_norm  the same of the sum per byte of the choice's text, as lm-evaluation-harness
//   macro_f1, weighted_f1   of the former, where all rows have the same choices
//   same_as_free   share of rows where writing freely, greedily, gives the chosen text (`generate`)
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "evaluate/classification.h"
#include "evaluate/language_model.h"
#include "recipe/fields.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace metier::evaluate {

struct ChoiceOptions {
  std::string file;
  std::int64_t max_rows = 0;
  bool generate = false;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("file", file,
          "JSONL of {\"prompt\" or \"messages\", \"choices\": [texts], \"answer\": text or index}")
        .Required();
    field("max_rows", max_rows, "score only the first so many; 0: all").AtLeast(0);
    field("generate", generate, "also write freely, and count how often that is the same answer");
  }
};

struct ChoiceResult {
  std::int64_t right = 0;
  std::int64_t right_norm = 0;
  std::int64_t same_as_free = 0;
  bool generated = false;
  Confusion confusion;       // of the choices' texts
  bool same_choices = true;  // of all rows

  double Accuracy() const;
  Json ToJson() const;
};

// How rows become tokens and tokens text; borrowed.
struct ChoiceReader {
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate* chat_template = nullptr;  // none: rows of prompts only
  std::span<const text::TokenId> stop = {};           // end what is written freely
};

// kNotFound. kDataCorrupt: a row that is none, with its line. kInvalidArgument: messages without a
// template, a row longer than the model takes, a file without rows.
Result<ChoiceResult> MeasureChoices(LanguageModel& model, const ChoiceReader& reader,
                                    const ChoiceOptions& options, const OnProgress& on_rows = {});

}  // namespace metier::evaluate
