// engine/expert_cache.h - experts of a model that need not all fit in memory: those in use, and as
// many others as a budget holds.
//
// An entry is one expert of one layer, packed. A pass says which experts of a layer it is going to
// use (Expect), pins them, computes and unpins them; what is not there is packed from the mapped
// file, whose pages are dropped afterwards. Packing keeps every bit, so a result does not depend on
// the budget. Where the choice is known before attention, a background thread reads and packs
// meanwhile.
//
// Who has to go: the expert with the lowest score, a count of its uses in which an older one weighs
// less (LRFU, Lee et al. 2001, IEEE Transactions on Computers 50(12)). Age is counted in passes of
// the expert's own layer: by time alone a token's layers would push out each other's experts in
// turn. docs/adr/0018 has the figures.
//
// Threads: any number of passes at once. Pinning waits for room only while its pass has nothing
// pinned, so passes never wait for each other in a circle.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "engine/weights.h"
#include "tensor/tensor.h"

namespace metier::engine {

struct ExpertCacheStats {
  // Experts that passes pinned, an expert once for a layer of a pass: those that were there when
  // the pass asked, those that came in the background after it asked, those that it packed itself.
  std::int64_t hits = 0;
  std::int64_t prefetched = 0;
  std::int64_t misses = 0;
  std::uint64_t max_bytes = 0;
  std::uint64_t resident_bytes = 0;  // what is being packed included
  std::uint64_t peak_bytes = 0;

  // Of all that were pinned, in [0, 1]; 0 before the first.
  double HitRate() const;
};

class ExpertCache {
 public:
  // Calls body on parts of [0, count), as Compute::For.
  using Crew = FunctionRef<void(std::size_t count, std::size_t cost,
                                FunctionRef<void(std::size_t, std::size_t)> body)>;

  // stored: [layers, experts], as rows or panels in a map that outlives the cache.
  // kResourceExhausted: the budget does not hold the largest expert (with both sizes).
  static Result<std::unique_ptr<ExpertCache>> Create(
      const std::vector<std::vector<FeedForward>>& stored, std::uint64_t max_bytes);
  ~ExpertCache();
  ExpertCache(const ExpertCache&) = delete;
  ExpertCache& operator=(const ExpertCache&) = delete;

  // A pass is going to pin these experts, ascending, once each: those that are there stay if
  // anything else can go, the bytes of the others are read ahead. kInBackground: and packed, while
  // the pass does something else. Returns at once.
  enum class Fetch { kWhenPinned, kInBackground };
  void Expect(std::size_t layer, std::span<const std::int32_t> experts, Fetch fetch);

  // Appends the first of `experts` to `pinned` until the budget holds no more at once, at least
  // one, and returns how many. They stay as they are until Unpin. The calling thread must not have
  // others pinned. Waits where other passes have pinned all there is room for.
  std::size_t Pin(std::size_t layer, std::span<const std::int32_t> experts, Crew crew,
                  std::vector<const FeedForward*>& pinned);
  void Unpin(std::size_t layer, std::span<const std::int32_t> experts);

  ExpertCacheStats stats() const;

 private:
  enum class State : std::uint8_t { kAbsent, kLoading, kResident };
  struct Entry {
    std::size_t layer = 0;
    FeedForward stored;
    FeedForward packed;  // points into `memory`
    std::size_t bytes = 0;
    tensor::Tensor memory;
    State state = State::kAbsent;
    int pins = 0;
    bool awaited = false;   // expected and not pinned since
    bool fresh = false;     // came in the background and was not pinned since
    double score = 0;       // when last used,
    std::int64_t used = 0;  // on its layer's clock
  };
  enum class Victims { kNotAwaited, kAny };

  ExpertCache(const std::vector<std::vector<FeedForward>>& stored, std::uint64_t max_bytes);

  Entry& At(std::size_t layer, std::int32_t expert) {
    return entries_[layer][static_cast<std::size_t>(expert)];
  }
  bool PinOne(std::unique_lock<std::mutex>& lock, Entry& entry, bool may_wait, Crew crew);
  // Memory for an entry that is not there, taken from others where there is no more; nothing, and
  // nobody has gone, when these do not have enough.
  std::optional<tensor::Tensor> MakeRoom(const Entry& entry, Victims victims);
  Entry* WorstOf(Victims victims, std::size_t layer);
  double ScoreOf(const Entry& entry) const;
  // Packs an entry into `memory`, without the lock meanwhile.
  void Load(std::unique_lock<std::mutex>& lock, Entry& entry, tensor::Tensor memory, Crew crew);
  // Someone who waits may go on.
  void Notify();
  void FetchInBackground();
  // The first of the queue that there is room for, off the queue.
  Entry* NextOfQueue(std::optional<tensor::Tensor>& memory);

  const std::uint64_t max_bytes_;
  mutable std::mutex mutex_;         // of all below
  std::condition_variable changed_;  // for passes that wait
  std::condition_variable work_;     // for the background thread
  int waiting_ = 0;                  // passes
  bool stop_ = false;
  std::vector<std::vector<Entry>> entries_;  // [layers, experts]
  std::vector<Entry*> resident_;
  std::vector<std::int64_t> clocks_;  // [layers], passes so far
  std::vector<Entry*> queue_;         // to be fetched in the background, the next one first
  ExpertCacheStats stats_;
  std::thread background_;
};

}  // namespace metier::engine
