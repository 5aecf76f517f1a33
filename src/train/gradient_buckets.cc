#include "train/gradient_buckets.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"

namespace metier::train {

at::Tensor OwnedPiece::Of(const at::Tensor& tensor) const {
  return tensor.defined() ? tensor.detach().view({-1}).narrow(0, first, count) : tensor;
}

// Called when a leaf's gradient of one backward pass is complete, however often it was used.
struct GradientBuckets::Hook : torch::autograd::FunctionPostHook {
  Hook(GradientBuckets& buckets_in, std::size_t bucket_in)
      : buckets(buckets_in), bucket(bucket_in) {}
  torch::autograd::variable_list operator()(
      const torch::autograd::variable_list& outputs,
      const torch::autograd::variable_list& /*inputs*/) override {
    buckets.GradientMade(bucket);
    return outputs;
  }

  GradientBuckets& buckets;
  std::size_t bucket;
};

GradientBuckets::GradientBuckets(std::vector<Trainable> trainables, Workers& workers,
                                 std::int64_t bucket_bytes, Sharing sharing)
    : trainables_(std::move(trainables)), workers_(workers), sharing_(sharing) {
  Plan(bucket_bytes);
  for (const Bucket& bucket : buckets_) AddPieces(bucket);
  AddHooks();
}

void GradientBuckets::Plan(std::int64_t bucket_bytes) {
  const std::int64_t most = std::max<std::int64_t>(1, bucket_bytes / sizeof(float));
  std::vector<std::int64_t> sizes;
  for (std::size_t back = trainables_.size(); back > 0; --back) {
    const at::Tensor& value = trainables_[back - 1].value;
    METIER_CHECK(value.is_contiguous() && value.scalar_type() == at::kFloat,
                 "what several workers train is contiguous F32");
    if (buckets_.empty() || sizes.back() + value.numel() > most) {
      buckets_.emplace_back();
      sizes.push_back(0);
    }
    buckets_.back().members.push_back({back - 1, sizes.back()});
    sizes.back() += value.numel();
  }
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const std::size_t any = buckets_[b].members.front().trainable;
    buckets_[b].flat = at::zeros({sizes[b]}, trainables_[any].value.options().requires_grad(false));
  }
}

void GradientBuckets::AddPieces(const Bucket& bucket) {
  const std::size_t before = pieces_.size();
  const VectorPart part = shares() ? PartOf(bucket.flat.numel(), workers_.rank(), workers_.count())
                                   : VectorPart{0, bucket.flat.numel()};
  for (const Member& member : bucket.members) {
    const std::int64_t size = trainables_[member.trainable].value.numel();
    const std::int64_t first = std::max(part.first, member.first);
    const std::int64_t end = std::min(part.first + part.count, member.first + size);
    if (first < end) pieces_.push_back({member.trainable, first - member.first, end - first});
  }
  bucket_pieces_.push_back(pieces_.size() - before);
}

void GradientBuckets::AddHooks() {
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    for (const Member& member : buckets_[b].members) {
      accumulators_.push_back(
          torch::autograd::impl::grad_accumulator(trainables_[member.trainable].value));
      hooks_.push_back(accumulators_.back()->add_post_hook(std::make_unique<Hook>(*this, b)));
    }
  }
}

GradientBuckets::~GradientBuckets() {
  for (std::size_t i = 0; i < hooks_.size(); ++i) accumulators_[i]->del_post_hook(hooks_[i]);
  // The thread that sends has the tensors, not this object: waiting keeps them in order.
  for (Bucket& bucket : buckets_) static_cast<void>(bucket.pending.Wait().ok());
}

at::Tensor GradientBuckets::ViewOf(const Bucket& bucket, const Member& member) const {
  const at::Tensor& value = trainables_[member.trainable].value;
  return bucket.flat.narrow(0, member.first, value.numel()).view(value.sizes());
}

void GradientBuckets::Clear() {
  const torch::NoGradGuard no_grad;
  for (Bucket& bucket : buckets_) {
    bucket.flat.zero_();
    bucket.missing = bucket.members.size();
    for (const Member& member : bucket.members)
      trainables_[member.trainable].value.mutable_grad() = ViewOf(bucket, member);
  }
  sent_ = 0;
}

