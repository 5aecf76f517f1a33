#include "text/tokenizer/decoder.h"

#include <array>
#include <utility>

#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {
namespace {

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos) return;
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, begin)) {
    out.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  out.append(text, begin);
  text = std::move(out);
}

// The library's "clean up" of English spacing.
void CleanUpSpaces(std::string& text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {{
      {" .", "."},
      {" ?", "?"},
      {" !", "!"},
      {" ,", ","},
      {" ' ", "'"},
      {" n't", "n't"},
      {" 'm", "'m"},
      {" do not", " don't"},
      {" 's", "'s"},
      {" 've", "'ve"},
      {" 're", "'re"},
  }};
  for (const auto& rule : kRules) ReplaceAll(text, rule.first, rule.second);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class ByteMapStep : public DecoderStep {
 public:
  void Rewrite(std::string& token, TokenPlace) const override {
    if (auto bytes = DecodeByteAlphabet(token)) token = *std::move(bytes);
  }
};

class ByteFallbackStep : public DecoderStep {
 public:
  void Rewrite(std::string& token, TokenPlace) const override {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return;
    const int high = HexDigit(token[3]);
    const int low = HexDigit(token[4]);
    if (high >= 0 && low >= 0) token.assign(1, static_cast<char>(high * 16 + low));
  }
};

class ReplaceStep : public DecoderStep {
 public:
  ReplaceStep(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void Rewrite(std::string& token, TokenPlace) const override {
    if (FindInvalidUtf8(token) != std::string::npos) return;  // bytes are not matched
    std::string out;
    std::size_t begin = 0;
    Regex::Matches matches(pattern_, token);
    while (matches.Next()) {
      out.append(token, begin, matches.begin() - begin).append(content_);
      begin = matches.end();
    }
    if (begin == 0 && out.empty()) return;
    out.append(token, begin);
    token = std::move(out);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class MetaspaceStep : public DecoderStep {
 public:
  MetaspaceStep(std::string mark, DropFirstMark drop) : mark_(std::move(mark)), drop_(drop) {}
  void Rewrite(std::string& token, TokenPlace place) const override {
    const bool dropped = place == TokenPlace::kFirst && drop_ == DropFirstMark::kYes;
    ReplaceAll(token, mark_, dropped ? "" : " ");
  }

 private:
  std::string mark_;
  DropFirstMark drop_;
};

class WordPieceStep : public DecoderStep {
 public:
  WordPieceStep(std::string prefix, CleanUp clean_up)
      : prefix_(std::move(prefix)), clean_up_(clean_up) {}
  void Rewrite(std::string& token, TokenPlace place) const override {
    if (place == TokenPlace::kLater) {
      if (token.starts_with(prefix_)) {
        token.erase(0, prefix_.size());
      } else {
        token.insert(0, " ");
      }
    }
    if (clean_up_ == CleanUp::kYes) CleanUpSpaces(token);
  }

 private:
  std::string prefix_;
  CleanUp clean_up_;
};

class JoinWithSpacesStep : public DecoderStep {
 public:
  void Rewrite(std::string& token, TokenPlace place) const override {
    if (place == TokenPlace::kLater) token.insert(0, " ");
  }
};

class BpeSuffixStep : public DecoderStep {
 public:
  explicit BpeSuffixStep(std::string suffix) : suffix_(std::move(suffix)) {}
  void Rewrite(std::string& token, TokenPlace) const override { ReplaceAll(token, suffix_, " "); }
  bool per_token() const override { return false; }  // the last token's suffix is no space
  void RewriteAll(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      ReplaceAll(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
    }
  }

 private:
  std::string suffix_;
};

class CtcStep : public DecoderStep {
 public:
  explicit CtcStep(CtcOptions options) : options_(std::move(options)) {}
  void Rewrite(std::string& token, TokenPlace) const override {
    ReplaceAll(token, options_.pad_token, "");
    if (options_.clean_up == CleanUp::kNo) return;
    CleanUpSpaces(token);
    ReplaceAll(token, options_.word_delimiter, " ");
  }
  bool per_token() const override { return false; }  // repeated tokens count once
  void RewriteAll(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i] == tokens[i - 1]) continue;
      std::string token = tokens[i];
      Rewrite(token, TokenPlace::kLater);
      if (!token.empty()) out.push_back(std::move(token));
    }
    tokens = std::move(out);
  }

 private:
  CtcOptions options_;
};

}  // namespace

