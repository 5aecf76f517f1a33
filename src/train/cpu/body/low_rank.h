// train/cpu/body/low_rank.h - the thin products of adapters: tens of ranks against thousands of
// tokens and columns.

// Rows of the long side at a time: their part of a column tile stays in the first cache, and their
// pages in its table.
constexpr std::int64_t kLongRows = 64;

// c[m, n] (+)= sum_k a(i, k) b[k, n] of m rows of c, in groups that fit the registers.
template <class T, int kCols, class B, class C>
inline void ThinTiles(std::int64_t m, std::int64_t depth, const T* a, std::int64_t a_row,
                      std::int64_t a_step, const typename B::Element* b, std::int64_t b_row,
                      typename C::Element* c, std::int64_t c_row, bool accumulate) {
  std::int64_t i = 0;
  for (; i + kTileRows <= m; i += kTileRows)
    Tile<T, kTileRows, kCols, B, C, (sizeof(typename B::Element) < sizeof(T))>(
        depth, a + i * a_row, a_row, a_step, b, b_row, c + i * c_row, c_row, accumulate);
  for (; i < m; ++i)
    Tile<T, 1, kCols, B, C>(depth, a + i * a_row, a_row, a_step, b, b_row, c + i * c_row, c_row,
                            accumulate);
}

// The same of columns [begin, end): two vectors at a time, then one, then the last columns one by
// one.
template <class T, class B, class C>
inline void ThinProduct(std::int64_t m, std::int64_t begin, std::int64_t end, std::int64_t depth,
                        const T* a, std::int64_t a_row, std::int64_t a_step,
                        const typename B::Element* b, std::int64_t b_row, typename C::Element* c,
                        std::int64_t c_row, bool accumulate) {
  std::int64_t j = begin;
  for (; j + 2 * kLanes<T> <= end; j += 2 * kLanes<T>)
    ThinTiles<T, 2, B, C>(m, depth, a, a_row, a_step, b + j, b_row, c + j, c_row, accumulate);
  for (; j + kLanes<T> <= end; j += kLanes<T>)
    ThinTiles<T, 1, B, C>(m, depth, a, a_row, a_step, b + j, b_row, c + j, c_row, accumulate);
  for (; j < end; ++j) {
    for (std::int64_t i = 0; i < m; ++i) {
      T sum = accumulate ? C::LoadOne(c + i * c_row + j) : T(0);
      for (std::int64_t k = 0; k < depth; ++k)
        sum += a[i * a_row + k * a_step] * B::LoadOne(b + k * b_row + j);
      C::StoreOne(c + i * c_row + j, sum);
    }
  }
}

template <class T>
void LowRankAdd(const LowRankArgs& args, std::int64_t begin, std::int64_t end) {
  WithAct<T>(args.act, [&](auto io) {
    using Io = decltype(io);
    const T* thin = static_cast<const T*>(args.thin);
    auto* wide = static_cast<typename Io::Element*>(args.wide);
    for (std::int64_t t = begin; t < end; t += kLongRows) {
      const std::int64_t rows = t + kLongRows < end ? kLongRows : end - t;
      ThinProduct<T, RealIo<T>, Io>(rows, 0, args.columns, args.ranks, thin + t * args.thin_row,
                                    args.thin_row, 1, static_cast<const T*>(args.factor),
                                    args.factor_row, wide + t * args.wide_row, args.wide_row, true);
    }
  });
}

template <class T>
void LowRankSum(const LowRankArgs& args, std::int64_t begin, std::int64_t end) {
  WithAct<T>(args.act, [&](auto io) {
    using Io = decltype(io);
    const T* thin = static_cast<const T*>(args.thin);
    const auto* wide = static_cast<const typename Io::Element*>(args.wide);
    for (std::int64_t t = 0; t < args.tokens; t += kLongRows) {
      const std::int64_t rows = t + kLongRows < args.tokens ? kLongRows : args.tokens - t;
      ThinProduct<T, Io, RealIo<T>>(args.ranks, begin, end, rows, thin + t * args.thin_row, 1,
                                    args.thin_row, wide + t * args.wide_row, args.wide_row,
                                    static_cast<T*>(args.factor), args.factor_row, t > 0);
    }
  });
}
