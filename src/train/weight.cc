#include "train/weight.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/check.h"
#include "format/blocks.h"

namespace metier::train {
namespace {

// Weights that are decoded to float before they become act: all sizes of blocks divide it.
constexpr std::int64_t kDecodedAtOnce = 1024;

// Rows that one thread decodes: less is not worth a thread.
constexpr std::int64_t kRowsOfThread = 16;

// Of `whole` weights each of `bytes` in a tile of at most `most`: a multiple of `step`, at least
// one.
std::int64_t TileOf(std::int64_t whole, std::int64_t bytes, std::int64_t most, std::int64_t step) {
  const std::int64_t fits = most / std::max<std::int64_t>(1, bytes) / step * step;
  return std::min(whole, std::max(fits, step));
}

}  // namespace

std::int64_t PackedWeight::AddRows(std::int64_t rows) {
  pieces_.push_back({rows_, rows, {}});
  rows_ += rows;
  return pieces_.back().first;
}

const PackedWeight::Piece& PackedWeight::PieceOf(std::int64_t row) const {
  METIER_DCHECK(row >= 0 && row < rows_, "a row of the weight");
  return *std::prev(std::ranges::upper_bound(pieces_, row, {}, &Piece::first));
}

Status PackedWeight::Fill(std::int64_t first, const tensor::Tensor& blocks) {
  const auto piece = std::ranges::find(pieces_, first, &Piece::first);
  METIER_CHECK(piece != pieces_.end(), "rows that were not added");
  if (blocks.shape() != tensor::Shape{piece->rows, in_} || !tensor::IsQuantised(blocks.dtype()) ||
      format::DecoderOf(blocks.dtype()) == nullptr) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("found {} {}, expected blocks of a quantised type, [{}, {}]",
                             tensor::InfoOf(blocks.dtype()).name,
                             tensor::FormatShape(blocks.shape()), piece->rows, in_));
  }
  piece->blocks = blocks;
  return Ok();
}

const tensor::Tensor& PackedWeight::Blocks(std::int64_t first) const {
  return PieceOf(first).blocks;
}

std::int64_t PackedWeight::bytes() const {
  std::size_t sum = 0;
  for (const Piece& piece : pieces_) sum += piece.blocks.bytes().size();
  return static_cast<std::int64_t>(sum);
}

template <class T>
void PackedWeight::DecodeRows(std::int64_t begin, std::int64_t end, std::int64_t column,
                              std::int64_t columns, T* out) const {
  std::array<float, kDecodedAtOnce> wide;
  for (std::int64_t row = begin; row < end; ++row) {
    const Piece& piece = PieceOf(row);
    const tensor::DTypeInfo& type = tensor::InfoOf(piece.blocks.dtype());
    const format::BlockDecoder decode = format::DecoderOf(type.dtype);
    const std::int64_t elements = type.block_elements;
    const std::byte* in =
        piece.blocks.bytes().data() +
        ((row - piece.first) * (in_ / elements) + column / elements) * type.block_bytes;
    T* to = out + (row - begin) * columns;
    for (std::int64_t done = 0; done < columns; done += kDecodedAtOnce) {
      const std::int64_t count = std::min(kDecodedAtOnce, columns - done);
      const auto blocks = static_cast<std::size_t>(count / elements);
      if constexpr (std::is_same_v<T, float>) {
        decode(in, to + done, blocks);
      } else {
        decode(in, wide.data(), blocks);
        std::transform(wide.begin(), wide.begin() + count, to + done,
                       [](float value) { return static_cast<T>(value); });
      }
      in += blocks * type.block_bytes;
    }
  }
}

at::Tensor PackedWeight::Decode(std::int64_t first, std::int64_t rows, std::int64_t column,
                                std::int64_t columns) const {
  const at::Tensor out = at::empty({rows, columns}, at::TensorOptions().dtype(act_));
  const auto decode = [&](auto* data) {
    at::parallel_for(0, rows, kRowsOfThread, [&](std::int64_t begin, std::int64_t end) {
      DecodeRows(first + begin, first + end, column, columns, data + begin * columns);
    });
  };
  if (act_ == at::kBFloat16) {
    decode(out.data_ptr<at::BFloat16>());
  } else if (act_ == at::kDouble) {
    decode(out.data_ptr<double>());
  } else {
    METIER_CHECK(act_ == at::kFloat, "products are in float, double or bf16");
    decode(out.data_ptr<float>());
  }
  return out;
}

void PackedWeight::Multiply(const at::Tensor& x, std::int64_t first, const at::Tensor& bias,
                            at::Tensor& out, std::int64_t tile_bytes) const {
  const std::int64_t row_bytes = in_ * static_cast<std::int64_t>(c10::elementSize(act_));
  const std::int64_t tile = TileOf(out.size(1), row_bytes, tile_bytes, 1);
  for (std::int64_t row = 0; row < out.size(1); row += tile) {
    const std::int64_t count = std::min(tile, out.size(1) - row);
    const at::Tensor w = Decode(first + row, count, 0, in_);
    at::Tensor part = out.narrow(1, row, count);
    if (bias.defined()) {
      at::addmm_out(part, bias.narrow(0, row, count), x, w.t());
    } else {
      at::mm_out(part, x, w.t());
    }
  }
}

void PackedWeight::MultiplyBack(const at::Tensor& dy, std::int64_t first, at::Tensor& out,
                                std::int64_t tile_bytes) const {
  std::int64_t step = 1;
  for (const Piece& piece : pieces_)
    step = std::max<std::int64_t>(step, tensor::InfoOf(piece.blocks.dtype()).block_elements);
  const std::int64_t rows = dy.size(1);
  const std::int64_t column_bytes = rows * static_cast<std::int64_t>(c10::elementSize(act_));
  const std::int64_t tile = TileOf(in_, column_bytes, tile_bytes, step);
  for (std::int64_t column = 0; column < in_; column += tile) {
    const std::int64_t count = std::min(tile, in_ - column);
    at::Tensor part = out.narrow(1, column, count);
    at::mm_out(part, dy, Decode(first, rows, column, count));
  }
}

at::Tensor Multiply(const at::Tensor& x, const Weight& weight, const at::Tensor& bias) {
  if (!weight.packed) {
    return bias.defined() ? at::addmm(bias, x, weight.act.t()) : at::mm(x, weight.act.t());
  }
  at::Tensor out = at::empty({x.size(0), weight.rows()}, x.options());
  weight.packed->Multiply(x, 0, bias, out);
  return out;
}

void MultiplyBack(const at::Tensor& dy, const Weight& weight, at::Tensor& out) {
  if (weight.packed) {
    weight.packed->MultiplyBack(dy, 0, out);
  } else {
    at::mm_out(out, dy, weight.act);
  }
}

}  // namespace metier::train
