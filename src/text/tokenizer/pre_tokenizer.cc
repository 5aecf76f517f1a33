#include "text/tokenizer/pre_tokenizer.h"

#include <utility>

#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

// Turns matched and unmatched stretches, which come in order and cover the piece, into pieces.
// MergedWithPrevious and MergedWithNext: a match joins its neighbour unless that is a match too.
class Splitter {
 public:
  Splitter(Piece piece, SplitBehavior behavior, PieceSink& sink)
      : piece_(piece), behavior_(behavior), sink_(sink) {}

  void Add(std::size_t begin, std::size_t end, bool match) {
    switch (behavior_) {
      case SplitBehavior::kIsolated: return Emit(begin, end);
      case SplitBehavior::kRemoved:
        if (!match) Emit(begin, end);
        return;
      case SplitBehavior::kContiguous: return AddOrGrow(begin, end, match == last_match_, match);
      case SplitBehavior::kMergedWithPrevious:
        return AddOrGrow(begin, end, match && !last_match_, match);
      case SplitBehavior::kMergedWithNext:
        return AddOrGrow(begin, end, last_match_ && !match, match);
    }
  }
  void Finish() {
    if (held_) Emit(held_begin_, held_end_);
    held_ = false;
  }

 private:
  // One stretch is held back until the next shows that it does not grow it.
  void AddOrGrow(std::size_t begin, std::size_t end, bool grow, bool match) {
    if (held_ && grow) {
      held_end_ = end;
    } else {
      Finish();
      held_ = true;
      held_begin_ = begin;
      held_end_ = end;
    }
    last_match_ = match;
  }
  void Emit(std::size_t begin, std::size_t end) {
    if (end > begin) {
      sink_.Add({piece_.text.substr(begin, end - begin), piece_.at_start && begin == 0});
    }
  }

  Piece piece_;
  SplitBehavior behavior_;
  PieceSink& sink_;
  bool last_match_ = false;
  bool held_ = false;
  std::size_t held_begin_ = 0;
  std::size_t held_end_ = 0;
};

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(Regex pattern, SplitBehavior behavior, SplitMatches matches)
      : pattern_(std::move(pattern)),
        behavior_(behavior),
        inverted_(matches == SplitMatches::kBetween) {}

  void Split(Piece piece, Scratch& scratch, PieceSink& sink) const override {
    Splitter splitter(piece, behavior_, sink);
    std::size_t last = 0;
    Regex::Matches matches(pattern_, piece.text);
    while (scratch.status.ok() && matches.Next()) {
      if (matches.begin() > last) splitter.Add(last, matches.begin(), inverted_);
      splitter.Add(matches.begin(), matches.end(), !inverted_);
      last = matches.end();
    }
    if (!matches.status().ok()) return scratch.Fail(matches.status().error());
    if (last < piece.text.size()) splitter.Add(last, piece.text.size(), inverted_);
    splitter.Finish();
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool inverted_;
};

// `matches(code)` decides for each character; every match is a stretch of its own.
template <class Predicate>
void SplitByChars(Piece piece, SplitBehavior behavior, PieceSink& sink, Predicate matches) {
  Splitter splitter(piece, behavior, sink);
  std::size_t last = 0;
  for (std::size_t i = 0; i < piece.text.size();) {
    const DecodedChar c = DecodeChar(piece.text, i);
    if (matches(c.code)) {
      if (i > last) splitter.Add(last, i, false);
      splitter.Add(i, i + c.bytes, true);
      last = i + c.bytes;
    }
    i += c.bytes;
  }
  if (last < piece.text.size()) splitter.Add(last, piece.text.size(), false);
  splitter.Finish();
}

class CharSplit : public PreTokenizer {
 public:
  CharSplit(bool (*matches)(std::uint32_t), SplitBehavior behavior)
      : matches_(matches), behavior_(behavior) {}
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    SplitByChars(piece, behavior_, sink, matches_);
  }

 private:
  bool (*matches_)(std::uint32_t);
  SplitBehavior behavior_;
};

class DelimiterSplit : public PreTokenizer {
 public:
  explicit DelimiterSplit(std::uint32_t delimiter) : delimiter_(delimiter) {}
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    SplitByChars(piece, SplitBehavior::kRemoved, sink,
                 [this](std::uint32_t code) { return code == delimiter_; });
  }

 private:
  std::uint32_t delimiter_;
};

