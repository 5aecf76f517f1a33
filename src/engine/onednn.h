// engine/onednn.h - matrix products of many rows through oneDNN, for those who ask for them (why
// only then: docs/adr/0008). Nothing else refers to it: a program that does not ask is linked
// without oneDNN, which costs milliseconds to load.
#pragma once

#include <cstddef>

#include "engine/weights.h"

namespace metier::engine {

// A ManyRowsProduct. out[r] = w x[r] + bias; x [rows, in] and out [rows, out] contiguous. F32
// weights multiply in f32; BF16 weights multiply in bf16, the rows being rounded to it, and add in
// f32: off by up to 2^-8 of the sum of magnitudes. oneDNN does not promise that a row's bits are
// independent of `rows` or `threads`. False: not done, because of the type or because oneDNN
// refused; out is undefined.
bool MultiplyOneDnn(const Matrix& w, const float* bias, const float* x, std::size_t rows,
                    int threads, float* out);

}  // namespace metier::engine
