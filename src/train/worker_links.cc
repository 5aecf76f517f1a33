#include "train/worker_links.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/json.h"

namespace metier::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kProtocol = "metier-workers-1";
constexpr std::uint32_t kMostBytes = 1 << 20;      // of a message
constexpr std::chrono::seconds kIntroduction{10};  // a stranger's silence must not hold up the run
constexpr std::chrono::milliseconds kSendTime{1000};  // messages are short: they fit into a buffer
constexpr std::chrono::seconds kFarewell{2};

double Seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

// -1 where there is none: what a stranger says may be anything.
std::int64_t WholeOf(const Json& said, const char* key) {
  const auto found = said.find(key);
  return found != said.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
}

// What a worker says of itself; nothing of a stranger.
std::optional<Json> ReadHello(const std::string& text) {
  Result<Json> said = ParseJson(text);
  if (!said.ok() || !said->is_object()) return std::nullopt;
  const auto protocol = said->find("protocol");
  if (protocol == said->end() || *protocol != kProtocol) return std::nullopt;
  return *std::move(said);
}

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

std::string WorkerLinks::Name(int rank) const {
  return fmt::format("worker {} of {}", rank, place_.count);
}

Status WorkerLinks::Send(const Socket& socket, const Message& message, Deadline deadline) {
  const std::uint32_t head[2] = {static_cast<std::uint32_t>(message.kind),
                                 static_cast<std::uint32_t>(message.text.size())};
  std::string bytes(reinterpret_cast<const char*>(head), sizeof head);
  bytes += message.text;
  return socket.Send(BytesOf(bytes), deadline);
}

Result<WorkerLinks::Message> WorkerLinks::Receive(const Socket& socket, Deadline deadline) {
  std::uint32_t head[2] = {};
  METIER_TRY(socket.Receive(std::as_writable_bytes(std::span(head)), deadline));
  if (head[1] > kMostBytes || head[0] > static_cast<std::uint32_t>(Kind::kBye))
    return Error(ErrorCode::kIo, "what answers there is no worker of ours");
  Message message{static_cast<Kind>(head[0]), std::string(head[1], '\0')};
  METIER_TRY(socket.Receive(
      std::as_writable_bytes(std::span(message.text.data(), message.text.size())), deadline));
  return message;
}

Result<std::unique_ptr<WorkerLinks>> WorkerLinks::Open(const WorkerPlace& place,
                                                       std::chrono::milliseconds timeout) {
  std::unique_ptr<WorkerLinks> links(new WorkerLinks(place, timeout));
  METIER_TRY(links->Meet(Clock::now() + timeout));
  return links;
}

Status WorkerLinks::Meet(Deadline deadline) {
  if (::pipe2(wake_, O_CLOEXEC) != 0)
    return Error(ErrorCode::kIo, fmt::format("pipe: {}", std::strerror(errno)));
  METIER_ASSIGN(const Socket ring, Socket::Listen(place_.address, 0));
  if (place_.rank == 0) {
    Result<Socket> listener = Socket::Listen(place_.address, place_.port);
    if (!listener.ok()) {
      return std::move(listener).error().With(
          fmt::format("MASTER_PORT {}: worker 0 cannot wait there for the others; choose a free "
                      "port, alike for all workers",
                      place_.port));
    }
    METIER_TRY(GatherOthers(*listener, ring.LocalPort(), deadline));
  } else {
    METIER_TRY(CallFirst(ring.LocalPort(), deadline));
  }
  return JoinRing(ring, deadline);
}

// Nothing: a stranger, or one that broke off.
Result<std::optional<WorkerLinks::Peer>> WorkerLinks::Admit(Socket socket, Deadline deadline) {
  Result<Message> hello = Receive(socket, std::min(deadline, Clock::now() + kIntroduction));
  if (!hello.ok() || hello->kind != Kind::kHello) return std::optional<Peer>();
  const std::optional<Json> said = ReadHello(hello->text);
  if (!said) return std::optional<Peer>();
  const std::int64_t rank = WholeOf(*said, "rank");
  const std::int64_t count = WholeOf(*said, "count");
  std::string problem;
  if (count != place_.count) {
    problem = fmt::format("worker {} was started as one of {} workers, worker 0 as one of {}", rank,
                          count, place_.count);
  } else if (rank <= 0 || rank >= count || members_[static_cast<std::size_t>(rank)].port != 0) {
    problem = fmt::format("two processes say that they are worker {} of {}", rank, count);
  }
  if (!problem.empty()) {
    problem += "; RANK must differ, and WORLD_SIZE be the same, for all of them";
    const Status told = Send(socket, {Kind::kRefused, problem}, Clock::now() + kSendTime);
    if (told.ok()) socket.Finish(Clock::now() + kSendTime);
    return Error(ErrorCode::kInvalidArgument, problem);
  }
  members_[static_cast<std::size_t>(rank)] = {socket.PeerAddress(),
                                              static_cast<std::uint16_t>(WholeOf(*said, "port"))};
  Peer peer;
  peer.rank = static_cast<int>(rank);
  peer.socket = std::move(socket);
  return std::optional<Peer>(std::move(peer));
}

