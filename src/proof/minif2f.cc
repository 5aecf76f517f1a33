#include "proof/minif2f.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/utf8.h"

namespace metier::proof {
namespace {

constexpr std::string_view kSpaces = " \t\r\n\f";

// The words of a text with the white space in front of each.
struct SpacedWord {
  std::string_view space;
  std::string_view word;
};

std::vector<SpacedWord> SpacedWords(std::string_view text) {
  std::vector<SpacedWord> words;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find_first_not_of(kSpaces), text.size());
    const std::size_t end = std::min(text.find_first_of(kSpaces, begin), text.size());
    words.push_back({text.substr(0, begin), text.substr(begin, end - begin)});
    text.remove_prefix(end);
  }
  return words;
}

Error NoMinif2f(std::string_view found) {
  return {ErrorCode::kDataCorrupt,
          fmt::format("miniF2F theorem: found '{}', expected a block of $e and $p, or one comment "
                      "that holds such a block with @ for $",
                      Excerpt(found))};
}

// Which of its meanings a `$@` has.
class CommentedTheorem {
 public:
  std::optional<std::string> Translate(std::string_view word) {
    const bool keyword = word.size() == 2 && word[0] == '@';
    if (keyword && word[1] == '(') in_comment_ = true;
    if (keyword && word[1] == ')') in_comment_ = false;
    if (word == "$@") return Ending();
    if (word.find('$') != std::string_view::npos) return std::nullopt;
    if (!keyword || (in_comment_ && word[1] != '(')) return std::string(word);
    if (word[1] == 'd' || word[1] == 'e' || word[1] == 'f' || word[1] == 'p') in_statement_ = true;
    if (word[1] == '.') in_statement_ = false;
    return fmt::format("${}", word[1]);
  }

 private:
  std::string Ending() {
    if (in_statement_) {
      in_statement_ = false;
      return "$.";
    }
    in_comment_ = !in_comment_;
    return in_comment_ ? "$(" : "$)";
  }

  bool in_statement_ = false;
  bool in_comment_ = false;
};

}  // namespace

Result<std::string> Minif2fTheorem(std::string_view file) {
  const std::vector<SpacedWord> words = SpacedWords(file);
  const auto first =
      std::find_if(words.begin(), words.end(), [](const auto& word) { return !word.word.empty(); });
  if (first == words.end()) return NoMinif2f("an empty text");
  if (first->word == "${") return std::string(file);
  if (first->word != "$(") return NoMinif2f(first->word);
  CommentedTheorem translation;
  std::string text;
  bool ended = false;
  for (auto word = first + 1; word != words.end(); ++word) {
    if (ended && !word->word.empty()) return NoMinif2f(word->word);
    text += word->space;
    if (ended || word->word == "$)") {
      ended = true;
      continue;
    }
    const auto translated = translation.Translate(word->word);
    if (!translated) return NoMinif2f(word->word);
    text += *translated;
  }
  if (!ended) return NoMinif2f("no end of the comment");
  return text;
}

}  // namespace metier::proof
