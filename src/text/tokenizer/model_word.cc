#include "text/tokenizer/model_word.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

std::int64_t CountChars(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

WordPieceModel::WordPieceModel(Vocab vocab, WordPieceOptions options, TokenId unk)
    : Model(std::move(vocab)), options_(std::move(options)), unk_(unk) {}

Result<std::unique_ptr<WordPieceModel>> WordPieceModel::Create(Vocab vocab,
                                                               WordPieceOptions options) {
  const TokenId unk = vocab.Find(options.unk_token);
  if (unk < 0) {
    return Error(
        ErrorCode::kDataCorrupt,
        fmt::format("WordPiece: unk_token '{}' is not in the vocabulary", options.unk_token));
  }
  return std::unique_ptr<WordPieceModel>(
      new WordPieceModel(std::move(vocab), std::move(options), unk));
}

void WordPieceModel::EncodeWord(std::string_view word, Scratch&, std::vector<TokenId>& out) const {
  if (options_.max_chars >= 0 && CountChars(word) > options_.max_chars) {
    out.push_back(unk_);
    return;
  }
  const std::size_t first = out.size();
  const std::string whole = options_.word_prefix + std::string(word);
  std::string piece;
  for (std::size_t begin = 0; begin < whole.size();) {
    const std::string_view prefix =
        begin > 0 ? std::string_view(options_.continuing_prefix) : std::string_view();
    // No token is longer than the longest, so a longer piece need not be tried.
    std::size_t bytes =
        std::min(whole.size() - begin,
                 vocab_.longest_bytes() - std::min(vocab_.longest_bytes(), prefix.size()));
    const auto at_char = [&](std::size_t end) {
      return end == whole.size() || (static_cast<unsigned char>(whole[end]) & 0xC0) != 0x80;
    };
    TokenId found = -1;
    piece.assign(prefix).append(whole, begin, bytes);
    for (; bytes > 0; --bytes) {
      if (!at_char(begin + bytes)) continue;
      piece.resize(prefix.size() + bytes);
      found = vocab_.Find(piece);
      if (found >= 0) break;
    }
    if (found < 0) {  // one piece unknown: the whole word is
      out.resize(first);
      out.push_back(unk_);
      return;
    }
    out.push_back(found);
    begin += bytes;
  }
}

WordLevelModel::WordLevelModel(Vocab vocab, std::string_view unk_token)
    : Model(std::move(vocab)), unk_(vocab_.Find(unk_token)) {}

void WordLevelModel::EncodeWord(std::string_view word, Scratch& scratch,
                                std::vector<TokenId>& out) const {
  TokenId id = vocab_.Find(word);
  if (id < 0) id = unk_;
  if (id < 0) {
    return scratch.Fail(Error(ErrorCode::kInvalidArgument,
                              fmt::format("WordLevel: '{}' is not in the vocabulary, and it has no "
                                          "unknown token",
                                          word)));
  }
  out.push_back(id);
}

}  // namespace metier::text
