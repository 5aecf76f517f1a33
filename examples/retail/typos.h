// retail/typos.h - how people type: slips of the finger, shortcuts, no capitals.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "retail/phrasebook.h"

namespace metier::retail {

// Each word of the pieces that are not fixed becomes change(word).
void ChangeWords(std::vector<Piece>& pieces,
                 const std::function<std::string(std::string word)>& change);

// Changes about `rate` of the words of the pieces that are not fixed: two letters swapped, one
// lost, one doubled, a neighbouring key, or a shortcut ("pls").
void AddTypos(double rate, Rng& rng, std::vector<Piece>& pieces);

// Leaves out about `rate` of the words of the pieces that are not fixed.
void DropWords(double rate, Rng& rng, std::vector<Piece>& pieces);

// Lower case and no full stop at the end; fixed pieces keep theirs.
void MakeTerse(std::vector<Piece>& pieces);

// The first letter in upper case, as at the start of a message.
std::string Capitalised(std::string text);

}  // namespace metier::retail
