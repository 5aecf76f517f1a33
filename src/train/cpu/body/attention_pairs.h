// train/cpu/body/attention_pairs.h - attention (attention.h) of bf16 activations where the
// instruction set multiplies pairs of bf16 numbers and adds them to a float: what enters a product
// is rounded to bf16, sums and softmax stay float.

// Two neighbours along what is summed over, the first in the lower half.
using Pair = std::uint32_t;

// As Tile, of pairs: c[m, n] (+)= sum_k a(i, k) . b[k, n].
template <int kRows, int kCols>
inline void PairTile(std::int64_t depth, const Pair* a, std::int64_t a_row, std::int64_t a_step,
                     const Pair* b, std::int64_t b_row, float* c, std::int64_t c_row,
                     bool accumulate) {
  __m512 sum[kRows][kCols];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kCols; ++j)
      sum[i][j] = accumulate ? _mm512_loadu_ps(c + i * c_row + j * 16) : _mm512_setzero_ps();
  for (std::int64_t k = 0; k < depth; ++k) {
    __m512bh row[kCols];
#pragma GCC unroll 2
    for (int j = 0; j < kCols; ++j) row[j] = (__m512bh)_mm512_loadu_si512(b + k * b_row + j * 16);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m512bh value =
          (__m512bh)_mm512_set1_epi32(static_cast<int>(a[i * a_row + k * a_step]));
#pragma GCC unroll 2
      for (int j = 0; j < kCols; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], value, row[j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kCols; ++j) _mm512_storeu_ps(c + i * c_row + j * 16, sum[i][j]);
}

// The whole product; n a multiple of the lanes and m of kTileRows. `depth` in pairs.
inline void PairGemm(std::int64_t m, std::int64_t n, std::int64_t depth, const Pair* a,
                     std::int64_t a_row, std::int64_t a_step, const Pair* b, std::int64_t b_row,
                     float* c, std::int64_t c_row, bool accumulate) {
  for (std::int64_t i = 0; i < m; i += kTileRows) {
    std::int64_t j = 0;
    for (; j + 32 <= n; j += 32)
      PairTile<kTileRows, 2>(depth, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j,
                             c_row, accumulate);
    for (; j < n; j += 16)
      PairTile<kTileRows, 1>(depth, a + i * a_row, a_row, a_step, b + j, b_row, c + i * c_row + j,
                             c_row, accumulate);
  }
}

// Of 16 floats, each in the lower half of a word.
inline WordVector RoundedWords(const float* in) {
  return __builtin_convertvector((HalfVector)_mm512_cvtneps_pbh(_mm512_loadu_ps(in)), WordVector);
}

// Pairs along a row; `count` floats, a multiple of 16.
inline void PairsOfRow(const float* row, std::int64_t count, Pair* out) {
  std::int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512bh both =
        _mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + i + 16), _mm512_loadu_ps(row + i));
    _mm512_storeu_si512(out + i / 2, (__m512i)both);
  }
  if (i == count) return;
  const __m256bh last = _mm512_cvtneps_pbh(_mm512_loadu_ps(row + i));
  std::memcpy(out + i / 2, &last, sizeof last);
}

// Pairs across two rows; `count` a multiple of 16.
inline void PairsOfRows(const float* first, const float* second, std::int64_t count, Pair* out) {
  for (std::int64_t i = 0; i < count; i += 16) {
    const WordVector pairs = RoundedWords(first + i) | RoundedWords(second + i) << 16;
    std::memcpy(out + i, &pairs, sizeof pairs);
  }
}

// Two tokens' heads, widened, rotated, padded with zeros; zeros where there is no such token.
inline void ReadTwoHeads(const AttentionArgs& args, std::int64_t row_width,
                         const TaskShape<float>& s, std::int64_t token, std::int64_t slot,
                         bool rotate, float* rows) {
  Clear(rows, rows + 2 * s.wide_dim);
  for (std::int64_t i = 0; i < 2 && token + i < s.length; ++i) {
    ReadHead<float, Bf16Io>(args, static_cast<const std::uint16_t*>(args.qkv), row_width, s,
                            token + i, slot, rotate, 1.0F, rows + i * s.wide_dim);
  }
}

// Columns `token` and the next of heads' pairs [depth, keys]. `staging`: pairs of two heads.
inline void PutColumns(const float* rows, const TaskShape<float>& s, std::int64_t token,
                       std::int64_t depth, Pair* staging, Pair* pairs) {
  PairsOfRow(rows, 2 * s.wide_dim, staging);
  for (std::int64_t i = 0; i < depth; ++i) {
    pairs[i * s.keys + token] = staging[i];
    pairs[i * s.keys + token + 1] = staging[s.wide_dim / 2 + i];
  }
}

