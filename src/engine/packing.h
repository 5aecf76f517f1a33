// engine/packing.h - stored weights into the layout that the products stream (kernels/packed.h).
//
// Every repack is exact: a packed weight decodes to the float that the stored one decodes to, bit
// for bit (format/blocks.h says what that is). Sizes differ where a layout spends a whole byte on a
// scale of six bits:
//
//   type              bits a weight, stored and packed      type           stored and packed
//   Q4_0 IQ4_NL       4.5     4.5                           Q2_K           2.625    2.625
//   Q4_1              5.0     5.0                           Q3_K           3.4375   3.5625
//   Q5_0              5.5     5.5                           Q4_K           4.5      4.625
//   Q5_1              6.0     6.0                           Q5_K           5.5      5.625
//   Q8_0              8.5     8.5                           Q6_K           6.5625   6.5625
//   F32 F16 BF16      as stored                             IQ4_XS         4.25     4.3125
//
// plus what fills the last panel of 64 outputs and the last group of 32 inner indices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/weights.h"
#include "kernels/packed.h"
#include "tensor/dtype.h"

namespace metier::engine {

// Nothing: a type that is not packed and runs as stored.
std::optional<kernels::Packing> PackingOf(tensor::DType dtype);

// Names how panels are laid out: the same text, the same bytes for the same weights. Files of
// panels carry it (engine/packed_file.h).
std::string PanelLayout();

std::size_t PanelCount(std::int64_t outputs);
// Of one panel.
std::size_t PanelBytes(kernels::Packing packing, std::int64_t inner);

// A type that can be packed, and enough outputs that panels are not mostly padding.
bool IsWorthPacking(const Matrix& stored);
// What a stored matrix is once it is packed, still without data, and the bytes of its panels.
// Requires PackingOf(stored.dtype).
Matrix PackedFormOf(const Matrix& stored);
std::size_t PackedBytes(const Matrix& packed);

// Packs rows [64 * panel, 64 * panel + 64) of a stored matrix, zeros where it has no row left. out:
// [PanelBytes]. Requires PackingOf(stored.dtype).
void PackPanel(const Matrix& stored, std::size_t panel, std::byte* out);

}  // namespace metier::engine
