// train/cpu/body/rows.h - norms, gated activations, cross-entropy, Adam, dropout: row by row.

template <class T, class Delta, class Out>
inline void NormRow(const NormArgs& args, std::int64_t row) {
  const std::int64_t n = args.width;
  const T* x = static_cast<const T*>(args.x) + row * n;
  const T* weight = static_cast<const T*>(args.weight);
  const T* bias = static_cast<const T*>(args.bias);
  typename Out::Element* y = static_cast<typename Out::Element*>(args.y) + row * n;
  const std::int64_t whole = n - n % kLanes<T>;
  if (args.delta != nullptr) {
    const auto* delta = static_cast<const typename Delta::Element*>(args.delta) + row * n;
    T* sum = static_cast<T*>(args.sum) + row * n;
    for (std::int64_t i = 0; i < whole; i += kLanes<T>)
      Store(sum + i, Load(x + i) + Delta::LoadVector(delta + i));
    for (std::int64_t i = whole; i < n; ++i) sum[i] = x[i] + Delta::LoadOne(delta + i);
    x = sum;
  }
  T mean = 0;
  if (!args.rms) {
    Vec<T> total{};
    for (std::int64_t i = 0; i < whole; i += kLanes<T>) total += Load(x + i);
    mean = Sum<T>(total);
    for (std::int64_t i = whole; i < n; ++i) mean += x[i];
    mean /= static_cast<T>(n);
    static_cast<T*>(args.mean)[row] = mean;
  }
  Vec<T> squares{};
  for (std::int64_t i = 0; i < whole; i += kLanes<T>) {
    const Vec<T> centred = Load(x + i) - mean;
    squares = MulAdd(centred, centred, squares);
  }
  T variance = Sum<T>(squares);
  for (std::int64_t i = whole; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const T inverse = T(1) / SqrtOne(variance / static_cast<T>(n) + static_cast<T>(args.epsilon));
  static_cast<T*>(args.inverse)[row] = inverse;
  const T offset = args.plus_one ? T(1) : T(0);
  for (std::int64_t i = 0; i < whole; i += kLanes<T>) {
    Vec<T> value = (Load(x + i) - mean) * inverse * (Load(weight + i) + offset);
    if (bias != nullptr) value += Load(bias + i);
    Out::StoreVector(y + i, value);
  }
  for (std::int64_t i = whole; i < n; ++i) {
    T value = (x[i] - mean) * inverse * (weight[i] + offset);
    if (bias != nullptr) value += bias[i];
    Out::StoreOne(y + i, value);
  }
}

template <class T>
void Norm(const NormArgs& args, std::int64_t begin, std::int64_t end) {
  WithAct<T>(args.act, [&](auto delta) {
    WithAct<T>(args.out, [&](auto out) {
      for (std::int64_t row = begin; row < end; ++row)
        NormRow<T, decltype(delta), decltype(out)>(args, row);
    });
  });
}

// With xhat = (x - mean) * inverse and g = dy * weight:
//   dx = inverse * (g - mean(g) - xhat * mean(g * xhat)),  without the mean(g) term for rms.
template <class T, class Delta, class Out>
inline void NormGradRow(const NormGradArgs& args, std::int64_t row, T* dweight, T* dbias) {
  const NormArgs& f = args.forward;
  const std::int64_t n = f.width;
  const T* x = static_cast<const T*>(f.x) + row * n;
  const T* weight = static_cast<const T*>(f.weight);
  const auto* dy = static_cast<const typename Out::Element*>(args.dy) + row * n;
  const T* dsum = args.dsum == nullptr ? nullptr : static_cast<const T*>(args.dsum) + row * n;
  T* dx = static_cast<T*>(args.dx) + row * n;
  auto* ddelta = args.ddelta == nullptr
                     ? nullptr
                     : static_cast<typename Delta::Element*>(args.ddelta) + row * n;
  const T mean = f.rms ? T(0) : static_cast<const T*>(f.mean)[row];
  const T inverse = static_cast<const T*>(f.inverse)[row];
  const T offset = f.plus_one ? T(1) : T(0);
  const std::int64_t whole = n - n % kLanes<T>;

  Vec<T> along{};
  Vec<T> total{};
  for (std::int64_t i = 0; i < whole; i += kLanes<T>) {
    const Vec<T> xhat = (Load(x + i) - mean) * inverse;
    const Vec<T> given = Out::LoadVector(dy + i);
    const Vec<T> g = given * (Load(weight + i) + offset);
    along = MulAdd(g, xhat, along);
    total += g;
    if (dweight != nullptr) Store(dweight + i, MulAdd(given, xhat, Load(dweight + i)));
    if (dbias != nullptr) Store(dbias + i, Load(dbias + i) + given);
  }
  T mean_along = Sum<T>(along);
  T mean_g = Sum<T>(total);
  for (std::int64_t i = whole; i < n; ++i) {
    const T xhat = (x[i] - mean) * inverse;
    const T given = Out::LoadOne(dy + i);
    const T g = given * (weight[i] + offset);
    mean_along += g * xhat;
    mean_g += g;
    if (dweight != nullptr) dweight[i] += given * xhat;
    if (dbias != nullptr) dbias[i] += given;
  }
  mean_along /= static_cast<T>(n);
  mean_g = f.rms ? T(0) : mean_g / static_cast<T>(n);
  for (std::int64_t i = 0; i < whole; i += kLanes<T>) {
    const Vec<T> xhat = (Load(x + i) - mean) * inverse;
    const Vec<T> g = Out::LoadVector(dy + i) * (Load(weight + i) + offset);
    Vec<T> value = inverse * (g - mean_g - xhat * mean_along);
    if (dsum != nullptr) value += Load(dsum + i);
    Store(dx + i, value);
    if (ddelta != nullptr) Delta::StoreVector(ddelta + i, value);
  }
  for (std::int64_t i = whole; i < n; ++i) {
    const T xhat = (x[i] - mean) * inverse;
    const T g = Out::LoadOne(dy + i) * (weight[i] + offset);
    T value = inverse * (g - mean_g - xhat * mean_along);
    if (dsum != nullptr) value += dsum[i];
    dx[i] = value;
    if (ddelta != nullptr) Delta::StoreOne(ddelta + i, value);
  }
}

template <class T>
void NormGrad(const NormGradArgs& args, std::int64_t rows, std::int64_t begin, std::int64_t end) {
  const NormArgs& f = args.forward;
  WithAct<T>(f.act, [&](auto delta) {
    WithAct<T>(f.out, [&](auto out) {
      for (std::int64_t group = begin; group < end; ++group) {
        const std::int64_t first = group * f.group;
        const std::int64_t last = first + f.group < rows ? first + f.group : rows;
        T* dweight =
            args.dweight == nullptr ? nullptr : static_cast<T*>(args.dweight) + group * f.width;
        T* dbias = args.dbias == nullptr ? nullptr : static_cast<T*>(args.dbias) + group * f.width;
        for (std::int64_t row = first; row < last; ++row)
          NormGradRow<T, decltype(delta), decltype(out)>(args, row, dweight, dbias);
      }
    });
  });
}

// An activation's value and slope at x.
template <class T>
struct ActivationAt {
  Vec<T> value;
  Vec<T> slope;
};

template <class T>
inline Vec<T> Sigmoid(Vec<T> x) {
  const Vec<T> magnitude = x < 0 ? x : -x;  // never overflows
  const Vec<T> e = Exp(magnitude);
  return (x < 0 ? e : Splat<T>(1)) / (T(1) + e);
}

template <class T>
inline ActivationAt<T> Activate(Curve kind, Vec<T> x) {
  switch (kind) {
    case Curve::kSilu: {
      const Vec<T> s = Sigmoid<T>(x);
      const Vec<T> value = x * s;
      return {value, s + value * (T(1) - s)};
    }
    case Curve::kGeluTanh: {
      // 0.5 x (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
      constexpr T kRoot = static_cast<T>(0.79788456080286535588);
      constexpr T kCube = static_cast<T>(0.044715);
      const Vec<T> square = x * x;
      const Vec<T> s = Sigmoid<T>(2 * kRoot * x * (T(1) + kCube * square));
      const Vec<T> du = kRoot * (T(1) + 3 * kCube * square);
      return {x * s, s + x * s * (T(1) - s) * 2 * du};
    }
    case Curve::kGeluErf: {
      Vec<T> cumulative{};
      for (std::int64_t i = 0; i < kLanes<T>; ++i)
        cumulative[i] = T(0.5) * (T(1) + ErfOne(x[i] * static_cast<T>(0.70710678118654752440)));
      const Vec<T> density = static_cast<T>(0.39894228040143267794) * Exp(x * x * T(-0.5));
      return {x * cumulative, cumulative + x * density};
    }
    case Curve::kRelu: break;
  }
  return {x > 0 ? x : Vec<T>{}, x > 0 ? Splat<T>(1) : Vec<T>{}};
}

// Loads or stores the last lanes of a row: fewer than a vector.
template <class T, class Io>
inline Vec<T> LoadPart(const typename Io::Element* p, std::int64_t count) {
  Vec<T> v{};
  for (std::int64_t i = 0; i < count; ++i) v[i] = Io::LoadOne(p + i);
  return v;
}

template <class T, class Io>
inline void StorePart(typename Io::Element* p, Vec<T> v, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) Io::StoreOne(p + i, v[i]);
}

