// retail/phrasebook.h - phrase banks: text files of sections of templates, partitioned by split.
//
//   # a comment
//   [cancel/open]           a section of whole phrases: each line belongs to one split
//   (please|kindly) cancel order {order}<soon>
//   [~soon]                 a shared section (~): fragments and plain word lists, open to every
//   split , as soon as you can
//
// In a template: (a|b|) chooses, and may nest; {name} is a slot that the caller fills; <name>
// expands a line of a section. Of ten lines of a section, lines 0-2 and 5-8 are for training,
// line 3 for validation, lines 4 and 9 for the test: no whole phrase is ever used by two splits.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "retail/world.h"

namespace metier::retail {

using Slots = std::map<std::string, std::string, std::less<>>;

// A run of text; `fixed` came from a slot (an id, a name, an address) and must not be altered.
struct Piece {
  std::string text;
  bool fixed = false;
};

struct Phrase {
  std::vector<Piece> pieces;
  std::string id;  // "cancel/open#4": which template

  std::string Text() const;
};

// The split that line `index` of a partitioned section belongs to.
Split SplitOfLine(std::size_t index);

class PhraseBook {
 public:
  // Adds the sections of a file. kDataCorrupt, with file and line: a section twice, a line outside
  // a section, unbalanced brackets, a partitioned section with fewer than five lines (a split would
  // have none).
  Status Add(std::string_view file, std::string_view text);

  // kDataCorrupt: a template names a section that does not exist. Call once after the last Add.
  Status CheckReferences() const;

  // Every phrase bank that ships with the shop. Requires that they are well-formed (a test).
  static const PhraseBook& Ours();

  bool Has(std::string_view section) const;

  // The lines of a section that the split may use, in file order. Requires that it exists.
  std::vector<std::string_view> Lines(std::string_view section, Split split) const;

  // A random line of the section, expanded. Requires that every slot it names is given.
  Phrase Pick(std::string_view section, Split split, const Slots& slots, Rng& rng) const;

  std::vector<std::string> SectionNames() const;

 private:
  struct Section {
    bool shared = false;
    std::vector<std::string> lines;
  };
  struct Expansion;

  const Section& Get(std::string_view section) const;
  void Expand(std::string_view text, Expansion& out) const;

  std::map<std::string, Section, std::less<>> sections_;
};

}  // namespace metier::retail
