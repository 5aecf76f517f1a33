#include "engine/onednn.h"

#include <dnnl.hpp>
#include <unordered_map>

// OpenMP's, which this build of oneDNN runs on; the header is the compiler's own and not needed.
extern "C" void omp_set_num_threads(int threads);

namespace metier::engine {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;

// oneDNN keeps the kernels it generates in a cache of its own, so that describing the product anew
// costs microseconds.
void Multiply(Type type, const Matrix& w, const float* bias, const float* x, std::size_t rows,
              float* out) {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(cpu);
  const auto m = static_cast<memory::dim>(rows);
  const memory::desc x_desc({m, w.columns}, Type::f32, Tag::ab);
  const memory::desc typed_desc({m, w.columns}, type, Tag::ab);
  const memory::desc w_desc({w.columns, w.rows}, type, Tag::ba);
  const memory::desc bias_desc({1, w.rows}, Type::f32, Tag::ab);
  const memory::desc out_desc({m, w.rows}, Type::f32, Tag::ab);

  // oneDNN takes every buffer as writable; it writes to the destination only.
  memory rows_memory(x_desc, cpu, const_cast<float*>(x));
  if (type != Type::f32) {
    memory rounded(typed_desc, cpu);
    dnnl::reorder(rows_memory, rounded).execute(stream, rows_memory, rounded);
    rows_memory = rounded;
  }
  const dnnl::matmul::desc product =
      bias == nullptr ? dnnl::matmul::desc(typed_desc, w_desc, out_desc)
                      : dnnl::matmul::desc(typed_desc, w_desc, bias_desc, out_desc);
  const dnnl::matmul matmul(dnnl::matmul::primitive_desc(product, cpu));
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, rows_memory},
      {DNNL_ARG_WEIGHTS, memory(w_desc, cpu, const_cast<std::byte*>(w.data))},
      {DNNL_ARG_DST, memory(out_desc, cpu, out)}};
  if (bias != nullptr)
    arguments.emplace(DNNL_ARG_BIAS, memory(bias_desc, cpu, const_cast<float*>(bias)));
  matmul.execute(stream, arguments);
  stream.wait();
}

}  // namespace

bool MultiplyOneDnn(const Matrix& w, const float* bias, const float* x, std::size_t rows,
                    int threads, float* out) {
  if (w.dtype != tensor::DType::kF32 && w.dtype != tensor::DType::kBF16) return false;
  try {
    omp_set_num_threads(threads);
    Multiply(w.dtype == tensor::DType::kF32 ? Type::f32 : Type::bf16, w, bias, x, rows, out);
    return true;
  } catch (const dnnl::error&) {  // no bf16 on this machine, or no memory
    return false;
  }
}

}  // namespace metier::engine
