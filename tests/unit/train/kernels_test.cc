// Every instruction set's float kernels against the scalar ones in double. (That the double ones
// are right is shown by network_test.cc: gradients against finite differences, values against
// LibTorch's.)
#include "train/cpu/kernels.h"

#include <cfloat>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "support/fixtures.h"
#include "tensor/half.h"

namespace metier::train::cpu {
namespace {

std::vector<const KernelTable*> FloatTables() {
  int count = 0;
  const KernelTable* const* tables = SupportedTables(Real::kF32, &count);
  return {tables, tables + count};
}

const KernelTable& InDouble() {
  int count = 0;
  return *SupportedTables(Real::kF64, &count)[0];
}

std::string TableName(const ::testing::TestParamInfo<const KernelTable*>& info) {
  return info.param->name;
}

// The same numbers as float and as double.
struct Both {
  std::vector<float> f;
  std::vector<double> d;

  Both() = default;
  Both(std::int64_t count, std::uint64_t seed, double scale = 1) {
    Rng rng(seed);
    for (std::int64_t i = 0; i < count; ++i) {
      f.push_back(static_cast<float>(scale * (2 * rng.Uniform() - 1)));
      d.push_back(f.back());
    }
  }
  static Both Zero(std::int64_t count) { return Both(count, 0, 0); }
  std::int64_t size() const { return static_cast<std::int64_t>(f.size()); }
};

void ExpectNear(const Both& got, double bound) {
  for (std::size_t i = 0; i < got.f.size(); ++i)
    ASSERT_NEAR(static_cast<double>(got.f[i]), got.d[i], bound) << i;
}

class EveryTable : public ::testing::TestWithParam<const KernelTable*> {};
INSTANTIATE_TEST_SUITE_P(Isa, EveryTable, ::testing::ValuesIn(FloatTables()), TableName);

struct AttentionCase {
  std::int64_t heads, kv_heads, dim, window;
  bool causal, rope, alibi;
};

TEST_P(EveryTable, AttentionAndItsGradient) {
  const std::vector<std::int64_t> starts = {0, 1, 38, 38, 109, 129};
  const std::int64_t tokens = starts.back();
  for (const AttentionCase& c :
       {AttentionCase{4, 2, 24, 0, true, true, false}, AttentionCase{3, 3, 8, 0, true, false, true},
        AttentionCase{2, 1, 32, 5, true, true, false},
        AttentionCase{2, 2, 20, 0, false, false, false}}) {
    const std::int64_t row = (c.heads + 2 * c.kv_heads) * c.dim;
    const Both qkv(tokens * row, 1);
    const Both dout(tokens * c.heads * c.dim, 2);
    const Both angles(71 * c.dim / 2, 3, 3.0);
    const Both slopes(c.heads, 4, 0.5);
    Both cosine = angles;
    Both sine = angles;
    for (std::size_t i = 0; i < angles.f.size(); ++i) {
      cosine.f[i] = static_cast<float>(cosine.d[i] = std::cos(angles.d[i]));
      sine.f[i] = static_cast<float>(sine.d[i] = std::sin(angles.d[i]));
    }
    Both out = Both::Zero(tokens * c.heads * c.dim);
    Both log_sum = Both::Zero(tokens * c.heads);
    Both dqkv = Both::Zero(tokens * row);
    const auto run = [&](const KernelTable& table, auto member) {
      using T = std::decay_t<decltype((qkv.*member)[0])>;
      AttentionArgs args;
      args.heads = c.heads;
      args.kv_heads = c.kv_heads;
      args.head_dim = c.dim;
      args.scale = 1 / std::sqrt(static_cast<double>(c.dim));
      args.causal = c.causal;
      args.window = c.window;
      args.qkv = (qkv.*member).data();
      args.cosine = c.rope ? (cosine.*member).data() : nullptr;
      args.sine = c.rope ? (sine.*member).data() : nullptr;
      args.slopes = c.alibi ? (slopes.*member).data() : nullptr;
      args.starts = starts.data();
      args.out = (out.*member).data();
      args.log_sum = (log_sum.*member).data();
      args.dout = (dout.*member).data();
      args.dqkv = (dqkv.*member).data();
      std::vector<T> scratch(static_cast<std::size_t>(table.attention_scratch(args, 71)));
      const std::int64_t tasks = static_cast<std::int64_t>(starts.size() - 1) * c.kv_heads;
      for (std::int64_t task = 0; task < tasks; ++task) {
        table.attention(args, task, scratch.data());
        table.attention_grad(args, task, scratch.data());
      }
    };
    run(*GetParam(), &Both::f);
    run(InDouble(), &Both::d);
    // Sums of at most 71 * 24 products of numbers below 2, each rounded once.
    ExpectNear(out, 71 * 24 * FLT_EPSILON);
    ExpectNear(dqkv, 71 * 24 * 2 * FLT_EPSILON);
  }
}

TEST_P(EveryTable, NormsAndTheirGradients) {
  for (const std::int64_t width : {1, 7, 16, 33, 96}) {
    for (const bool rms : {true, false}) {
      if (!rms && width == 1) continue;  // the variance of one number
      const std::int64_t rows = 5;
      const Both x(rows * width, 1);
      const Both delta(rows * width, 2);
      const Both weight(width, 3);
      const Both bias(width, 4);
      const Both dy(rows * width, 5);
      Both sum = Both::Zero(rows * width);
      Both y = sum;
      Both dx = sum;
      Both mean = Both::Zero(rows);
      Both inverse = mean;
      Both dweight = Both::Zero(2 * width);
      Both dbias = dweight;
      const auto run = [&](const KernelTable& table, auto member) {
        NormArgs args;
        args.width = width;
        args.rms = rms;
        args.plus_one = rms;
        args.epsilon = 0.01;
        args.x = (x.*member).data();
        args.delta = (delta.*member).data();
        args.weight = (weight.*member).data();
        args.bias = rms ? nullptr : (bias.*member).data();
        args.sum = (sum.*member).data();
        args.y = (y.*member).data();
        args.mean = (mean.*member).data();
        args.inverse = (inverse.*member).data();
        args.group = 3;
        table.norm(args, 0, rows);
        NormGradArgs grad;
        grad.forward = args;
        grad.forward.x = args.sum;
        grad.dy = (dy.*member).data();
        grad.dx = (dx.*member).data();
        grad.dweight = (dweight.*member).data();
        grad.dbias = rms ? nullptr : (dbias.*member).data();
        table.norm_grad(grad, rows, 0, 2);
      };
      run(*GetParam(), &Both::f);
      run(InDouble(), &Both::d);
      // 1 / sqrt(0.01) = 10 magnifies at most; sums over the width and five rows.
      const double bound = 10 * 10 * static_cast<double>(width + 5) * FLT_EPSILON;
      ExpectNear(y, bound);
      ExpectNear(dx, 10 * bound);
      ExpectNear(dweight, bound);
      ExpectNear(dbias, bound);
    }
  }
}

TEST_P(EveryTable, GatesAndTheirGradients) {
  for (const Curve curve : {Curve::kSilu, Curve::kGeluErf, Curve::kGeluTanh, Curve::kRelu}) {
    for (const bool gated : {true, false}) {
      const std::int64_t hidden = 37;
      const std::int64_t rows = 3;
      const Both in(rows * hidden * (gated ? 2 : 1), 1, 6.0);
      const Both dout(rows * hidden, 2);
      Both out = Both::Zero(rows * hidden);
      Both din = Both::Zero(in.size());
      const auto run = [&](const KernelTable& table, auto member) {
        GateArgs args;
        args.hidden = hidden;
        args.curve = curve;
        args.gated = gated;
        args.in = (in.*member).data();
        args.out = (out.*member).data();
        args.dout = (dout.*member).data();
        args.din = (din.*member).data();
        table.gate(args, 0, rows);
        table.gate_grad(args, 0, rows);
      };
      run(*GetParam(), &Both::f);
      run(InDouble(), &Both::d);
      // Products of two numbers below 6, whose factors carry a few roundings each; the tanh form
      // squares its argument.
      ExpectNear(out, 36 * 16 * FLT_EPSILON);
      ExpectNear(din, 36 * 16 * FLT_EPSILON);
    }
  }
}

TEST_P(EveryTable, CrossEntropyAndItsGradient) {
  for (const auto& [vocab, smoothing] : {std::pair<std::int64_t, double>{2, 0},
                                         {15, 0},
                                         {16, 0.1},
                                         {17, 0.1},
                                         {100, 0},
                                         {100, 0.5}}) {
    const std::int64_t rows = 4;
    const Both logits(rows * vocab, 1, 20.0);
    const Both weight(rows, 2);
    const std::vector<std::int64_t> target = {0, 1, vocab - 1, 1};
    Both loss = Both::Zero(rows);
    Both dlogits = Both::Zero(rows * vocab);
    const auto run = [&](const KernelTable& table, auto member) {
      CrossEntropyArgs args;
      args.vocab = vocab;
      args.logits = (logits.*member).data();
      args.target = target.data();
      args.weight = (weight.*member).data();
      args.smoothing = smoothing;
      args.loss = (loss.*member).data();
      args.dlogits = (dlogits.*member).data();
      table.cross_entropy(args, 0, rows);
    };
    run(*GetParam(), &Both::f);
    run(InDouble(), &Both::d);
    ExpectNear(loss, 40 * 8 * FLT_EPSILON);
    ExpectNear(dlogits, 40 * 8 * FLT_EPSILON);
  }
}

TEST_P(EveryTable, AdamFollowsItsFormula) {
  const std::int64_t count = 19;
  Both parameter(count, 1);
  const std::vector<float> before = parameter.f;
  const Both gradient(count, 2);
  Both first = Both::Zero(count);
  Both second = Both::Zero(count);
  std::vector<std::uint16_t> rounded(static_cast<std::size_t>(count));
  AdamArgs args;
  args.parameter = parameter.f.data();
  args.gradient = gradient.f.data();
  args.first = first.f.data();
  args.second = second.f.data();
  args.rounded = rounded.data();
  args.gradient_scale = 0.5;
  args.learning_rate = 0.1;
  args.decay = 0.2;
  args.beta1 = 0.9;
  args.beta2 = 0.99;
  args.epsilon = 1e-3;
  args.correction1 = 1 - 0.9;
  args.correction2 = 1 - 0.99;
  GetParam()->adam(args, 0, count);
  for (std::size_t i = 0; i < before.size(); ++i) {
    // First step: both corrected moments are the gradient and its square.
    const double g = 0.5 * static_cast<double>(gradient.f[i]);
    const double expected =
        static_cast<double>(before[i]) * (1 - 0.1 * 0.2) - 0.1 * g / (std::fabs(g) + 1e-3);
    EXPECT_NEAR(static_cast<double>(parameter.f[i]), expected, 16 * FLT_EPSILON);
    EXPECT_EQ(rounded[i], tensor::ToBF16(parameter.f[i]));
  }
}

TEST_P(EveryTable, DropoutKeepsItsShareAndItsMask) {
  const std::int64_t count = 40000;
  const std::vector<float> ones(static_cast<std::size_t>(count), 1.0F);
  std::vector<float> out(ones.size());
  std::vector<float> again(ones.size());
  DropoutArgs args;
  args.key = 7;
  args.p = 0.3;
  args.in = ones.data();
  args.out = out.data();
  GetParam()->dropout(args, 0, count);
  args.out = again.data();
  GetParam()->dropout(args, 20000, count);  // in two parts, the later first
  GetParam()->dropout(args, 0, 20000);
  EXPECT_EQ(out, again);
  std::int64_t dropped = 0;
  for (const float value : out) {
    dropped += value == 0 ? 1 : 0;
    ASSERT_FLOAT_EQ(value, value == 0 ? 0 : 1 / 0.7F);
  }
  // Binomial(40000, 0.3): standard deviation 92; five of them.
  EXPECT_NEAR(static_cast<double>(dropped), 12000, 460);
}

}  // namespace
}  // namespace metier::train::cpu
