// train/ops.h - the differentiable operations of the network, each one node of the autograd graph.
//
// On a CPU the element-wise maths and attention run in the fused kernels of cpu/; on other devices,
// or under a ReferenceOps guard, in compositions of LibTorch operations (reference_ops.h) that
// compute the same. Matrix products are LibTorch's everywhere.
//
// Results follow from their inputs alone on a CPU, and on a GPU too: no operation here adds in an
// order that chance decides.
//
// Element types: `real` (residual stream, weights, gradients: float, or double in gradient checks)
// and `act` (what enters matrix products: real or bf16).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/model_spec.h"
#include "train/torch.h"
#include "train/weight.h"

namespace metier::train {

struct Precision {
  at::ScalarType real = at::kFloat;
  at::ScalarType act = at::kFloat;
};

// How products of floats round on a GPU, in all of the process: to TF32 (ten bits behind the point
// where bf16 has seven) beside products in bf16, otherwise as floats do.
void SetProducts(const Precision& precision);

// What enters products where bf16 is asked for or not: floats also where the device has no products
// of bf16, which is faster there and rounds less.
at::ScalarType ProductType(bool bf16, at::Device device);

// Threads of products and kernels, in all of the process; 0: as many as the machine has. LibTorch
// by itself may take one.
void SetThreads(std::int64_t threads);

// While one lives, operations of this thread use the compositions on the CPU too.
class ReferenceOps {
 public:
  ReferenceOps();
  ~ReferenceOps();
  ReferenceOps(const ReferenceOps&) = delete;
  ReferenceOps& operator=(const ReferenceOps&) = delete;
};

// Custom functions take tensors that may be undefined as optionals: LibTorch looks into every
// tensor it is handed.
using MaybeTensor = torch::optional<at::Tensor>;
inline MaybeTensor Maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : MaybeTensor();
}
inline at::Tensor TensorOr(const MaybeTensor& maybe) {
  return maybe.has_value() ? *maybe : at::Tensor();
}

// Whether an operation on this tensor runs in the fused kernels.
bool UsesKernels(const at::Tensor& tensor);

struct PaddedLayout;  // reference_ops.cc

// Where the sequences of a batch lie in its token dimension: sequence s is [starts[s], starts[s +
// 1]).
struct Layout {
  std::vector<std::int64_t> starts = {0};
  mutable std::shared_ptr<const PaddedLayout> padded;  // made when first asked for

  std::int64_t sequences() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  std::int64_t tokens() const { return starts.back(); }
  std::int64_t longest() const;
};

// Rows to use instead of those of a frozen table or head.
struct OwnRows {
  at::Tensor index;   // int64 [own], each once
  at::Tensor values;  // real [own, width]
};

// Rows [row, row + rows) of an adapter's B are 0 but for ranks [rank, rank + ranks).
struct LowRankBlock {
  std::int64_t row = 0;
  std::int64_t rows = 0;
  std::int64_t rank = 0;
  std::int64_t ranks = 0;
};

// An adapter of a linear: real A [ranks, in] and B [out, ranks] with the scale in it; or undefined.
// `blocks`: where B may differ from 0 (its gradient is had there alone); none: everywhere.
struct LowRank {
  at::Tensor a;
  at::Tensor b;
  std::vector<LowRankBlock> blocks = {};
};

// x W^T + bias + (x A^T) B^T. x: [rows, in], W: [out, in]; bias and adapter may be undefined.
// Returns act [rows, out].
at::Tensor Linear(const at::Tensor& x, const Weight& weight, const at::Tensor& bias,
                  const LowRank& adapter, const Precision& precision);

// The same for rows sorted by expert: rows [starts[e], starts[e + 1]) meet weight[e]. W: [experts,
// out, in].
at::Tensor GroupedLinear(const at::Tensor& x, const Weight& weight,
                         const std::vector<std::int64_t>& starts, const Precision& precision);

