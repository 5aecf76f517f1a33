// tests/unit/kernels/every_isa.h - the fixture of all kernel tests: one parameter per table this
// machine can run, and exact-size random inputs (AddressSanitizer sees one element too many).
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/dispatch.h"

namespace metier::kernels::test {

class EveryIsa : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }
};

inline std::string IsaName(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

// Uniform in [-1, 1).
inline std::vector<float> Uniform(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(2 * rng.Uniform() - 1);
  return values;
}

}  // namespace metier::kernels::test

#define METIER_EVERY_ISA(suite)                                                                   \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::ValuesIn(::metier::kernels::SupportedTables()), \
                           ::metier::kernels::test::IsaName)
