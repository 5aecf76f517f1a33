#include "retail/phrasebook.h"

#include <utility>

#include "base/check.h"
#include "fmt/format.h"
#include "retail/embedded.h"

namespace metier::retail {
namespace {

constexpr std::size_t kLeastLines = 5;  // so that every split has one, see SplitOfLine

Error Corrupt(std::string_view file, int line, const std::string& what) {
  return {ErrorCode::kDataCorrupt, fmt::format("{}:{}: {}", file, line, what)};
}

// The position after the bracket that closes the one at text[begin], or npos.
std::size_t CloseOf(std::string_view text, std::size_t begin) {
  int depth = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

std::vector<std::string_view> Alternatives(std::string_view inside) {
  std::vector<std::string_view> out;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] == '(') ++depth;
    if (inside[i] == ')') --depth;
    if (inside[i] == '|' && depth == 0) {
      out.push_back(inside.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  out.push_back(inside.substr(begin));
  return out;
}

bool Balanced(std::string_view text) {
  int round = 0;
  bool slot = false;
  bool section = false;
  for (const char c : text) {
    if (c == '(') ++round;
    if (c == ')' && --round < 0) return false;
    if (c == '{' && std::exchange(slot, true)) return false;
    if (c == '}' && !std::exchange(slot, false)) return false;
    if (c == '<' && std::exchange(section, true)) return false;
    if (c == '>' && !std::exchange(section, false)) return false;
  }
  return round == 0 && !slot && !section;
}

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

std::string Phrase::Text() const {
  std::string out;
  for (const Piece& piece : pieces) out += piece.text;
  return out;
}

Split SplitOfLine(std::size_t index) {
  const std::size_t place = index % 10;
  if (place == 3) return Split::kValid;
  return place % 5 == 4 ? Split::kTest : Split::kTrain;
}

Status PhraseBook::Add(std::string_view file, std::string_view text) {
  Section* current = nullptr;
  std::vector<std::pair<std::string, int>> added;
  int number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = Trim(text.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[' && line.back() == ']') {
      std::string_view name = line.substr(1, line.size() - 2);
      const bool shared = !name.empty() && name.front() == '~';
      if (shared) name.remove_prefix(1);
      const auto [it, fresh] = sections_.try_emplace(std::string(name));
      if (!fresh) return Corrupt(file, number, fmt::format("section '{}' a second time", name));
      current = &it->second;
      current->shared = shared;
      added.emplace_back(name, number);
      continue;
    }
    if (current == nullptr) return Corrupt(file, number, "a line before the first [section]");
    if (!Balanced(line)) return Corrupt(file, number, fmt::format("unbalanced brackets: {}", line));
    current->lines.emplace_back(line);
  }
  for (const auto& [name, at] : added) {
    const Section& section = sections_.find(name)->second;
    const std::size_t least = section.shared ? 1 : kLeastLines;
    if (section.lines.size() < least) {
      return Corrupt(file, at,
                     fmt::format("section '{}' has {} lines, expected at least {}", name,
                                 section.lines.size(), least));
    }
  }
  return Ok();
}

Status PhraseBook::CheckReferences() const {
  for (const auto& [name, section] : sections_) {
    for (const std::string& line : section.lines) {
      for (std::size_t at = line.find('<'); at != std::string::npos; at = line.find('<', at + 1)) {
        const std::string target = line.substr(at + 1, line.find('>', at) - at - 1);
        if (!Has(target)) {
          return Error(ErrorCode::kDataCorrupt,
                       fmt::format("section '{}' refers to <{}>, which does not exist: {}", name,
                                   target, line));
        }
      }
    }
  }
  return Ok();
}

const PhraseBook& PhraseBook::Ours() {
  static const PhraseBook book = [] {
    PhraseBook built;
    for (const EmbeddedFile& file : EmbeddedFiles()) {
      if (file.name.substr(0, 5) != "data/") continue;
      const Status added = built.Add(file.name, file.text);
      METIER_CHECK(added.ok(), added.error().message().c_str());
    }
    const Status linked = built.CheckReferences();
    METIER_CHECK(linked.ok(), linked.error().message().c_str());
    return built;
  }();
  return book;
}

bool PhraseBook::Has(std::string_view section) const {
  return sections_.find(section) != sections_.end();
}

const PhraseBook::Section& PhraseBook::Get(std::string_view section) const {
  const auto it = sections_.find(section);
  METIER_CHECK(it != sections_.end(), std::string(section).c_str());
  return it->second;
}

std::vector<std::string_view> PhraseBook::Lines(std::string_view section, Split split) const {
  const Section& found = Get(section);
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < found.lines.size(); ++i) {
    if (found.shared || SplitOfLine(i) == split) out.push_back(found.lines[i]);
  }
  return out;
}

struct PhraseBook::Expansion {
  Split split;
  const Slots& slots;
  Rng& rng;
  std::vector<Piece> pieces;

  void Append(std::string_view text, bool fixed) {
    if (text.empty()) return;
    if (!pieces.empty() && !pieces.back().fixed && !fixed) {
      pieces.back().text += text;
    } else {
      pieces.push_back({std::string(text), fixed});
    }
  }
};

void PhraseBook::Expand(std::string_view text, Expansion& out) const {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t next = std::min(text.find_first_of("({<", at), text.size());
    out.Append(text.substr(at, next - at), false);
    if (next == text.size()) return;
    if (text[next] == '(') {
      const std::size_t close = CloseOf(text, next);
      const std::vector<std::string_view> options =
          Alternatives(text.substr(next + 1, close - next - 1));
      Expand(options[out.rng.Below(options.size())], out);
      at = close + 1;
    } else if (text[next] == '{') {
      const std::size_t close = text.find('}', next);
      const std::string_view name = text.substr(next + 1, close - next - 1);
      const auto it = out.slots.find(name);
      METIER_CHECK(it != out.slots.end(), ("no slot for: " + std::string(text)).c_str());
      out.Append(it->second, true);
      at = close + 1;
    } else {
      const std::size_t close = text.find('>', next);
      const std::vector<std::string_view> lines =
          Lines(text.substr(next + 1, close - next - 1), out.split);
      Expand(lines[out.rng.Below(lines.size())], out);
      at = close + 1;
    }
  }
}

Phrase PhraseBook::Pick(std::string_view section, Split split, const Slots& slots, Rng& rng) const {
  const Section& found = Get(section);
  std::size_t index = rng.Below(found.lines.size());
  while (!found.shared && SplitOfLine(index) != split) index = rng.Below(found.lines.size());
  Expansion out{split, slots, rng, {}};
  Expand(found.lines[index], out);
  return {std::move(out.pieces), fmt::format("{}#{}", section, index)};
}

std::vector<std::string> PhraseBook::SectionNames() const {
  std::vector<std::string> out;
  for (const auto& [name, section] : sections_) out.push_back(name);
  return out;
}

}  // namespace metier::retail