class FuseStep : public DecoderStep {
 public:
  void Rewrite(std::string&, TokenPlace) const override {}
  bool per_token() const override { return false; }
  void RewriteAll(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

class StripStep : public DecoderStep {
 public:
  explicit StripStep(StripOptions options) : options_(std::move(options)) {}
  void Rewrite(std::string& token, TokenPlace) const override {
    const std::string& c = options_.character;
    std::size_t begin = 0;
    for (std::int64_t i = 0; i < options_.start; ++i) {
      if (token.compare(begin, c.size(), c) != 0 || begin >= token.size()) break;
      begin += c.size();
    }
    std::size_t end = token.size();
    for (std::int64_t i = 0; i < options_.stop; ++i) {
      if (end < begin + c.size() || token.compare(end - c.size(), c.size(), c) != 0) break;
      end -= c.size();
    }
    token = token.substr(begin, end - begin);
  }
  const StripOptions& options() const { return options_; }

 private:
  StripOptions options_;
};

void DecoderStep::RewriteAll(std::vector<std::string>& tokens) const {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    Rewrite(tokens[i], i == 0 ? TokenPlace::kFirst : TokenPlace::kLater);
  }
}

Decoder::Decoder(std::vector<DecoderStepPtr> steps) : steps_(std::move(steps)) {
  while (per_token_ < steps_.size() && steps_[per_token_]->per_token()) ++per_token_;
  streams_ = true;
  std::size_t at = per_token_;
  const auto is_fuse = [&] {
    return at < steps_.size() && dynamic_cast<const FuseStep*>(steps_[at].get()) != nullptr;
  };
  if (is_fuse()) {
    while (is_fuse()) ++at;
    const auto* strip =
        at < steps_.size() ? dynamic_cast<const StripStep*>(steps_[at].get()) : nullptr;
    if (strip != nullptr && strip->options().stop == 0) {
      leading_count_ = strip->options().start;
      leading_char_ = strip->options().character;
      ++at;
    }
    while (is_fuse()) ++at;
  }
  streams_ = at == steps_.size();
}

bool Decoder::Rewrite(std::string& token, TokenPlace place) const {
  for (std::size_t i = 0; i < per_token_; ++i) {
    if (token.size() > kMaxTokenBytes) {
      token.resize(kMaxTokenBytes);
      return false;
    }
    steps_[i]->Rewrite(token, place);
  }
  return token.size() <= kMaxTokenBytes;
}

std::string Decoder::Decode(std::vector<std::string> tokens) const {
  for (const DecoderStepPtr& step : steps_) step->RewriteAll(tokens);
  std::string out;
  for (const std::string& token : tokens) out += token;
  return out;
}

DecoderStepPtr MakeByteMapStep() { return std::make_unique<ByteMapStep>(); }
DecoderStepPtr MakeByteFallbackStep() { return std::make_unique<ByteFallbackStep>(); }
DecoderStepPtr MakeFuseStep() { return std::make_unique<FuseStep>(); }
DecoderStepPtr MakeStripStep(StripOptions options) {
  return std::make_unique<StripStep>(std::move(options));
}
DecoderStepPtr MakeReplaceStep(Regex pattern, std::string content) {
  return std::make_unique<ReplaceStep>(std::move(pattern), std::move(content));
}
DecoderStepPtr MakeMetaspaceStep(std::string mark, DropFirstMark drop) {
  return std::make_unique<MetaspaceStep>(std::move(mark), drop);
}
DecoderStepPtr MakeWordPieceStep(std::string prefix, CleanUp clean_up) {
  return std::make_unique<WordPieceStep>(std::move(prefix), clean_up);
}
DecoderStepPtr MakeBpeSuffixStep(std::string suffix) {
  return std::make_unique<BpeSuffixStep>(std::move(suffix));
}
DecoderStepPtr MakeCtcStep(CtcOptions options) {
  return std::make_unique<CtcStep>(std::move(options));
}
DecoderStepPtr MakeJoinWithSpacesStep() { return std::make_unique<JoinWithSpacesStep>(); }

}  // namespace metier::text
