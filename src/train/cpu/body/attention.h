// train/cpu/body/attention.h - attention over one (sequence, kv head), queries taken in blocks.
//
// Keys and values of the task are widened, rotated and padded with zeros once; each block of
// queries then needs two products forward and five backward (Dao et al. 2022, with whole rows of
// scores instead of tiles: a block's scores fit the second-level cache). The backward pass
// recomputes the probabilities from the saved logarithm of their sum.

constexpr std::int64_t kQueries = 32;  // rows of a block; a multiple of kTileRows

inline std::int64_t RoundUp(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Where a task finds things. Keys are padded to 2 vectors and at least to whole row tiles.
template <class T>
struct TaskShape {
  std::int64_t start;     // first token
  std::int64_t length;    // tokens
  std::int64_t kv;        // kv head
  std::int64_t keys;      // length, padded
  std::int64_t dim;       // head_dim
  std::int64_t wide_dim;  // head_dim, padded
  std::int64_t group;     // query heads of this kv head
};

template <class T>
inline std::int64_t PaddedKeys(std::int64_t length) {
  constexpr std::int64_t kMultiple = 2 * kLanes < T >> kQueries ? 2 * kLanes<T> : kQueries;
  return RoundUp(length, RoundUp(kMultiple, kTileRows));
}

template <class T>
inline TaskShape<T> ShapeOf(const AttentionArgs& args, std::int64_t task) {
  const std::int64_t sequence = task / args.kv_heads;
  TaskShape<T> shape{};
  shape.start = args.starts[sequence];
  shape.length = args.starts[sequence + 1] - shape.start;
  shape.kv = task % args.kv_heads;
  shape.keys = PaddedKeys<T>(shape.length);
  shape.dim = args.head_dim;
  shape.wide_dim = RoundUp(args.head_dim, kLanes<T>);
  shape.group = args.heads / args.kv_heads;
  return shape;
}

// Scratch of a task, in order: keys^T, values, [values^T, keys, dkeys, dvalues], queries, outputs,
// [dqueries], scores, [dscores]; brackets: backward only. attention_pairs.h has less of the first
// and more of the others.
template <class T>
std::int64_t AttentionScratch(const AttentionArgs& args, std::int64_t length) {
  const std::int64_t keys = PaddedKeys<T>(length);
  const std::int64_t wide_dim = RoundUp(args.head_dim, kLanes<T>);
  return 6 * keys * wide_dim + 6 * kQueries * wide_dim + 4 * kQueries * keys;
}

// Reads head `slot` of token `position` widened to T, rotated by its position and scaled.
template <class T, class Io>
inline void ReadHead(const AttentionArgs& args, const typename Io::Element* base,
                     std::int64_t row_width, const TaskShape<T>& shape, std::int64_t position,
                     std::int64_t slot, bool rotate, T scale, T* out) {
  const auto* in = base + (shape.start + position) * row_width + slot * shape.dim;
  if (!rotate || args.cosine == nullptr) {
    for (std::int64_t i = 0; i < shape.dim; ++i) out[i] = Io::LoadOne(in + i) * scale;
    return;
  }
  const std::int64_t half = shape.dim / 2;
  const T* cosine = static_cast<const T*>(args.cosine) + position * half;
  const T* sine = static_cast<const T*>(args.sine) + position * half;
  for (std::int64_t i = 0; i < half; ++i) {
    const T a = Io::LoadOne(in + i) * scale;
    const T b = Io::LoadOne(in + half + i) * scale;
    out[i] = a * cosine[i] - b * sine[i];
    out[half + i] = b * cosine[i] + a * sine[i];
  }
}

// The transpose of ReadHead: writes the gradient of what was read.
template <class T, class Io>
inline void WriteHeadGrad(const AttentionArgs& args, typename Io::Element* base,
                          std::int64_t row_width, const TaskShape<T>& shape, std::int64_t position,
                          std::int64_t slot, bool rotate, T scale, const T* in) {
  auto* out = base + (shape.start + position) * row_width + slot * shape.dim;
  if (!rotate || args.cosine == nullptr) {
    for (std::int64_t i = 0; i < shape.dim; ++i) Io::StoreOne(out + i, in[i] * scale);
    return;
  }
  const std::int64_t half = shape.dim / 2;
  const T* cosine = static_cast<const T*>(args.cosine) + position * half;
  const T* sine = static_cast<const T*>(args.sine) + position * half;
  for (std::int64_t i = 0; i < half; ++i) {
    Io::StoreOne(out + i, (in[i] * cosine[i] + in[half + i] * sine[i]) * scale);
    Io::StoreOne(out + half + i, (in[half + i] * cosine[i] - in[i] * sine[i]) * scale);
  }
}

template <class T>
inline void Clear(T* begin, const T* end) {
  std::memset(begin, 0, static_cast<std::size_t>(end - begin) * sizeof(T));
}

template <class T>
inline void Transpose(const T* in, std::int64_t rows, std::int64_t columns, std::int64_t in_row,
                      T* out, std::int64_t out_row) {
  for (std::int64_t c = 0; c < columns; ++c)
    for (std::int64_t r = 0; r < rows; ++r) out[c * out_row + r] = in[r * in_row + c];
}

// Keys that some query of the block sees: [first, last), widened to whole vectors in the product.
struct KeyRange {
  std::int64_t first;
  std::int64_t last;
};

// Of one query.
inline KeyRange Visible(const AttentionArgs& args, std::int64_t query, std::int64_t length) {
  KeyRange range{0, length};
  if (args.causal) range.last = query + 1;
  if (args.window > 0) {
    range.first = query - args.window + 1 > 0 ? query - args.window + 1 : 0;
    if (!args.causal && query + args.window < range.last) range.last = query + args.window;
  }
  return range;
}

// Of queries [begin, end), with the edges moved out to multiples of the padding.
template <class T>
inline KeyRange BlockKeys(const AttentionArgs& args, std::int64_t begin, std::int64_t end,
                          const TaskShape<T>& shape) {
  const KeyRange low = Visible(args, begin, shape.length);
  const KeyRange high = Visible(args, end - 1, shape.length);
  const std::int64_t multiple = RoundUp(2 * kLanes<T>, kTileRows);
  const std::int64_t last = RoundUp(high.last, multiple);
  return {low.first / multiple * multiple, last < shape.keys ? last : shape.keys};
}

template <class T>
inline T SlopeOf(const AttentionArgs& args, std::int64_t head) {
  return args.slopes == nullptr ? T(0) : static_cast<const T*>(args.slopes)[head];
}

// Adds ALiBi: slope * (key - query), which is 0 at the query itself.
template <class T>
inline void AddAlibi(T* row, KeyRange seen, std::int64_t offset, std::int64_t query, T slope) {
  if (slope == T(0)) return;
  for (std::int64_t j = seen.first; j < seen.last; ++j)
    row[j - offset] += slope * static_cast<T>(j - query);
}

// row[i] = e^(row[i] - minus) for keys in `seen`, 0 elsewhere; returns the sum.
template <class T>
inline T ExpRow(T* row, KeyRange seen, KeyRange block, T minus) {
  const std::int64_t width = block.last - block.first;
  const std::int64_t first = seen.first - block.first;
  const std::int64_t last = seen.last - block.first;
  Vec<T> total{};
  for (std::int64_t j = 0; j < width; j += kLanes<T>) {
    if (j + kLanes<T> <= first || j >= last) {
      Store(row + j, Vec<T>{});
      continue;
    }
    Vec<T> value = Exp(Load(row + j) - minus);
    if (j < first || j + kLanes < T >> last) {
      for (std::int64_t i = 0; i < kLanes<T>; ++i)
        if (j + i < first || j + i >= last) value[i] = 0;
    }
    Store(row + j, value);
    total += value;
  }
  return Sum<T>(total);
}

template <class T>
inline T LargestOf(const T* row, std::int64_t count) {
  T best = row[0];
  std::int64_t i = 0;
  if (count >= kLanes<T>) {
    Vec<T> v = Load(row);
    for (; i + kLanes<T> <= count; i += kLanes<T>) {
      const Vec<T> next = Load(row + i);
      v = next > v ? next : v;
    }
    best = Largest<T>(v);
  }
  for (; i < count; ++i) best = row[i] > best ? row[i] : best;
  return best;
}

// Of queries [begin, begin + count) of a head: their scores, rows as wide as `block`, become
// e^(score
// - largest), `inverse` 1 / their sum, whose logarithm is kept for the backward pass.
template <class T>
inline void SoftmaxRows(const AttentionArgs& args, const TaskShape<T>& s, std::int64_t head,
                        std::int64_t begin, std::int64_t count, KeyRange block, T* scores,
                        T* inverse) {
  for (std::int64_t r = 0; r < count; ++r) {
    T* row = scores + r * (block.last - block.first);
    const KeyRange seen = Visible(args, begin + r, s.length);
    AddAlibi<T>(row, seen, block.first, begin + r, SlopeOf<T>(args, head));
    const T largest = LargestOf<T>(row + seen.first - block.first, seen.last - seen.first);
    const T sum = ExpRow<T>(row, seen, block, largest);
    inverse[r] = T(1) / sum;
    static_cast<T*>(args.log_sum)[(s.start + begin + r) * args.heads + head] =
        largest + LogOne(sum);
  }
}

template <class T, class Io>
void AttentionTask(const AttentionArgs& args, std::int64_t task, T* scratch) {
  using E = typename Io::Element;
  const TaskShape<T> s = ShapeOf<T>(args, task);
  if (s.length == 0) return;
  const std::int64_t row_width = (args.heads + 2 * args.kv_heads) * s.dim;
  const E* qkv = static_cast<const E*>(args.qkv);
  E* out = static_cast<E*>(args.out);
  T* keys_t = scratch;
  T* values = keys_t + s.keys * s.wide_dim;
  T* queries = values + s.keys * s.wide_dim;
  T* outputs = queries + kQueries * s.wide_dim;
  T* scores = outputs + kQueries * s.wide_dim;
  Clear(keys_t, scores);

  for (std::int64_t t = 0; t < s.length; ++t) {
    T* key = outputs;  // staging
    ReadHead<T, Io>(args, qkv, row_width, s, t, args.heads + s.kv, true, T(1), key);
    for (std::int64_t i = 0; i < s.dim; ++i) keys_t[i * s.keys + t] = key[i];
    ReadHead<T, Io>(args, qkv, row_width, s, t, args.heads + args.kv_heads + s.kv, false, T(1),
                    values + t * s.wide_dim);
  }
  for (std::int64_t h = 0; h < s.group; ++h) {
    const std::int64_t head = s.kv * s.group + h;
    for (std::int64_t begin = 0; begin < s.length; begin += kQueries) {
      const std::int64_t count = s.length - begin < kQueries ? s.length - begin : kQueries;
      const std::int64_t rows = RoundUp(count, kTileRows);
      const KeyRange block = BlockKeys<T>(args, begin, begin + count, s);
      const std::int64_t width = block.last - block.first;
      for (std::int64_t r = 0; r < count; ++r)
        ReadHead<T, Io>(args, qkv, row_width, s, begin + r, head, true, static_cast<T>(args.scale),
                        queries + r * s.wide_dim);
      Gemm<T>(rows, width, s.dim, queries, s.wide_dim, 1, keys_t + block.first, s.keys, scores,
              width, false);
      T inverse[kQueries] = {};
      SoftmaxRows<T>(args, s, head, begin, count, block, scores, inverse);
      Gemm<T>(rows, s.wide_dim, width, scores, width, 1, values + block.first * s.wide_dim,
              s.wide_dim, outputs, s.wide_dim, false);
      for (std::int64_t r = 0; r < count; ++r) {
        E* to = out + (s.start + begin + r) * args.heads * s.dim + head * s.dim;
        for (std::int64_t i = 0; i < s.dim; ++i)
          Io::StoreOne(to + i, outputs[r * s.wide_dim + i] * inverse[r]);
      }
    }
  }
}

template <class T>
void Attention(const AttentionArgs& args, std::int64_t task, void* scratch) {
  WithAct<T>(args.act, [&](auto io) {
    AttentionTask<T, decltype(io)>(args, task, static_cast<T*>(scratch));
  });
}

// dscores = p * (dp - delta), delta = dout . out of the row; both rows are `width` long.
template <class T>
inline void SoftmaxGradRow(const T* p, T* dp, std::int64_t width, T delta) {
  for (std::int64_t j = 0; j < width; j += kLanes<T>)
    Store(dp + j, Load(p + j) * (Load(dp + j) - delta));
}

// The same queries' scores become probabilities, and the gradients of these those of the scores;
// rows from `count` to `rows` become 0.
template <class T>
inline void SoftmaxGradRows(const AttentionArgs& args, const TaskShape<T>& s, std::int64_t head,
                            std::int64_t begin, std::int64_t count, std::int64_t rows,
                            KeyRange block, const T* delta, T* scores, T* dscores) {
  const std::int64_t width = block.last - block.first;
  for (std::int64_t r = 0; r < count; ++r) {
    T* row = scores + r * width;
    const KeyRange seen = Visible(args, begin + r, s.length);
    AddAlibi<T>(row, seen, block.first, begin + r, SlopeOf<T>(args, head));
    const T log_sum =
        static_cast<const T*>(args.log_sum)[(s.start + begin + r) * args.heads + head];
    ExpRow<T>(row, seen, block, log_sum);
    SoftmaxGradRow<T>(row, dscores + r * width, width, delta[r]);
  }
  Clear(scores + count * width, scores + rows * width);
  Clear(dscores + count * width, dscores + rows * width);
}

// The gradients of all keys and values of the task.
template <class T, class Io>
inline void WriteKeyGrads(const AttentionArgs& args, const TaskShape<T>& s, std::int64_t row_width,
                          const T* dkeys, const T* dvalues) {
  auto* dqkv = static_cast<typename Io::Element*>(args.dqkv);
  for (std::int64_t t = 0; t < s.length; ++t) {
    WriteHeadGrad<T, Io>(args, dqkv, row_width, s, t, args.heads + s.kv, true, T(1),
                         dkeys + t * s.wide_dim);
    WriteHeadGrad<T, Io>(args, dqkv, row_width, s, t, args.heads + args.kv_heads + s.kv, false,
                         T(1), dvalues + t * s.wide_dim);
  }
}

// Widens the gradient of one head's output; the sum of its products with the output.
template <class T, class Io>
inline T ReadOutputGrad(const typename Io::Element* dout, const typename Io::Element* out,
                        std::int64_t dim, T* wide) {
  Vec<T> sums{};
  std::int64_t i = 0;
  for (; i + kLanes<T> <= dim; i += kLanes<T>) {
    const Vec<T> d = Io::LoadVector(dout + i);
    Store(wide + i, d);
    sums = MulAdd(d, Io::LoadVector(out + i), sums);
  }
  T sum = Sum<T>(sums);
  for (; i < dim; ++i) {
    wide[i] = Io::LoadOne(dout + i);
    sum += wide[i] * Io::LoadOne(out + i);
  }
  return sum;
}

template <class T, class Io>
void AttentionGradTask(const AttentionArgs& args, std::int64_t task, T* scratch) {
  using E = typename Io::Element;
  const TaskShape<T> s = ShapeOf<T>(args, task);
  if (s.length == 0) return;
  const std::int64_t row_width = (args.heads + 2 * args.kv_heads) * s.dim;
  const std::int64_t out_width = args.heads * s.dim;
  const std::int64_t plane = s.keys * s.wide_dim;
  const E* qkv = static_cast<const E*>(args.qkv);
  const E* out = static_cast<const E*>(args.out);
  const E* dout = static_cast<const E*>(args.dout);
  E* dqkv = static_cast<E*>(args.dqkv);
  T* keys_t = scratch;
  T* values_t = keys_t + plane;
  T* keys = values_t + plane;
  T* dkeys = keys + plane;
  T* dvalues = dkeys + plane;
  T* queries = dvalues + 2 * plane;
  T* douts = queries + kQueries * s.wide_dim;
  T* dqueries = douts + kQueries * s.wide_dim;
  T* scores = dqueries + 2 * kQueries * s.wide_dim;
  T* dscores = scores + kQueries * s.keys;
  Clear(keys_t, scores);

  T* values = dvalues + plane;  // read row by row, used transposed
  for (std::int64_t t = 0; t < s.length; ++t) {
    ReadHead<T, Io>(args, qkv, row_width, s, t, args.heads + s.kv, true, T(1),
                    keys + t * s.wide_dim);
    ReadHead<T, Io>(args, qkv, row_width, s, t, args.heads + args.kv_heads + s.kv, false, T(1),
                    values + t * s.wide_dim);
  }
  Transpose(keys, s.keys, s.wide_dim, s.wide_dim, keys_t, s.keys);
  Transpose(values, s.keys, s.wide_dim, s.wide_dim, values_t, s.keys);

  for (std::int64_t h = 0; h < s.group; ++h) {
    const std::int64_t head = s.kv * s.group + h;
    for (std::int64_t begin = 0; begin < s.length; begin += kQueries) {
      const std::int64_t count = s.length - begin < kQueries ? s.length - begin : kQueries;
      const std::int64_t rows = RoundUp(count, kTileRows);
      const KeyRange block = BlockKeys<T>(args, begin, begin + count, s);
      const std::int64_t width = block.last - block.first;
      T delta[kQueries] = {};
      // Rows past the end of the sequence would add to dkeys and dvalues: they must be zero.
      Clear(queries + count * s.wide_dim, queries + rows * s.wide_dim);
      Clear(douts + count * s.wide_dim, douts + rows * s.wide_dim);
      for (std::int64_t r = 0; r < count; ++r) {
        ReadHead<T, Io>(args, qkv, row_width, s, begin + r, head, true, static_cast<T>(args.scale),
                        queries + r * s.wide_dim);
        const std::int64_t at = (s.start + begin + r) * out_width + head * s.dim;
        delta[r] = ReadOutputGrad<T, Io>(dout + at, out + at, s.dim, douts + r * s.wide_dim);
      }
      Gemm<T>(rows, width, s.dim, queries, s.wide_dim, 1, keys_t + block.first, s.keys, scores,
              width, false);
      Gemm<T>(rows, width, s.dim, douts, s.wide_dim, 1, values_t + block.first, s.keys, dscores,
              width, false);
      SoftmaxGradRows<T>(args, s, head, begin, count, rows, block, delta, scores, dscores);
      Gemm<T>(width, s.wide_dim, rows, scores, 1, width, douts, s.wide_dim,
              dvalues + block.first * s.wide_dim, s.wide_dim, true);
      Gemm<T>(width, s.wide_dim, rows, dscores, 1, width, queries, s.wide_dim,
              dkeys + block.first * s.wide_dim, s.wide_dim, true);
      Gemm<T>(rows, s.wide_dim, width, dscores, width, 1, keys + block.first * s.wide_dim,
              s.wide_dim, dqueries, s.wide_dim, false);
      for (std::int64_t r = 0; r < count; ++r)
        WriteHeadGrad<T, Io>(args, dqkv, row_width, s, begin + r, head, true,
                             static_cast<T>(args.scale), dqueries + r * s.wide_dim);
    }
  }
  WriteKeyGrads<T, Io>(args, s, row_width, dkeys, dvalues);
}

template <class T>
void AttentionGrad(const AttentionArgs& args, std::int64_t task, void* scratch) {
  WithAct<T>(args.act, [&](auto io) {
    AttentionGradTask<T, decltype(io)>(args, task, static_cast<T*>(scratch));
  });
}
