// train/cpu/body/vector.h - vectors of float or double, as wide as the including unit says
// (METIER_VECTOR_BYTES).
//
// Included inside the anonymous namespace of an isa_*.cc, so that no instantiation can be shared
// with a unit compiled for another instruction set.

inline float SqrtOne(float x) { return __builtin_sqrtf(x); }
inline double SqrtOne(double x) { return __builtin_sqrt(x); }
inline float ExpOne(float x) { return __builtin_expf(x); }
inline double ExpOne(double x) { return __builtin_exp(x); }
inline float LogOne(float x) { return __builtin_logf(x); }
inline double LogOne(double x) { return __builtin_log(x); }
inline float ErfOne(float x) { return __builtin_erff(x); }
inline double ErfOne(double x) { return __builtin_erf(x); }

typedef float FloatVector __attribute__((vector_size(METIER_VECTOR_BYTES)));
typedef double DoubleVector __attribute__((vector_size(METIER_VECTOR_BYTES)));
typedef std::uint16_t HalfVector __attribute__((vector_size(METIER_VECTOR_BYTES / 2)));
typedef std::uint32_t WordVector __attribute__((vector_size(METIER_VECTOR_BYTES)));

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type = FloatVector;
};
template <>
struct VectorOf<double> {
  using type = DoubleVector;
};
template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
constexpr std::int64_t kLanes = METIER_VECTOR_BYTES / static_cast<std::int64_t>(sizeof(T));

template <class T>
inline Vec<T> Splat(T value) {
  return value - Vec<T>{};
}

template <class T>
inline Vec<T> Load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void Store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}

// a * b + c; in one rounding where the instruction set has it.
inline FloatVector MulAdd(FloatVector a, FloatVector b, FloatVector c) {
#if defined(__AVX512F__)
  return (FloatVector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (FloatVector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline DoubleVector MulAdd(DoubleVector a, DoubleVector b, DoubleVector c) {
#if defined(__AVX512F__)
  return (DoubleVector)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (DoubleVector)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

// Lanes added in pairs, always in the same order.
template <class T>
inline T Sum(Vec<T> v) {
  T lanes[kLanes<T>];
  Store(lanes, v);
  for (std::int64_t half = kLanes<T> / 2; half > 0; half /= 2)
    for (std::int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

template <class T>
inline T Largest(Vec<T> v) {
  T lanes[kLanes<T>];
  Store(lanes, v);
  T best = lanes[0];
  for (std::int64_t i = 1; i < kLanes<T>; ++i) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

// e^x for x in [-inf, 88]: 2^n e^r with |r| <= ln(2) / 2, e^r by its Taylor polynomial of degree 7,
// whose remainder (r^8 / 8! < 6e-9) is below half an ulp of float. Results under 2^-126 are 0.
// Above 88 the result is some number without meaning: attention throws away what it hid.
inline FloatVector Exp(FloatVector x) {
  const FloatVector low = Splat<float>(-87.33654F);
  const FloatVector magic = Splat<float>(12582912.0F);  // 1.5 * 2^23: rounds to an integer
  const FloatVector clipped = x < low ? low : x;
  const FloatVector shifted = MulAdd(clipped, Splat<float>(1.44269504F), magic);
  const FloatVector n = shifted - magic;
  // ln 2 in two parts, so that n ln 2 is exact enough to subtract.
  FloatVector r = MulAdd(n, Splat<float>(-0.693145751953125F), clipped);
  r = MulAdd(n, Splat<float>(-1.42860682030941723212e-6F), r);
  FloatVector p = Splat<float>(1.0F / 5040);
  p = MulAdd(p, r, Splat<float>(1.0F / 720));
  p = MulAdd(p, r, Splat<float>(1.0F / 120));
  p = MulAdd(p, r, Splat<float>(1.0F / 24));
  p = MulAdd(p, r, Splat<float>(1.0F / 6));
  p = MulAdd(p, r, Splat<float>(0.5F));
  p = MulAdd(p, r, Splat<float>(1.0F));
  p = MulAdd(p, r, Splat<float>(1.0F));
  const WordVector exponent = ((WordVector)shifted - (WordVector)magic) << 23;
  const FloatVector result = (FloatVector)((WordVector)p + exponent);
  return x < low ? FloatVector{} : result;
}

inline DoubleVector Exp(DoubleVector x) {
  for (std::int64_t i = 0; i < kLanes<double>; ++i) x[i] = ExpOne(x[i]);
  return x;
}

// Elements as they are stored: real, or bf16 rounded to nearest even.
template <class T>
struct RealIo {
  using Element = T;
  static Vec<T> LoadVector(const T* p) { return Load(p); }
  static void StoreVector(T* p, Vec<T> v) { Store(p, v); }
  static T LoadOne(const T* p) { return *p; }
  static void StoreOne(T* p, T v) { *p = v; }
};

struct Bf16Io {
  using Element = std::uint16_t;
  static FloatVector LoadVector(const std::uint16_t* p) {
    HalfVector half;
    std::memcpy(&half, p, sizeof half);
    return (FloatVector)(__builtin_convertvector(half, WordVector) << 16);
  }
  static void StoreVector(std::uint16_t* p, FloatVector v) {
    const WordVector bits = (WordVector)v;
    const WordVector rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const WordVector quiet = (bits >> 16) | 0x40U;  // a NaN stays one
    const WordVector chosen = (bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded;
    const HalfVector half = __builtin_convertvector(chosen, HalfVector);
    std::memcpy(p, &half, sizeof half);
  }
  static float LoadOne(const std::uint16_t* p) {
    const std::uint32_t bits = static_cast<std::uint32_t>(*p) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  static void StoreOne(std::uint16_t* p, float v) {
    std::uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    *p = static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U
                                        ? (bits >> 16) | 0x40U
                                        : (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
  }
};

// Calls body(io) with the input or output type that `act` names; double has no bf16 form.
template <class T, class Body>
inline void WithAct(Act act, Body&& body) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (act == Act::kBf16) return body(Bf16Io{});
  }
  body(RealIo<T>{});
}