struct Normed {
  at::Tensor sum;  // x + delta, or x
  at::Tensor y;    // norm(sum)
};
// x: real [rows, width]; delta: act or undefined. y has type `out`.
Normed AddNorm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
               const at::Tensor& bias, const model::NormSpec& norm, at::ScalarType out);

// act(gate) * up of [rows, 2 hidden] (gate first), or act of [rows, hidden].
at::Tensor Gate(const at::Tensor& in, model::Activation activation, bool gated);

struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  double scale = 1;
  bool causal = true;
  std::int64_t window = 0;
  at::Tensor cosine;  // real [longest, head_dim / 2] or more rows; undefined: no rotation
  at::Tensor sine;
  at::Tensor slopes;  // real [heads]; undefined: no ALiBi
};
// qkv: act [tokens, (heads + 2 kv_heads) head_dim]; returns act [tokens, heads head_dim]. No
// sequence sees another.
at::Tensor Attention(const at::Tensor& qkv, const AttentionShape& shape, const Layout& layout);

// x with the columns of the rows' indices replaced: by hidden values^T. x: act [rows, vocab].
at::Tensor PutOwnLogits(const at::Tensor& x, const at::Tensor& hidden, const OwnRows& own);

// Sum over rows of weight * cross-entropy(hidden W^T, target), a real scalar. Logits exist for
// kHeadBytes at a time only, and their gradients are taken in the same pass. hidden: [rows,
// width], targets: int64 [rows], weights: real [rows]. `smoothing`: the share of the target that
// all of the vocabulary has alike (Szegedy et al. 2016, section 7). `own`: rows in the places of
// the head's, which gets no gradient there.
inline constexpr std::int64_t kHeadBytes = 64 << 20;  // of logits at once
at::Tensor HeadLoss(const at::Tensor& hidden, const Weight& head, const at::Tensor& targets,
                    const at::Tensor& weights, const Precision& precision, double smoothing = 0,
                    const OwnRows& own = {});

// ln softmax(hidden W^T)[target] of each row, real [rows]; logits exist for kHeadBytes at a time
// only. Shapes as of HeadLoss. A head that learns is multiplied with once more for its gradient.
at::Tensor HeadLogProbs(const at::Tensor& hidden, const Weight& head, const at::Tensor& targets,
                        const OwnRows& own = {});

// in * mask / (1 - p), the mask a function of (key, element) alone.
at::Tensor Dropout(const at::Tensor& in, double p, std::uint64_t key);

// Uniform in [-1, 1], real: element i a function of (key, i) alone, on every device.
at::Tensor Noise(at::IntArrayRef shape, const at::TensorOptions& options, std::uint64_t key);

// Rows of x in another order, each as often as `copies` says: out[i] = x[order[i] / copies].
// `inverse` is the inverse of the permutation `order`. Its gradient gathers instead of scattering.
at::Tensor SpreadRows(const at::Tensor& x, const at::Tensor& order, const at::Tensor& inverse,
                      std::int64_t copies);

// Rows of x, each at most once; rows left out get gradient 0.
at::Tensor PickRows(const at::Tensor& x, const at::Tensor& rows);

// Rows of x, each as often as it is asked for; and sums of rows at the places that ask, [count,
// width]: out[rows[i]] += values[i], in the order of i. Each is the other's gradient.
at::Tensor GatherRows(const at::Tensor& x, const at::Tensor& rows);
at::Tensor SumAtRows(const at::Tensor& values, const at::Tensor& rows, std::int64_t count);

// In-place AdamW step (cpu/kernels.h, AdamArgs). `act` is the weight's bf16 copy or undefined.
struct AdamStep {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double decay = 0;
  double gradient_scale = 1;
  std::int64_t step = 1;  // counts from 1
};
void AdamUpdate(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                const at::Tensor& second, const at::Tensor& act, const AdamStep& step);

// Sum of squares over all of the tensors, the same bits for any number of threads.
double SumSquares(const std::vector<at::Tensor>& tensors);

}  // namespace metier::train
