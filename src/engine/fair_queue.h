// engine/fair_queue.h - whose request starts next: clients share what is computed evenly, each in
// its own order.
//
// Every client has a counter of the tokens computed for it, and the client with the smallest is
// next (virtual token counters: Sheng et al., "Fairness in Serving Large Language Models", 2024,
// algorithm 2). Prompts that have started count as computed, or a client with a thousand short
// requests would start all of them at once.
//
// A client that comes, or comes back, starts at the counter of the client who waits longest, so
// nobody saves up turns. (The paper takes the smallest counter; then an endless stream of new
// clients, each starting there, could hold up a client above it for ever.)
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/request.h"

namespace metier::engine {

struct Client {
  std::int64_t served = 0;    // tokens computed for it
  std::int64_t promised = 0;  // of prompts that have started, to be computed
  std::int64_t running = 0;   // requests
  std::deque<std::unique_ptr<ActiveRequest>> waiting;

  bool active() const { return running > 0 || !waiting.empty(); }
};

class FairQueue {
 public:
  std::int64_t waiting() const { return waiting_; }
  std::int64_t WaitingOf(const std::string& client) const;

  // Behind the client's others.
  void Push(std::unique_ptr<ActiveRequest> request);
  // The first request of the client that is next; nullptr: nobody may start one now.
  const ActiveRequest* Next() const;
  // Takes Next(), which is there; it runs from now on.
  std::unique_ptr<ActiveRequest> Start();
  // `seen` of a running request may have grown, and `computed` tokens were computed for it.
  void Charge(ActiveRequest& request, std::int64_t computed);
  // A running request has ended, or goes back in front of its client's others.
  void End(ActiveRequest& request);
  void Return(std::unique_ptr<ActiveRequest> request);

  // Takes the waiting requests that `chosen` wants.
  std::vector<std::unique_ptr<ActiveRequest>> TakeIf(
      const std::function<bool(const ActiveRequest&)>& chosen);

 private:
  Client* NextClient() const;
  // Where a client that was silent starts; where nobody waits, as the least served who runs.
  std::int64_t Level() const;
  void StopRunning(ActiveRequest& request);
  // Counters of the silent are kept only while they say something: while they are above the least.
  void DropSilent();

  std::map<std::string, std::unique_ptr<Client>> clients_;
  std::int64_t waiting_ = 0;
};

}  // namespace metier::engine
