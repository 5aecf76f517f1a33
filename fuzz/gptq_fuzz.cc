// GPTQ linears of any sizes and bytes: refused, or read to the last weight in both forms.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "format/decode.h"
#include "format/gptq.h"

namespace {

using metier::tensor::DType;
using metier::tensor::Tensor;

// Bytes of the input, over and over.
Tensor Filled(DType dtype, metier::tensor::Shape shape, const std::uint8_t* data,
              std::size_t size) {
  Tensor tensor(dtype, std::move(shape));
  for (std::size_t i = 0; i < tensor.bytes().size(); ++i)
    tensor.bytes()[i] = static_cast<std::byte>(data[i % size]);
  return tensor;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHeader = 8;
  if (size <= kHeader) return 0;
  const std::int64_t out = 8 * (1 + data[0] % 8);
  const std::int64_t in = 8 * (1 + data[1] % 32);
  const std::int64_t groups = 1 + data[2] % 16;
  metier::format::GptqConfig config;
  constexpr int kBits[] = {2, 3, 4, 8};
  config.bits = kBits[data[3] % 4];
  config.group_size = data[4] % 4 == 0 ? -1 : data[4];
  config.zeros_minus_one = data[5] % 2 == 0;
  data += kHeader;
  size -= kHeader;
  const std::int64_t words = config.bits;
  const Tensor qweight = Filled(DType::kI32, {in * words / 32, out}, data, size);
  const Tensor qzeros = Filled(DType::kI32, {groups, out * words / 32}, data, size);
  const Tensor scales = Filled(DType::kF16, {groups, out}, data, size);
  Tensor g_idx(DType::kI32, {in});
  for (std::size_t i = 0; i < static_cast<std::size_t>(in); ++i) {
    // Mostly groups that exist, in any order.
    const std::int32_t group = data[i % size] == 0xff ? -1 : data[i % size] % 17;
    std::memcpy(g_idx.bytes().data() + 4 * i, &group, sizeof(group));
  }
  metier::format::GptqTensors tensors{
      .qweight = qweight.view(), .qzeros = qzeros.view(), .scales = scales.view()};
  if (data[-1] % 2 == 0) tensors.g_idx = g_idx.view();
  const auto matrix = metier::format::GptqMatrix::Create(tensors, config, out, in);
  if (!matrix.ok()) return 0;

  std::vector<std::int64_t> rows(static_cast<std::size_t>(out));
  std::iota(rows.begin(), rows.end(), 0);
  const auto count = static_cast<std::size_t>(out * in);
  std::vector<float> decoded(count);
  matrix->Decode(rows, decoded);
  std::vector<std::byte> encoded(*metier::tensor::BytesFor(matrix->dtype(), count));
  matrix->Encode(rows, encoded);
  std::vector<float> blocks(count);
  METIER_CHECK(metier::format::DecodeToF32(matrix->dtype(), encoded, blocks).ok(), "own blocks");
  const auto& order = matrix->input_order();
  const auto inputs = static_cast<std::size_t>(in);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t input = order.empty() ? i % inputs : order[i % inputs];
    const float expected = decoded[i / inputs * inputs + input];
    // Scales may be anything, NaN too.
    METIER_CHECK(blocks[i] == expected || (blocks[i] != blocks[i] && expected != expected),
                 "both forms hold one weight");
  }
  return 0;
}
