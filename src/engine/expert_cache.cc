#include "engine/expert_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/file.h"
#include "engine/packing.h"

namespace metier::engine {

using tensor::Tensor;

namespace {

// Passes after which a use counts half (docs/adr/0018 has others' hit rates).
constexpr double kHalfLife = 2;

constexpr std::array<Linear FeedForward::*, 3> kLinearsOfExpert = {
    &FeedForward::gate, &FeedForward::up, &FeedForward::down};

std::span<const std::byte> BytesOf(const Matrix& stored) {
  return {stored.data, stored.packing ? PackedBytes(stored)
                                      : static_cast<std::size_t>(stored.rows) * stored.row_bytes};
}

// Panel `panel` of a matrix in the file, packed here or there.
void FetchPanel(const Matrix& stored, std::size_t panel, std::byte* out) {
  if (!stored.packing) return PackPanel(stored, panel, out);
  std::memcpy(out, stored.data + panel * stored.panel_bytes, stored.panel_bytes);
}

}  // namespace

double ExpertCacheStats::HitRate() const {
  const std::int64_t all = hits + prefetched + misses;
  return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
}

Result<std::unique_ptr<ExpertCache>> ExpertCache::Create(
    const std::vector<std::vector<FeedForward>>& stored, std::uint64_t max_bytes) {
  std::unique_ptr<ExpertCache> cache(new ExpertCache(stored, max_bytes));
  std::uint64_t largest = 0;
  std::uint64_t all = 0;
  for (const std::vector<Entry>& layer : cache->entries_) {
    for (const Entry& entry : layer) {
      largest = std::max<std::uint64_t>(largest, entry.bytes);
      all += entry.bytes;
    }
  }
  if (largest > max_bytes) {
    return Error(ErrorCode::kResourceExhausted,
                 fmt::format("the expert cache: one expert takes {} bytes, the limit is {}; allow "
                             "that much or more ({} bytes hold all of them)",
                             largest, max_bytes, all));
  }
  cache->background_ = std::thread([&self = *cache] { self.FetchInBackground(); });
  return cache;
}

ExpertCache::ExpertCache(const std::vector<std::vector<FeedForward>>& stored,
                         std::uint64_t max_bytes)
    : max_bytes_(max_bytes), clocks_(stored.size(), 0) {
  stats_.max_bytes = max_bytes;
  for (std::size_t layer = 0; layer < stored.size(); ++layer) {
    std::vector<Entry>& entries = entries_.emplace_back();
    for (const FeedForward& ffn : stored[layer]) {
      Entry entry{.layer = layer, .stored = ffn, .packed = ffn};
      for (const auto linear : kLinearsOfExpert) {
        Matrix& w = (entry.packed.*linear).w;
        if (!w.packing && !IsWorthPacking(w)) continue;
        w = PackedFormOf(w);
        entry.bytes += PackedBytes(w);
      }
      entries.push_back(std::move(entry));
    }
  }
  const std::size_t all =
      std::accumulate(entries_.begin(), entries_.end(), std::size_t{0},
                      [](std::size_t sum, const auto& layer) { return sum + layer.size(); });
  resident_.reserve(all);
  queue_.reserve(all);
}

ExpertCache::~ExpertCache() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  if (background_.joinable()) background_.join();
}

void ExpertCache::Expect(std::size_t layer, std::span<const std::int32_t> experts, Fetch fetch) {
  {
    const std::scoped_lock lock(mutex_);
    ++clocks_[layer];
    for (const std::int32_t expert : experts) {
      Entry& entry = At(layer, expert);
      entry.awaited = true;
      const bool queued = std::find(queue_.begin(), queue_.end(), &entry) != queue_.end();
      if (fetch == Fetch::kInBackground && entry.state == State::kAbsent && !queued)
        queue_.push_back(&entry);
    }
  }
  work_.notify_one();
  for (const std::int32_t expert : experts) {
    const Entry& entry = At(layer, expert);
    const bool there = [&] {
      const std::scoped_lock lock(mutex_);
      return entry.state == State::kResident;
    }();
    if (there) continue;
    for (const auto linear : kLinearsOfExpert)
      ReadMappedPagesAhead(BytesOf((entry.stored.*linear).w));
  }
}

std::size_t ExpertCache::Pin(std::size_t layer, std::span<const std::int32_t> experts, Crew crew,
                             std::vector<const FeedForward*>& pinned) {
  std::unique_lock lock(mutex_);
  std::size_t count = 0;
  for (; count < experts.size(); ++count) {
    Entry& entry = At(layer, experts[count]);
    if (!PinOne(lock, entry, count == 0, crew)) break;
    pinned.push_back(&entry.packed);
  }
  return count;
}

