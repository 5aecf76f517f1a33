// train/worker_links.h - how the workers of a run find each other, and who of them is still there.
//
//   worker 0 listens at MASTER_ADDR:MASTER_PORT; the others come and say rank, count and where they
//   listen; when all are there it tells everyone, and each calls the next: a ring (ring.h).
//   The connections to worker 0 stay: a star of messages {u32 kind, u32 bytes, bytes}.
//
// A killed process's connections are closed by its system, which names it at once; one that is
// stopped, or whose machine is gone, is silent. Whoever listens on the network can join: it is
// for networks whose machines trust each other, as those of all launchers are.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "train/socket.h"
#include "train/worker_place.h"

namespace metier::train {

class WorkerLinks {
 public:
  // Returns when all are there. Requires place.count > 1. kIo: they were not after `timeout`, which
  // is also how long one may be silent.  kInvalidArgument: two that say they are the same, or
  // another number of workers.
  static Result<std::unique_ptr<WorkerLinks>> Open(const WorkerPlace& place,
                                                   std::chrono::milliseconds timeout);
  ~WorkerLinks();
  WorkerLinks(const WorkerLinks&) = delete;
  WorkerLinks& operator=(const WorkerLinks&) = delete;

  // The ring's connections, once each.
  Socket TakeNext() { return std::move(next_); }
  Socket TakePrevious() { return std::move(previous_); }

  // Begins to watch. `on_lost` is called once, on another thread, when a worker is gone.
  void Watch(std::function<void()> on_lost);

  // What became of the run, after something failed here with `symptom`: waits until it is known.
  std::string Verdict(const std::string& symptom);
  // The same where it is known by now.
  std::optional<std::string> verdict() const;

  // Tells all others why this worker ends, and that they must.
  void Fail(const std::string& why);
  // Tells the others that this one ends well. Requires that all of them do.
  void Leave();

 private:
  enum class Kind : std::uint32_t { kHello, kTable, kRefused, kAlive, kLost, kBye };
  struct Message {
    Kind kind = Kind::kAlive;
    std::string text;
  };
  struct Peer {
    int rank = 0;
    Socket socket;
    std::string received;  // not yet a whole message
    Deadline heard;        // last
    bool left = false;
  };

  WorkerLinks(const WorkerPlace& place, std::chrono::milliseconds timeout)
      : place_(place), timeout_(timeout) {}
  Status Meet(Deadline deadline);
  Status GatherOthers(const Socket& listener, std::uint16_t ring_port, Deadline deadline);
  Result<std::optional<Peer>> Admit(Socket socket, Deadline deadline);
  Status CallFirst(std::uint16_t ring_port, Deadline deadline);
  Status JoinRing(const Socket& listener, Deadline deadline);
  static Status Send(const Socket& socket, const Message& message, Deadline deadline);
  static Result<Message> Receive(const Socket& socket, Deadline deadline);

  void WatchAll();
  void ReadFrom(Peer& peer);
  bool TakeMessage(Peer& peer);
  void Lose(const Peer& peer, const std::string& how);
  void Decide(const std::string& why);
  void Tell(const Message& message);
  std::string Name(int rank) const;

  const WorkerPlace place_;
  const std::chrono::milliseconds timeout_;
  std::vector<Peer> peers_;  // of worker 0: all others; of the others: worker 0
  struct Member {
    std::string address;
    std::uint16_t port = 0;
  };
  std::vector<Member> members_;  // of the ring, by rank
  Socket next_;
  Socket previous_;

  mutable std::mutex mutex_;
  std::condition_variable decided_;
  std::optional<std::string> verdict_;
  std::mutex sending_;
  std::function<void()> on_lost_;
  std::thread watcher_;
  int wake_[2] = {-1, -1};  // a pipe: its end closes when the watcher must end
};

}  // namespace metier::train
