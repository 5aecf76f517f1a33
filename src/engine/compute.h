// engine/compute.h - the operations of a forward pass: kernels of one instruction set, spread over
// a crew of threads.
//
// Threads split rows, outputs or heads, never a sum: results do not depend on their number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "engine/low_rank.h"
#include "engine/weights.h"
#include "kernels/kernel_table.h"
#include "model/model_spec.h"

namespace metier::engine {

// How packed weights are multiplied.
enum class Arithmetic {
  kExact,  // with floats: what the stored weights are worth, to float's rounding
  kFast,  // with activations of 8 bits, one scale for each 128 (kernels/packed.h); bfloat16 weights
          // with activations rounded alike, where the machine multiplies pairs of them; adapters
          // with factors of 8 bits (engine/low_rank.h)
};

// "exact", "fast"; nothing for any other name.
std::optional<Arithmetic> ArithmeticFromName(std::string_view name);

// One product of several that share their input.
struct Product {
  const Matrix* w = nullptr;
  const float* bias = nullptr;  // or nullptr
  float* out = nullptr;         // [rows, w->rows]
  bool add = false;             // to what is in out
  // Added behind the product, one after the other.
  std::span<const RowChange> changes = {};
};

// Rows [begin, end) of a pass, which go through a feed-forward of their own: those that chose an
// expert.
struct RowGroup {
  const FeedForward* ffn = nullptr;
  std::size_t begin = 0;
  std::size_t end = 0;
  // As Product::changes; rows are those of the pass.
  std::span<const RowChange> gate_changes = {};
  std::span<const RowChange> up_changes = {};
};

class Compute {
 public:
  Compute(const kernels::KernelTable& kernels, int threads, Arithmetic arithmetic);

  const kernels::KernelTable& kernels() const { return kernels_; }
  int threads() const { return pool_.threads(); }

  // Calls body(begin, end) on parts of [0, count). `cost`: multiplications of one item; work that a
  // thread would not notice is done at once, by the caller.
  void For(std::size_t count, std::size_t cost, FunctionRef<void(std::size_t, std::size_t)> body);

  // out[r] = w x[r] + bias of each product, and what adapters change of it, for contiguous x [rows,
  // in] and out [rows, out]: one round of the crew, before it one for what all products of x share,
  // its quantised form and the adapters' products with A. Matrices of rows are multiplied one by
  // one: plain types as stored, others decoded some rows at a time, which costs one decode of the
  // weights a call, however many rows of x there are.
  void Multiply(std::span<const Product> products, const float* x, std::size_t rows);
  void Multiply(const Matrix& w, const float* bias, const float* x, std::size_t rows, float* out) {
    const Product product{.w = &w, .bias = bias, .out = out};
    Multiply({&product, 1}, x, rows);
  }

  // Says what the product behind the next one reads, at most three matrices, one behind the other;
  // of a MultiplyGated the gate, which is read first. Threads fetch the beginning of their share
  // while they wait. Forgotten with the next product of packed weights.
  void ReadsAfterwards(std::initializer_list<const Matrix*> weights);

  // out[r] = act(gate x[r]) * (up x[r]), [rows, hidden], for the rows of one group, which is the
  // whole pass. Where both are packed the products stay in the cache, some panels at a time; the
  // bits are those of Multiply and Activate. `space`: scratch.
  void MultiplyGated(model::Activation activation, const RowGroup& group, const float* x,
                     float* out, std::vector<float>& space);

  // The same, and out[r] = down x[r], for several groups of rows, each with its own weights: one
  // pass over the crew for all of them. Groups follow each other from row 0 on, their weights are
  // packed and of one shape.
  void MultiplyGated(model::Activation activation, std::span<const RowGroup> groups, const float* x,
                     float* out);
  void MultiplyDown(std::span<const RowGroup> groups, const float* x, float* out);

  // out[r] = norm(x[r]), rows of `width`. In place is fine.
  void Normalise(const model::NormSpec& spec, const Norm& norm, const float* x, std::size_t rows,
                 std::size_t width, float* out);
  // out[r] = act(gate[r]) * up[r]; up may be nullptr. In place is fine.
  void Activate(model::Activation activation, const float* gate, const float* up, std::size_t n,
                float* out);
  // y += factor * x over n values.
  void AddScaled(float* y, const float* x, float factor, std::size_t n);

