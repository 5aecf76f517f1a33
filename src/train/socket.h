// train/socket.h - TCP between the workers of a run, every wait with a deadline.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace metier::train {

using Deadline = std::chrono::steady_clock::time_point;

// Milliseconds for poll(): at least 0, so that what has passed returns at once.
int MillisecondsUntil(Deadline deadline);

// Movable, not copyable. Threads: one sends while another receives; Shutdown from any.
class Socket {
 public:
  Socket() = default;
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  // Listens at `port`, 0 for any that is free: on this machine's loopback alone where `address` is
  // of it, else on all interfaces. kInvalidArgument: no such address.  kIo: the port is taken.
  static Result<Socket> Listen(const std::string& address, std::uint16_t port);
  // Tries until somebody listens there. kInvalidArgument: no such address.  kIo: nobody did.
  static Result<Socket> Connect(const std::string& address, std::uint16_t port, Deadline deadline);

  // kIo: nobody came.
  Result<Socket> Accept(Deadline deadline) const;

  // Everything or an error. kIo: the other side is gone, or the deadline passed.
  Status Send(std::span<const std::byte> bytes, Deadline deadline) const;
  Status Receive(std::span<std::byte> bytes, Deadline deadline) const;

  bool open() const { return file_ >= 0; }
  int file() const { return file_; }
  std::uint16_t LocalPort() const;
  std::string PeerAddress() const;  // as numbers

  // Wakes whoever waits for it, with an error.
  void Shutdown() const;
  // Says that nothing more comes, and waits for the other side to say so, so that what was sent
  // last is read: closing on unread bytes would throw it away.
  void Finish(Deadline deadline) const;

 private:
  explicit Socket(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace metier::train
