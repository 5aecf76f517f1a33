// train/ring.h - sums and copies over all workers of a run, each of which talks to two neighbours.
//
// A vector is cut into as many parts as there are workers. In count - 1 rounds each hands one part
// to the next and adds the one that it gets to its own: then each has one part of the sum. In as
// many rounds the parts go round once more (Patarasuk and Yuan 2009): 2 (count - 1) / count of the
// vector are sent by each, however many there are. A part is summed in one place and one order, so
// all workers have the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/socket.h"

namespace metier::train {

// Elements [first, first + count) of a vector.
struct VectorPart {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// The part of worker `rank` of a vector of `size`: parts are alike, in multiples of 16 elements,
// and the last ones may be short or empty.
VectorPart PartOf(std::int64_t size, int rank, int count);

// Every call is made by all workers, in one order. kIo: a neighbour is gone, or Abort was called.
// Threads: one; Abort from any.
class Ring {
 public:
  Ring(int rank, int count, Socket next, Socket previous)
      : rank_(rank), count_(count), next_(std::move(next)), previous_(std::move(previous)) {}

  // Each worker's own part becomes the sum; the others hold what is of no use.
  template <class T>
  Status SumParts(std::span<T> values);
  // Every worker's own part reaches all.
  template <class T>
  Status GatherParts(std::span<T> values);
  template <class T>
  Status Sum(std::span<T> values);

  // Worker 0's bytes to all.
  Status Spread(std::span<std::byte> bytes);
  // Block `rank` of each worker to all. Blocks have the sizes that all workers know.
  Status GatherBlocks(const std::vector<std::span<std::byte>>& blocks);

  void Abort() const;

 private:
  // Sends to the next and receives from the previous, both at once.
  Status Exchange(std::span<const std::byte> out, std::span<std::byte> in) const;
  // `rank` as it counts round the ring.
  int Round(int rank) const { return (rank % count_ + count_) % count_; }

  int rank_;
  int count_;
  Socket next_;
  Socket previous_;
  std::vector<std::byte> arriving_;
};

}  // namespace metier::train