template <class T, class Io, bool kBackward>
inline void GateRow(const GateArgs& args, std::int64_t row) {
  using E = typename Io::Element;
  const std::int64_t n = args.hidden;
  const std::int64_t in_width = args.gated ? 2 * n : n;
  const E* in = static_cast<const E*>(args.in) + row * in_width;
  const E* dout = kBackward ? static_cast<const E*>(args.dout) + row * n : nullptr;
  E* out = kBackward ? nullptr : static_cast<E*>(args.out) + row * n;
  E* din = kBackward ? static_cast<E*>(args.din) + row * in_width : nullptr;
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    const std::int64_t count = n - i < kLanes<T> ? n - i : kLanes<T>;
    const bool part = count < kLanes<T>;
    const auto load = [&](const E* p) {
      return part ? LoadPart<T, Io>(p, count) : Io::LoadVector(p);
    };
    const auto store = [&](E* p, Vec<T> v) {
      if (part) {
        StorePart<T, Io>(p, v, count);
      } else {
        Io::StoreVector(p, v);
      }
    };
    const ActivationAt<T> at = Activate<T>(args.curve, load(in + i));
    if constexpr (kBackward) {
      const Vec<T> d = load(dout + i);
      if (args.gated) {
        store(din + i, d * load(in + n + i) * at.slope);
        store(din + n + i, d * at.value);
      } else {
        store(din + i, d * at.slope);
      }
    } else {
      store(out + i, args.gated ? at.value * load(in + n + i) : at.value);
    }
  }
}

