#include "text/tokenizer/model_bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

// Up to here scanning for the lowest rank beats a heap (measured with Llama 3's vocabulary).
constexpr std::size_t kShortWord = 48;
constexpr std::uint32_t kNoSymbol = ~0U;

std::string ByteToken(unsigned char byte) { return fmt::format("<0x{:02X}>", byte); }

std::uint64_t PackMerge(std::uint64_t rank, TokenId joined) {
  return (rank << 32) | static_cast<std::uint32_t>(joined);
}

}  // namespace

BpeModel::BpeModel(Vocab vocab, BpeOptions options)
    : Model(std::move(vocab)), options_(std::move(options)) {}

Status BpeModel::FindSingles() {
  all_bytes_ = true;
  for (int byte = 0; byte < 256; ++byte) {
    const auto b = static_cast<unsigned char>(byte);
    byte_ids_[b] = vocab_.Find(options_.byte_level ? std::string(ByteToAlphabet(b)) : ByteToken(b));
    all_bytes_ = all_bytes_ && byte_ids_[b] >= 0;
  }
  for (int code = 0; code < 128; ++code) {
    const char c = static_cast<char>(code);
    ascii_ids_[static_cast<std::size_t>(code)] = vocab_.Find(std::string_view(&c, 1));
  }
  if (options_.unk_token.empty()) return Ok();
  unk_ = vocab_.Find(options_.unk_token);
  if (unk_ >= 0) return Ok();
  return Error(ErrorCode::kDataCorrupt,
               fmt::format("BPE: unk_token '{}' is not in the vocabulary", options_.unk_token));
}

void BpeModel::AllowJoin(std::uint32_t left, std::uint32_t right) {
  if (left < 128 && right < 128) {
    const std::size_t bit = left * 128 + right;
    join_ascii_[bit / 64] |= 1ULL << (bit % 64);
  } else {
    join_others_.Insert(PairMap::Key(left, right), 1);
  }
}

bool BpeModel::MayJoin(std::uint32_t left, std::uint32_t right) const {
  if (left < 128 && right < 128) {
    const std::size_t bit = left * 128 + right;
    return ((join_ascii_[bit / 64] >> (bit % 64)) & 1) != 0;
  }
  return join_others_.Find(PairMap::Key(left, right)) != PairMap::kAbsent;
}

Result<std::unique_ptr<BpeModel>> BpeModel::FromMerges(Vocab vocab, const Merges& merges,
                                                       BpeOptions options) {
  std::unique_ptr<BpeModel> model(new BpeModel(std::move(vocab), std::move(options)));
  METIER_TRY(model->FindSingles());
  const BpeOptions& set = model->options_;
  const std::string& prefix = set.continuing_subword_prefix;
  // Cutting needs that a join depends on the two characters alone: no unknown runs, no first and
  // last characters that differ, no whole words.
  bool cut = !set.byte_level && !set.ignore_merges && prefix.empty() &&
             set.end_of_word_suffix.empty() &&
             (!set.fuse_unk || (set.byte_fallback && model->all_bytes_));
  std::unordered_set<TokenId> bytes;
  if (set.byte_fallback) bytes.insert(model->byte_ids_.begin(), model->byte_ids_.end());
  model->merges_.Reserve(merges.size());
  std::string joined;
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const TokenId left_id = model->vocab_.Find(left);
    const TokenId right_id = model->vocab_.Find(right);
    const bool prefixed = right.size() >= prefix.size();
    joined.assign(left).append(right, prefixed ? prefix.size() : 0);
    const TokenId joined_id = model->vocab_.Find(joined);
    if (left_id < 0 || right_id < 0 || joined_id < 0 || !prefixed) {
      const std::string_view missing = left_id < 0    ? std::string_view(left)
                                       : right_id < 0 ? std::string_view(right)
                                                      : std::string_view(joined);
      return Error(
          ErrorCode::kDataCorrupt,
          fmt::format("BPE: merge {} ('{}' '{}') needs the token '{}', which is not in the "
                      "vocabulary",
                      rank, left, right, missing));
    }
    // A pair that stands twice keeps its later rank, as in the library.
    const std::uint64_t key =
        PairMap::Key(static_cast<std::uint32_t>(left_id), static_cast<std::uint32_t>(right_id));
    model->merges_.Set(key, PackMerge(rank, joined_id));
    if (!cut) continue;
    if (left.empty() || right.empty() || bytes.count(left_id) > 0 || bytes.count(right_id) > 0) {
      cut = false;
    } else {
      model->AllowJoin(DecodeLastChar(left).code, DecodeChar(right, 0).code);
    }
  }
  model->cut_ = cut;
  return model;
}

