#include "cli/edit_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "data/lines.h"
#include "format/token_file.h"
#include "recipe/fields.h"

namespace metier::cli {
namespace {

using text::TokenId;

constexpr char kSubjectPlace[] = "{}";

struct FactRow {
  std::string prompt;
  std::string subject;
  std::string target;
  std::int64_t layer = -1;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("prompt", prompt, "ends where the target follows").Required();
    field("subject", subject, "what the fact is about, as it stands in the prompt").Required();
    field("target", target, "with its space in front").Required();
    field("layer", layer, "where to write it").AtLeast(0);
  }
};

struct KeepRow {
  std::string prompt;
  std::string answer;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("prompt", prompt, "").Required();
    field("answer", answer, "with its space in front");
  }
};

struct TextRow {
  std::string text;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("text", text, "").Required();
  }
};

// Each row of a JSONL file; empty lines are none. `take` gives false where it has enough.
template <class Row>
Status ForRows(const std::string& path,
               const std::function<Result<bool>(const Row& row, const Json& document)>& take) {
  METIER_ASSIGN(data::LineReader lines, data::LineReader::Open(path, Limits().max_string_bytes));
  std::string line;
  while (true) {
    METIER_ASSIGN(const bool more, lines.Next(line));
    if (!more) return Ok();
    if (line.empty()) continue;
    const auto read = [&]() -> Result<bool> {
      METIER_ASSIGN(const Json document, ParseJson(line));
      Row row;
      METIER_TRY(recipe::ReadFields(document, "row", row));
      return take(row, document);
    };
    auto goes_on = read();
    if (!goes_on.ok()) {
      return std::move(goes_on).error().With(
          fmt::format("'{}' line {}", path, lines.line_number()));
    }
    if (!*goes_on) return Ok();
  }
}

Error BadRow(std::string why) { return Error(ErrorCode::kDataCorrupt, std::move(why)); }

std::size_t CountOf(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Ids that are not empty.
Result<std::vector<TokenId>> EncodeSome(const text::Tokenizer& tokenizer, const std::string& text,
                                        const std::string& what, text::Follows follows) {
  METIER_ASSIGN(std::vector<TokenId> ids, tokenizer.Encode(text, {.follows = follows}));
  if (ids.empty())
    return BadRow(fmt::format("\"{}\": found \"{}\", which has no token", what, text));
  return ids;
}

// The token that completes the last occurrence of the subject: what is decoded up to it holds the
// subject as often as all of the prompt does.
Result<std::int64_t> SubjectPlace(const text::Tokenizer& tokenizer, const std::string& prompt,
                                  const std::vector<TokenId>& ids, const std::string& subject) {
  const std::size_t times = subject.empty() ? 0 : CountOf(prompt, subject);
  if (times == 0) {
    return BadRow(fmt::format("\"subject\": found \"{}\", expected a part of the prompt \"{}\"",
                              subject, prompt));
  }
  for (std::size_t n = 1; n <= ids.size(); ++n) {
    METIER_ASSIGN(const std::string shown, tokenizer.Decode(std::span(ids).first(n)));
    if (CountOf(shown, subject) == times) return static_cast<std::int64_t>(n) - 1;
  }
  return BadRow(fmt::format(
      "\"subject\": \"{}\" is not in what the tokenizer makes of the prompt \"{}\"; write "
      "it as the tokenizer does",
      subject, prompt));
}

Result<Json> FactOfRow(const FactRow& row, const text::Tokenizer& tokenizer,
                       const std::string& essence) {
  METIER_ASSIGN(const auto prompt,
                EncodeSome(tokenizer, row.prompt, "prompt", text::Follows::kNothing));
  METIER_ASSIGN(const auto target,
                EncodeSome(tokenizer, row.target, "target", text::Follows::kText));
  METIER_ASSIGN(const std::int64_t subject,
                SubjectPlace(tokenizer, row.prompt, prompt, row.subject));
  std::string says = essence;
  says.replace(says.find(kSubjectPlace), 2, row.subject);
  METIER_ASSIGN(const auto about, EncodeSome(tokenizer, says, "subject", text::Follows::kNothing));
  METIER_ASSIGN(const std::int64_t about_subject,
                SubjectPlace(tokenizer, says, about, row.subject));
  return Json{{"prompt", prompt},
              {"subject", subject},
              {"target", target},
              {"essence", about},
              {"essence_subject", about_subject},
              {"layer", row.layer}};
}

Result<Json> TokenFileTexts(const std::string& path, std::int64_t most_tokens) {
  METIER_ASSIGN(const format::TokenFile file, format::TokenFile::Open(path));
  Json texts = Json::array();
  std::int64_t tokens = 0;
  for (std::int64_t i = 0; i < file.examples() && tokens < most_tokens; ++i) {
    const auto ids = file.Ids(i);
    texts.push_back(std::vector<TokenId>(ids.begin(), ids.end()));
    tokens += static_cast<std::int64_t>(ids.size());
  }
  return texts;
}

}  // namespace