template <class T, bool kBackward>
void Gate(const GateArgs& args, std::int64_t begin, std::int64_t end) {
  WithAct<T>(args.act, [&](auto io) {
    for (std::int64_t row = begin; row < end; ++row) GateRow<T, decltype(io), kBackward>(args, row);
  });
}

template <class T, class Io>
inline T MeanOf(const typename Io::Element* values, std::int64_t n) {
  const std::int64_t whole = n - n % kLanes<T>;
  Vec<T> total{};
  for (std::int64_t i = 0; i < whole; i += kLanes<T>) total += Io::LoadVector(values + i);
  T sum = Sum<T>(total);
  for (std::int64_t i = whole; i < n; ++i) sum += Io::LoadOne(values + i);
  return sum / static_cast<T>(n);
}

template <class T, class Io>
inline void CrossEntropyRow(const CrossEntropyArgs& args, std::int64_t row) {
  using E = typename Io::Element;
  const std::int64_t n = args.vocab;
  const E* logits = static_cast<const E*>(args.logits) + row * n;
  const std::int64_t whole = n - n % kLanes<T>;
  T largest = Io::LoadOne(logits);
  if (whole > 0) {
    Vec<T> best = Io::LoadVector(logits);
    for (std::int64_t i = 0; i < whole; i += kLanes<T>) {
      const Vec<T> v = Io::LoadVector(logits + i);
      best = v > best ? v : best;
    }
    largest = Largest<T>(best);
  }
  for (std::int64_t i = whole; i < n; ++i) {
    const T v = Io::LoadOne(logits + i);
    largest = v > largest ? v : largest;
  }
  Vec<T> total{};
  for (std::int64_t i = 0; i < whole; i += kLanes<T>)
    total += Exp(Io::LoadVector(logits + i) - largest);
  T sum = Sum<T>(total);
  for (std::int64_t i = whole; i < n; ++i) sum += ExpOne(Io::LoadOne(logits + i) - largest);

  const std::int64_t target = args.target[row];
  const T weight = static_cast<const T*>(args.weight)[row];
  const T log_sum = largest + LogOne(sum);
  const T at_target = Io::LoadOne(logits + target);
  const T smoothing = static_cast<T>(args.smoothing);
  T loss = log_sum - at_target;
  if (smoothing > 0) loss += smoothing * (at_target - MeanOf<T, Io>(logits, n));
  static_cast<T*>(args.loss)[row] = weight * loss;
  if (args.dlogits == nullptr) return;
  E* d = static_cast<E*>(args.dlogits) + row * n;
  const T factor = weight / sum;
  const T even = weight * smoothing / static_cast<T>(n);
  for (std::int64_t i = 0; i < whole; i += kLanes<T>)
    Io::StoreVector(d + i, factor * Exp(Io::LoadVector(logits + i) - largest) - even);
  for (std::int64_t i = whole; i < n; ++i)
    Io::StoreOne(d + i, factor * ExpOne(Io::LoadOne(logits + i) - largest) - even);
  Io::StoreOne(d + target, factor * ExpOne(at_target - largest) - even - weight * (1 - smoothing));
}

