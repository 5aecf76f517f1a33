#include "engine/step_plan.h"

#include <algorithm>
#include <tuple>

namespace metier::engine {
namespace {

// Pages that a sequence holds for itself with its first `cached` tokens. Of a prefix's last page,
// where it is not full, the first token makes a copy.
std::int64_t PagesOf(const ActiveRequest& request, std::int64_t cached,
                     const model::CacheStats& cache) {
  if (cached == 0 && cache.page_tokens > 0) return request.prefix / cache.page_tokens;
  return PagesFor(request.prefix + cached, cache);
}

// The pages that may still be taken while a step is planned.
class Room {
 public:
  explicit Room(const model::CacheStats& cache)
      : cache_(cache), pages_(cache.max_pages - cache.used_pages) {}

  // How many of `wanted` tokens behind the request's first `cached` find a place; takes their
  // pages.
  std::int64_t Take(const ActiveRequest& request, std::int64_t cached, std::int64_t wanted) {
    if (cache_.page_tokens == 0) return wanted;
    const std::int64_t held = PagesOf(request, cached, cache_);
    const std::int64_t places = request.prefix + cached;
    const std::int64_t tokens =
        std::clamp<std::int64_t>((held + pages_) * cache_.page_tokens - places, 0, wanted);
    if (tokens > 0) pages_ -= PagesFor(places + tokens, cache_) - held;
    return tokens;
  }

 private:
  const model::CacheStats& cache_;
  std::int64_t pages_;
};

bool ComesBefore(const ActiveRequest& a, const ActiveRequest& b) {
  return std::tie(a.client_served, a.age) < std::tie(b.client_served, b.age);
}

// Up to `left` tokens behind the first `answers` slices.
void PlanProposals(StepPlan& plan, std::size_t answers, std::int64_t left, Room& room,
                   const model::CacheStats& cache) {
  std::vector<Slice*>& in_turn = plan.answers_in_turn;
  in_turn.clear();
  for (Slice& slice : std::span<Slice>(plan.slices).first(answers)) in_turn.push_back(&slice);
  std::sort(in_turn.begin(), in_turn.end(),
            [](const Slice* a, const Slice* b) { return ComesBefore(*a->request, *b->request); });
  for (Slice* slice : in_turn) {
    const ActiveRequest& request = *slice->request;
    const std::int64_t wanted = request.speculation.Wanted(request.answer, request.length(), cache);
    slice->proposals =
        room.Take(request, request.length(), std::clamp<std::int64_t>(left, 0, wanted));
    left -= slice->proposals;
  }
}

}  // namespace

std::int64_t PagesFor(std::int64_t tokens, const model::CacheStats& cache) {
  if (cache.page_tokens == 0) return 0;
  return (tokens + cache.page_tokens - 1) / cache.page_tokens;
}

void PlanStep(std::span<const std::unique_ptr<ActiveRequest>> running, std::int64_t budget_tokens,
              const model::CacheStats& cache, StepPlan& plan) {
  plan.slices.clear();
  Room room(cache);
  bool answers_move = true;
  std::vector<ActiveRequest*>& prompts = plan.prompts;
  prompts.clear();
  for (const auto& request : running) {
    if (request->missing() > 1) {
      prompts.push_back(request.get());
    } else if (room.Take(*request, request->cached, 1) == 1) {
      plan.slices.push_back({request.get(), 1});
    } else {
      answers_move = false;
    }
  }
  std::sort(prompts.begin(), prompts.end(),
            [](const ActiveRequest* a, const ActiveRequest* b) { return ComesBefore(*a, *b); });
  const std::size_t answers = plan.slices.size();
  std::int64_t left = budget_tokens - static_cast<std::int64_t>(answers);
  if (!prompts.empty()) left = std::max<std::int64_t>(left, 1);
  for (ActiveRequest* request : prompts) {
    const std::int64_t tokens =
        room.Take(*request, request->cached, std::min(left, request->missing()));
    if (tokens > 0) plan.slices.push_back({request, tokens});
    left -= tokens;
  }
  PlanProposals(plan, answers, left, room, cache);
  plan.moves = answers_move && !plan.slices.empty();
}

bool FindsRoom(const ActiveRequest& request, const model::CachedPrefix& prefix,
               std::span<const std::unique_ptr<ActiveRequest>> running,
               const model::CacheStats& cache) {
  if (cache.page_tokens == 0) return true;
  const auto soon = [&](const ActiveRequest& one) {
    return PagesFor(one.prefix + std::min(one.length() + 1, one.most_tokens()), cache);
  };
  std::int64_t pages = cache.max_pages - cache.used_pages - prefix.idle_pages;
  for (const auto& other : running) pages -= soon(*other) - PagesOf(*other, other->cached, cache);
  // What is found ends with a page.
  const std::int64_t found = (request.prefix + prefix.tokens) / cache.page_tokens;
  return soon(request) - found <= pages;
}

}  // namespace metier::engine