void GradientBuckets::Arm() {
  const std::lock_guard lock(mutex_);
  armed_ = true;
}

void GradientBuckets::GradientMade(std::size_t bucket) {
  const std::lock_guard lock(mutex_);
  if (!armed_) return;
  --buckets_[bucket].missing;
  SendReady();
}

void GradientBuckets::SendReady() {
  for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_) {
    Bucket& bucket = buckets_[sent_];
    bucket.pending =
        shares() ? workers_.StartSumParts(bucket.flat) : workers_.StartSum(bucket.flat);
  }
}

Status GradientBuckets::WaitFor(Bucket& bucket) {
  const auto start = std::chrono::steady_clock::now();
  Status done = bucket.pending.Wait();
  bucket.pending = {};
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return done;
}

Status GradientBuckets::Reduce() {
  {
    const std::lock_guard lock(mutex_);
    armed_ = false;
    for (Bucket& bucket : buckets_) {
      for (const Member& member : bucket.members) {
        const at::Tensor& gradient = trainables_[member.trainable].value.grad();
        METIER_CHECK(gradient.data_ptr() == ViewOf(bucket, member).data_ptr(),
                     "gradients are added to where they lie");
      }
      bucket.missing = 0;
    }
    SendReady();
  }
  for (Bucket& bucket : buckets_) METIER_TRY(WaitFor(bucket));
  return Ok();
}

at::Tensor GradientBuckets::OwnPartOf(const Bucket& bucket) const {
  if (!shares()) return bucket.flat;
  const VectorPart part = PartOf(bucket.flat.numel(), workers_.rank(), workers_.count());
  return bucket.flat.narrow(0, part.first, part.count);
}

Status GradientBuckets::Collect(const std::vector<at::Tensor>& own,
                                const std::vector<at::Tensor>& whole) {
  const torch::NoGradGuard no_grad;
  std::size_t piece = 0;
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    Bucket& bucket = buckets_[b];
    const at::Tensor part = OwnPartOf(bucket);
    std::int64_t first = 0;
    for (std::size_t i = 0; i < bucket_pieces_[b]; ++i, ++piece) {
      part.narrow(0, first, own[piece].numel()).copy_(own[piece].view({-1}));
      first += own[piece].numel();
    }
    if (shares()) bucket.pending = workers_.StartGatherParts(bucket.flat);
  }
  for (Bucket& bucket : buckets_) {
    METIER_TRY(WaitFor(bucket));
    if (whole.empty()) continue;
    for (const Member& member : bucket.members)
      whole[member.trainable].copy_(ViewOf(bucket, member));
  }
  return Ok();
}

Status GradientBuckets::ShareWeights() {
  if (!shares()) return Ok();
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> own;
  for (const OwnedPiece& piece : pieces_)
    own.push_back(piece.Of(trainables_[piece.trainable].value));
  std::vector<at::Tensor> whole;
  for (const Trainable& trainable : trainables_) whole.push_back(trainable.value.detach());
  METIER_TRY(Collect(own, whole));
  for (const Trainable& trainable : trainables_)
    if (trainable.act.defined()) trainable.act.copy_(trainable.value.detach());
  return Ok();
}

Status GradientBuckets::Distribute(const std::vector<at::Tensor>& whole,
                                   const std::vector<at::Tensor>& own) {
  const torch::NoGradGuard no_grad;
  std::size_t piece = 0;
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    Bucket& bucket = buckets_[b];
    if (workers_.first()) {
      for (const Member& member : bucket.members)
        ViewOf(bucket, member).copy_(whole[member.trainable]);
    }
    METIER_TRY(workers_.Spread(bucket.flat));
    const at::Tensor part = OwnPartOf(bucket);
    std::int64_t first = 0;
    for (std::size_t i = 0; i < bucket_pieces_[b]; ++i, ++piece) {
      own[piece].view({-1}).copy_(part.narrow(0, first, own[piece].numel()));
      first += own[piece].numel();
    }
  }
  return Ok();
}

}  // namespace metier::train