Result<std::unique_ptr<BpeModel>> BpeModel::FromScores(Vocab vocab,
                                                       const std::vector<float>& scores,
                                                       BpeOptions options) {
  std::unique_ptr<BpeModel> model(new BpeModel(std::move(vocab), std::move(options)));
  METIER_TRY(model->FindSingles());
  const Vocab& tokens = model->vocab_;
  // Dense ranks: the highest score first, equal scores equal.
  std::vector<float> order(scores);
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());

  std::vector<std::uint32_t> starts;
  std::vector<std::pair<std::string, TokenId>> loose;
  const auto each_char = [&](std::string_view name, const auto& visit) {
    for (std::size_t i = 0; i < name.size();) {
      const DecodedChar c = DecodeChar(name, i);
      visit(i, c);
      i += c.bytes;
    }
  };
  for (TokenId id = 0; id < tokens.size(); ++id) {
    const std::string_view name = tokens.Name(id);
    std::uint32_t last = 0;
    each_char(name, [&](std::size_t at, DecodedChar c) {
      if (at > 0) model->AllowJoin(last, c.code);
      last = c.code;
      if (tokens.Find(name.substr(at, c.bytes)) < 0) {
        model->loose_chars_.emplace_back(name.substr(at, c.bytes));
      }
    });
  }
  std::sort(model->loose_chars_.begin(), model->loose_chars_.end());
  model->loose_chars_.erase(std::unique(model->loose_chars_.begin(), model->loose_chars_.end()),
                            model->loose_chars_.end());
  for (std::size_t i = 0; i < model->loose_chars_.size(); ++i) {
    model->loose_index_.Insert(model->loose_chars_[i],
                               static_cast<TokenId>(tokens.size() + static_cast<std::int64_t>(i)));
  }
  const auto symbol = [&](std::string_view text) {
    const TokenId id = tokens.Find(text);
    return id >= 0 ? id : model->loose_index_.Find(text);
  };
  for (TokenId id = 0; id < tokens.size(); ++id) {
    const std::string_view name = tokens.Name(id);
    const auto found = std::lower_bound(order.begin(), order.end(),
                                        scores[static_cast<std::size_t>(id)], std::greater<>());
    const auto rank = static_cast<std::uint64_t>(found - order.begin());
    each_char(name, [&](std::size_t at, DecodedChar) {
      if (at == 0) return;
      const TokenId left = symbol(name.substr(0, at));
      const TokenId right = symbol(name.substr(at));
      if (left < 0 || right < 0) return;
      const std::uint64_t key =
          PairMap::Key(static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(right));
      model->merges_.Set(key, PackMerge(rank, id));
    });
  }
  model->cut_ = true;
  return model;
}

void BpeModel::Encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  if (!cut_) return EncodeCached(word, scratch, out);
  std::size_t begin = 0;
  DecodedChar last = DecodeChar(word, 0);
  for (std::size_t at = last.bytes; at < word.size();) {
    const DecodedChar c = DecodeChar(word, at);
    if (!MayJoin(last.code, c.code)) {
      EncodeCached(word.substr(begin, at - begin), scratch, out);
      begin = at;
    }
    last = c;
    at += c.bytes;
  }
  EncodeCached(word.substr(begin), scratch, out);
}

void BpeModel::EncodeWord(std::string_view word, Scratch& scratch,
                          std::vector<TokenId>& out) const {
  if (options_.ignore_merges) {
    const TokenId whole =
        options_.byte_level ? vocab_.Find(EncodeByteAlphabet(word)) : vocab_.Find(word);
    if (whole >= 0) {
      out.push_back(whole);
      return;
    }
  }
  if (word.size() >= kNoSymbol) {
    return scratch.Fail(
        Error(ErrorCode::kResourceExhausted,
              fmt::format("a word of {} bytes, limit {}", word.size(), kNoSymbol - 1)));
  }
  std::vector<std::uint32_t>& symbols = scratch.symbols;
  symbols.clear();
  AddSymbols(word, symbols);
  if (symbols.size() > kShortWord) {
    MergeLong(scratch);
  } else if (symbols.size() > 1) {
    MergeShort(scratch);
  }
  Emit(symbols, out);
}

// The id of a one-character text, a loose one included; -1: unknown.
TokenId BpeModel::CharId(std::string_view character) const {
  if (character.size() == 1 && static_cast<unsigned char>(character[0]) < 128) {
    const TokenId id = ascii_ids_[static_cast<unsigned char>(character[0])];
    if (id >= 0) return id;
  } else if (const TokenId id = vocab_.Find(character); id >= 0) {
    return id;
  }
  return loose_index_.Find(character);
}

bool BpeModel::AddBytes(std::string_view text, std::vector<std::uint32_t>& symbols) const {
  for (const char c : text) {
    if (byte_ids_[static_cast<unsigned char>(c)] < 0) return false;
  }
  for (const char c : text) {
    symbols.push_back(static_cast<std::uint32_t>(byte_ids_[static_cast<unsigned char>(c)]));
  }
  return true;
}

