#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace metier::tensor {
namespace {

TEST(Tensor, StartsAlignedAndZero) {
  Tensor tensor(DType::kF32, {3, 5});
  EXPECT_EQ(tensor.bytes().size(), 60U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % 64, 0U);
  EXPECT_TRUE(
      std::all_of(tensor.f32().begin(), tensor.f32().end(), [](float x) { return x == 0; }));
  EXPECT_EQ(Tensor(DType::kQ4_0, {2, 32}).bytes().size(), 36U);
  EXPECT_EQ(Tensor(DType::kF32, {0, 7}).bytes().size(), 0U);
  EXPECT_EQ(Tensor(DType::kF32, {}).bytes().size(), 4U);
}

TEST(Tensor, CopiesShareTheirBytes) {
  Tensor one(DType::kF32, {2});
  Tensor two = one;
  two.f32()[1] = 5;
  EXPECT_EQ(one.f32()[1], 5);
  const TensorView view = one.view();
  EXPECT_EQ(view.bytes.data(), two.bytes().data());
  EXPECT_EQ(view.shape, (Shape{2}));
}

TEST(Tensor, ShapesCountAndPrint) {
  EXPECT_EQ(ElementCount({}), 1);
  EXPECT_EQ(ElementCount({2, 3, 4}), 24);
  EXPECT_EQ(ElementCount({2, 0, 4}), 0);
  EXPECT_EQ(FormatShape({32, 128}), "[32, 128]");
  EXPECT_EQ(FormatShape({}), "[]");
}

TEST(TensorDeathTest, RequiresWholeBlocksInARow) {
  EXPECT_DEATH(Tensor(DType::kQ4_0, {2, 16}), "rows that end inside a block");
  EXPECT_DEATH(Tensor(DType::kQ4_0, {33}), "broken blocks");
  EXPECT_DEATH(static_cast<void>(Tensor(DType::kI32, {1}).f32()), "f32\\(\\) of another type");
}

}  // namespace
}  // namespace metier::tensor