bool ExpertCache::PinOne(std::unique_lock<std::mutex>& lock, Entry& entry, bool may_wait,
                         Crew crew) {
  const auto wait = [&] {
    ++waiting_;
    changed_.wait(lock);
    --waiting_;
  };
  bool packed_here = false;
  while (entry.state != State::kResident) {
    // Whoever packs it now waits for nobody.
    if (entry.state == State::kLoading) {
      wait();
    } else if (auto memory = MakeRoom(entry, Victims::kAny)) {
      std::erase(queue_, &entry);
      packed_here = true;
      Load(lock, entry, *std::move(memory), crew);
    } else if (may_wait) {
      wait();
    } else {
      return false;
    }
  }
  ++(packed_here ? stats_.misses : entry.fresh ? stats_.prefetched : stats_.hits);
  ++entry.pins;
  entry.awaited = false;
  entry.fresh = false;
  entry.score = ScoreOf(entry) + 1;
  entry.used = clocks_[entry.layer];
  return true;
}

void ExpertCache::Unpin(std::size_t layer, std::span<const std::int32_t> experts) {
  const std::scoped_lock lock(mutex_);
  for (const std::int32_t expert : experts) --At(layer, expert).pins;
  Notify();
}

ExpertCacheStats ExpertCache::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

double ExpertCache::ScoreOf(const Entry& entry) const {
  const auto age = static_cast<double>(clocks_[entry.layer] - entry.used);
  return entry.score * std::exp2(-age / kHalfLife);
}

ExpertCache::Entry* ExpertCache::WorstOf(Victims victims, std::size_t layer) {
  // Of equal ones, that whose layer comes last again.
  const auto distance = [&](const Entry& entry) {
    return (entry.layer + entries_.size() - layer - 1) % entries_.size();
  };
  const auto rank = [&](const Entry& entry) {
    return std::tuple(entry.awaited, ScoreOf(entry), entries_.size() - distance(entry));
  };
  Entry* worst = nullptr;
  auto least = std::tuple(true, 0.0, std::size_t{0});
  for (Entry* entry : resident_) {
    if (entry->pins > 0 || (entry->awaited && victims == Victims::kNotAwaited)) continue;
    const auto own = rank(*entry);
    if (worst != nullptr && !(own < least)) continue;
    worst = entry;
    least = own;
  }
  return worst;
}

std::optional<Tensor> ExpertCache::MakeRoom(const Entry& entry, Victims victims) {
  std::uint64_t bound = stats_.resident_bytes;
  for (const Entry* other : resident_) {
    if (other->pins == 0 && (!other->awaited || victims == Victims::kAny)) bound -= other->bytes;
  }
  if (bound + entry.bytes > max_bytes_) return std::nullopt;
  Tensor memory;
  while (stats_.resident_bytes + entry.bytes > max_bytes_) {
    Entry* gone = WorstOf(victims, entry.layer);
    stats_.resident_bytes -= gone->bytes;
    memory = std::exchange(gone->memory, Tensor());
    gone->state = State::kAbsent;
    gone->fresh = false;
    std::erase(resident_, gone);
  }
  stats_.resident_bytes += entry.bytes;
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.resident_bytes);
  if (memory.bytes().size() == entry.bytes) return memory;
  return Tensor::Uninitialised(tensor::DType::kU8, {static_cast<std::int64_t>(entry.bytes)});
}

void ExpertCache::Load(std::unique_lock<std::mutex>& lock, Entry& entry, Tensor memory, Crew crew) {
  entry.state = State::kLoading;
  entry.memory = std::move(memory);
  lock.unlock();
  std::byte* at = entry.memory.bytes().data();
  for (const auto linear : kLinearsOfExpert) {
    const Matrix& stored = (entry.stored.*linear).w;
    Matrix& packed = (entry.packed.*linear).w;
    if (!packed.packing) continue;
    packed.data = at;
    const std::size_t cost = kernels::kPanelOutputs * static_cast<std::size_t>(stored.columns);
    crew(PanelCount(stored.rows), cost, [&](std::size_t begin, std::size_t end) {
      for (std::size_t panel = begin; panel < end; ++panel)
        FetchPanel(stored, panel, at + panel * packed.panel_bytes);
    });
    at += PackedBytes(packed);
    DropMappedPages(BytesOf(stored));
  }
  lock.lock();
  entry.state = State::kResident;
  resident_.push_back(&entry);
  Notify();
}

void ExpertCache::Notify() {
  if (waiting_ > 0) changed_.notify_all();
  if (!queue_.empty()) work_.notify_one();
}

ExpertCache::Entry* ExpertCache::NextOfQueue(std::optional<Tensor>& memory) {
  std::erase_if(queue_, [](const Entry* entry) { return entry->state != State::kAbsent; });
  for (auto at = queue_.begin(); at != queue_.end(); ++at) {
    memory = MakeRoom(**at, Victims::kNotAwaited);
    if (!memory) continue;
    Entry* entry = *at;
    queue_.erase(at);
    return entry;
  }
  return nullptr;
}

void ExpertCache::FetchInBackground() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    std::optional<Tensor> memory;
    Entry* entry = NextOfQueue(memory);
    if (entry == nullptr) {
      work_.wait(lock);
      continue;
    }
    Load(lock, *entry, *std::move(memory),
         [](std::size_t count, std::size_t /*cost*/,
            FunctionRef<void(std::size_t, std::size_t)> body) { body(0, count); });
    entry->fresh = true;
  }
}

}  // namespace metier::engine
