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

constexpr std::int64_t kLongest = 71;
const std::vector<std::int64_t> kStarts = {0, 1, 38, 38, 109, 129};

// What a case rotates and slopes by.
struct Positions {
  explicit Positions(const AttentionCase& c)
      : cosine(kLongest * c.dim / 2, 3, 3.0), sine(cosine), slopes(c.heads, 4, 0.5) {
    for (std::size_t i = 0; i < cosine.f.size(); ++i) {
      const double angle = cosine.d[i];
      cosine.f[i] = static_cast<float>(cosine.d[i] = std::cos(angle));
      sine.f[i] = static_cast<float>(sine.d[i] = std::sin(angle));
    }
  }
  Both cosine;
  Both sine;
  Both slopes;
};

// All of a case but its activations. `member`: of Both, the numbers' type.
template <class Member>
AttentionArgs ArgsOf(const AttentionCase& c, const Positions& positions, Member member) {
  AttentionArgs args;
  args.heads = c.heads;
  args.kv_heads = c.kv_heads;
  args.head_dim = c.dim;
  args.scale = 1 / std::sqrt(static_cast<double>(c.dim));
  args.causal = c.causal;
  args.window = c.window;
  args.cosine = c.rope ? (positions.cosine.*member).data() : nullptr;
  args.sine = c.rope ? (positions.sine.*member).data() : nullptr;
  args.slopes = c.alibi ? (positions.slopes.*member).data() : nullptr;
  args.starts = kStarts.data();
  return args;
}

// Forward, then backward. T: of its sums.
template <class T>
void Attend(const KernelTable& table, const AttentionArgs& args) {
  std::vector<T> scratch(static_cast<std::size_t>(table.attention_scratch(args, kLongest)));
  const std::int64_t tasks = static_cast<std::int64_t>(kStarts.size() - 1) * args.kv_heads;
  for (std::int64_t task = 0; task < tasks; ++task) {
    table.attention(args, task, scratch.data());
    table.attention_grad(args, task, scratch.data());
  }
}

TEST_P(EveryTable, AttentionAndItsGradient) {
  const std::int64_t tokens = kStarts.back();
  for (const AttentionCase& c :
       {AttentionCase{4, 2, 24, 0, true, true, false}, AttentionCase{3, 3, 8, 0, true, false, true},
        AttentionCase{2, 1, 32, 5, true, true, false},
        AttentionCase{2, 2, 20, 0, false, false, false}}) {
    const std::int64_t row = (c.heads + 2 * c.kv_heads) * c.dim;
    const Both qkv(tokens * row, 1);
    const Both dout(tokens * c.heads * c.dim, 2);
    const Positions positions(c);
    Both out = Both::Zero(tokens * c.heads * c.dim);
    Both log_sum = Both::Zero(tokens * c.heads);
    Both dqkv = Both::Zero(tokens * row);
    const auto run = [&](const KernelTable& table, auto member) {
      using T = std::decay_t<decltype((qkv.*member)[0])>;
      AttentionArgs args = ArgsOf(c, positions, member);
      args.qkv = (qkv.*member).data();
      args.out = (out.*member).data();
      args.log_sum = (log_sum.*member).data();
      args.dout = (dout.*member).data();
      args.dqkv = (dqkv.*member).data();
      Attend<T>(table, args);
    };
    run(*GetParam(), &Both::f);
    run(InDouble(), &Both::d);
    // Sums of at most 71 * 24 products of numbers below 2, each rounded once.
    ExpectNear(out, 71 * 24 * FLT_EPSILON);
    ExpectNear(dqkv, 71 * 24 * 2 * FLT_EPSILON);
  }
}

// The size of what is wrong, as a share of what is right.
double RelativeError(const std::vector<std::uint16_t>& found, const std::vector<double>& exact) {
  double wrong = 0;
  double all = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double difference = static_cast<double>(tensor::FromBF16(found[i])) - exact[i];
    wrong += difference * difference;
    all += exact[i] * exact[i];
  }
  return std::sqrt(wrong / all);
}

