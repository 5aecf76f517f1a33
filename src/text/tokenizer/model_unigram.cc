#include "text/tokenizer/model_unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

constexpr double kUnknownPenalty = 10.0;  // SentencePiece's kUnkPenalty
constexpr std::uint32_t kUnreached = ~0U;

}  // namespace

UnigramModel::UnigramModel(Vocab vocab, std::vector<double> scores, UnigramOptions options)
    : Model(std::move(vocab)), scores_(std::move(scores)), options_(std::move(options)) {
  double lowest = std::numeric_limits<double>::infinity();
  for (TokenId id = 0; id < vocab_.size(); ++id) {
    const auto at = static_cast<std::size_t>(id);
    if (options_.scored.empty() || options_.scored[at]) lowest = std::min(lowest, scores_[at]);
    const bool matchable = options_.matchable.empty() || options_.matchable[at];
    if (matchable && !vocab_.Name(id).empty()) trie_.Insert(vocab_.Name(id), id);
  }
  unk_score_ = (std::isfinite(lowest) ? lowest : 0.0) - kUnknownPenalty;
}

Result<std::unique_ptr<UnigramModel>> UnigramModel::Create(Vocab vocab, std::vector<double> scores,
                                                           UnigramOptions options) {
  const std::int64_t size = vocab.size();
  if (static_cast<std::int64_t>(scores.size()) != size) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("Unigram: {} scores for {} tokens", scores.size(), size));
  }
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isfinite(scores[i])) continue;
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("Unigram: the score of token {} is not a finite number", i));
  }
  if (options.unk >= size) {
    return Error(ErrorCode::kDataCorrupt,
                 fmt::format("Unigram: unk_id {} is outside of the {} tokens", options.unk, size));
  }
  return std::unique_ptr<UnigramModel>(
      new UnigramModel(std::move(vocab), std::move(scores), std::move(options)));
}

void UnigramModel::EncodeWord(std::string_view word, Scratch& scratch,
                              std::vector<TokenId>& out) const {
  if (word.size() >= kUnreached) {
    return scratch.Fail(
        Error(ErrorCode::kResourceExhausted,
              fmt::format("a text of {} bytes, limit {}", word.size(), kUnreached)));
  }
  const auto size = static_cast<std::uint32_t>(word.size());
  auto& paths = scratch.paths;  // paths[i]: the best way to end at byte i
  paths.assign(size + std::size_t{1}, {0.0, kUnreached, -1});
  const auto offer = [&](std::size_t end, std::uint32_t begin, TokenId id, double score) {
    Scratch::BestPath& path = paths[end];
    if (path.begin == kUnreached || score > path.score) path = {score, begin, id};
  };
  for (std::uint32_t begin = 0; begin < size;) {
    const double here = paths[begin].score;
    const std::uint32_t char_end = begin + DecodeChar(word, begin).bytes;
    bool single = false;
    std::uint32_t node = Trie::kRoot;
    for (std::uint32_t end = begin; end < size;) {
      node = trie_.Step(node, word[end]);
      if (node == Trie::kNowhere) break;
      ++end;
      const TokenId id = trie_.Value(node);
      if (id < 0) continue;
      offer(end, begin, id, here + scores_[static_cast<std::size_t>(id)]);
      single = single || end == char_end;
    }
    if (!single) offer(char_end, begin, options_.unk, here + unk_score_);
    begin = char_end;
  }
  const std::size_t first = out.size();
  std::vector<TokenId> unknown;
  for (std::uint32_t end = size; end > 0;) {
    std::uint32_t begin = paths[end].begin;
    if (paths[end].id != options_.unk) {
      out.push_back(paths[end].id);
    } else {
      while (begin > 0 && paths[begin].id == options_.unk) begin = paths[begin].begin;
      unknown.clear();
      EmitUnknown(word.substr(begin, end - begin), scratch, unknown);
      out.insert(out.end(), unknown.rbegin(), unknown.rend());
    }
    end = begin;
  }
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
}

void UnigramModel::EmitUnknown(std::string_view text, Scratch& scratch,
                               std::vector<TokenId>& out) const {
  if (const TokenId whole = vocab_.Find(text); whole >= 0) {
    out.push_back(whole);  // the library looks the joined characters up again
    return;
  }
  if (options_.byte_fallback) {
    std::vector<TokenId> bytes;
    for (const char c : text) {
      const TokenId id = vocab_.Find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(c)));
      if (id >= 0) bytes.push_back(id);
    }
    if (bytes.size() == text.size()) {
      out.insert(out.end(), bytes.begin(), bytes.end());
      return;
    }
  }
  if (options_.unk < 0) {
    return scratch.Fail(Error(ErrorCode::kInvalidArgument,
                              fmt::format("'{}' is not in the vocabulary, and it has no unknown "
                                          "token",
                                          text)));
  }
  out.push_back(options_.unk);
}

}  // namespace metier::text
