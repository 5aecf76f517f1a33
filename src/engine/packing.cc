#include "engine/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "engine/pack_codes.h"

namespace metier::engine {

using kernels::kGroupInner;
using kernels::kPackedLayouts;
using kernels::kPanelOutputs;
using kernels::PackedLayout;
using kernels::Packing;
using tensor::DType;

namespace {

struct PackedType {
  DType dtype;
  Packing packing;
};
constexpr std::array kTypes = {
    PackedType{DType::kF32, Packing::kF32},       PackedType{DType::kF16, Packing::kF16},
    PackedType{DType::kBF16, Packing::kBF16},     PackedType{DType::kQ4_0, Packing::kQ4_0},
    PackedType{DType::kQ4_1, Packing::kQ4_1},     PackedType{DType::kQ5_0, Packing::kQ5_0},
    PackedType{DType::kQ5_1, Packing::kQ5_1},     PackedType{DType::kQ8_0, Packing::kQ8_0},
    PackedType{DType::kQ2_K, Packing::kQ2_K},     PackedType{DType::kQ3_K, Packing::kQ3_K},
    PackedType{DType::kQ4_K, Packing::kQ4_K},     PackedType{DType::kQ5_K, Packing::kQ5_K},
    PackedType{DType::kQ6_K, Packing::kQ6_K},     PackedType{DType::kIQ4_NL, Packing::kIQ4_NL},
    PackedType{DType::kIQ4_XS, Packing::kIQ4_XS},
};

// Goes up with every change of a byte in a panel: files on disk say which they have, and a test
// pins the bytes.
constexpr int kLayoutVersion = 1;

constexpr std::size_t kCodeRow = 4 * kPanelOutputs;
constexpr std::size_t kHalfRow = 2 * kPanelOutputs;

const PackedLayout& LayoutOf(Packing packing) {
  return kPackedLayouts[static_cast<std::size_t>(packing)];
}

std::size_t GroupCount(std::int64_t inner) {
  return (static_cast<std::size_t>(inner) + kGroupInner - 1) / kGroupInner;
}

// Where a group's record lies in its panel, and the header that it stands behind.
struct Place {
  std::size_t header;
  std::size_t record;
};

Place PlaceOf(const PackedLayout& layout, std::size_t group) {
  const std::size_t record = layout.code_bytes + layout.scale_bytes;
  const std::size_t header =
      group / layout.header_groups * (layout.header_bytes + layout.header_groups * record);
  return {header, header + layout.header_bytes + group % layout.header_groups * record};
}

void Put(std::byte* at, std::uint32_t word) { std::memcpy(at, &word, sizeof(word)); }

// The bits of `mask` in each code, moved down by `from`.
std::uint32_t Part(std::uint32_t quad, int from, std::uint32_t mask) {
  return (quad >> from) & (mask * 0x01010101U);
}

// Rows of codes as kernels/packed.h has them; each returns the rows behind its own.

std::byte* PutNibbles(const Quads& quads, std::byte* at) {
  for (std::size_t p = 0; p < 4; ++p, at += kCodeRow)
    Put(at, Part(quads[p], 0, 15) | Part(quads[p + 4], 0, 15) << 4);
  return at;
}

std::byte* PutTwoBits(const Quads& quads, int from, std::byte* at) {
  for (std::size_t h = 0; h < 2; ++h, at += kCodeRow) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 4; ++k) word |= Part(quads[4 * h + k], from, 3) << (2 * k);
    Put(at, word);
  }
  return at;
}

void PutOneBit(const Quads& quads, int from, std::byte* at) {
  std::uint32_t word = 0;
  for (std::size_t k = 0; k < quads.size(); ++k) word |= Part(quads[k], from, 1) << k;
  Put(at, word);
}

void PutCodes(const Quads& quads, int bits, std::byte* at) {
  switch (bits) {
    case 8:
      for (const std::uint32_t quad : quads) {
        Put(at, quad);
        at += kCodeRow;
      }
      return;
    case 6: PutTwoBits(quads, 4, PutNibbles(quads, at)); return;
    case 5: PutOneBit(quads, 4, PutNibbles(quads, at)); return;
    case 4: PutNibbles(quads, at); return;
    case 3: PutOneBit(quads, 2, PutTwoBits(quads, 0, at)); return;
    case 2: PutTwoBits(quads, 0, at); return;
    default: METIER_CHECK(false, "codes of a width that no type has");
  }
}

void PutHalves(const std::array<std::uint16_t, 2>& halves, int count, std::size_t output,
               std::byte* at) {
  for (int i = 0; i < count; ++i, at += kHalfRow)
    std::memcpy(at + 2 * output, &halves[static_cast<std::size_t>(i)], 2);
}

