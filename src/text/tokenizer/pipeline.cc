#include "text/tokenizer/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace metier::text {
namespace {

class ModelSink final : public PieceSink {
 public:
  ModelSink(const Model& model, Scratch& scratch, std::vector<TokenId>& out)
      : model_(model), scratch_(scratch), out_(out) {}
  void Add(Piece piece) override {
    if (scratch_.status.ok()) model_.Encode(piece.text, scratch_, out_);
  }

 private:
  const Model& model_;
  Scratch& scratch_;
  std::vector<TokenId>& out_;
};

}  // namespace

Result<Tokenizer> Tokenizer::Impl::Create(TokenizerParts parts) {
  std::shared_ptr<Impl> impl(new Impl(std::move(parts)));
  METIER_TRY(impl->AddTokens());
  METIER_TRY(impl->FillBytes());
  return Tokenizer(std::move(impl));
}

Status Tokenizer::Impl::AddTokens() {
  const Vocab& vocab = parts_.model->vocab();
  size_ = vocab.size();
  for (const AddedToken& token : parts_.added) {
    size_ = std::max<std::int64_t>(size_, std::int64_t{token.id} + 1);
  }
  special_ids_.resize(static_cast<std::size_t>(size_));
  Scratch scratch;
  for (std::size_t i = 0; i < parts_.added.size(); ++i) {
    const AddedToken& token = parts_.added[i];
    const TokenId known = vocab.Find(token.content);
    if (known >= 0 && known != token.id) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("added token '{}' has id {}, but the vocabulary gives it {}",
                               token.content, token.id, known));
    }
    if (!added_.emplace(token.id, i).second ||
        !added_names_.emplace(token.content, token.id).second) {
      return Error(ErrorCode::kDataCorrupt,
                   fmt::format("added token '{}' (id {}): the content or the id stands twice",
                               token.content, token.id));
    }
    if (token.special) special_ids_[static_cast<std::size_t>(token.id)] = true;
    const std::string spelling = token.normalized && parts_.normalizer != nullptr
                                     ? parts_.normalizer->Apply(token.content, scratch)
                                     : token.content;
    METIER_TRY(scratch.status);
    (token.normalized ? normalized_all_ : raw_all_).Add(token, spelling);
    if (!token.special) (token.normalized ? normalized_plain_ : raw_plain_).Add(token, spelling);
  }
  return Ok();
}

Status Tokenizer::Impl::FillBytes() {
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  begins_.reserve(static_cast<std::size_t>(size_) + 1);
  begins_.push_back(0);
  std::string token;
  for (TokenId id = 0; id < size_; ++id) {
    token = TokenName(id);
    if (!parts_.decoder->Rewrite(token, TokenPlace::kLater) || bytes_.size() > kMostBytes) {
      return Error(ErrorCode::kResourceExhausted,
                   fmt::format("decoder: token {} becomes too long, limit {} bytes", id,
                               Decoder::kMaxTokenBytes));
    }
    if (!IsSpecial(id)) bytes_ += token;
    begins_.push_back(bytes_.size());
  }
  return Ok();
}

std::string_view Tokenizer::Impl::TokenName(TokenId id) const {
  if (const auto found = added_.find(id); found != added_.end()) {
    return parts_.added[found->second].content;
  }
  return id < parts_.model->vocab().size() ? parts_.model->vocab().Name(id) : std::string_view();
}

std::string Tokenizer::Impl::FirstTokenBytes(TokenId id) const {
  if (IsSpecial(id)) return {};
  std::string token(TokenName(id));
  parts_.decoder->Rewrite(token, TokenPlace::kFirst);
  return token;
}

TokenId Tokenizer::Impl::Find(std::string_view name) const {
  if (const auto found = added_names_.find(name); found != added_names_.end()) {
    return found->second;
  }
  return parts_.model->vocab().Find(name);
}

std::unique_ptr<Scratch> Tokenizer::Impl::LeaseScratch() const {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Scratch>();
  std::unique_ptr<Scratch> scratch = std::move(idle_.back());
  idle_.pop_back();
  return scratch;
}

void Tokenizer::Impl::ReturnScratch(std::unique_ptr<Scratch> scratch) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(scratch));
}

