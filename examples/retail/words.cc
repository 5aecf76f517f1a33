// retail/words.cc - invented words, for names and handles that no list holds.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "retail/generate.h"

namespace metier::retail {

// Beginnings of words that syllables can make by chance and that nobody wants to read.
bool Rude(std::string_view word) {
  static constexpr std::string_view kParts[] = {
      "fag", "nig", "kike", "rape", "tit",  "cum",  "pis", "pee",  "poo",  "porn", "nazi",
      "fuc", "fuk", "shi",  "coc",  "kok",  "dic",  "dik", "hitl", "slu",  "who",  "cun",
      "ass", "ars", "sex",  "jew",  "gook", "spic", "twa", "wank", "crap", "turd"};
  return std::any_of(std::begin(kParts), std::end(kParts), [word](std::string_view part) {
    return word.find(part) != std::string_view::npos;
  });
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string InventedWord(Rng& rng) {
  static constexpr std::string_view kStarts[] = {
      "b",  "bl", "br", "c",  "ch", "cl", "cr", "d",  "dr", "f",  "fl", "fr", "g", "gl", "gr", "h",
      "j",  "k",  "kn", "l",  "m",  "n",  "p",  "ph", "pl", "pr", "qu", "r",  "s", "sc", "sh", "sk",
      "sl", "sm", "sn", "sp", "st", "sw", "t",  "th", "tr", "tw", "v",  "w",  "x", "y",  "z",  ""};
  static constexpr std::string_view kVowels[] = {"a",  "e",  "i",  "o",  "u",  "y",  "a",  "e",
                                                 "i",  "o",  "ai", "au", "ea", "ee", "ei", "ia",
                                                 "ie", "io", "oa", "oe", "oo", "ou", "ue"};
  static constexpr std::string_view kEnds[] = {
      "",   "b",  "ck", "d",  "dt", "ft",  "g",   "k",   "l",   "ld",  "ll",  "lm",
      "ls", "lt", "m",  "mp", "n",  "nd",  "ng",  "nn",  "ns",  "nt",  "p",   "r",
      "rd", "rk", "rn", "rs", "rt", "s",   "ss",  "st",  "t",   "th",  "tt",  "tz",
      "v",  "w",  "x",  "z",  "by", "ley", "lyn", "man", "sen", "son", "ton", "wick"};
  std::string out;
  do {
    out.clear();
    const int syllables = Between(1, 2, rng);
    for (int i = 0; i < syllables; ++i) {
      out += kStarts[rng.Below(std::size(kStarts))];
      out += kVowels[rng.Below(std::size(kVowels))];
      if (i + 1 < syllables && Chance(0.6, rng)) continue;
      out += kEnds[rng.Below(std::size(kEnds))];
    }
  } while (out.size() < 3 || Rude(out));
  return out;
}

}  // namespace metier::retail