// The first `rows` outputs of a panel from rows `row_bytes` apart. Group by group, so that what is
// written stays in the first-level cache while its outputs come in.
void PackQuantised(const StoredType& type, const std::byte* row, std::size_t row_bytes,
                   std::size_t rows, std::size_t groups, std::byte* panel) {
  const PackedLayout& layout = LayoutOf(type.packing);
  for (std::size_t g = 0; g < groups; ++g) {
    const Place place = PlaceOf(layout, g);
    const bool header = type.header != nullptr && g % layout.header_groups == 0;
    for (std::size_t o = 0; o < rows; ++o) {
      const std::byte* stored = row + o * row_bytes;
      PutCodes(type.codes(stored, g), type.code_bits, panel + place.record + 4 * o);
      const GroupScales scales = type.scales(stored, g);
      std::byte* at = panel + place.record + layout.code_bytes;
      PutHalves(scales.halves, type.scale_halves, o, at);
      at += static_cast<std::size_t>(type.scale_halves) * kHalfRow + o;
      for (int i = 0; i < type.scale_bytes; ++i, at += kPanelOutputs)
        *at = static_cast<std::byte>(scales.bytes[static_cast<std::size_t>(i)]);
      if (header) PutHalves(type.header(stored, g), type.header_halves, o, panel + place.header);
    }
  }
}

// Elements of kBytes, `kTogether` consecutive ones of an output side by side.
template <std::size_t kBytes, std::size_t kTogether>
void PackPlainRow(const std::byte* row, std::size_t inner, std::size_t output, std::byte* panel) {
  for (std::size_t i = 0; i < inner; ++i) {
    const std::size_t at = (i / kTogether * kPanelOutputs + output) * kTogether + i % kTogether;
    std::memcpy(panel + at * kBytes, row + i * kBytes, kBytes);
  }
}

}  // namespace

std::optional<Packing> PackingOf(DType dtype) {
  for (const PackedType& type : kTypes) {
    if (type.dtype == dtype) return type.packing;
  }
  return std::nullopt;
}

std::string PanelLayout() {
  return fmt::format("panels of {} outputs, groups of {}, version {}", kPanelOutputs, kGroupInner,
                     kLayoutVersion);
}

std::size_t PanelCount(std::int64_t outputs) {
  return (static_cast<std::size_t>(outputs) + kPanelOutputs - 1) / kPanelOutputs;
}

std::size_t PanelBytes(Packing packing, std::int64_t inner) {
  const PackedLayout& layout = LayoutOf(packing);
  const std::size_t groups = GroupCount(inner);
  const std::size_t headers = (groups + layout.header_groups - 1) / layout.header_groups;
  return groups * (layout.code_bytes + layout.scale_bytes) + headers * layout.header_bytes;
}

bool IsWorthPacking(const Matrix& stored) {
  constexpr std::int64_t kFewOutputs = 16;
  return PackingOf(stored.dtype) && stored.rows >= kFewOutputs;
}

Matrix PackedFormOf(const Matrix& stored) {
  Matrix packed = stored;
  packed.packing = PackingOf(stored.dtype).value();
  packed.panel_bytes = PanelBytes(*packed.packing, stored.columns);
  packed.data = nullptr;
  return packed;
}

std::size_t PackedBytes(const Matrix& packed) {
  return PanelCount(packed.rows) * packed.panel_bytes;
}

void PackPanel(const Matrix& stored, std::size_t panel, std::byte* out) {
  const Packing packing = PackingOf(stored.dtype).value();
  const auto inner = static_cast<std::size_t>(stored.columns);
  const std::size_t first = panel * kPanelOutputs;
  const std::size_t rows = std::min(kPanelOutputs, static_cast<std::size_t>(stored.rows) - first);
  // Whole panels are written over in full.
  if (rows < kPanelOutputs || inner % kGroupInner != 0)
    std::memset(out, 0, PanelBytes(packing, stored.columns));
  const std::byte* row = stored.Row(static_cast<std::int64_t>(first)).data();
  const auto plain = [&](auto pack) {
    for (std::size_t o = 0; o < rows; ++o) pack(row + o * stored.row_bytes, inner, o, out);
  };
  switch (packing) {
    case Packing::kF32: plain(PackPlainRow<4, 1>); break;
    case Packing::kF16: plain(PackPlainRow<2, 1>); break;
    case Packing::kBF16: plain(PackPlainRow<2, 2>); break;
    default:
      PackQuantised(*FindStoredType(packing), row, stored.row_bytes, rows,
                    GroupCount(stored.columns), out);
  }
}

}  // namespace metier::engine