template <class T>
void CrossEntropy(const CrossEntropyArgs& args, std::int64_t begin, std::int64_t end) {
  WithAct<T>(args.act, [&](auto io) {
    for (std::int64_t row = begin; row < end; ++row) CrossEntropyRow<T, decltype(io)>(args, row);
  });
}

template <class T>
void Adam(const AdamArgs& args, std::int64_t begin, std::int64_t end) {
  T* p = static_cast<T*>(args.parameter);
  const T* g = static_cast<const T*>(args.gradient);
  T* m = static_cast<T*>(args.first);
  T* v = static_cast<T*>(args.second);
  const T scale = static_cast<T>(args.gradient_scale);
  const T b1 = static_cast<T>(args.beta1);
  const T b2 = static_cast<T>(args.beta2);
  const T step = static_cast<T>(args.learning_rate / args.correction1);
  const T root = static_cast<T>(1 / SqrtOne(args.correction2));
  const T epsilon = static_cast<T>(args.epsilon);
  const T keep = static_cast<T>(1 - args.learning_rate * args.decay);
  for (std::int64_t i = begin; i < end; ++i) {
    const T gradient = g[i] * scale;
    m[i] = b1 * m[i] + (1 - b1) * gradient;
    v[i] = b2 * v[i] + (1 - b2) * gradient * gradient;
    p[i] = p[i] * keep - step * m[i] / (SqrtOne(v[i]) * root + epsilon);
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    if (args.rounded != nullptr)
      for (std::int64_t i = begin; i < end; ++i) Bf16Io::StoreOne(args.rounded + i, p[i]);
  }
}

// The finaliser of SplitMix64: every bit of the input moves every bit of the result.
inline std::uint64_t Mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

template <class T>
void Dropout(const DropoutArgs& args, std::int64_t begin, std::int64_t end) {
  const T scale = static_cast<T>(1 / (1 - args.p));
  // p as a 64-bit fraction; p < 1, so the product fits.
  const auto limit = static_cast<std::uint64_t>(args.p * 0x1.0p64);
  WithAct<T>(args.act, [&](auto io) {
    using Io = decltype(io);
    const auto* in = static_cast<const typename Io::Element*>(args.in);
    auto* out = static_cast<typename Io::Element*>(args.out);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t draw =
          Mix(args.key + 0x9e3779b97f4a7c15ULL * static_cast<std::uint64_t>(i + 1));
      const T value = Io::LoadOne(in + i) * scale;
      Io::StoreOne(out + i, draw < limit ? T(0) : value);
    }
  });
}

template <class T>
double SumSquares(const void* values, std::int64_t begin, std::int64_t end) {
  const T* x = static_cast<const T*>(values);
  constexpr std::int64_t kChains = 8;  // hides the latency of the addition
  double sums[kChains] = {};
  std::int64_t i = begin;
  for (; i + kChains <= end; i += kChains)
    for (std::int64_t j = 0; j < kChains; ++j) {
      const double value = static_cast<double>(x[i + j]);
      sums[j] += value * value;
    }
  double total = 0;
  for (const double sum : sums) total += sum;
  for (; i < end; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return total;
}
