// kernels/body/fetch.h - memory fetched while something else is computed, a few lines at a time:
// all at once would fill the core's buffers of outstanding misses, and what follows would wait.
#pragma once

#include "kernels/body/lanes.h"
#include "kernels/kernel_table.h"

namespace metier::kernels::body {

inline constexpr std::size_t kLine = 64;

// Memory that later tiles of a product read: 8 rows of 8-bit weights ran at 0.7 of the speed when
// it was fetched at once.
struct Fetch {
  const std::byte* at;
  std::size_t lines;  // with each group

  // Share kShare of kShares: a burst of all lines of a group, between two groups, took a tenth more
  // time for a single row than a few lines after every few products.
  template <int kShare, int kShares>
  METIER_INLINE void Next() {
    const std::byte* stop = at + (lines + (kShares - 1 - kShare)) / kShares * kLine;
    for (; at != stop; at += kLine) __builtin_prefetch(at);
  }
  Fetch After(std::size_t groups) const { return {at + groups * lines * kLine, lines}; }
};

// The stretches that a product's caller reads next, in `steps` steps.
class FetchAhead {
 public:
  METIER_INLINE FetchAhead(const PackedProduct& product, std::size_t steps)
      : next_(product.ahead), end_(product.ahead + product.ahead_count) {
    std::size_t lines = 0;
    for (const Stretch* s = next_; s != end_; ++s) lines += (s->bytes + kLine - 1) / kLine;
    lines_ = (lines + steps - 1) / steps;
  }

  METIER_INLINE void Next() {
    for (std::size_t i = 0; i < lines_ && next_ != end_; ++i) {
      __builtin_prefetch(next_->at + done_, 0, 2);  // to be read, into the second-level cache
      done_ += kLine;
      if (done_ < next_->bytes) continue;
      ++next_;
      done_ = 0;
    }
  }

 private:
  const Stretch* next_;
  const Stretch* end_;
  std::size_t lines_ = 0;
  std::size_t done_ = 0;  // of next_
};

}  // namespace metier::kernels::body
