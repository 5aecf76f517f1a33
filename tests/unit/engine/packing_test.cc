// Panels: what they hold depends on the stored weights alone, and their layout is the one that
// packed files on disk have.
#include "engine/packing.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "base/rng.h"

namespace metier::engine {
namespace {

using tensor::DType;

// Random bytes as weights, packed into memory that held `before`.
std::vector<std::byte> Panels(DType dtype, std::int64_t rows, std::int64_t columns,
                              std::byte before) {
  const tensor::DTypeInfo& info = tensor::InfoOf(dtype);
  const std::size_t row_bytes =
      static_cast<std::size_t>(columns) / info.block_elements * info.block_bytes;
  std::vector<std::byte> stored(static_cast<std::size_t>(rows) * row_bytes);
  Rng rng(7);
  for (std::byte& byte : stored) byte = static_cast<std::byte>(rng.Below(256));
  const Matrix matrix{.dtype = dtype,
                      .rows = rows,
                      .columns = columns,
                      .data = stored.data(),
                      .row_bytes = row_bytes,
                      .packing = {},
                      .panel_bytes = 0};
  const Matrix packed = PackedFormOf(matrix);
  std::vector<std::byte> panels(PackedBytes(packed), before);
  for (std::size_t panel = 0; panel < PanelCount(rows); ++panel)
    PackPanel(matrix, panel, panels.data() + panel * packed.panel_bytes);
  return panels;
}

TEST(Packing, WritesEveryByteOfAPanel) {
  for (const tensor::DTypeInfo& info : tensor::AllDTypes()) {
    if (!PackingOf(info.dtype)) continue;
    const std::int64_t block = info.block_elements;
    for (const std::int64_t rows : {64, 70, 128}) {
      for (const std::int64_t columns : {block, 3 * block, 33 * block}) {
        EXPECT_TRUE(Panels(info.dtype, rows, columns, std::byte{0}) ==
                    Panels(info.dtype, rows, columns, std::byte{0xff}))
            << info.name << " " << rows << " x " << columns;
      }
    }
  }
}

}  // namespace
}  // namespace metier::engine