class WhitespaceWords : public PreTokenizer {
 public:
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    const std::string_view text = piece.text;
    int last_kind = 0;  // 0 white space, 1 word, 2 neither
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= text.size();) {
      DecodedChar c{0, 1};
      int kind = 0;
      if (i < text.size()) {
        c = DecodeChar(text, i);
        kind = IsWord(c.code) ? 1 : IsWhitespace(c.code) ? 0 : 2;
      }
      if (kind != last_kind || i == text.size()) {
        if (last_kind != 0) sink.Add({text.substr(begin, i - begin), piece.at_start && begin == 0});
        begin = i;
        last_kind = kind;
      }
      i += c.bytes;
    }
  }
};

class Metaspace : public PreTokenizer {
 public:
  explicit Metaspace(MetaspaceOptions options) : options_(options) {
    AppendChar(mark_, options.replacement);
  }
  void Split(Piece piece, Scratch& scratch, PieceSink& sink) const override {
    std::string text;
    text.reserve(piece.text.size() + piece.text.size() / 2 + mark_.size());
    const bool wanted = (options_.prepend == PrependScheme::kAlways && !scratch.continues) ||
                        (options_.prepend == PrependScheme::kFirst && piece.at_start);
    if (wanted && !piece.text.starts_with(' ') && !piece.text.starts_with(mark_)) text += mark_;
    for (const char c : piece.text) {
      if (c == ' ') {
        text += mark_;
      } else {
        text += c;
      }
    }
    const Piece rewritten{text, piece.at_start};
    if (options_.split == MetaspaceSplit::kNo) return sink.Add(rewritten);
    SplitByChars(rewritten, SplitBehavior::kMergedWithNext, sink,
                 [this](std::uint32_t code) { return code == options_.replacement; });
  }

 private:
  MetaspaceOptions options_;
  std::string mark_;
};

class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(std::int64_t chars) : chars_(chars) {}
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    std::size_t begin = 0;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < piece.text.size();) {
      i += DecodeChar(piece.text, i).bytes;
      if (++count < chars_ && i < piece.text.size()) continue;
      sink.Add({piece.text.substr(begin, i - begin), piece.at_start && begin == 0});
      begin = i;
      count = 0;
    }
  }

 private:
  std::int64_t chars_;
};

class PrefixSpace : public PreTokenizer {
 public:
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    if (piece.text.starts_with(' ')) return sink.Add(piece);
    const std::string text = " " + std::string(piece.text);
    sink.Add({text, piece.at_start});
  }
};

class ByteMap : public PreTokenizer {
 public:
  void Split(Piece piece, Scratch&, PieceSink& sink) const override {
    const std::string text = EncodeByteAlphabet(piece.text);
    sink.Add({text, piece.at_start});
  }
};

// Hands the pieces of one stage to the next.
class Link final : public PieceSink {
 public:
  Link(const PreTokenizers& stages, std::size_t next, Scratch& scratch, PieceSink& last)
      : stages_(stages), next_(next), scratch_(scratch), last_(last) {}
  void Add(Piece piece) override {
    if (!scratch_.status.ok()) return;
    if (next_ == stages_.size()) return last_.Add(piece);
    Link link(stages_, next_ + 1, scratch_, last_);
    stages_[next_]->Split(piece, scratch_, link);
  }

 private:
  const PreTokenizers& stages_;
  std::size_t next_;
  Scratch& scratch_;
  PieceSink& last_;
};

}  // namespace

void RunStages(const PreTokenizers& stages, Piece piece, Scratch& scratch, PieceSink& sink) {
  if (stages.size() == 1) return stages[0]->Split(piece, scratch, sink);
  Link(stages, 0, scratch, sink).Add(piece);
}

PreTokenizerPtr MakeSplit(Regex pattern, SplitBehavior behavior, SplitMatches matches) {
  return std::make_unique<PatternSplit>(std::move(pattern), behavior, matches);
}
PreTokenizerPtr MakeCharSplit(bool (*matches)(std::uint32_t), SplitBehavior behavior) {
  return std::make_unique<CharSplit>(matches, behavior);
}
PreTokenizerPtr MakeDelimiterSplit(std::uint32_t delimiter) {
  return std::make_unique<DelimiterSplit>(delimiter);
}
PreTokenizerPtr MakeWhitespaceWords() { return std::make_unique<WhitespaceWords>(); }
PreTokenizerPtr MakeMetaspace(MetaspaceOptions options) {
  return std::make_unique<Metaspace>(options);
}
PreTokenizerPtr MakeFixedLength(std::int64_t chars) { return std::make_unique<FixedLength>(chars); }
PreTokenizerPtr MakePrefixSpace() { return std::make_unique<PrefixSpace>(); }
PreTokenizerPtr MakeByteMap() { return std::make_unique<ByteMap>(); }

}  // namespace metier::text