inline void AttentionPairTask(const AttentionArgs& args, std::int64_t task, float* scratch) {
  const TaskShape<float> s = ShapeOf<float>(args, task);
  if (s.length == 0) return;
  const std::int64_t row_width = (args.heads + 2 * args.kv_heads) * s.dim;
  const std::int64_t depth = (s.dim + 1) / 2;
  const std::int64_t along = s.wide_dim / 2;  // pairs of a head's row
  auto* out = static_cast<std::uint16_t*>(args.out);
  auto* keys_t = reinterpret_cast<Pair*>(scratch);   // [depth, keys]
  Pair* values = keys_t + depth * s.keys;            // [keys / 2, wide_dim]
  Pair* queries = values + s.keys / 2 * s.wide_dim;  // [kQueries, along]
  Pair* probabilities = queries + kQueries * along;  // [kQueries, keys / 2]
  auto* rows = reinterpret_cast<float*>(probabilities + kQueries * s.keys / 2);  // two heads
  float* outputs = rows + 2 * s.wide_dim;
  float* scores = outputs + kQueries * s.wide_dim;
  Clear(keys_t, queries);

  for (std::int64_t t = 0; t < s.length; t += 2) {
    ReadTwoHeads(args, row_width, s, t, args.heads + s.kv, true, rows);
    PutColumns(rows, s, t, depth, queries, keys_t);
    ReadTwoHeads(args, row_width, s, t, args.heads + args.kv_heads + s.kv, false, rows);
    PairsOfRows(rows, rows + s.wide_dim, s.wide_dim, values + t / 2 * s.wide_dim);
  }
  for (std::int64_t h = 0; h < s.group; ++h) {
    const std::int64_t head = s.kv * s.group + h;
    for (std::int64_t begin = 0; begin < s.length; begin += kQueries) {
      const std::int64_t count = s.length - begin < kQueries ? s.length - begin : kQueries;
      const std::int64_t tall = RoundUp(count, kTileRows);
      const KeyRange block = BlockKeys<float>(args, begin, begin + count, s);
      const std::int64_t width = block.last - block.first;
      for (std::int64_t r = 0; r < count; ++r) {
        Clear(rows, rows + s.wide_dim);
        ReadHead<float, Bf16Io>(args, static_cast<const std::uint16_t*>(args.qkv), row_width, s,
                                begin + r, head, true, static_cast<float>(args.scale), rows);
        PairsOfRow(rows, s.wide_dim, queries + r * along);
      }
      Clear(queries + count * along, queries + tall * along);
      PairGemm(tall, width, depth, queries, along, 1, keys_t + block.first, s.keys, scores, width,
               false);
      float inverse[kQueries] = {};
      SoftmaxRows<float>(args, s, head, begin, count, block, scores, inverse);
      PairsOfRow(scores, tall * width, probabilities);
      PairGemm(tall, s.wide_dim, width / 2, probabilities, width / 2, 1,
               values + block.first / 2 * s.wide_dim, s.wide_dim, outputs, s.wide_dim, false);
      for (std::int64_t r = 0; r < count; ++r) {
        std::uint16_t* to = out + (s.start + begin + r) * args.heads * s.dim + head * s.dim;
        for (std::int64_t i = 0; i < s.dim; ++i)
          Bf16Io::StoreOne(to + i, outputs[r * s.wide_dim + i] * inverse[r]);
      }
    }
  }
}