Result<Json> BeginningOf(const text::Tokenizer& tokenizer) {
  const std::string sample = "a";
  METIER_ASSIGN(const std::vector<TokenId> plain, tokenizer.Encode(sample));
  METIER_ASSIGN(const std::vector<TokenId> with,
                tokenizer.Encode(sample, {.add_special = text::AddSpecial::kYes}));
  const auto at = std::search(with.begin(), with.end(), plain.begin(), plain.end());
  return Json(std::vector<TokenId>(with.begin(), at == with.end() ? with.begin() : at));
}

Result<FactFile> ReadFactFile(const std::string& path, const text::Tokenizer& tokenizer,
                              const std::string& essence) {
  if (CountOf(essence, kSubjectPlace) != 1) {
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format("--essence: found \"{}\", expected a text with one {} where the subject "
                    "goes",
                    essence, kSubjectPlace));
  }
  FactFile file{Json::array(), Json::array()};
  METIER_TRY(ForRows<FactRow>(path, [&](const FactRow& row, const Json& document) -> Result<bool> {
    METIER_ASSIGN(Json fact, FactOfRow(row, tokenizer, essence));
    file.facts.push_back(std::move(fact));
    file.rows.push_back(document);
    return true;
  }));
  if (file.facts.empty())
    return Error(ErrorCode::kInvalidArgument, fmt::format("'{}': no fact in it", path));
  return file;
}

Result<Json> ReadKeepFile(const std::string& path, const text::Tokenizer& tokenizer) {
  Json keep = Json::array();
  METIER_TRY(ForRows<KeepRow>(path, [&](const KeepRow& row, const Json&) -> Result<bool> {
    METIER_ASSIGN(const auto prompt,
                  EncodeSome(tokenizer, row.prompt, "prompt", text::Follows::kNothing));
    std::vector<TokenId> answer;
    if (!row.answer.empty()) {
      METIER_ASSIGN(answer, EncodeSome(tokenizer, row.answer, "answer", text::Follows::kText));
    }
    keep.push_back({{"prompt", prompt}, {"answer", answer}});
    return true;
  }));
  return keep;
}

Result<Json> ReadEditTexts(const std::string& path, const text::Tokenizer& tokenizer,
                           std::int64_t most_tokens) {
  if (path.ends_with(".safetensors")) return TokenFileTexts(path, most_tokens);
  Json texts = Json::array();
  std::int64_t tokens = 0;
  METIER_TRY(ForRows<TextRow>(path, [&](const TextRow& row, const Json&) -> Result<bool> {
    METIER_ASSIGN(const std::vector<TokenId> ids, tokenizer.Encode(row.text));
    tokens += static_cast<std::int64_t>(ids.size());
    texts.push_back(ids);
    return tokens < most_tokens;
  }));
  return texts;
}

}  // namespace metier::cli
