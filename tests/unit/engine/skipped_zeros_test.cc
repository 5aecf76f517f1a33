// Which products skip zeros: single rows of floats of which many are zero, and no others.
#include <gtest/gtest.h>

#include <array>

#include "engine/compute.h"
#include "engine/packing.h"
#include "kernels/dispatch.h"
#include "tiny_models.h"

namespace metier::engine::test {
namespace {

int skipping_calls = 0;

void CountThenSkip(const kernels::PackedProduct& product) {
  ++skipping_calls;
  kernels::Kernels().packed[0].multiply_nonzero(product);
}

class SkippedZeros : public ::testing::Test {
 protected:
  SkippedZeros() : table_(kernels::Kernels()) {
    table_.packed[0].multiply_nonzero = &CountThenSkip;
    skipping_calls = 0;
    Rng rng(1);
    for (float& value : values_) value = static_cast<float>(rng.Normal());
    const Matrix stored{.dtype = tensor::DType::kF32,
                        .rows = kOutputs,
                        .columns = kInner,
                        .data = reinterpret_cast<const std::byte*>(values_.data()),
                        .row_bytes = kInner * sizeof(float)};
    w_ = PackedFormOf(stored);
    panels_.resize(PackedBytes(w_));
    for (std::size_t panel = 0; panel < PanelCount(kOutputs); ++panel)
      PackPanel(stored, panel, panels_.data() + panel * w_.panel_bytes);
    w_.data = panels_.data();
  }

  // Rows of x in which every `period`th value is not zero.
  std::vector<float> Rows(std::size_t rows, std::size_t period) const {
    Rng rng(2);
    std::vector<float> x(rows * kInner);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = i % period == 1 % period ? static_cast<float>(rng.Normal()) : 0.0F;
    return x;
  }

  // Panels that took the way around zeros.
  int CallsFor(const std::vector<float>& x) {
    Compute compute(table_, 1, Arithmetic::kExact);
    const std::size_t rows = x.size() / kInner;
    std::vector<float> out(rows * kOutputs);
    skipping_calls = 0;
    compute.Multiply(w_, nullptr, x.data(), rows, out.data());
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < kOutputs; ++o) {
        double exact = 0;
        for (std::size_t i = 0; i < kInner; ++i)
          exact += static_cast<double>(x[r * kInner + i]) * values_[o * kInner + i];
        EXPECT_NEAR(out[r * kOutputs + o], exact, 1e-4);
      }
    }
    return skipping_calls;
  }

  static constexpr std::int64_t kOutputs = 130;
  static constexpr std::int64_t kInner = 100;
  kernels::KernelTable table_;
  std::array<float, kOutputs * kInner> values_{};
  Matrix w_;
  std::vector<std::byte> panels_;
};

TEST_F(SkippedZeros, TheShareOfZerosDecides) {
  EXPECT_EQ(CallsFor(Rows(1, 1)), 0);   // none
  EXPECT_GT(CallsFor(Rows(1, 2)), 0);   // half
  EXPECT_GT(CallsFor(Rows(1, 10)), 0);  // nine of ten
  std::vector<float> few = Rows(1, 1);
  for (std::size_t i = 0; i < 40; ++i) few[i] = 0;
  EXPECT_EQ(CallsFor(few), 0);  // 40 %
}

TEST_F(SkippedZeros, SeveralRowsShareTheirWeightsInstead) { EXPECT_EQ(CallsFor(Rows(2, 10)), 0); }

TEST_F(SkippedZeros, EachGroupOfOneRowIsLookedAtByItself) {
  FeedForward ffn;
  ffn.down.w = w_;
  std::vector<float> x = Rows(4, 10);
  for (std::size_t i = 0; i < kInner; ++i) x[3 * kInner + i] = 1;  // the last row has no zeros
  const std::array<RowGroup, 3> groups = {{{.ffn = &ffn, .begin = 0, .end = 1},
                                           {.ffn = &ffn, .begin = 1, .end = 3},
                                           {.ffn = &ffn, .begin = 3, .end = 4}}};
  std::vector<float> out(4 * kOutputs);
  Compute compute(table_, 1, Arithmetic::kExact);
  compute.MultiplyDown(groups, x.data(), out.data());
  EXPECT_EQ(skipping_calls, static_cast<int>(PanelCount(kOutputs)));  // of the first group
  Compute plain(kernels::Kernels(), 1, Arithmetic::kExact);
  std::vector<float> together(4 * kOutputs);
  plain.Multiply(w_, nullptr, x.data(), 4, together.data());
  EXPECT_TRUE(out == together);
}

// A token of SmallThinker alone skips, tokens together do not: the same bits.
TEST_F(SkippedZeros, ReGluModelsSkipWhenTheyDecode) {
  const model::ModelSpec spec = TinySpec(*model::FindFamily("smallthinker").value());
  const auto model = RandomModel(spec);
  NativeBackend backend(model, {.threads = 1, .kernels = &table_});
  const std::vector<model::TokenId> tokens = RandomTokens(spec, 24, 3);
  skipping_calls = 0;
  const std::vector<float> whole = RunWhole(backend, tokens);
  const auto sequence = backend.OpenSequence(model::AdapterId::kNone).value();
  std::vector<float> steps;
  for (const model::TokenId& token : tokens) {
    const model::SequenceStep step{.sequence = sequence, .tokens = {&token, 1}, .types = {}};
    ASSERT_OK_AND_ASSIGN(const auto rows, backend.Forward({&step, 1}));
    steps.insert(steps.end(), rows.front().values.begin(), rows.front().values.end());
  }
  EXPECT_GT(skipping_calls, 0);
  EXPECT_TRUE(whole == steps);
}

}  // namespace
}  // namespace metier::engine::test