 private:
  // Products of packed weights with the same rows, ready to be multiplied a stretch of panels at a
  // time.
  struct PackedInput {
    const float* x;
    std::size_t row;  // of the pass
    std::size_t rows;
    std::size_t inner;
    kernels::QuantisedRows quantised;
    const std::uint16_t* rounded;  // bfloat16, rows rounded_stride apart
    std::size_t rounded_stride;
    const std::uint32_t* const* nonzero;  // [rows], nullptr of rows with few zeros; or nullptr
  };
  bool InBytes(const Matrix& w) const;
  bool InPairs(const Matrix& w) const;
  // Forms of the activations that products read beside the floats.
  struct Forms {
    bool bytes = false;
    bool pairs = false;
    bool floats = false;
    bool nonzero = false;  // where the zeros are: single rows of floats
  };
  void AddForm(const Matrix& w, Forms& forms) const;
  // Brings x into the forms and shrinks the planned changes, in one round of the crew; nothing is
  // planned any more then.
  PackedInput Prepare(Forms forms, const float* x, std::size_t rows, std::size_t inner);
  // x of the groups' rows as their weights want it (Matrix::input_order): x itself where none wants
  // it otherwise.
  using OrderOf = FunctionRef<const std::uint32_t*(const RowGroup&)>;
  const float* InOrder(std::span<const RowGroup> groups, OrderOf order_of, const float* x,
                       std::size_t inner);
  // The same for all rows of products of one order.
  const float* InOrder(const Matrix& w, const float* x, std::size_t rows);
  // For, of a product's panels: threads that are through fetch what was said to be read afterwards.
  void ForPanels(std::size_t panels, std::size_t rows, std::size_t cost,
                 FunctionRef<void(std::size_t, std::size_t)> body);
  std::span<const std::byte> AheadOf(int thread) const;
  void Form(Forms forms, const PackedInput& input, std::size_t row);
  static PackedInput RowsOf(const PackedInput& input, std::size_t row, std::size_t rows);
  // Panels [from, to) of the product, whose out points at the first of them. `low`: see
  // PlanChanges.
  void MultiplyPanels(const Product& product, const float* low, const PackedInput& input,
                      std::size_t from, std::size_t to, float* out, std::size_t out_stride) const;
  // Panels [from, to) of hidden values of the group's rows. `index`: of the group; input and out
  // [rows, hidden]: of the pass.
  void MultiplyGatedPanels(kernels::ActivationKernel act, const RowGroup& group, std::size_t index,
                           const PackedInput& input, std::size_t from, std::size_t to,
                           float* out) const;
  void MultiplyPacked(std::span<const Product> products, const float* x, std::size_t rows);
  // x: in the order of the weights.
  void MultiplyStored(const Product& product, const float* x, std::size_t rows);
  kernels::PackedKernel PackedKernelOf(const Matrix& w, const kernels::PackedProduct& call) const;
  const std::uint32_t* const* MarkZeros(const float* x, std::size_t rows, std::size_t inner);

  // Some rows of a change, for one strip of ranks.
  struct ShrinkTask {
    const LowRank* change;
    std::size_t strip;
    const float* x;
    const float* weights;
    float* low;
    std::size_t rows;
  };
  using ChangesOf = FunctionRef<std::span<const RowChange>(std::size_t)>;
  // Makes the tasks that shrink the changes of `products` products of x, and room for their
  // results: those of product i lie from Low(i) on, low_stride_ values for each row of its first
  // change, then of the next.
  void PlanChanges(std::size_t products, ChangesOf changes_of, const float* x);
  const float* Low(std::size_t product) const {
    return low_.data() + low_starts_[product] * low_stride_;
  }
  void RunShrink(const ShrinkTask& task) const;
  // The weights that Expand reads, for the product before it to fetch: they are short stretches,
  // one of each adapter, that nothing else would fetch in time. Their number; those without room
  // are left out.
  static std::size_t StretchesOf(std::span<const RowChange> changes, std::size_t from,
                                 std::size_t to, std::span<kernels::Stretch> stretches);
  // Adds changes to panels [from, to) of rows [row, row + rows); `out` points at the first of both.
  void Expand(std::span<const RowChange> changes, const float* low, std::size_t row,
              std::size_t rows, std::size_t from, std::size_t to, float* out,
              std::size_t out_stride) const;
  // The changes of a product whose weights are stored as rows.
  void AddChanges(const Product& product, const float* x, std::size_t rows);

  const kernels::KernelTable& kernels_;
  ThreadPool pool_;
  Arithmetic arithmetic_;

  // Activations in 8 bits, kept between products for their memory.
  std::vector<std::int8_t> quantised_;
  std::vector<float> scales_;
  std::vector<std::int32_t> sums_;
  std::vector<std::uint16_t> rounded_;  // activations as bfloat16
  std::vector<std::uint32_t> marks_;    // of zeros, [rows, groups]
  std::vector<const std::uint32_t*> nonzero_;
  std::vector<float> scratch_;           // of a product that is added
  std::vector<float> ordered_;           // activations in the order of weights
  std::vector<float> low_;               // activations between the adapters' factors
  std::vector<std::size_t> low_starts_;  // rows before those of a product
  std::size_t low_stride_ = 0;
  std::array<const Matrix*, 3> afterwards_ = {};  // nullptr behind the last
  std::vector<ShrinkTask> shrinks_;
  std::size_t shrink_cost_ = 0;  // multiplications of all of them
};

}  // namespace metier::engine