void BpeModel::AddSymbols(std::string_view word, std::vector<std::uint32_t>& symbols) const {
  bool fusing = false;  // the last symbol is an unknown token that takes further ones in
  const auto add_unknown = [&] {
    if (unk_ < 0 || (fusing && options_.fuse_unk)) return;
    symbols.push_back(static_cast<std::uint32_t>(unk_));
    fusing = true;
  };
  if (options_.byte_level) {
    for (const char c : word) {
      const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
      if (id < 0) {
        add_unknown();
        continue;
      }
      symbols.push_back(static_cast<std::uint32_t>(id));
      fusing = false;
    }
    return;
  }
  const bool plain =
      options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  std::string decorated;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t bytes = DecodeChar(word, at).bytes;
    std::string_view text = word.substr(at, bytes);
    if (!plain) {
      decorated.clear();
      if (at > 0) decorated += options_.continuing_subword_prefix;
      decorated += text;
      if (at + bytes == word.size()) decorated += options_.end_of_word_suffix;
      text = decorated;
    }
    at += bytes;
    if (const TokenId id = plain ? CharId(text) : vocab_.Find(text); id >= 0) {
      symbols.push_back(static_cast<std::uint32_t>(id));
      fusing = false;
    } else if (options_.byte_fallback && AddBytes(text, symbols)) {
      // The library keeps a pending unknown run open across byte tokens; ids come out in order of
      // the text here, which differs only for vocabularies with some byte tokens missing.
      fusing = false;
    } else {
      add_unknown();
    }
  }
}

void BpeModel::MergeShort(Scratch& scratch) const {
  std::vector<std::uint32_t>& symbols = scratch.symbols;
  std::vector<std::uint64_t>& merges = scratch.merges;  // of symbols i and i + 1
  std::size_t count = symbols.size();
  merges.resize(count);
  for (std::size_t i = 0; i + 1 < count; ++i) {
    merges[i] = merges_.Find(PairMap::Key(symbols[i], symbols[i + 1]));
  }
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if ((merges[i] >> 32) < (merges[best] >> 32)) best = i;
    }
    if (merges[best] == PairMap::kAbsent) break;
    symbols[best] = static_cast<std::uint32_t>(merges[best]);
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i] = merges[i + 1];
    }
    if (best > 0) merges[best - 1] = merges_.Find(PairMap::Key(symbols[best - 1], symbols[best]));
    if (best + 1 < count) {
      merges[best] = merges_.Find(PairMap::Key(symbols[best], symbols[best + 1]));
    }
  }
  symbols.resize(count);
}

void BpeModel::MergeLong(Scratch& scratch) const {
  std::vector<std::uint32_t>& symbols = scratch.symbols;
  std::vector<std::uint64_t>& merges = scratch.merges;  // of a symbol and the one behind it
  std::vector<std::uint32_t>& previous = scratch.previous;
  std::vector<std::uint32_t>& next = scratch.next;
  auto& heap = scratch.heap;
  const auto count = static_cast<std::uint32_t>(symbols.size());
  merges.assign(count, PairMap::kAbsent);
  previous.resize(count);
  next.resize(count);
  heap.clear();
  const auto later = [](const Scratch::Candidate& a, const Scratch::Candidate& b) {
    return a.order > b.order;
  };
  const auto look = [&](std::uint32_t at) {  // false: nothing to join there
    const std::uint32_t right = next[at];
    merges[at] = right == kNoSymbol ? PairMap::kAbsent
                                    : merges_.Find(PairMap::Key(symbols[at], symbols[right]));
    if (merges[at] == PairMap::kAbsent) return false;
    heap.push_back({((merges[at] >> 32) << 32) | at, merges[at]});
    return true;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNoSymbol : i - 1;
    next[i] = i + 1 == count ? kNoSymbol : i + 1;
    look(i);
  }
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Scratch::Candidate best = heap.back();
    heap.pop_back();
    const auto at = static_cast<std::uint32_t>(best.order);
    if (merges[at] != best.merge) continue;  // one of the two has changed since
    const std::uint32_t right = next[at];
    symbols[at] = static_cast<std::uint32_t>(best.merge);
    merges[right] = PairMap::kAbsent;
    next[at] = next[right];
    symbols[right] = kNoSymbol;
    if (next[at] != kNoSymbol) previous[next[at]] = at;
    if (look(at)) std::push_heap(heap.begin(), heap.end(), later);
    if (previous[at] != kNoSymbol && look(previous[at])) {
      std::push_heap(heap.begin(), heap.end(), later);
    }
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), kNoSymbol), symbols.end());
}

void BpeModel::Emit(const std::vector<std::uint32_t>& symbols, std::vector<TokenId>& out) const {
  const auto size = static_cast<std::uint32_t>(vocab_.size());
  for (const std::uint32_t symbol : symbols) {
    if (symbol < size) {
      out.push_back(static_cast<TokenId>(symbol));
      continue;
    }
    // A loose character that nothing took in: unknown after all.
    const std::string& text = loose_chars_[symbol - size];
    std::vector<std::uint32_t> bytes;
    if (options_.byte_fallback && AddBytes(text, bytes)) {
      out.insert(out.end(), bytes.begin(), bytes.end());
    } else if (unk_ >= 0) {
      out.push_back(unk_);
    }
  }
}

}  // namespace metier::text
