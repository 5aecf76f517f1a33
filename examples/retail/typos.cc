#include "retail/typos.h"

#include <array>
#include <string_view>
#include <utility>

#include "retail/generate.h"

namespace metier::retail {
namespace {

char LowerOf(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The key to the right on the keyboard, or the letter itself.
char NextKey(char c) {
  static constexpr std::string_view kRows = "qwertyuiop asdfghjkl zxcvbnm ";
  const std::size_t at = kRows.find(c);
  if (at == std::string_view::npos || kRows[at + 1] == ' ') return c;
  return kRows[at + 1];
}

std::string Shortcut(const std::string& word) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kShortcuts = {{
      {"please", "pls"},
      {"you", "u"},
      {"are", "r"},
      {"thanks", "thx"},
      {"because", "cuz"},
      {"tomorrow", "tmrw"},
      {"really", "rly"},
      {"cannot", "cant"},
  }};
  for (const auto& [from, to] : kShortcuts) {
    if (word == from) return std::string(to);
  }
  return word;
}

std::string Mistyped(std::string word, Rng& rng) {
  const std::string shortcut = Shortcut(word);
  if (shortcut != word) return shortcut;
  if (word.size() < 4) return word;
  const std::size_t at = 1 + rng.Below(word.size() - 2);
  switch (rng.Below(4)) {
    case 0: std::swap(word[at], word[at + 1]); break;
    case 1: word.erase(at, 1); break;
    case 2: word.insert(at, 1, word[at]); break;
    default: word[at] = NextKey(word[at]); break;
  }
  return word;
}

}  // namespace

void ChangeWords(std::vector<Piece>& pieces,
                 const std::function<std::string(std::string word)>& change) {
  for (Piece& piece : pieces) {
    if (piece.fixed) continue;
    std::string out;
    for (std::size_t at = 0; at < piece.text.size();) {
      std::size_t end = at;
      while (end < piece.text.size() && IsLetter(piece.text[end])) ++end;
      if (end == at) {
        out += piece.text[at++];
        continue;
      }
      out += change(piece.text.substr(at, end - at));
      at = end;
    }
    piece.text = std::move(out);
  }
}

void AddTypos(double rate, Rng& rng, std::vector<Piece>& pieces) {
  if (rate <= 0) return;
  ChangeWords(pieces, [&](std::string word) {
    return rng.Uniform() < rate ? Mistyped(std::move(word), rng) : word;
  });
}

void DropWords(double rate, Rng& rng, std::vector<Piece>& pieces) {
  ChangeWords(pieces, [&](std::string word) {
    return rng.Uniform() < rate ? std::string() : std::move(word);
  });
}

void MakeTerse(std::vector<Piece>& pieces) {
  for (Piece& piece : pieces) {
    if (piece.fixed) continue;
    for (char& c : piece.text) c = LowerOf(c);
  }
  if (!pieces.empty() && !pieces.back().fixed && !pieces.back().text.empty() &&
      pieces.back().text.back() == '.') {
    pieces.back().text.pop_back();
  }
}

std::string Capitalised(std::string text) {
  if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') {
    text.front() = static_cast<char>(text.front() - 'a' + 'A');
  }
  return text;
}

}  // namespace metier::retail
