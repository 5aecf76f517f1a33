#include "engine/session.h"

#include <algorithm>
#include <utility>

namespace metier::engine {

using text::TokenId;

namespace {

std::size_t Count(std::int64_t tokens) { return static_cast<std::size_t>(tokens); }

}  // namespace

Result<Session> Session::Open(model::Backend& backend, model::AdapterId adapter) {
  Session session(backend, adapter);
  if (backend.RoutesSequences(adapter)) return session;
  METIER_ASSIGN(session.sequence_, backend.OpenSequence(adapter));
  session.begun_ = true;
  return session;
}

Status Session::Begin(std::span<const TokenId> prompt) {
  if (begun_) return Ok();
  METIER_ASSIGN(const model::AdapterId routed, backend_->RouteSequence(adapter_, prompt));
  METIER_ASSIGN(sequence_, backend_->OpenSequence(routed));
  begun_ = true;
  backend_->ExpectLength(sequence_, expected_);
  return Ok();
}

Session::Session(Session&& other) noexcept
    : backend_(std::exchange(other.backend_, nullptr)),
      adapter_(other.adapter_),
      begun_(other.begun_),
      sequence_(other.sequence_),
      expected_(other.expected_),
      tokens_(std::move(other.tokens_)),
      reused_(other.reused_) {}

Session& Session::operator=(Session&& other) noexcept {
  if (this == &other) return *this;
  Close();
  backend_ = std::exchange(other.backend_, nullptr);
  adapter_ = other.adapter_;
  begun_ = other.begun_;
  sequence_ = other.sequence_;
  expected_ = other.expected_;
  tokens_ = std::move(other.tokens_);
  reused_ = other.reused_;
  return *this;
}

Session::~Session() { Close(); }

void Session::Close() {
  if (backend_ != nullptr && begun_) backend_->CloseSequence(sequence_);
  backend_ = nullptr;
}

Result<std::span<const float>> Session::Set(std::span<const TokenId> tokens) {
  if (tokens.empty()) return Error(ErrorCode::kInvalidArgument, "no tokens to continue from");
  METIER_TRY(Begin(tokens));
  const auto [mine, theirs] =
      std::mismatch(tokens_.begin(), tokens_.end(), tokens.begin(), tokens.end());
  const auto shared = std::min<std::ptrdiff_t>(theirs - tokens.begin(),
                                               static_cast<std::ptrdiff_t>(tokens.size()) - 1);
  backend_->Truncate(sequence_, shared);
  const std::span<const TokenId> others = tokens.first(tokens.size() - 1).subspan(Count(shared));
  reused_ = shared + backend_->Adopt(sequence_, others);
  const std::span<const TokenId> adopted = others.first(Count(reused_ - shared));
  tokens_.resize(Count(shared));
  tokens_.insert(tokens_.end(), adopted.begin(), adopted.end());
  METIER_ASSIGN(const model::Rows rows,
                Compute(tokens.subspan(Count(reused_)), model::Want::kLast));
  return rows.values;
}

Result<std::span<const float>> Session::Append(TokenId token) {
  reused_ = static_cast<std::int64_t>(tokens_.size());
  METIER_ASSIGN(const model::Rows rows, Compute({&token, 1}, model::Want::kLast));
  return rows.values;
}

Result<model::Rows> Session::Extend(std::span<const TokenId> tokens) {
  reused_ = static_cast<std::int64_t>(tokens_.size());
  return Compute(tokens, model::Want::kAll);
}

void Session::ExpectLength(std::int64_t tokens) {
  if (begun_) backend_->ExpectLength(sequence_, tokens);
  expected_ = tokens;
  tokens_.reserve(Count(tokens));
}

void Session::Truncate(std::int64_t count) {
  if (begun_) backend_->Truncate(sequence_, count);
  tokens_.resize(Count(count));
}

Result<model::Rows> Session::Compute(std::span<const TokenId> tokens, model::Want want) {
  METIER_TRY(Begin(tokens));
  const model::SequenceStep step{
      .sequence = sequence_, .tokens = tokens, .types = {}, .want = want};
  METIER_ASSIGN(const std::span<const model::Rows> rows, backend_->Forward({&step, 1}));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return rows.front();
}

}  // namespace metier::engine
