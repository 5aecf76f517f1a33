// metier tokenize: text to token ids and back, as the model's own tokenizer does it.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/verbs/verbs.h"
#include "specialist/runnable.h"
#include "text/tokenizer.h"

namespace metier::cli {
namespace {

struct TokenizeOptions {
  std::string model;
  std::string text;
  std::string file;
  bool add_special = false;
  bool parse_special = false;
  bool decode = false;
  bool pieces = false;

  template <class Visitor>
  void Visit(Visitor&& field) {
    field("MODEL", model, "model directory, specialist or .gguf file").Required();
    field("TEXT", text, "what to tokenize; without it --file, or standard input");
    field("file", file, "read the text from this file, byte for byte; -: standard input");
    field("add-special", add_special,
          "put the tokenizer's own BOS, EOS, [CLS] ... around the text");
    field("parse-special", parse_special,
          "let the spelling of a control token (<|im_start|>) be that token");
    field("decode", decode, "the other way: the input is a JSON list of ids, or ids and spaces");
    field("pieces", pieces, "print each token's spelling with its id");
  }
};

constexpr std::uint64_t kMostTextBytes = 1ULL << 30;

Result<std::string> ReadInput(const TokenizeOptions& options, Console& console) {
  if (!options.text.empty() && !options.file.empty()) {
    return Error(ErrorCode::kInvalidArgument, "found both TEXT and --file, expected one of them");
  }
  if (!options.text.empty()) return options.text;
  if (options.file.empty() || options.file == "-") return console.ReadAll(kMostTextBytes);
  return ReadFile(options.file, kMostTextBytes);
}

// "[1, 2]" or "1 2".
Result<std::vector<text::TokenId>> ReadIds(std::string input) {
  if (input.find('[') == std::string::npos) {
    std::string list;
    for (std::size_t begin = 0; begin < input.size();) {
      const std::size_t end = std::min(input.find_first_of(" \t\r\n,", begin), input.size());
      if (end > begin) list += (list.empty() ? "" : ",") + input.substr(begin, end - begin);
      begin = end + 1;
    }
    input = "[" + list + "]";
  }
  METIER_ASSIGN(const Json document, ParseJson(input));
  std::vector<std::int64_t> wide;
  METIER_TRY(
      recipe::ReadValue(document, "ids", recipe::Constraint().AtLeast(0).AtMost(INT32_MAX), wide));
  return std::vector<text::TokenId>(wide.begin(), wide.end());
}

Result<Outcome> Decode(const text::Tokenizer& tokenizer, std::string input, Console& console) {
  METIER_ASSIGN(const std::vector<text::TokenId> ids, ReadIds(std::move(input)));
  METIER_ASSIGN(const std::string text, tokenizer.Decode(ids, text::Tokenizer::SkipSpecial::kNo));
  if (console.json()) {
    console.PrintJson({{"ids", ids}, {"text", text}});
  } else {
    console.Print(text);
  }
  return Outcome::kSuccess;
}

Result<Outcome> Tokenize(const TokenizeOptions& options, Console& console) {
  METIER_ASSIGN(std::string input, ReadInput(options, console));
  METIER_ASSIGN(const text::Tokenizer tokenizer, specialist::OpenTokenizer(options.model));
  if (options.decode) return Decode(tokenizer, std::move(input), console);
  const text::EncodeOptions how = {
      .add_special = options.add_special ? text::AddSpecial::kYes : text::AddSpecial::kNo,
      .parse_special = options.parse_special ? text::ParseSpecial::kYes : text::ParseSpecial::kNo};
  METIER_ASSIGN(const std::vector<text::TokenId> ids, tokenizer.Encode(input, how));
  Json pieces = Json::array();
  std::string text;
  for (const text::TokenId id : ids) {
    const std::string_view name = tokenizer.TokenName(id);
    if (options.pieces) {
      pieces.push_back(name);
      text += fmt::format("{:>8}  {}\n", id, name);
    } else {
      text += fmt::format("{}{}", text.empty() ? "" : " ", id);
    }
  }
  if (console.json()) {
    Json document = {{"ids", ids}, {"count", ids.size()}};
    if (options.pieces) document["pieces"] = std::move(pieces);
    console.PrintJson(document);
  } else {
    console.Print(options.pieces ? text : text + "\n");
  }
  return Outcome::kSuccess;
}

}  // namespace

constinit const Verb kTokenizeVerb = MakeVerb<TokenizeOptions, Tokenize>(
    "tokenize", "text to token ids and back",
    "metier tokenize model.gguf \"Once upon a time\" --pieces\n"
    "metier tokenize models/Qwen2.5-0.5B-Instruct --file prompt.txt --json\n"
    "metier tokenize model.gguf --decode \"[1, 403, 407]\"");

}  // namespace metier::cli