inline void AttentionGradPairTask(const AttentionArgs& args, std::int64_t task, float* scratch) {
  const TaskShape<float> s = ShapeOf<float>(args, task);
  if (s.length == 0) return;
  const std::int64_t row_width = (args.heads + 2 * args.kv_heads) * s.dim;
  const std::int64_t out_width = args.heads * s.dim;
  const std::int64_t depth = (s.dim + 1) / 2;
  const std::int64_t along = s.wide_dim / 2;
  const std::int64_t plane = s.keys * s.wide_dim;
  const std::int64_t block_plane = kQueries * s.wide_dim;
  const auto* qkv = static_cast<const std::uint16_t*>(args.qkv);
  const auto* out = static_cast<const std::uint16_t*>(args.out);
  const auto* dout = static_cast<const std::uint16_t*>(args.dout);
  auto* dqkv = static_cast<std::uint16_t*>(args.dqkv);
  auto* keys_t = reinterpret_cast<Pair*>(scratch);  // [depth, keys]
  Pair* values_t = keys_t + depth * s.keys;         // [depth, keys]
  Pair* keys = values_t + depth * s.keys;           // [keys / 2, wide_dim]
  auto* dkeys = reinterpret_cast<float*>(keys + plane / 2);
  float* dvalues = dkeys + plane;
  float* queries = dvalues + plane;  // rows as floats
  float* douts = queries + block_plane;
  float* dqueries = douts + block_plane;
  auto* queries_along = reinterpret_cast<Pair*>(dqueries + block_plane);  // [kQueries, along]
  Pair* douts_along = queries_along + block_plane / 2;
  Pair* queries_across = douts_along + block_plane / 2;  // [kQueries / 2, wide_dim]
  Pair* douts_across = queries_across + block_plane / 2;
  auto* scores = reinterpret_cast<float*>(douts_across + block_plane / 2);
  float* dscores = scores + kQueries * s.keys;
  auto* scores_across =
      reinterpret_cast<Pair*>(dscores + kQueries * s.keys);  // [kQueries / 2, keys]
  Pair* dscores_across = scores_across + kQueries / 2 * s.keys;
  Pair* dscores_along = dscores_across + kQueries / 2 * s.keys;  // [kQueries, keys / 2]
  Clear(scratch, queries);

  for (std::int64_t t = 0; t < s.length; t += 2) {
    ReadTwoHeads(args, row_width, s, t, args.heads + s.kv, true, queries);
    PutColumns(queries, s, t, depth, queries_along, keys_t);
    PairsOfRows(queries, queries + s.wide_dim, s.wide_dim, keys + t / 2 * s.wide_dim);
    ReadTwoHeads(args, row_width, s, t, args.heads + args.kv_heads + s.kv, false, queries);
    PutColumns(queries, s, t, depth, queries_along, values_t);
  }

  for (std::int64_t h = 0; h < s.group; ++h) {
    const std::int64_t head = s.kv * s.group + h;
    for (std::int64_t begin = 0; begin < s.length; begin += kQueries) {
      const std::int64_t count = s.length - begin < kQueries ? s.length - begin : kQueries;
      const std::int64_t tall = RoundUp(count, kTileRows);
      const KeyRange block = BlockKeys<float>(args, begin, begin + count, s);
      const std::int64_t width = block.last - block.first;
      float delta[kQueries] = {};
      // Rows past the end of the sequence would add to dkeys and dvalues: they must be zero.
      Clear(queries, dqueries);
      for (std::int64_t r = 0; r < count; ++r) {
        ReadHead<float, Bf16Io>(args, qkv, row_width, s, begin + r, head, true,
                                static_cast<float>(args.scale), queries + r * s.wide_dim);
        const std::int64_t at = (s.start + begin + r) * out_width + head * s.dim;
        delta[r] =
            ReadOutputGrad<float, Bf16Io>(dout + at, out + at, s.dim, douts + r * s.wide_dim);
      }
      PairsOfRow(queries, tall * s.wide_dim, queries_along);
      PairsOfRow(douts, tall * s.wide_dim, douts_along);
      for (std::int64_t r = 0; r < tall; r += 2) {
        PairsOfRows(queries + r * s.wide_dim, queries + (r + 1) * s.wide_dim, s.wide_dim,
                    queries_across + r / 2 * s.wide_dim);
        PairsOfRows(douts + r * s.wide_dim, douts + (r + 1) * s.wide_dim, s.wide_dim,
                    douts_across + r / 2 * s.wide_dim);
      }
      PairGemm(tall, width, depth, queries_along, along, 1, keys_t + block.first, s.keys, scores,
               width, false);
      PairGemm(tall, width, depth, douts_along, along, 1, values_t + block.first, s.keys, dscores,
               width, false);
      SoftmaxGradRows<float>(args, s, head, begin, count, tall, block, delta, scores, dscores);
      for (std::int64_t r = 0; r < tall; r += 2) {
        PairsOfRows(scores + r * width, scores + (r + 1) * width, width,
                    scores_across + r / 2 * width);
        PairsOfRows(dscores + r * width, dscores + (r + 1) * width, width,
                    dscores_across + r / 2 * width);
      }
      PairsOfRow(dscores, tall * width, dscores_along);
      PairGemm(width, s.wide_dim, tall / 2, scores_across, 1, width, douts_across, s.wide_dim,
               dvalues + block.first * s.wide_dim, s.wide_dim, true);
      PairGemm(width, s.wide_dim, tall / 2, dscores_across, 1, width, queries_across, s.wide_dim,
               dkeys + block.first * s.wide_dim, s.wide_dim, true);
      PairGemm(tall, s.wide_dim, width / 2, dscores_along, width / 2, 1,
               keys + block.first / 2 * s.wide_dim, s.wide_dim, dqueries, s.wide_dim, false);
      for (std::int64_t r = 0; r < count; ++r)
        WriteHeadGrad<float, Bf16Io>(args, dqkv, row_width, s, begin + r, head, true,
                                     static_cast<float>(args.scale), dqueries + r * s.wide_dim);
    }
  }
  WriteKeyGrads<float, Bf16Io>(args, s, row_width, dkeys, dvalues);
}

// Of bf16 activations by pairs, of others as everywhere.
inline void AttentionByPairs(const AttentionArgs& args, std::int64_t task, void* scratch) {
  if (args.act == Act::kBf16) return AttentionPairTask(args, task, static_cast<float*>(scratch));
  Attention<float>(args, task, scratch);
}

inline void AttentionGradByPairs(const AttentionArgs& args, std::int64_t task, void* scratch) {
  if (args.act == Act::kBf16)
    return AttentionGradPairTask(args, task, static_cast<float*>(scratch));
  AttentionGrad<float>(args, task, scratch);
}
