// train/gradient_buckets.h - the gradients of several workers, summed while the backward pass still
// computes.
//
// Gradients lie in flat buckets, the last layers' first, as the backward pass makes them. A bucket
// whose gradients are there is sent off; the order is the same in all workers. With shares each
// worker has a part of every bucket to itself (ZeRO, Rajbhandari et al. 2020, stage 1): sums reach
// it alone, it alone keeps moments for it, and afterwards its weights go to all.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "train/network.h"
#include "train/torch.h"
#include "train/workers.h"

namespace metier::train {

// Elements of a trainable that one worker updates.
struct OwnedPiece {
  std::size_t trainable = 0;
  std::int64_t first = 0;
  std::int64_t count = 0;

  // These elements of a contiguous tensor like the trainable, flat; undefined stays so.
  at::Tensor Of(const at::Tensor& tensor) const;
};

class GradientBuckets {
 public:
  enum class Sharing { kWhole, kShares };

  // Trainables are contiguous F32. Keeps them and borrows the workers, of which there are several.
  GradientBuckets(std::vector<Trainable> trainables, Workers& workers, std::int64_t bucket_bytes,
                  Sharing sharing);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // What this worker updates: everything, or its share.
  const std::vector<OwnedPiece>& pieces() const { return pieces_; }
  bool shares() const { return sharing_ == Sharing::kShares; }
  const Workers& workers() const { return workers_; }

  // Before a step's first backward pass: gradients are 0, and lie in the buckets.
  void Clear();
  // Before its last one: buckets go off as they fill.
  void Arm();
  // After it: sends what no gradient reached and waits. Gradients of pieces() are sums then.
  Status Reduce();

  // After the optimiser's step the weights of the shares to all, with their copies for products.
  Status ShareWeights();

  // From what all workers have of their pieces, one tensor each, to whole tensors like the
  // trainables at worker 0, which alone gives `whole`.
  Status Collect(const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& whole);
  // The other way.
  Status Distribute(const std::vector<at::Tensor>& whole, const std::vector<at::Tensor>& own);

  // Seconds that Reduce and ShareWeights waited: what was not hidden behind computing.
  double waited_seconds() const { return waited_; }

 private:
  struct Member {  // of a bucket: a trainable
    std::size_t trainable = 0;
    std::int64_t first = 0;  // in the bucket
  };
  struct Bucket {
    at::Tensor flat;  // F32 [elements]
    std::vector<Member> members;
    std::size_t missing = 0;  // gradients that the pass under way has not made yet
    Workers::Pending pending;
  };
  struct Hook;

  void Plan(std::int64_t bucket_bytes);
  void AddPieces(const Bucket& bucket);
  void AddHooks();
  void GradientMade(std::size_t bucket);
  void SendReady();
  Status WaitFor(Bucket& bucket);
  at::Tensor ViewOf(const Bucket& bucket, const Member& member) const;
  // Pieces of this worker lie in its part of the bucket one behind the other.
  at::Tensor OwnPartOf(const Bucket& bucket) const;

  std::vector<Trainable> trainables_;
  Workers& workers_;
  Sharing sharing_;
  std::vector<Bucket> buckets_;
  std::vector<OwnedPiece> pieces_;
  std::vector<std::size_t> bucket_pieces_;  // pieces of each bucket
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators_;
  std::vector<std::uintptr_t> hooks_;
  std::mutex mutex_;  // a GPU's backward pass runs on another thread
  bool armed_ = false;
  std::size_t sent_ = 0;  // buckets of this step
  double waited_ = 0;
};

}  // namespace metier::train
