// tests/support/gptq_linear.h - a linear quantised as GPTQ checkpoints have it, kept as numbers and
// written bit by bit: what format/gptq.h reads is compared with it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "tensor/half.h"
#include "tensor/tensor.h"

namespace metier::test {

struct GptqScheme {
  int bits = 4;
  std::size_t group_size = 32;
  bool symmetric = true;
  bool act_order = false;
  bool zeros_minus_one = true;  // checkpoint_format "gptq"
};

// Rounds w [out, in] to the nearest codes.
class GptqLinear {
 public:
  GptqLinear(const GptqScheme& scheme, std::span<const float> w, std::size_t out, std::size_t in,
             std::uint64_t seed)
      : scheme_(scheme), out_(out), in_(in), groups_((in - 1) / scheme.group_size + 1) {
    std::vector<std::size_t> order(in);
    std::iota(order.begin(), order.end(), std::size_t{0});
    Rng rng(seed);
    for (std::size_t i = in; scheme.act_order && i > 1; --i)
      std::swap(order[i - 1], order[rng.Below(i)]);
    group_of_.resize(in);
    for (std::size_t i = 0; i < in; ++i) group_of_[order[i]] = i / scheme.group_size;
    scales_.resize(groups_ * out);
    zeros_.resize(groups_ * out);
    codes_.resize(out * in);
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t g = 0; g < groups_; ++g) ChooseScale(w.subspan(o * in, in), g, o);
      for (std::size_t i = 0; i < in; ++i) {
        const std::size_t g = group_of_[i] * out + o;
        const float steps = std::nearbyint(w[o * in + i] / tensor::FromF16(scales_[g]));
        codes_[o * in + i] = std::clamp(static_cast<int>(steps) + zeros_[g], 0, MostCode());
      }
    }
  }

  // [out, in], exact in float.
  std::vector<float> Values() const {
    std::vector<float> values(out_ * in_);
    for (std::size_t o = 0; o < out_; ++o) {
      for (std::size_t i = 0; i < in_; ++i) {
        const std::size_t g = group_of_[i] * out_ + o;
        values[o * in_ + i] =
            tensor::FromF16(scales_[g]) * static_cast<float>(codes_[o * in_ + i] - zeros_[g]);
      }
    }
    return values;
  }

  tensor::Tensor QWeight() const {
    return Words({Bits(in_) / 32, out_}, [&](auto put) {
      for (std::size_t o = 0; o < out_; ++o) {
        for (std::size_t bit = 0; bit < Bits(in_); ++bit)
          put(bit / 32 * out_ + o, bit % 32, BitOf(codes_[o * in_ + bit / Bits(1)], bit));
      }
    });
  }
  tensor::Tensor QZeros() const {
    const std::size_t words = Bits(out_) / 32;
    return Words({groups_, words}, [&](auto put) {
      for (std::size_t g = 0; g < groups_; ++g) {
        for (std::size_t bit = 0; bit < Bits(out_); ++bit) {
          const int zero = zeros_[g * out_ + bit / Bits(1)] - (scheme_.zeros_minus_one ? 1 : 0);
          put(g * words + bit / 32, bit % 32, BitOf(zero & MostCode(), bit));
        }
      }
    });
  }
  tensor::Tensor Scales() const {
    tensor::Tensor scales(tensor::DType::kF16, Shape({groups_, out_}));
    std::memcpy(scales.bytes().data(), scales_.data(), scales.bytes().size());
    return scales;
  }
  tensor::Tensor GIdx() const {
    tensor::Tensor index(tensor::DType::kI32, Shape({in_}));
    for (std::size_t i = 0; i < in_; ++i) {
      const auto group = static_cast<std::int32_t>(group_of_[i]);
      std::memcpy(index.bytes().data() + 4 * i, &group, 4);
    }
    return index;
  }

 private:
  int MostCode() const { return (1 << scheme_.bits) - 1; }
  std::size_t Bits(std::size_t codes) const {
    return codes * static_cast<std::size_t>(scheme_.bits);
  }
  bool BitOf(int code, std::size_t bit) const { return (code >> (bit % Bits(1)) & 1) != 0; }

  void ChooseScale(std::span<const float> row, std::size_t group, std::size_t o) {
    float least = 0;
    float most = 0;
    for (std::size_t i = 0; i < in_; ++i) {
      if (group_of_[i] != group) continue;
      least = std::min(least, row[i]);
      most = std::max(most, row[i]);
    }
    if (scheme_.symmetric) {
      most = std::max(most, -least);
      least = -most;
    }
    const std::size_t at = group * out_ + o;
    scales_[at] = tensor::ToF16(std::max((most - least) / static_cast<float>(MostCode()), 1e-4F));
    zeros_[at] =
        scheme_.symmetric
            ? (MostCode() + 1) / 2
            : std::clamp(static_cast<int>(std::nearbyint(-least / tensor::FromF16(scales_[at]))), 0,
                         MostCode());
  }

  static tensor::Shape Shape(const std::vector<std::size_t>& sizes) {
    return {sizes.begin(), sizes.end()};
  }
  template <class Fill>
  static tensor::Tensor Words(const std::vector<std::size_t>& shape, const Fill& fill) {
    tensor::Tensor words(tensor::DType::kI32, Shape(shape));
    fill([&](std::size_t word, std::size_t bit, bool set) {
      if (set) words.bytes()[4 * word + bit / 8] |= static_cast<std::byte>(1U << (bit % 8));
    });
    return words;
  }

  GptqScheme scheme_;
  std::size_t out_;
  std::size_t in_;
  std::size_t groups_;
  std::vector<std::size_t> group_of_;
  std::vector<std::uint16_t> scales_;
  std::vector<int> zeros_;
  std::vector<int> codes_;
};

}  // namespace metier::test
