// model/backend.h - what executes a ModelSpec: tokens of many sequences in, logits out.
//
// A sequence is the past of one conversation inside the backend (its KV cache). A step appends
// tokens to some sequences at once; lengths may differ and prefill mixes with decoding. What a
// sequence computes never depends on the others in its step (DESIGN section 9): every backend keeps
// that promise, or says in its own header how far it does.
//
// Threads: one caller at a time. Ids of one backend mean nothing to another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "model/adapter.h"
#include "model/mixture.h"
#include "model/model_spec.h"

namespace metier::model {

using TokenId = std::int32_t;  // the same type as text::TokenId, one floor below

enum class SequenceId : std::int64_t {};
enum class AdapterId : std::int64_t { kNone = -1 };

// Which rows of a step's result the caller will read; the others are not computed.
enum class Want { kNothing, kLast, kAll };

struct SequenceStep {
  SequenceId sequence{};
  std::span<const TokenId> tokens = {};  // appended; of an encoder, the whole text each time
  std::span<const TokenId> types = {};   // encoders: a token type each, or empty: all 0
  Want want = Want::kLast;
};

// Results of one sequence, in the order of its tokens. Borrowed: valid until the next Forward.
struct Rows {
  std::int64_t count = 0;
  std::int64_t width = 0;         // vocab, or the model's width for an encoder
  std::span<const float> values;  // [count, width]: logits, or last hidden states

  std::span<const float> Row(std::int64_t i) const {
    return values.subspan(static_cast<std::size_t>(i * width), static_cast<std::size_t>(width));
  }
};

// What a backend holds of the beginning of a text, in whole pages.
struct CachedPrefix {
  std::int64_t tokens = 0;
  std::int64_t idle_pages = 0;  // of them, pages that no sequence holds
};

// What a backend keeps of pasts. All 0: it keeps them in no pages.
struct CacheStats {
  std::int64_t page_tokens = 0;
  std::uint64_t page_bytes = 0;
  std::int64_t max_pages = 0;
  std::int64_t used_pages = 0;  // held by sequences, a shared one counted once
  std::int64_t idle_pages = 0;  // findable, held by none: given up when room is needed
  std::int64_t free_pages = 0;  // the others, up to max_pages

  // Since the backend was made. A lookup is an empty sequence's Adopt of a page's tokens or more.
  std::int64_t prefix_lookups = 0;
  std::int64_t prefix_hits = 0;
  std::int64_t reused_tokens = 0;
  std::int64_t evicted_pages = 0;
  std::int64_t copied_pages = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const ModelSpec& spec() const = 0;

  // A new, empty sequence; its tokens are computed with this adapter, whose share of the past is in
  // the cache, so it cannot change later. kInvalidArgument: no such adapter.
  virtual Result<SequenceId> OpenSequence(AdapterId adapter = AdapterId::kNone) = 0;
  // Requires a sequence of this backend, as do the next two.
  virtual void CloseSequence(SequenceId sequence) = 0;
  // Tokens in the cache; 0 for encoders, which keep none.
  virtual std::int64_t Length(SequenceId sequence) const = 0;
  // Forgets all but the first `tokens`. Requires 0 <= tokens <= Length(sequence). Never fails.
  virtual void Truncate(SequenceId sequence, std::int64_t tokens) = 0;

  // Pasts can be shared where a backend keeps them in pages. A backend that does not says so by
  // leaving these alone: nothing is found, nothing adopted, and every token is computed.

  // The longest beginning of `tokens` that an empty sequence of this adapter could adopt now.
  virtual CachedPrefix FindPrefix(AdapterId /*adapter*/,
                                  std::span<const TokenId> /*tokens*/) const {
    return {};
  }
  // Appends to the sequence, without computing them, the longest beginning of `tokens` that is
  // known to follow what it holds, and returns how many tokens that were. What is computed
  // afterwards is the same, to the bit where the backend keeps its promise.
  virtual std::int64_t Adopt(SequenceId /*sequence*/, std::span<const TokenId> /*tokens*/) {
    return 0;
  }
  // A new sequence with the past and the adapter of another. kUnsupported: by default.
  virtual Result<SequenceId> ForkSequence(SequenceId /*sequence*/) {
    return Error(ErrorCode::kUnsupported, "this backend cannot fork a sequence; compute it twice");
  }
  virtual CacheStats cache_stats() const { return {}; }

  // The sequence is going to hold up to `tokens` tokens: what the backend notes of each is given
  // its memory now, so that steps that append them allocate nothing. Their pages come as needed.
  virtual void ExpectLength(SequenceId /*sequence*/, std::int64_t /*tokens*/) {}

  // Positions that an adapter's prefix takes before the first token of each of its sequences.
  virtual std::int64_t PrefixTokens(AdapterId /*adapter*/) const { return 0; }

  // Copies the adapter. It is applied while computing, never merged, so sequences with and without
  // it share the base weights. kInvalidArgument: a linear the model does not have, or other shapes.
  virtual Result<AdapterId> AddAdapter(const Adapter& adapter) = 0;
  // Its id is not used again. kInvalidArgument: unknown, or an open sequence or a mixture still
  // uses it.
  virtual Status RemoveAdapter(AdapterId adapter) = 0;

  // A mixture of adapters that were added before, in the order of the routers' scores; its id is
  // used and removed as theirs are. Copies the routers, borrows the experts. kInvalidArgument: what
  // is no adapter of deltas alone, routers that do not fit the model or each other, or an expert
  // that changes a linear which none of them routes. kUnsupported: by default.
  virtual Result<AdapterId> AddMixture(const AdapterMixture& /*mixture*/,
                                       std::span<const AdapterId> /*experts*/) {
    return Error(ErrorCode::kUnsupported, "this backend cannot mix adapters; use one of them");
  }
  // Whether it is a mixture by sequence: sequences are opened with what RouteSequence says.
  virtual bool RoutesSequences(AdapterId /*adapter*/) const { return false; }
  // The adapter with which a sequence that begins with `prompt` is to be opened, of a mixture by
  // sequence: computes the prompt with the base alone and chooses by the mean of its tokens'
  // scores. One choice has one id, so that sequences of one choice share their pasts; an id with
  // which no sequence is open may be forgotten after many other choices, so open one at once.
  // Errors: those of Forward, and kInvalidArgument: not such a mixture. kUnsupported: by default.
  virtual Result<AdapterId> RouteSequence(AdapterId /*mixture*/,
                                          std::span<const TokenId> /*prompt*/) {
    return Error(ErrorCode::kUnsupported, "this backend cannot mix adapters; use one of them");
  }

  // One result for each step, in order, valid until the next Forward; Want::kNothing gives no rows.
  // Steps name different sequences. On an error nothing is appended anywhere.
  // kInvalidArgument: no tokens, ids outside the vocabulary, a position past max_positions (with
  // both numbers), types where the model has none.  kResourceExhausted: the cache or the results
  // would outgrow the backend's memory (with the numbers).
  virtual Result<std::span<const Rows>> Forward(std::span<const SequenceStep> steps) = 0;
};

}  // namespace metier::model
