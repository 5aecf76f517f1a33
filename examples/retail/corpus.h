// retail/corpus.h - text for pre-training a small base model: English about people and things, and
// the skills of copying and looking up, without tool calls and without the support dialogues.
//
// Nearly half of the documents are prose from the phrase banks (stories, product texts, letters,
// chats). The others are exercises in which later words repeat earlier ones: a decoder learns from
// them to copy ids, names and addresses it has never seen, to look values up, and the syntax of
// JSON. Chats, written apart, teach whose turn it is, and to note what a letter is about.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/rng.h"
#include "retail/spellings.h"
#include "retail/world.h"

namespace metier::retail {

class CorpusWriter {
 public:
  // Names, products and phrases of the split only, and words of the spellings where there are any
  // (borrowed).
  CorpusWriter(Split split, std::uint64_t seed, const Spellings* spellings = nullptr)
      : split_(split), seed_(seed), spellings_(spellings) {}

  // Document number `index`: the same for the same split and seed, in any order.
  std::string Document(std::uint64_t index) const;
  // Nothing but values and their repetition, likewise.
  std::string Repetition(std::uint64_t index) const;
  // Chat number `index`, likewise: messages, see chats.h.
  Json Conversation(std::uint64_t index) const;
  // Records and questions about them, likewise.
  Json LookingUp(std::uint64_t index) const;

 private:
  Split split_;
  std::uint64_t seed_;
  const Spellings* spellings_;
};

}  // namespace metier::retail
