// engine/request.h - what is asked of a scheduler, and a request on its way through it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/answer.h"
#include "engine/speculate.h"
#include "model/backend.h"
#include "text/tokenizer.h"

namespace metier::engine {

enum class RequestId : std::int64_t {};

// What one client may ask for. 0 or less: no limit but the scheduler's own.
struct ClientLimits {
  std::int64_t max_tokens = 0;   // of one request, prompt and answer together
  std::int64_t max_waiting = 0;  // requests
  std::int64_t max_running = 0;  // requests
};

struct Request {
  std::vector<text::TokenId> prompt;
  model::AdapterId adapter = model::AdapterId::kNone;
  // Callbacks and the proposer run on the thread that steps and must neither throw nor step.
  // Constraint and proposer are borrowed until on_done.
  GenerateOptions options;
  std::string client;                  // whose turn it is: clients share the backend evenly
  std::optional<ClientLimits> limits;  // instead of the scheduler's
  // Called once for each submitted request, after its last token; its memory is given back before.
  std::function<void(Result<Generation>)> on_done;
};

struct Client;  // fair_queue.h

// A request from its submission to its end. Stays where it is: its answer refers to its options.
struct ActiveRequest {
  using Clock = std::chrono::steady_clock;

  // limits: those that hold for its client. its_prefix: places that its adapter's takes.
  ActiveRequest(RequestId number, Request what, const ClientLimits& its_limits,
                const text::Tokenizer& tokenizer, std::int64_t max_positions,
                std::int64_t its_prefix = 0)
      : id(number),
        request(std::move(what)),
        limits(its_limits),
        tokens(std::move(request.prompt)),
        prompt_tokens(static_cast<std::int64_t>(tokens.size())),
        prefix(its_prefix),
        answer(tokenizer, request.options, tokens, max_positions - prefix),
        speculation(request.options) {
    tokens.reserve(static_cast<std::size_t>(prompt_tokens + answer.remaining()));
  }

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  // Tokens that the next logits need.
  std::int64_t missing() const { return length() - cached; }
  // The most that its sequence will ever hold: nothing follows the last token of an answer.
  std::int64_t most_tokens() const {
    return prompt_tokens + std::max<std::int64_t>(request.options.max_tokens, 1) - 1;
  }
  std::span<const text::TokenId> prompt() const {
    return std::span<const text::TokenId>(tokens).first(static_cast<std::size_t>(prompt_tokens));
  }
  bool cancelled() const { return request.options.cancel.stop_requested(); }

  RequestId id;
  Request request;  // without its prompt
  ClientLimits limits;
  std::vector<text::TokenId> tokens;  // the prompt, then the answer so far
  std::int64_t prompt_tokens;
  std::int64_t prefix;
  Answer answer;
  Speculation speculation;

  // While it runs.
  std::optional<model::SequenceId> sequence;
  std::int64_t cached = 0;         // tokens in the sequence
  std::int64_t client_served = 0;  // Client::served when the step began

  // Over all its runs: preemption does not change these.
  std::int64_t age = -1;       // place among all that were started; the youngest are preempted
  std::int64_t seen = 0;       // tokens that were computed or adopted at least once
  std::int64_t reused = 0;     // of the prompt, adopted instead of computed
  std::int64_t uncharged = 0;  // tokens computed, but for those once more, not told to the queue
  Client* client = nullptr;    // of the queue
  std::int64_t promised = 0;   // its share of Client::promised

  Clock::time_point submitted = Clock::now();
  std::optional<Clock::time_point> started;
  std::optional<Clock::time_point> answered;  // the first logits
  std::optional<Result<Generation>> outcome;  // it has ended
};

}  // namespace metier::engine
