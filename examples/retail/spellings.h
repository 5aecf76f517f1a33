// retail/spellings.h - words made of the entries of a tokenizer's vocabulary.
//
// Many entries of a BPE vocabulary are only steps on the way to longer ones ("amaze", where every
// text has "amazed"): the text that made them hardly holds them. A small model whose embeddings of
// them are as they were drawn cannot copy a name in which they stand alone. Words that use all
// entries alike teach them all.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace metier::retail {

class Spellings {
 public:
  // The entries of a byte-level tokenizer.json that are ASCII letters, a space before them or not.
  // Errors of ReadJsonFile; kDataCorrupt: none of them is a word that may be read.
  static Result<Spellings> Read(const std::string& path);

  // One to three entries, three to twelve small letters together, and not rude.
  std::string Word(Rng& rng) const;

 private:
  explicit Spellings(std::vector<std::string> entries) : entries_(std::move(entries)) {}

  std::vector<std::string> entries_;  // in small letters
};

}  // namespace metier::retail
