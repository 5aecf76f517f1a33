// engine/step_plan.h - which tokens of the running requests the next step computes.
//
// Answers come first, a token each, so that no long prompt holds them up; prompts share what is
// left of the budget, the client that was served least first and each client's requests in their
// order. What then is left goes, in the same order, to tokens that answers may have next
// (speculate.h): they hold up nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/request.h"
#include "model/backend.h"

namespace metier::engine {

// tokens[cached .. cached + tokens) of the request. The last of the known ones wants logits, and so
// do the proposals behind it.
struct Slice {
  ActiveRequest* request = nullptr;
  std::int64_t tokens = 0;
  std::int64_t proposals = 0;  // at most
};

struct StepPlan {
  std::vector<Slice> slices;
  // No answer waits for a page, and something is computed: what must be so, or the youngest request
  // has to give its pages back.
  bool moves = false;

  // Of the making, kept for their memory.
  std::vector<ActiveRequest*> prompts = {};
  std::vector<Slice*> answers_in_turn = {};
};

// Makes `plan` anew. running: by age, not empty. budget_tokens: of a step; prompts get one at
// least. cache: what the backend says of its pages; one that has none has room for everything.
void PlanStep(std::span<const std::unique_ptr<ActiveRequest>> running, std::int64_t budget_tokens,
              const model::CacheStats& cache, StepPlan& plan);

// Pages for `tokens` tokens; 0 for a backend without pages.
std::int64_t PagesFor(std::int64_t tokens, const model::CacheStats& cache);

// Whether the request could start beside the running ones: all known tokens of all of them, and the
// next of each, find room.
bool FindsRoom(const ActiveRequest& request, const model::CachedPrefix& prefix,
               std::span<const std::unique_ptr<ActiveRequest>> running,
               const model::CacheStats& cache);

}  // namespace metier::engine
