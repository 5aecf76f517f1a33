// train/cpu/body/gemm.h - small matrix products: on scratch memory for attention, and one side thin
// for adapters.

// c[m, n] (+)= sum_k a(i, k) b[k, n], a(i, k) = a[i * a_row + k * a_step]; kRows x kCols vectors of
// c stay in registers. B and C: how b and c are stored; kAhead: rows of b behind these are fetched
// meanwhile, for who comes for them next.
template <class T, int kRows, int kCols, class B = RealIo<T>, class C = RealIo<T>,
          bool kAhead = false>
inline void Tile(std::int64_t depth, const T* a, std::int64_t a_row, std::int64_t a_step,
                 const typename B::Element* b, std::int64_t b_row, typename C::Element* c,
                 std::int64_t c_row, bool accumulate) {
  Vec<T> sum[kRows][kCols];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kCols; ++j)
      sum[i][j] = accumulate ? C::LoadVector(c + i * c_row + j * kLanes<T>) : Vec<T>{};
  for (std::int64_t k = 0; k < depth; ++k) {
    Vec<T> row[kCols];
    if constexpr (kAhead) __builtin_prefetch(b + (k + depth) * b_row);
#pragma GCC unroll 2
    for (int j = 0; j < kCols; ++j) row[j] = B::LoadVector(b + k * b_row + j * kLanes<T>);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const Vec<T> value = Splat<T>(a[i * a_row + k * a_step]);
#pragma GCC unroll 2
      for (int j = 0; j < kCols; ++j) sum[i][j] = MulAdd(value, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kCols; ++j) C::StoreVector(c + i * c_row + j * kLanes<T>, sum[i][j]);
}

template <class T, int kRows>
inline void TileRow(std::int64_t n, std::int64_t depth, const T* a, std::int64_t a_row,
                    std::int64_t a_step, const T* b, std::int64_t b_row, T* c, std::int64_t c_row,
                    bool accumulate) {
  std::int64_t j = 0;
  for (; j + 2 * kLanes<T> <= n; j += 2 * kLanes<T>)
    Tile<T, kRows, 2>(depth, a, a_row, a_step, b + j, b_row, c + j, c_row, accumulate);
  for (; j < n; j += kLanes<T>)
    Tile<T, kRows, 1>(depth, a, a_row, a_step, b + j, b_row, c + j, c_row, accumulate);
}

// The whole product. n must be a multiple of the lanes and m of kTileRows: callers pad scratch.
constexpr std::int64_t kTileRows = METIER_TILE_ROWS;
template <class T>
inline void Gemm(std::int64_t m, std::int64_t n, std::int64_t depth, const T* a, std::int64_t a_row,
                 std::int64_t a_step, const T* b, std::int64_t b_row, T* c, std::int64_t c_row,
                 bool accumulate) {
  for (std::int64_t i = 0; i < m; i += kTileRows)
    TileRow<T, kTileRows>(n, depth, a + i * a_row, a_row, a_step, b, b_row, c + i * c_row, c_row,
                          accumulate);
}