Result<std::vector<TokenId>> Tokenizer::Impl::Encode(std::string_view text,
                                                     const EncodeOptions& options) const {
  METIER_TRY(CheckUtf8(text, "text"));
  const bool all = options.parse_special == ParseSpecial::kYes;
  const AddedTokenMatcher& raw = all ? raw_all_ : raw_plain_;
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  if (options.add_special == AddSpecial::kYes) out = parts_.post.before;

  std::unique_ptr<Scratch> scratch = LeaseScratch();
  scratch->status = Ok();
  raw.Split(
      text,
      [&](const Fragment& fragment) {
        if (fragment.token >= 0) {
          out.push_back(fragment.token);
        } else {
          const auto begin = static_cast<std::size_t>(fragment.text.data() - text.data());
          EncodeFragment(fragment.text, begin, options, *scratch, out);
        }
      },
      [&](TokenId token, std::size_t begin, std::size_t end) {
        return Wanted(token, begin, end, options);
      });
  Status status = std::move(scratch->status);
  ReturnScratch(std::move(scratch));
  METIER_TRY(std::move(status));
  if (options.add_special == AddSpecial::kYes) {
    out.insert(out.end(), parts_.post.behind.begin(), parts_.post.behind.end());
  }
  return out;
}

bool Tokenizer::Impl::Wanted(TokenId token, std::size_t begin, std::size_t end,
                             const EncodeOptions& options) const {
  if (!IsSpecial(token)) return true;
  return std::none_of(options.literal.begin(), options.literal.end(),
                      [&](const TextSpan& span) { return span.begin < end && span.end > begin; });
}

void Tokenizer::Impl::EncodeFragment(std::string_view fragment, std::size_t begin,
                                     const EncodeOptions& options, Scratch& scratch,
                                     std::vector<TokenId>& out) const {
  if (!scratch.status.ok()) return;
  const bool first = begin == 0;
  const bool at_start = first && options.follows == Follows::kNothing;
  scratch.continues = first && options.follows == Follows::kText;
  std::string rewritten;
  std::string_view text = fragment;
  if (parts_.normalizer != nullptr && !parts_.normalizer->Leaves(text)) {
    rewritten = parts_.normalizer->Apply(text, scratch);
    text = rewritten;
  }
  if (!scratch.status.ok()) return;
  // Rewritten text has other positions: there a literal stretch anywhere in the fragment counts.
  const bool same = text == fragment;
  const auto wanted = [&](TokenId token, std::size_t from, std::size_t to) {
    return same ? Wanted(token, begin + from, begin + to, options)
                : Wanted(token, begin, begin + fragment.size(), options);
  };
  const bool all = options.parse_special == ParseSpecial::kYes;
  ModelSink sink(*parts_.model, scratch, out);
  (all ? normalized_all_ : normalized_plain_)
      .Split(
          text,
          [&](const Fragment& part) {
            if (part.token >= 0) {
              out.push_back(part.token);
              scratch.continues = false;
              return;
            }
            const Piece piece{part.text, at_start && part.text.data() == text.data()};
            if (parts_.pre_tokenizers.empty()) {
              sink.Add(piece);
            } else {
              RunStages(parts_.pre_tokenizers, piece, scratch, sink);
            }
          },
          wanted);
}

Result<std::string> Tokenizer::Impl::Decode(std::span<const TokenId> ids, SkipSpecial skip) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < size_) continue;
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("token {} of {} has id {}, expected 0 to {}", i, ids.size(), ids[i],
                             size_ - 1));
  }
  const Decoder& decoder = *parts_.decoder;
  if (skip == SkipSpecial::kNo || !decoder.streams()) {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const TokenId id : ids) {
      if (skip == SkipSpecial::kNo || !IsSpecial(id)) tokens.emplace_back(TokenName(id));
    }
    return decoder.Decode(std::move(tokens));
  }
  std::string out;
  bool first = true;
  for (const TokenId id : ids) {
    if (IsSpecial(id)) continue;
    if (first) {
      out = FirstTokenBytes(id);
      first = false;
    } else {
      out += TokenBytes(id);
    }
  }
  std::size_t begin = 0;
  const std::string& strip = decoder.leading_char();
  for (std::int64_t i = 0; i < decoder.leading_count(); ++i) {
    if (begin >= out.size() || out.compare(begin, strip.size(), strip) != 0) break;
    begin += strip.size();
  }
  return begin == 0 ? out : out.substr(begin);
}

}  // namespace metier::text
