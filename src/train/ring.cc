#include "train/ring.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace metier::train {
namespace {

constexpr std::int64_t kPartMultiple = 16;     // elements: whole cache lines of floats
constexpr std::size_t kSpreadBytes = 1 << 20;  // handed on at once
constexpr int kPollMs = 1000;                  // an abort wakes the wait sooner

// One call on a socket that does not block; 0: not now.
Result<std::size_t> Moved(ssize_t moved, const char* what) {
  if (moved > 0) return static_cast<std::size_t>(moved);
  if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return 0U;
  return Error(ErrorCode::kIo,
               fmt::format("{}: {}", what, moved == 0 ? "closed" : std::strerror(errno)));
}

template <class T>
std::span<std::byte> BytesOfPart(std::span<T> values, int rank, int count) {
  const VectorPart part = PartOf(static_cast<std::int64_t>(values.size()), rank, count);
  return std::as_writable_bytes(
      values.subspan(static_cast<std::size_t>(part.first), static_cast<std::size_t>(part.count)));
}

template <class T>
void AddBytes(std::span<std::byte> to, std::span<const std::byte> from) {
  auto* sum = reinterpret_cast<T*>(to.data());
  const auto* more = reinterpret_cast<const T*>(from.data());
  for (std::size_t i = 0; i < to.size() / sizeof(T); ++i) sum[i] += more[i];
}

}  // namespace

VectorPart PartOf(std::int64_t size, int rank, int count) {
  const std::int64_t even = (size + count - 1) / count;
  const std::int64_t part = (even + kPartMultiple - 1) / kPartMultiple * kPartMultiple;
  const std::int64_t first = std::min(size, rank * part);
  return {first, std::min(size - first, part)};
}

Status Ring::Exchange(std::span<const std::byte> out, std::span<std::byte> in) const {
  while (!out.empty() || !in.empty()) {
    pollfd waits[2] = {{out.empty() ? -1 : next_.file(), POLLOUT, 0},
                       {in.empty() ? -1 : previous_.file(), POLLIN, 0}};
    if (::poll(waits, 2, kPollMs) < 0 && errno != EINTR)
      return Error(ErrorCode::kIo, fmt::format("poll: {}", std::strerror(errno)));
    if (waits[0].revents != 0) {
      METIER_ASSIGN(
          const std::size_t sent,
          Moved(::send(next_.file(), out.data(), out.size(), MSG_NOSIGNAL), "send to the next"));
      out = out.subspan(sent);
    }
    if (waits[1].revents != 0) {
      METIER_ASSIGN(const std::size_t got, Moved(::recv(previous_.file(), in.data(), in.size(), 0),
                                                 "receive from the previous"));
      in = in.subspan(got);
    }
  }
  return Ok();
}

template <class T>
Status Ring::SumParts(std::span<T> values) {
  for (int round = 0; round + 1 < count_; ++round) {
    const auto out = BytesOfPart(values, Round(rank_ - round - 1), count_);
    const auto in = BytesOfPart(values, Round(rank_ - round - 2), count_);
    arriving_.resize(std::max(arriving_.size(), in.size()));
    const auto arrived = std::span(arriving_).first(in.size());
    METIER_TRY(Exchange(out, arrived));
    AddBytes<T>(in, arrived);
  }
  return Ok();
}

template <class T>
Status Ring::GatherParts(std::span<T> values) {
  std::vector<std::span<std::byte>> blocks;
  for (int rank = 0; rank < count_; ++rank) blocks.push_back(BytesOfPart(values, rank, count_));
  return GatherBlocks(blocks);
}

template <class T>
Status Ring::Sum(std::span<T> values) {
  METIER_TRY(SumParts(values));
  return GatherParts(values);
}

Status Ring::GatherBlocks(const std::vector<std::span<std::byte>>& blocks) {
  for (int round = 0; round + 1 < count_; ++round) {
    METIER_TRY(Exchange(blocks[static_cast<std::size_t>(Round(rank_ - round))],
                        blocks[static_cast<std::size_t>(Round(rank_ - round - 1))]));
  }
  return Ok();
}

Status Ring::Spread(std::span<std::byte> bytes) {
  const bool last = rank_ == count_ - 1;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kSpreadBytes));
    if (rank_ != 0) METIER_TRY(Exchange({}, piece));
    if (!last) METIER_TRY(Exchange(piece, {}));
    bytes = bytes.subspan(piece.size());
  }
  return Ok();
}

void Ring::Abort() const {
  next_.Shutdown();
  previous_.Shutdown();
}

template Status Ring::SumParts(std::span<float>);
template Status Ring::SumParts(std::span<double>);
template Status Ring::GatherParts(std::span<float>);
template Status Ring::GatherParts(std::span<double>);
template Status Ring::Sum(std::span<float>);
template Status Ring::Sum(std::span<double>);

}  // namespace metier::train
