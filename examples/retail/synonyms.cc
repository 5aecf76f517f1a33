#include "retail/synonyms.h"

#include <map>
#include <string>
#include <string_view>

#include "retail/generate.h"
#include "retail/typos.h"

namespace metier::retail {
namespace {

using Table = std::map<std::string_view, std::vector<std::string_view>, std::less<>>;

// "want|wish|need": for "want" there are "wish" and "need", not the other way round.
const Table& Synonyms() {
  static const Table table = [] {
    Table out;
    for (std::string_view line : PhraseBook::Ours().Lines("synonyms", Split::kTrain)) {
      const std::size_t first = line.find('|');
      std::vector<std::string_view>& others = out[line.substr(0, first)];
      for (std::size_t at = first; at != std::string_view::npos;) {
        const std::size_t next = line.find('|', at + 1);
        others.push_back(line.substr(at + 1, next - at - 1));
        at = next;
      }
    }
    return out;
  }();
  return table;
}

}  // namespace

void SwapSynonyms(double rate, Rng& rng, std::vector<Piece>& pieces) {
  ChangeWords(pieces, [&](std::string word) {
    const std::string small = Lower(word);
    const auto found = Synonyms().find(small);
    if (found == Synonyms().end() || rng.Uniform() >= rate) return word;
    std::string other(PickOne(found->second, rng));
    return small == word ? other : Capitalised(std::move(other));
  });
}

}  // namespace metier::retail