TEST_P(EveryTable, AttentionOfBf16AndItsGradient) {
  const std::int64_t tokens = kStarts.back();
  for (const AttentionCase& c :
       {AttentionCase{4, 2, 24, 0, true, true, false}, AttentionCase{3, 3, 8, 0, true, false, true},
        AttentionCase{2, 1, 64, 5, true, true, false},
        AttentionCase{1, 1, 7, 0, true, false, false},
        AttentionCase{2, 2, 20, 0, false, false, false}}) {
    const std::int64_t row = (c.heads + 2 * c.kv_heads) * c.dim;
    const Positions positions(c);
    const auto rounded = [](const Both& values) {
      std::vector<std::uint16_t> halves;
      for (const float value : values.f) halves.push_back(tensor::ToBF16(value));
      return halves;
    };
    const std::vector<std::uint16_t> qkv = rounded(Both(tokens * row, 1));
    const std::vector<std::uint16_t> dout = rounded(Both(tokens * c.heads * c.dim, 2));
    std::vector<std::uint16_t> out(dout.size());
    std::vector<std::uint16_t> dqkv(qkv.size());
    std::vector<float> log_sum(static_cast<std::size_t>(tokens * c.heads));
    AttentionArgs args = ArgsOf(c, positions, &Both::f);
    args.act = Act::kBf16;
    args.qkv = qkv.data();
    args.out = out.data();
    args.log_sum = log_sum.data();
    args.dout = dout.data();
    args.dqkv = dqkv.data();
    Attend<float>(*GetParam(), args);

    const auto widened = [](const std::vector<std::uint16_t>& halves) {
      std::vector<double> values;
      for (const std::uint16_t half : halves)
        values.push_back(static_cast<double>(tensor::FromBF16(half)));
      return values;
    };
    const std::vector<double> exact_qkv = widened(qkv);
    const std::vector<double> exact_dout = widened(dout);
    std::vector<double> exact_out(out.size());
    std::vector<double> exact_dqkv(dqkv.size());
    std::vector<double> exact_log_sum(log_sum.size());
    args = ArgsOf(c, positions, &Both::d);
    args.qkv = exact_qkv.data();
    args.out = exact_out.data();
    args.log_sum = exact_log_sum.data();
    args.dout = exact_dout.data();
    args.dqkv = exact_dqkv.data();
    Attend<double>(InDouble(), args);
    // At most six roundings to bf16 one behind the other: query, key, probability, output, its
    // gradient's product, result.
    EXPECT_LT(RelativeError(out, exact_out), 6.0 / 512) << c.dim;
    EXPECT_LT(RelativeError(dqkv, exact_dqkv), 6.0 / 512) << c.dim;
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

struct LowRankCase {
  std::int64_t tokens, ranks, columns;
};

TEST_P(EveryTable, ThinProductsOfAdapters) {
  for (const auto& [tokens, ranks, columns] :
       {LowRankCase{1, 1, 1}, LowRankCase{9, 3, 31}, LowRankCase{131, 13, 100},
        LowRankCase{64, 16, 64}, LowRankCase{200, 48, 193}}) {
    // All three lie in wider rows, whose other columns must stay as they are.
    const std::int64_t wide_row = columns + 5;
    const std::int64_t thin_row = ranks + 3;
    const Both thin(tokens * thin_row, 1);
    const Both wide(tokens * wide_row, 2);
    const Both factor(ranks * wide_row, 3);
    Both added = wide;
    Both summed = factor;
    const auto run = [&](const KernelTable& table, auto member, bool in_parts) {
      LowRankArgs args;
      args.tokens = tokens;
      args.ranks = ranks;
      args.columns = columns;
      args.thin = (thin.*member).data();
      args.thin_row = thin_row;
      args.factor_row = wide_row;
      args.wide_row = wide_row;
      args.factor = const_cast<void*>(static_cast<const void*>((factor.*member).data()));
      args.wide = (added.*member).data();
      const std::int64_t token = in_parts ? tokens / 3 : 0;
      table.low_rank_add(args, token, tokens);
      table.low_rank_add(args, 0, token);
      args.factor = (summed.*member).data();
      args.wide = const_cast<void*>(static_cast<const void*>((wide.*member).data()));
      const std::int64_t column = in_parts ? std::min(kColumnTile, columns) : 0;
      table.low_rank_sum(args, column, columns);
      table.low_rank_sum(args, 0, column);
    };
    run(*GetParam(), &Both::f, false);
    run(InDouble(), &Both::d, false);
    // Sums of numbers below 1, each product and each partial sum rounded once.
    ExpectNear(added, static_cast<double>((ranks + 1) * (ranks + 1)) * FLT_EPSILON);
    ExpectNear(summed, static_cast<double>(tokens * tokens) * FLT_EPSILON);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t n = columns; n < wide_row; ++n) {
        const auto at = static_cast<std::size_t>(t * wide_row + n);
        ASSERT_EQ(added.f[at], wide.f[at]);
      }
    }
    const std::vector<float> whole_add = added.f;
    const std::vector<float> whole_sum = summed.f;
    added.f = wide.f;
    summed.f = factor.f;
    run(*GetParam(), &Both::f, true);
    EXPECT_EQ(added.f, whole_add);
    EXPECT_EQ(summed.f, whole_sum);
  }
}

TEST_P(EveryTable, ThinProductsOfBf16) {
  const std::int64_t tokens = 70;
  const std::int64_t ranks = 9;
  const std::int64_t columns = 83;
  const Both thin(tokens * ranks, 1);
  Both factor(ranks * columns, 2);
  std::vector<std::uint16_t> wide;
  for (const float value : Both(tokens * columns, 3).f) wide.push_back(tensor::ToBF16(value));
  LowRankArgs args;
  args.tokens = tokens;
  args.ranks = args.thin_row = ranks;
  args.columns = args.factor_row = args.wide_row = columns;
  args.act = Act::kBf16;
  args.thin = thin.f.data();
  args.factor = factor.f.data();
  std::vector<std::uint16_t> added = wide;
  args.wide = added.data();
  GetParam()->low_rank_add(args, 0, tokens);
  Both summed = Both::Zero(ranks * columns);
  args.factor = summed.f.data();
  args.wide = wide.data();
  GetParam()->low_rank_sum(args, 0, columns);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t n = 0; n < columns; ++n) {
      const auto at = static_cast<std::size_t>(t * columns + n);
      const double old = static_cast<double>(tensor::FromBF16(wide[at]));
      double sum = old;
      for (std::int64_t r = 0; r < ranks; ++r) {
        const double share = thin.d[static_cast<std::size_t>(t * ranks + r)];
        sum += share * factor.d[static_cast<std::size_t>(r * columns + n)];
        summed.d[static_cast<std::size_t>(r * columns + n)] += share * old;
      }
      // A sum below 10 keeps eight bits.
      ASSERT_NEAR(static_cast<double>(tensor::FromBF16(added[at])), sum,
                  std::fabs(sum) / 256 + 100 * FLT_EPSILON);
    }
  }
  ExpectNear(summed, static_cast<double>(tokens * tokens) * FLT_EPSILON);
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
