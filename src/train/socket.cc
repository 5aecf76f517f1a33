#include "train/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

namespace metier::train {
namespace {

constexpr std::chrono::milliseconds kBetweenTries{50};

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> Resolve(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed != 0) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("address '{}': {}", address, ::gai_strerror(failed)));
  }
  return Addresses(list);
}

bool IsLoopback(const addrinfo& address) {
  if (address.ai_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.ai_addr);
    return (ntohl(v4->sin_addr.s_addr) >> 24U) == 127;
  }
  if (address.ai_family != AF_INET6) return false;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address.ai_addr)->sin6_addr);
}

// Without delay: what workers say to each other is waited for.
void SetUp(int file) {
  const int yes = 1;
  ::setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

int OpenFile(int family) { return ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

Error Failed(const char* what) {
  return Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno)));
}

// Whether `events` came before the deadline.
Status WaitFor(int file, short events, Deadline deadline) {
  while (true) {
    pollfd waits = {file, events, 0};
    const int ready = ::poll(&waits, 1, MillisecondsUntil(deadline));
    if (ready > 0) return Ok();
    if (ready < 0 && errno != EINTR) return Failed("poll");
    if (ready == 0) return Error(ErrorCode::kIo, "nothing came in time");
  }
}

// One try; the error says why not.
Status TryConnect(int file, const addrinfo& address, Deadline deadline) {
  if (::connect(file, address.ai_addr, address.ai_addrlen) == 0) return Ok();
  if (errno != EINPROGRESS) return Failed("connect");
  METIER_TRY(WaitFor(file, POLLOUT, deadline));
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) return Ok();
  errno = error;
  return Failed("connect");
}

// Whether a connection leads back to itself: who tries a port of this machine that nobody listens
// at may be given that very port to come from.
bool MeetsItself(int file) {
  sockaddr_storage here{};
  sockaddr_storage there{};
  socklen_t size = sizeof here;
  ::getsockname(file, reinterpret_cast<sockaddr*>(&here), &size);
  socklen_t other = sizeof there;
  ::getpeername(file, reinterpret_cast<sockaddr*>(&there), &other);
  return size == other && std::memcmp(&here, &there, size) == 0;
}

bool TryAgain() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

int MillisecondsUntil(Deadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
}

Socket::Socket(Socket&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

Socket::~Socket() {
  if (file_ >= 0) ::close(file_);
}

Result<Socket> Socket::Listen(const std::string& address, std::uint16_t port) {
  METIER_ASSIGN(const Addresses addresses, Resolve(address, port));
  const bool local = IsLoopback(*addresses);
  const bool v6 = addresses->ai_family == AF_INET6;
  Socket socket(OpenFile(v6 ? AF_INET6 : AF_INET));
  if (!socket.open()) return Failed("socket");
  const int yes = 1;
  ::setsockopt(socket.file_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_storage place{};
  std::memcpy(&place, addresses->ai_addr, addresses->ai_addrlen);
  if (!local && v6) reinterpret_cast<sockaddr_in6*>(&place)->sin6_addr = in6addr_any;
  if (!local && !v6) reinterpret_cast<sockaddr_in*>(&place)->sin_addr.s_addr = INADDR_ANY;
  if (::bind(socket.file_, reinterpret_cast<const sockaddr*>(&place), addresses->ai_addrlen) != 0 ||
      ::listen(socket.file_, SOMAXCONN) != 0)
    return Failed(fmt::format("listen at port {}", port).c_str());
  return socket;
}

Result<Socket> Socket::Connect(const std::string& address, std::uint16_t port, Deadline deadline) {
  METIER_ASSIGN(const Addresses addresses, Resolve(address, port));
  while (true) {
    Status tried = Ok();
    for (const addrinfo* next = addresses.get(); next != nullptr; next = next->ai_next) {
      Socket socket(OpenFile(next->ai_family));
      if (!socket.open()) return Failed("socket");
      tried = TryConnect(socket.file_, *next, deadline);
      if (tried.ok() && MeetsItself(socket.file_)) {
        errno = ECONNREFUSED;
        tried = Failed("connect");
      }
      if (!tried.ok()) continue;
      SetUp(socket.file_);
      return socket;
    }
    if (std::chrono::steady_clock::now() + kBetweenTries >= deadline)
      return std::move(tried).error().With(fmt::format("{}:{}", address, port));
    std::this_thread::sleep_for(kBetweenTries);
  }
}

Result<Socket> Socket::Accept(Deadline deadline) const {
  while (true) {
    METIER_TRY(WaitFor(file_, POLLIN, deadline));
    Socket socket(::accept4(file_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.open()) {
      SetUp(socket.file_);
      return socket;
    }
    if (!TryAgain() && errno != ECONNABORTED) return Failed("accept");
  }
}

Status Socket::Send(std::span<const std::byte> bytes, Deadline deadline) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(file_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
    if (sent >= 0) continue;
    if (!TryAgain()) return Failed("send");
    METIER_TRY(WaitFor(file_, POLLOUT, deadline));
  }
  return Ok();
}

Status Socket::Receive(std::span<std::byte> bytes, Deadline deadline) const {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(file_, bytes.data(), bytes.size(), 0);
    if (got == 0) return Error(ErrorCode::kIo, "the connection was closed");
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
    if (got > 0) continue;
    if (!TryAgain()) return Failed("receive");
    METIER_TRY(WaitFor(file_, POLLIN, deadline));
  }
  return Ok();
}

std::uint16_t Socket::LocalPort() const {
  sockaddr_storage place{};
  socklen_t size = sizeof place;
  ::getsockname(file_, reinterpret_cast<sockaddr*>(&place), &size);
  return ntohs(place.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&place)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&place)->sin_port);
}

std::string Socket::PeerAddress() const {
  sockaddr_storage place{};
  socklen_t size = sizeof place;
  ::getpeername(file_, reinterpret_cast<sockaddr*>(&place), &size);
  std::array<char, NI_MAXHOST> text{};
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&place), size, text.data(), text.size(), nullptr,
                0, NI_NUMERICHOST);
  return text.data();
}

void Socket::Shutdown() const {
  if (open()) ::shutdown(file_, SHUT_RDWR);
}

void Socket::Finish(Deadline deadline) const {
  if (!open()) return;
  ::shutdown(file_, SHUT_WR);
  std::array<std::byte, 4096> rest{};
  while (true) {
    const ssize_t got = ::recv(file_, rest.data(), rest.size(), 0);
    if (got == 0 || (got < 0 && !TryAgain())) return;
    if (got < 0 && !WaitFor(file_, POLLIN, deadline).ok()) return;
  }
}

}  // namespace metier::train
