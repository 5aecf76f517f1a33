// train/cpu/kernels.h - the fused CPU maths of training, forward and backward, without LibTorch.
//
// Each kernel works on a range of rows or tasks that the caller splits between threads; what a row
// gives never depends on the split, so one thread and many give the same bits. Element types:
//
//   real  the residual stream, weights, statistics and sums: float, or double in gradient checks
//   act   what enters and leaves matrix products: real, or bf16 (the upper half of a float)
//
// No kernel validates: train/ops.h does, once per call. Compiled once per instruction set
// (isa_*.cc) from body/*.h; Kernels() picks a table.
#pragma once

#include <cstdint>

namespace metier::train::cpu {

enum class Act { kReal, kBf16 };

// The activations of model::Activation. A copy, because units compiled for an instruction set
// include nothing whose inline functions the linker could hand to others.
enum class Curve { kSilu, kGeluErf, kGeluTanh, kRelu };

// y = norm(x + delta) * weight + bias, over rows of `width`.
struct NormArgs {
  std::int64_t width = 0;
  bool rms = true;        // no mean, no bias
  bool plus_one = false;  // the weight applied is 1 + weight
  double epsilon = 0;
  Act act = Act::kReal;          // of delta
  Act out = Act::kReal;          // of y
  const void* x = nullptr;       // real [rows, width]
  const void* delta = nullptr;   // act [rows, width]; null: none
  const void* weight = nullptr;  // real [width]
  const void* bias = nullptr;    // real [width]; null: none
  void* sum = nullptr;           // real [rows, width]: x + delta; null when there is no delta
  void* y = nullptr;             // out [rows, width]
  void* mean = nullptr;          // real [rows]; null for rms
  void* inverse = nullptr;       // real [rows]: 1 / standard deviation, or 1 / root mean square
  std::int64_t group = 1;        // backward: rows of one partial sum of dweight
};

struct NormGradArgs {
  NormArgs forward;            // x here is the normed sum; y and delta are not read
  const void* dy = nullptr;    // out [rows, width]
  const void* dsum = nullptr;  // real [rows, width]: gradient that reaches the sum from elsewhere
  void* dx = nullptr;          // real [rows, width]: of the sum, and so of x and of delta
  void* ddelta = nullptr;      // act [rows, width]: dx rounded; null: not wanted
  void* dweight = nullptr;     // real [groups, width], one row a group of rows; null: frozen
  void* dbias = nullptr;       // likewise
};

// out = act(gate) * up, or act(x) when not gated. in: [rows, 2 hidden], gate first, or [rows,
// hidden].
struct GateArgs {
  std::int64_t hidden = 0;
  Curve curve = Curve::kSilu;
  bool gated = true;
  Act act = Act::kReal;
  const void* in = nullptr;
  void* out = nullptr;         // [rows, hidden]
  const void* dout = nullptr;  // backward
  void* din = nullptr;         // backward, shape of in
};

// Per row: loss = weight * (log sum exp(logits) - (1 - smoothing) logits[target] - smoothing
// mean(logits)); dlogits = d loss / d logits, which may be the logits' own memory. Smoothing: the
// target has this share less, which all entries have alike (Szegedy et al. 2016, section 7).
struct CrossEntropyArgs {
  std::int64_t vocab = 0;
  Act act = Act::kReal;
  const void* logits = nullptr;          // act [rows, vocab]
  const std::int64_t* target = nullptr;  // [rows]
  const void* weight = nullptr;          // real [rows]
  double smoothing = 0;
  void* loss = nullptr;     // real [rows]
  void* dlogits = nullptr;  // act [rows, vocab]; null: not wanted
};

// Self-attention over packed sequences: no token sees another sequence. Positions count from 0 in
// each sequence. Task t = (sequence, kv head); a task's cost grows with the square of its length.
struct AttentionArgs {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  double scale = 1;
  bool causal = true;
  std::int64_t window = 0;  // tokens a query sees, itself included; 0: all
  Act act = Act::kReal;
  const void* qkv = nullptr;     // act [tokens, (heads + 2 kv_heads) head_dim]: all q, all k, all v
  const void* cosine = nullptr;  // real [longest, head_dim / 2]; null: no rotation
  const void* sine = nullptr;
  const void* slopes = nullptr;          // real [heads], ALiBi; null: none
  const std::int64_t* starts = nullptr;  // [sequences + 1], into tokens
  void* out = nullptr;                   // act [tokens, heads head_dim]
  void* log_sum = nullptr;     // real [tokens, heads]: log of the softmax's sum, for the backward
  const void* dout = nullptr;  // backward: act, as out
  void* dqkv = nullptr;        // backward: act, as qkv
};

// Decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), bias-corrected moments.
struct AdamArgs {
  void* parameter = nullptr;         // real
  const void* gradient = nullptr;    // real
  void* first = nullptr;             // real
  void* second = nullptr;            // real
  std::uint16_t* rounded = nullptr;  // the new parameter as bf16; null: not wanted
  double gradient_scale = 1;         // clipping
  double learning_rate = 0;
  double decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double correction1 = 1;  // 1 - beta1^t
  double correction2 = 1;  // 1 - beta2^t
};

// out = in * mask / (1 - p); element i is kept by a hash of (key, i) alone, so that a resumed run
// and the backward pass draw the same mask.
struct DropoutArgs {
  Act act = Act::kReal;
  std::uint64_t key = 0;
  double p = 0;
  const void* in = nullptr;
  void* out = nullptr;
};

// The products of an adapter of few ranks (Hu et al. 2022, equation 3) with what is wide: a
// linear's output or input. Rows lie *_row elements apart.
//   add: wide[t, n] += sum_r thin[t, r] factor[r, n]     range: tokens
//   sum: factor[r, n] = sum_t thin[t, r] wide[t, n]      range: columns; splits at multiples of
//                                                        kColumnTile
struct LowRankArgs {
  std::int64_t tokens = 0;
  std::int64_t ranks = 0;
  std::int64_t columns = 0;
  Act act = Act::kReal;        // of wide
  const void* thin = nullptr;  // real [tokens, ranks]
  std::int64_t thin_row = 0;
  void* factor = nullptr;  // real [ranks, columns]
  std::int64_t factor_row = 0;
  void* wide = nullptr;  // act [tokens, columns]
  std::int64_t wide_row = 0;
};
constexpr std::int64_t kColumnTile = 64;

// All ranges are [begin, end). Norm backward ranges are groups, attention ranges are tasks, Adam
// and dropout ranges are elements.
struct KernelTable {
  const char* name;
  void (*norm)(const NormArgs&, std::int64_t begin, std::int64_t end);
  void (*norm_grad)(const NormGradArgs&, std::int64_t rows, std::int64_t begin, std::int64_t end);
  void (*gate)(const GateArgs&, std::int64_t begin, std::int64_t end);
  void (*gate_grad)(const GateArgs&, std::int64_t begin, std::int64_t end);
  void (*cross_entropy)(const CrossEntropyArgs&, std::int64_t begin, std::int64_t end);
  // Scratch elements (real) that a task over `length` tokens needs.
  std::int64_t (*attention_scratch)(const AttentionArgs&, std::int64_t length);
  void (*attention)(const AttentionArgs&, std::int64_t task, void* scratch);
  void (*attention_grad)(const AttentionArgs&, std::int64_t task, void* scratch);
  void (*adam)(const AdamArgs&, std::int64_t begin, std::int64_t end);
  void (*dropout)(const DropoutArgs&, std::int64_t begin, std::int64_t end);
  void (*low_rank_add)(const LowRankArgs&, std::int64_t begin, std::int64_t end);
  void (*low_rank_sum)(const LowRankArgs&, std::int64_t begin, std::int64_t end);
  double (*sum_squares)(const void* values, std::int64_t begin, std::int64_t end);
};

enum class Real { kF32, kF64 };

// The best table of this machine. METIER_ISA=scalar|avx2|avx512|avx512bf16 (as for the engine) asks
// for one; a table the machine cannot run is never chosen.
const KernelTable& Kernels(Real real);

// Whether the best table's machine multiplies bf16; others only imitate it, many times slower than
// they multiply floats.
bool MultipliesBf16();

// Every table this machine can run, for tests.
const KernelTable* const* SupportedTables(Real real, int* count);

}  // namespace metier::train::cpu
