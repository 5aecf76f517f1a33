#include "train/example_order.h"

#include <algorithm>
#include <bit>

#include "base/rng.h"

namespace metier::train {
namespace {

// Seeds of what belongs to one source, apart from those of the whole.
std::uint64_t SeedOf(std::uint64_t seed, std::size_t source) {
  return Rng(seed, std::uint64_t{1} << 32 | source).Next();
}

double WeightOf(const MixOptions& options, std::size_t source) {
  return options.weights.empty() ? 1 : options.weights[source];
}

std::int64_t RepeatsOf(const MixOptions& options, std::size_t source) {
  return options.repeats.empty() ? 1 : options.repeats[source];
}

std::int64_t Groups(const Corpus& corpus, std::size_t source) {
  return corpus.examples(source) / corpus.group();
}

std::int64_t FirstOf(const Corpus& corpus, std::size_t source, std::int64_t group) {
  return corpus.First(source) + group * corpus.group();
}

class Shuffle : public ExampleOrder {
 public:
  Shuffle(const Corpus& corpus, const MixOptions& options, std::uint64_t seed, std::uint64_t epoch)
      : corpus_(corpus), ends_(Ends(corpus, options)), order_(ends_.back(), seed, epoch) {}

  std::optional<std::int64_t> Next() override {
    if (position_ == ends_.back()) return std::nullopt;
    const std::int64_t drawn = order_.At(position_++);
    const auto end = std::upper_bound(ends_.begin(), ends_.end(), drawn);
    const auto source = static_cast<std::size_t>(end - ends_.begin());
    const std::int64_t begin = source == 0 ? 0 : ends_[source - 1];
    return FirstOf(corpus_, source, (drawn - begin) % Groups(corpus_, source));
  }

 private:
  // Where the draws of each source end.
  static std::vector<std::int64_t> Ends(const Corpus& corpus, const MixOptions& options) {
    std::vector<std::int64_t> ends;
    std::int64_t end = 0;
    for (std::size_t s = 0; s < corpus.sources(); ++s)
      ends.push_back(end += Groups(corpus, s) * RepeatsOf(options, s));
    return ends;
  }

  const Corpus& corpus_;
  std::vector<std::int64_t> ends_;
  Permutation order_;
  std::int64_t position_ = 0;
};

class Priority : public ExampleOrder {
 public:
  Priority(const Corpus& corpus, const MixOptions& options, std::uint64_t seed, std::uint64_t epoch)
      : corpus_(corpus), chance_(seed, ~epoch) {
    for (std::size_t s = 0; s < corpus.sources(); ++s) {
      const std::int64_t count = Groups(corpus, s) * RepeatsOf(options, s);
      sources_.push_back(
          {WeightOf(options, s), count, 0, Permutation(count, SeedOf(seed, s), epoch)});
    }
  }

  std::optional<std::int64_t> Next() override {
    double total = 0;
    for (const Source& source : sources_) total += source.Mass();
    if (total == 0) return std::nullopt;
    const double drawn = chance_.Uniform() * total;
    // Rounding may carry the last sum past its end: then it is the last source that has any left.
    std::size_t chosen = 0;
    double below = 0;
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      if (sources_[s].Mass() == 0) continue;
      chosen = s;
      below += sources_[s].Mass();
      if (drawn < below) break;
    }
    Source& source = sources_[chosen];
    return FirstOf(corpus_, chosen, source.order.At(source.taken++) % Groups(corpus_, chosen));
  }

 private:
  struct Source {
    double weight;
    std::int64_t count;
    std::int64_t taken;
    Permutation order;

    double Mass() const { return weight * static_cast<double>(count - taken); }
  };

  const Corpus& corpus_;
  Rng chance_;
  std::vector<Source> sources_;
};

class Shares : public ExampleOrder {
 public:
  Shares(const Corpus& corpus, const MixOptions& options, std::int64_t longest, std::uint64_t seed,
         std::uint64_t epoch)
      : corpus_(corpus), longest_(longest), epoch_(epoch) {
    for (std::size_t s = 0; s < corpus.sources(); ++s) {
      sources_.push_back({WeightOf(options, s), SeedOf(seed, s),
                          Permutation(Groups(corpus, s), SeedOf(seed, s), Stream(0))});
      left_ += corpus.tokens(s) * RepeatsOf(options, s);
    }
  }

  // The source that is furthest behind its share.
  std::optional<std::int64_t> Next() override {
    if (left_ <= 0) return std::nullopt;
    std::size_t chosen = 0;
    for (std::size_t s = 1; s < sources_.size(); ++s)
      if (sources_[s].Progress() < sources_[chosen].Progress()) chosen = s;
    Source& source = sources_[chosen];
    if (source.position == Groups(corpus_, chosen)) {
      source.position = 0;
      source.order = Permutation(Groups(corpus_, chosen), source.seed, Stream(++source.passes));
    }
    const std::int64_t first = FirstOf(corpus_, chosen, source.order.At(source.position++));
    for (std::int64_t example = first; example < first + corpus_.group(); ++example) {
      const std::int64_t length = corpus_.Length(example);
      source.tokens += longest_ == 0 ? length : std::min(length, longest_);
      left_ -= length;
    }
    return first;
  }

 private:
  struct Source {
    double weight;
    std::uint64_t seed;
    Permutation order;
    std::int64_t position = 0;
    std::uint64_t passes = 0;
    std::int64_t tokens = 0;

    double Progress() const { return static_cast<double>(tokens) / weight; }
  };

  std::uint64_t Stream(std::uint64_t pass) const { return epoch_ << 32 | pass; }

  const Corpus& corpus_;
  std::int64_t longest_;
  std::uint64_t epoch_;
  std::int64_t left_ = 0;  // tokens of the epoch
  std::vector<Source> sources_;
};

}  // namespace

Permutation::Permutation(std::int64_t count, std::uint64_t seed, std::uint64_t epoch)
    : count_(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 1))) {
  half_bits_ = (static_cast<int>(std::bit_width(count_ - 1)) + 1) / 2;
  Rng rng(seed, epoch);
  for (std::uint64_t& key : keys_) key = rng.Next();
}

std::uint64_t Permutation::Once(std::uint64_t value) const {
  const std::uint64_t mask = (1ULL << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & mask;
  for (const std::uint64_t key : keys_) {
    std::uint64_t mixed = (right + key) * 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9ULL;
    mixed ^= mixed >> 32;
    const std::uint64_t next = left ^ (mixed & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

std::int64_t Permutation::At(std::int64_t i) const {
  if (half_bits_ == 0) return i;
  auto value = static_cast<std::uint64_t>(i);
  do {
    value = Once(value);
  } while (value >= count_);
  return static_cast<std::int64_t>(value);
}

std::unique_ptr<ExampleOrder> MakeOrder(const Corpus& corpus, const MixOptions& options,
                                        std::int64_t longest, std::uint64_t seed,
                                        std::uint64_t epoch) {
  switch (options.kind) {
    case OrderKind::kPriority: return std::make_unique<Priority>(corpus, options, seed, epoch);
    case OrderKind::kShares: return std::make_unique<Shares>(corpus, options, longest, seed, epoch);
    case OrderKind::kShuffle: break;
  }
  return std::make_unique<Shuffle>(corpus, options, seed, epoch);
}

}  // namespace metier::train
