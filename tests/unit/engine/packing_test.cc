// Panels: what they hold depends on the stored weights alone, and their layout is the one that
// packed files on disk have.
#include "engine/packing.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
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

// The first 16 digits of the SHA-256 of panels of 70 outputs, the second of which has padding.
constexpr std::pair<std::string_view, std::string_view> kDigests[] = {
    {"F32", "a58dfc72c1126e04"},  {"F16", "c3eedcf5fd05e198"},    {"BF16", "ec7b43d493775095"},
    {"Q4_0", "0ec788be18e3a02f"}, {"Q4_1", "58d92481897dd7a9"},   {"Q5_0", "6a5c30047d0714e2"},
    {"Q5_1", "264e9d8f16c1e0f7"}, {"Q8_0", "fb1a33998aa2019b"},   {"Q2_K", "7af166c38db35594"},
    {"Q3_K", "5a2f190514394b99"}, {"Q4_K", "9b81014adcc1e0bb"},   {"Q5_K", "d6e50af5f438f973"},
    {"Q6_K", "78fbb80b15895428"}, {"IQ4_NL", "0ec788be18e3a02f"}, {"IQ4_XS", "f7f5576ccfd22895"},
};

std::string_view DigestOf(std::string_view type) {
  for (const auto& [name, digest] : kDigests) {
    if (name == type) return digest;
  }
  return "";
}

// Files of panels outlive the program that wrote them. Where this fails, kLayoutVersion in
// packing.cc goes up, and these digests are those of the new version.
TEST(Packing, LayoutIsTheOneThatItsNameSays) {
  EXPECT_EQ(PanelLayout(), "panels of 64 outputs, groups of 32, version 1");
  for (const tensor::DTypeInfo& info : tensor::AllDTypes()) {
    if (!PackingOf(info.dtype)) continue;
    const auto panels = Panels(info.dtype, 70, 512, std::byte{0});
    const std::string digest =
        Sha256Hex(std::string_view(reinterpret_cast<const char*>(panels.data()), panels.size()));
    EXPECT_EQ(digest.substr(0, 16), DigestOf(info.name)) << info.name;
  }
}

}  // namespace
}  // namespace metier::engine
