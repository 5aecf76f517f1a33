#include "text/tokenizer.h"

#include "text/tokenizer/pipeline.h"
#include "text/tokenizer/unicode.h"

namespace metier::text {

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Result<std::vector<TokenId>> Tokenizer::Encode(std::string_view text,
                                               const EncodeOptions& options) const {
  return impl_->Encode(text, options);
}

Result<std::string> Tokenizer::Decode(std::span<const TokenId> ids, SkipSpecial skip) const {
  return impl_->Decode(ids, skip);
}

std::string_view Tokenizer::TokenBytes(TokenId id) const { return impl_->TokenBytes(id); }
std::string_view Tokenizer::TokenName(TokenId id) const { return impl_->TokenName(id); }
std::optional<TokenId> Tokenizer::FindToken(std::string_view name) const {
  const TokenId id = impl_->Find(name);
  return id >= 0 ? std::optional<TokenId>(id) : std::nullopt;
}
bool Tokenizer::IsSpecial(TokenId id) const { return impl_->IsSpecial(id); }
std::int64_t Tokenizer::vocab_size() const { return impl_->size(); }
const SpecialTokens& Tokenizer::special() const { return impl_->special(); }

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), leading_left_(tokenizer.impl_->decoder().leading_count()) {}

std::string_view StreamDecoder::Add(TokenId id) {
  const Tokenizer::Impl& impl = *tokenizer_.impl_;
  if (impl.IsSpecial(id)) return {};
  if (!impl.decoder().streams()) {
    held_.push_back(id);
    return {};
  }
  if (first_) {
    pending_ += impl.FirstTokenBytes(id);
    first_ = false;
  } else {
    pending_ += impl.TokenBytes(id);
  }
  const std::string& strip = impl.decoder().leading_char();
  while (leading_left_ > 0 && !pending_.empty()) {
    if (pending_.size() < strip.size() && strip.starts_with(pending_)) return {};
    if (pending_.compare(0, strip.size(), strip) != 0) {
      leading_left_ = 0;
      break;
    }
    pending_.erase(0, strip.size());
    --leading_left_;
  }
  const std::size_t complete = CompletePrefix(pending_);
  shown_.assign(pending_, 0, complete);
  pending_.erase(0, complete);
  return shown_;
}

std::string StreamDecoder::Finish() {
  std::string rest = std::move(pending_);
  if (!held_.empty()) {
    auto text = tokenizer_.Decode(held_);
    METIER_CHECK(text.ok(), "the ids were in the vocabulary");
    rest += *text;
  }
  pending_.clear();
  held_.clear();
  return rest;
}

}  // namespace metier::text