Status WorkerLinks::GatherOthers(const Socket& listener, std::uint16_t ring_port,
                                 Deadline deadline) {
  members_.resize(static_cast<std::size_t>(place_.count));
  members_[0] = {place_.address, ring_port};
  while (static_cast<int>(peers_.size()) + 1 < place_.count) {
    Result<Socket> socket = listener.Accept(deadline);
    if (!socket.ok()) {
      std::vector<int> absent;
      for (int rank = 1; rank < place_.count; ++rank)
        if (members_[static_cast<std::size_t>(rank)].port == 0) absent.push_back(rank);
      return Error(ErrorCode::kIo,
                   fmt::format("workers: {} of {} came to {}:{} within {:g} s, absent: {}; start "
                               "them, and see that MASTER_ADDR and MASTER_PORT lead here from "
                               "their machines",
                               peers_.size() + 1, place_.count, place_.address, place_.port,
                               Seconds(timeout_), fmt::join(absent, ", ")));
    }
    METIER_ASSIGN(std::optional<Peer> peer, Admit(std::move(*socket), deadline));
    if (peer) peers_.push_back(std::move(*peer));
  }
  Json table = Json::array();
  for (const Member& member : members_)
    table.push_back({{"address", member.address}, {"port", member.port}});
  for (const Peer& peer : peers_)
    METIER_TRY(Send(peer.socket, {Kind::kTable, DumpCompact(table)}, deadline));
  return Ok();
}

Status WorkerLinks::CallFirst(std::uint16_t ring_port, Deadline deadline) {
  const auto failed = [&](Error error) {
    return std::move(error).With(fmt::format(
        "{} cannot join worker 0 at {}:{} within {:g} s; start worker 0, and see that MASTER_ADDR "
        "and MASTER_PORT are its own and no firewall lies between",
        Name(place_.rank), place_.address, place_.port, Seconds(timeout_)));
  };
  Result<Socket> socket = Socket::Connect(place_.address, place_.port, deadline);
  if (!socket.ok()) return failed(std::move(socket).error());
  const Json hello = {
      {"protocol", kProtocol}, {"rank", place_.rank}, {"count", place_.count}, {"port", ring_port}};
  Status sent = Send(*socket, {Kind::kHello, DumpCompact(hello)}, deadline);
  if (!sent.ok()) return failed(std::move(sent).error());
  Result<Message> answer = Receive(*socket, deadline);
  if (!answer.ok()) return failed(std::move(answer).error());
  if (answer->kind == Kind::kRefused) return Error(ErrorCode::kInvalidArgument, answer->text);
  METIER_ASSIGN(const Json table, ParseJson(answer->text));
  if (!table.is_array() || table.size() != static_cast<std::size_t>(place_.count))
    return failed(Error(ErrorCode::kIo, "what answers there is no worker of ours"));
  for (const Json& member : table) {
    members_.push_back({member.at("address").get<std::string>(),
                        static_cast<std::uint16_t>(WholeOf(member, "port"))});
  }
  Peer first;
  first.socket = std::move(*socket);
  peers_.push_back(std::move(first));
  return Ok();
}

Status WorkerLinks::JoinRing(const Socket& listener, Deadline deadline) {
  const int after = (place_.rank + 1) % place_.count;
  const int before = (place_.rank + place_.count - 1) % place_.count;
  const Member& next = members_[static_cast<std::size_t>(after)];
  Result<Socket> socket = Socket::Connect(next.address, next.port, deadline);
  if (!socket.ok())
    return std::move(socket).error().With(
        fmt::format("{} cannot reach {}, which could reach "
                    "worker 0; see that no firewall lies between",
                    Name(place_.rank), Name(after)));
  next_ = std::move(*socket);
  const Json hello = {{"protocol", kProtocol}, {"rank", place_.rank}};
  METIER_TRY(Send(next_, {Kind::kHello, DumpCompact(hello)}, deadline));
  while (true) {
    Result<Socket> came = listener.Accept(deadline);
    if (!came.ok())
      return std::move(came).error().With(
          fmt::format("{} waited for {}", Name(place_.rank), Name(before)));
    const Result<Message> said = Receive(*came, std::min(deadline, Clock::now() + kIntroduction));
    if (!said.ok() || said->kind != Kind::kHello) continue;
    const std::optional<Json> who = ReadHello(said->text);
    if (!who || WholeOf(*who, "rank") != before) continue;
    previous_ = std::move(*came);
    return Ok();
  }
}

