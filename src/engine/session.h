// engine/session.h - one conversation's tokens on a backend.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/backend.h"
#include "text/tokenizer.h"

namespace metier::engine {

// Knows which tokens the backend's sequence holds, so that a conversation that grows is only
// computed where it is new. Movable; closes its sequence. The backend must outlive it.
class Session {
 public:
  // A mixture by sequence chooses for all of the conversation by the first tokens that the session
  // is to hold.
  static Result<Session> Open(model::Backend& backend,
                              model::AdapterId adapter = model::AdapterId::kNone);
  Session(Session&& other) noexcept;
  Session& operator=(Session&& other) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  model::Backend& backend() const { return *backend_; }
  std::span<const text::TokenId> tokens() const { return tokens_; }
  // For its tokens: those of the model but for its adapter's prefix.
  std::int64_t positions() const {
    return backend_->spec().max_positions - backend_->PrefixTokens(adapter_);
  }

  // Makes the session hold exactly `tokens` and returns the logits [vocab] after the last one. The
  // beginning that it shares with what is held is kept, what the backend holds of other sequences
  // is adopted, and at least the last token is computed again.
  // The logits are valid until the backend's next Forward. Errors as Backend::Forward; an error
  // leaves the shared beginning.
  Result<std::span<const float>> Set(std::span<const text::TokenId> tokens);
  // Set with one more token.
  Result<std::span<const float>> Append(text::TokenId token);
  // Appends the tokens and returns the logits after each of them, [tokens, vocab], valid as long.
  // Errors as Backend::Forward; an error leaves what was held.
  Result<model::Rows> Extend(std::span<const text::TokenId> tokens);
  // As Backend::ExpectLength, also for what the session notes.
  void ExpectLength(std::int64_t tokens);
  // Forgets all but the first `count`. Requires 0 <= count <= tokens().size().
  void Truncate(std::int64_t count);

  // How many tokens of the last Set were not computed.
  std::int64_t reused() const { return reused_; }

 private:
  Session(model::Backend& backend, model::AdapterId adapter)
      : backend_(&backend), adapter_(adapter) {}
  Status Begin(std::span<const text::TokenId> prompt);
  Result<model::Rows> Compute(std::span<const text::TokenId> tokens, model::Want want);
  void Close();

  model::Backend* backend_;  // nullptr: moved from
  model::AdapterId adapter_;
  bool begun_ = false;            // else its first tokens are still to choose an adapter
  model::SequenceId sequence_{};  // of one that has begun
  std::int64_t expected_ = 0;     // ExpectLength, until then
  std::vector<text::TokenId> tokens_;
  std::int64_t reused_ = 0;
};

}  // namespace metier::engine
