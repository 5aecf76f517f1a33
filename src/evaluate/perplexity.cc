#include "evaluate/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/file.h"

namespace metier::evaluate {
namespace {

using text::TokenId;

Result<std::string> TextOfRow(const std::string& line, const std::string& place) {
  auto row = ParseJson(line);
  if (!row.ok()) return std::move(row).error().With(place);
  if (!row->is_object() || !row->contains("text") || !(*row)["text"].is_string()) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("{}: expected an object with a \"text\" field", place));
  }
  return (*row)["text"].get<std::string>();
}

Result<std::vector<std::string>> ReadDocuments(const PerplexityOptions& options) {
  constexpr std::uint64_t kMostBytes = 4ULL << 30;
  METIER_ASSIGN(std::string text, ReadFile(options.file, kMostBytes));
  const bool jsonl = options.file.ends_with(".jsonl");
  std::vector<std::string> documents;
  if (!jsonl && options.documents == "whole") {
    documents.push_back(std::move(text));
    return documents;
  }
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.empty()) continue;
    if (jsonl) {
      METIER_ASSIGN(line, TextOfRow(line, fmt::format("'{}' line {}", options.file, number)));
    }
    documents.push_back(std::move(line));
  }
  return documents;
}

std::int64_t CountWords(std::string_view text) {
  std::int64_t fields = 1;
  bool space = false;
  for (const char c : text) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    if (is_space && !space) ++fields;
    space = is_space;
  }
  return fields;
}

// Fills in what the options leave to the model and tokenizer.
Result<PerplexityResult> Resolve(const LanguageModel& model, const text::Tokenizer& tokenizer,
                                 const PerplexityOptions& options) {
  PerplexityResult result;
  result.window = options.window == 0 ? model.MaxTokens() : options.window;
  result.stride =
      options.stride == 0 ? std::max<std::int64_t>(1, result.window / 2) : options.stride;
  if (options.scoring == "halves") result.stride = result.window;
  if (result.window < 2 || result.window > model.MaxTokens()) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("window: found {}, expected 2 to {}, what the model takes",
                             result.window, model.MaxTokens()));
  }
  if (result.stride > result.window) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("stride {} is larger than the window {}: tokens would never be scored",
                             result.stride, result.window));
  }
  result.bos = options.bos;
  const TokenId bos = tokenizer.special().bos;
  if (result.bos == "auto") {
    METIER_ASSIGN(const auto with, tokenizer.Encode("a", {.add_special = text::AddSpecial::kYes}));
    result.bos = bos >= 0 && !with.empty() && with.front() == bos ? "first" : "none";
  }
  if (result.bos != "none" && bos < 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("bos: {}: the tokenizer has no BOS token", result.bos));
  }
  return result;
}

// A document as the model sees it.
struct Scored {
  std::vector<TokenId> tokens;
  std::vector<Window> windows;
};

// Adds a window's tokens to the result. replace_first: token to put over the first; -1: none.
Status ScoreWindow(LanguageModel& model, const std::vector<TokenId>& tokens, const Window& window,
                   TokenId replace_first, PerplexityResult& result) {
  std::vector<TokenId> part(tokens.begin() + static_cast<std::ptrdiff_t>(window.begin),
                            tokens.begin() + static_cast<std::ptrdiff_t>(window.end));
  if (replace_first >= 0) part.front() = replace_first;
  const std::size_t first = std::max<std::size_t>(1, window.score - window.begin);
  if (first >= part.size()) return Ok();
  METIER_ASSIGN(const auto log_probs, model.LogProbs(part, first));
  for (const double log_prob : log_probs) result.nll -= log_prob;
  result.scored_tokens += static_cast<std::int64_t>(log_probs.size());
  ++result.windows;
  return Ok();
}

}  // namespace

std::vector<Window> SlidingWindows(std::size_t tokens, std::size_t window, std::size_t stride) {
  std::vector<Window> windows;
  std::size_t scored = 0;
  for (std::size_t begin = 0; scored < tokens; begin += stride) {
    const std::size_t end = std::min(tokens, begin + window);
    windows.push_back({begin, end, scored});
    scored = end;
  }
  return windows;
}

std::vector<Window> HalfWindows(std::size_t tokens, std::size_t window) {
  std::vector<Window> windows;
  // The prediction made at position window / 2 is the first that counts: it is of the token after
  // it.
  for (std::size_t begin = 0; begin + window <= tokens; begin += window) {
    windows.push_back({begin, begin + window, begin + window / 2 + 1});
  }
  return windows;
}

double PerplexityResult::TokenPerplexity() const {
  return std::exp(nll / static_cast<double>(scored_tokens));
}
double PerplexityResult::WordPerplexity() const {
  return std::exp(nll / static_cast<double>(words));
}
double PerplexityResult::BitsPerByte() const {
  return nll / (std::log(2.0) * static_cast<double>(bytes));
}

Json PerplexityResult::ToJson() const {
  Json json = {{"perplexity", TokenPerplexity()},
               {"nll", nll},
               {"scored_tokens", scored_tokens},
               {"tokens", tokens},
               {"documents", documents},
               {"windows", windows},
               {"window", window},
               {"stride", stride},
               {"bos", bos}};
  if (words > 0) {
    json["word_perplexity"] = WordPerplexity();
    json["byte_perplexity"] = std::exp2(BitsPerByte());
    json["bits_per_byte"] = BitsPerByte();
    json["words"] = words;
    json["bytes"] = bytes;
  }
  return json;
}

Result<PerplexityResult> MeasurePerplexity(LanguageModel& model, const text::Tokenizer& tokenizer,
                                           const PerplexityOptions& options,
                                           const OnProgress& on_window) {
  METIER_ASSIGN(PerplexityResult result, Resolve(model, tokenizer, options));
  METIER_ASSIGN(const auto documents, ReadDocuments(options));
  const TokenId bos = tokenizer.special().bos;
  const bool halves = options.scoring == "halves";
  const auto window = static_cast<std::size_t>(result.window);

  std::vector<Scored> all;
  std::size_t windows = 0;
  for (const std::string& document : documents) {
    METIER_ASSIGN(auto tokens, tokenizer.Encode(document));
    result.tokens += static_cast<std::int64_t>(tokens.size());
    // "halves" replaces a first token that must exist: the BOS that the program of that definition
    // puts there.
    if (result.bos == "first" || (halves && result.bos == "replace"))
      tokens.insert(tokens.begin(), bos);
    if (!halves) {
      result.words += CountWords(document);
      result.bytes += static_cast<std::int64_t>(document.size());
    }
    ++result.documents;
    auto cut = halves
                   ? HalfWindows(tokens.size(), window)
                   : SlidingWindows(tokens.size(), window, static_cast<std::size_t>(result.stride));
    windows += cut.size();
    all.push_back({std::move(tokens), std::move(cut)});
  }
  const TokenId replacement = result.bos == "replace" ? bos : -1;
  std::size_t done = 0;
  for (const Scored& document : all) {
    for (const Window& one : document.windows) {
      METIER_TRY(ScoreWindow(model, document.tokens, one, replacement, result));
      METIER_TRY(
          Report(on_window, ++done, windows, fmt::format("ppl {:.4f}", result.TokenPerplexity())));
    }
  }
  if (result.scored_tokens == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("'{}': {} tokens are too few to score one with a window of {}",
                             options.file, result.tokens, result.window));
  }
  return result;
}

}  // namespace metier::evaluate
