#include "kernels/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "kernels/top_k.h"

namespace metier::kernels {
namespace {

using ::testing::ElementsAre;

TEST(Dispatch, TheScalarTableIsAlwaysThere) {
  ASSERT_FALSE(SupportedTables().empty());
  EXPECT_STREQ(SupportedTables().front()->name, "scalar");
}

TEST(Dispatch, KernelsAreWhatTheEnvironmentNamesOrTheBest) {
  const char* wanted = std::getenv("METIER_ISA");
  EXPECT_STREQ(Kernels().name, wanted != nullptr ? wanted : SupportedTables().back()->name);
}

TEST(DispatchDeathTest, AnUnknownInstructionSetEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ::setenv("METIER_ISA", "avx9000", 1);
        static_cast<void>(Kernels());
      },
      "METIER_ISA='avx9000'.*scalar");
}

TEST(TopK, TakesTheLargestAndOfEqualOnesTheFirst) {
  const std::vector<float> scores = {0.5F, 2, -1, 2, 0.5F, 7};
  std::array<std::int32_t, 4> best{};
  TopK(scores, best);
  EXPECT_THAT(best, ElementsAre(5, 1, 3, 0));
  std::array<std::int32_t, 6> all{};
  TopK(scores, all);
  EXPECT_THAT(all, ElementsAre(5, 1, 3, 0, 4, 2));
}

}  // namespace
}  // namespace metier::kernels