void WorkerLinks::Watch(std::function<void()> on_lost) {
  on_lost_ = std::move(on_lost);
  for (Peer& peer : peers_) peer.heard = Clock::now();
  watcher_ = std::thread([this] { WatchAll(); });
}

void WorkerLinks::WatchAll() {
  const std::chrono::milliseconds between =
      std::clamp(timeout_ / 8, std::chrono::milliseconds(20), std::chrono::milliseconds(5000));
  Deadline beat = Clock::now();
  while (true) {
    if (Clock::now() >= beat) {
      Tell({Kind::kAlive, ""});
      beat = Clock::now() + between;
    }
    std::vector<pollfd> waits = {{wake_[0], 0, 0}};
    for (const Peer& peer : peers_)
      waits.push_back({peer.left ? -1 : peer.socket.file(), POLLIN, 0});
    const int ready = ::poll(waits.data(), waits.size(), MillisecondsUntil(beat));
    if (ready < 0 && errno != EINTR) return Decide(fmt::format("poll: {}", std::strerror(errno)));
    if (waits[0].revents != 0) return;
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      Peer& peer = peers_[i];
      if (peer.left) continue;
      if (ready > 0 && waits[i + 1].revents != 0) ReadFrom(peer);
      if (!peer.left && Clock::now() - peer.heard > timeout_)
        Lose(peer, fmt::format("nothing was heard of it for {:g} s", Seconds(timeout_)));
    }
  }
}

void WorkerLinks::ReadFrom(Peer& peer) {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::recv(peer.socket.file(), bytes.data(), bytes.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    Lose(peer, got == 0 ? "its connection was closed"
                        : fmt::format("its connection broke: {}", std::strerror(errno)));
    peer.left = true;
    return;
  }
  peer.heard = Clock::now();
  peer.received.append(bytes.data(), static_cast<std::size_t>(got));
  while (TakeMessage(peer)) {
  }
}

// False: there is no whole one.
bool WorkerLinks::TakeMessage(Peer& peer) {
  std::uint32_t head[2] = {};
  if (peer.received.size() < sizeof head) return false;
  std::memcpy(head, peer.received.data(), sizeof head);
  if (head[1] > kMostBytes) {
    Lose(peer, "it said what no worker says");
    peer.left = true;
    return false;
  }
  if (peer.received.size() < sizeof head + head[1]) return false;
  const std::string text = peer.received.substr(sizeof head, head[1]);
  peer.received.erase(0, sizeof head + head[1]);
  if (head[0] == static_cast<std::uint32_t>(Kind::kBye)) peer.left = true;
  if (head[0] == static_cast<std::uint32_t>(Kind::kLost)) {
    Decide(text);
    peer.left = true;
  }
  return !peer.left;
}

void WorkerLinks::Lose(const Peer& peer, const std::string& how) {
  Decide(fmt::format("{} is gone: {}", Name(peer.rank), how));
}

// The first reason is the one; worker 0 hands it on.
void WorkerLinks::Decide(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (verdict_) return;
    verdict_ = why;
  }
  decided_.notify_all();
  if (place_.rank == 0) Tell({Kind::kLost, why});
  if (on_lost_) on_lost_();
}

void WorkerLinks::Tell(const Message& message) {
  const std::lock_guard lock(sending_);
  // One that cannot be told is found gone by who reads from it.
  for (const Peer& peer : peers_)
    static_cast<void>(Send(peer.socket, message, Clock::now() + kSendTime).ok());
}

std::optional<std::string> WorkerLinks::verdict() const {
  const std::lock_guard lock(mutex_);
  return verdict_;
}

std::string WorkerLinks::Verdict(const std::string& symptom) {
  std::unique_lock lock(mutex_);
  decided_.wait_for(lock, timeout_ + kFarewell, [this] { return verdict_.has_value(); });
  if (verdict_) return *verdict_;
  lock.unlock();
  Fail(fmt::format("its connection to a neighbour broke: {}", symptom));
  lock.lock();
  return *verdict_;
}

void WorkerLinks::Fail(const std::string& why) {
  const std::string text =
      fmt::format("{} ended: {}", Name(place_.rank), why.substr(0, kMostBytes / 2));
  {
    const std::lock_guard lock(mutex_);
    if (verdict_) return;
    verdict_ = text;
  }
  Tell({Kind::kLost, text});
}

void WorkerLinks::Leave() { Tell({Kind::kBye, ""}); }

WorkerLinks::~WorkerLinks() {
  if (wake_[1] >= 0) ::close(wake_[1]);
  if (watcher_.joinable()) watcher_.join();
  if (wake_[0] >= 0) ::close(wake_[0]);
  const Deadline deadline = Clock::now() + kFarewell;
  for (const Peer& peer : peers_)
    if (peer.socket.open()) ::shutdown(peer.socket.file(), SHUT_WR);
  for (const Peer& peer : peers_) peer.socket.Finish(deadline);
}

}  // namespace metier::train
