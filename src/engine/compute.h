// engine/compute.h - the operations of a forward pass: kernels of one instruction set, spread over
// a crew of threads.
//
// Threads split rows, outputs or heads, never a sum: results do not depend on their number.
#pragma once

#include <cstddef>
#include <functional>

#include "base/thread_pool.h"
#include "engine/weights.h"
#include "kernels/kernel_table.h"
#include "model/model_spec.h"

namespace metier::engine {

// A library's product for kManyRows rows and more, where our own kernels are not bound by memory
// (docs/adr/0008): as Compute::Multiply. False: not done, out is undefined.
using ManyRowsProduct = bool (*)(const Matrix& w, const float* bias, const float* x,
                                 std::size_t rows, int threads, float* out);
inline constexpr std::size_t kManyRows = 16;

class Compute {
 public:
  Compute(const kernels::KernelTable& kernels, int threads, ManyRowsProduct many_rows = nullptr);

  const kernels::KernelTable& kernels() const { return kernels_; }
  int threads() const { return pool_.threads(); }

  // Calls body(begin, end) on parts of [0, count). `cost`: multiplications of one item; work that a
  // thread would not notice is done at once, by the caller.
  void For(std::size_t count, std::size_t cost,
           const std::function<void(std::size_t, std::size_t)>& body);

  // out[r] = w x[r] + bias for contiguous x [rows, in] and out [rows, out]. Plain types multiply as
  // stored; others are decoded a panel of rows at a time, which costs one decode of the weights a
  // call, however many rows there are. Packed weights will be another kind of Matrix here.
  void Multiply(const Matrix& w, const float* bias, const float* x, std::size_t rows, float* out);
  void Multiply(const Linear& linear, const float* x, std::size_t rows, float* out) {
    Multiply(linear.w, linear.bias, x, rows, out);
  }

  // out[r] = norm(x[r]), rows of `width`. In place is fine.
  void Normalise(const model::NormSpec& spec, const Norm& norm, const float* x, std::size_t rows,
                 std::size_t width, float* out);
  // out[r] = act(gate[r]) * up[r]; up may be nullptr. In place is fine.
  void Activate(model::Activation activation, const float* gate, const float* up, std::size_t n,
                float* out);
  // y += factor * x over n values.
  void AddScaled(float* y, const float* x, float factor, std::size_t n);

 private:
  const kernels::KernelTable& kernels_;
  ThreadPool pool_;
  ManyRowsProduct many_rows_;
};

}  // namespace metier::engine
