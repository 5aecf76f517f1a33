// retail/synonyms.h - the same in other words, for those who learn from a few hundred phrases.
#pragma once

#include <vector>

#include "base/rng.h"
#include "retail/phrasebook.h"

namespace metier::retail {

// Puts another word of data/synonyms.txt in the place of about `rate` of those words of the pieces
// that have one and are not fixed. A capital stays one.
void SwapSynonyms(double rate, Rng& rng, std::vector<Piece>& pieces);

}  // namespace metier::retail
