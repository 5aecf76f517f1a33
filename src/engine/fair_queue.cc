#include "engine/fair_queue.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace metier::engine {
namespace {

constexpr std::int64_t kNobody = std::numeric_limits<std::int64_t>::max();

bool MayStartOne(const Client& client) {
  if (client.waiting.empty()) return false;
  const std::int64_t limit = client.waiting.front()->limits.max_running;
  return limit <= 0 || client.running < limit;
}

// Equal counters: who asked first.
bool Before(const Client& a, const Client& b) {
  const auto key = [](const Client& client) {
    return std::pair(client.served + client.promised, client.waiting.front()->id);
  };
  return key(a) < key(b);
}

}  // namespace

std::int64_t FairQueue::WaitingOf(const std::string& client) const {
  const auto found = clients_.find(client);
  return found == clients_.end() ? 0 : static_cast<std::int64_t>(found->second->waiting.size());
}

std::int64_t FairQueue::Level() const {
  const Client* longest = nullptr;
  std::int64_t least = kNobody;
  for (const auto& [name, client] : clients_) {
    if (client->active()) least = std::min(least, client->served);
    if (client->waiting.empty()) continue;
    if (longest == nullptr || client->waiting.front()->id < longest->waiting.front()->id)
      longest = client.get();
  }
  if (longest != nullptr) return longest->served;
  return least == kNobody ? 0 : least;
}

void FairQueue::Push(std::unique_ptr<ActiveRequest> request) {
  std::unique_ptr<Client>& slot = clients_[request->request.client];
  if (slot == nullptr) slot = std::make_unique<Client>();
  Client& client = *slot;
  if (!client.active()) client.served = std::max(client.served, Level());
  request->client = &client;
  client.waiting.push_back(std::move(request));
  ++waiting_;
}

Client* FairQueue::NextClient() const {
  Client* next = nullptr;
  for (const auto& [name, client] : clients_) {
    if (MayStartOne(*client) && (next == nullptr || Before(*client, *next))) next = client.get();
  }
  return next;
}

const ActiveRequest* FairQueue::Next() const {
  const Client* client = NextClient();
  return client == nullptr ? nullptr : client->waiting.front().get();
}

std::unique_ptr<ActiveRequest> FairQueue::Start() {
  Client* client = NextClient();
  METIER_CHECK(client != nullptr, "nobody may start a request");
  std::unique_ptr<ActiveRequest> request = std::move(client->waiting.front());
  client->waiting.pop_front();
  --waiting_;
  ++client->running;
  Charge(*request, 0);
  return request;
}

void FairQueue::Charge(ActiveRequest& request, std::int64_t computed) {
  const std::int64_t promised = std::max<std::int64_t>(request.prompt_tokens - request.seen, 0);
  request.client->served += computed;
  request.client->promised += promised - request.promised;
  request.promised = promised;
}

void FairQueue::StopRunning(ActiveRequest& request) {
  request.client->promised -= std::exchange(request.promised, 0);
  --request.client->running;
}

void FairQueue::End(ActiveRequest& request) {
  StopRunning(request);
  request.client = nullptr;
  DropSilent();
}

void FairQueue::Return(std::unique_ptr<ActiveRequest> request) {
  StopRunning(*request);
  Client& client = *request->client;
  client.waiting.push_front(std::move(request));
  ++waiting_;
}

std::vector<std::unique_ptr<ActiveRequest>> FairQueue::TakeIf(
    const std::function<bool(const ActiveRequest&)>& chosen) {
  std::vector<std::unique_ptr<ActiveRequest>> taken;
  for (const auto& [name, client] : clients_) {
    for (std::unique_ptr<ActiveRequest>& request : client->waiting) {
      if (!chosen(*request)) continue;
      request->client = nullptr;
      taken.push_back(std::move(request));
    }
    std::erase(client->waiting, nullptr);
  }
  waiting_ -= static_cast<std::int64_t>(taken.size());
  if (!taken.empty()) DropSilent();
  return taken;
}

void FairQueue::DropSilent() {
  std::int64_t least = kNobody;
  for (const auto& [name, client] : clients_) {
    if (client->active()) least = std::min(least, client->served);
  }
  std::erase_if(clients_, [least](const auto& entry) {
    return !entry.second->active() && entry.second->served <= least;
  });
}

}  // namespace metier::engine
