// train/weight.h - the weights of products, and the two products with one: x W^T and dy W.
//
// A frozen weight may stay in blocks of a quantised type (format/blocks.h), as QLoRA's does
// (Dettmers et al. 2023, arXiv 2305.14314, equation 5; our types in the place of NF4). Each product
// then decodes it to act a tile at a time: some of its rows for x W^T, some of its columns for dy
// W, so that an element of the result is one sum as without blocks, and never a sum of rounded
// ones.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"
#include "train/torch.h"

namespace metier::train {

// W [rows, in] in blocks. A block lies within a row; types may differ from piece to piece. On the
// CPU. Filled once, then read by any thread.
class PackedWeight : public torch::CustomClassHolder {
 public:
  // `act`: what its products are made in.
  PackedWeight(std::int64_t in, at::ScalarType act) : in_(in), act_(act) {}

  // Room for more rows; returns the first one's index.
  std::int64_t AddRows(std::int64_t rows);
  // The blocks of the rows that AddRows gave `first` for; shares their memory. kInvalidArgument:
  // another shape, or no type of blocks.
  Status Fill(std::int64_t first, const tensor::Tensor& blocks);

  std::int64_t rows() const { return rows_; }
  std::int64_t in() const { return in_; }
  at::ScalarType act() const { return act_; }
  // Of the blocks that it holds.
  std::int64_t bytes() const;
  // The blocks of the rows that AddRows gave `first` for.
  const tensor::Tensor& Blocks(std::int64_t first) const;

  // Columns [column, column + columns) of rows [first, first + rows), decoded: act [rows, columns].
  // Requires whole blocks.
  at::Tensor Decode(std::int64_t first, std::int64_t rows, std::int64_t column,
                    std::int64_t columns) const;

  // The products below for some of its rows. Decodes at most `tile_bytes` at once, or the least
  // that is whole blocks.
  void Multiply(const at::Tensor& x, std::int64_t first, const at::Tensor& bias, at::Tensor& out,
                std::int64_t tile_bytes = kTileBytes) const;
  void MultiplyBack(const at::Tensor& dy, std::int64_t first, at::Tensor& out,
                    std::int64_t tile_bytes = kTileBytes) const;

  // Large enough that products of a tile cost what those of the whole weight do.
  static constexpr std::int64_t kTileBytes = 16 << 20;

 private:
  struct Piece {
    std::int64_t first = 0;
    std::int64_t rows = 0;
    tensor::Tensor blocks;
  };
  const Piece& PieceOf(std::int64_t row) const;
  template <class T>
  void DecodeRows(std::int64_t begin, std::int64_t end, std::int64_t column, std::int64_t columns,
                  T* out) const;

  std::int64_t in_ = 0;
  std::int64_t rows_ = 0;
  at::ScalarType act_ = at::kFloat;
  std::vector<Piece> pieces_;
};
using PackedPointer = c10::intrusive_ptr<PackedWeight>;

// A frozen or trained weight: `master` is the parameter (real; undefined when frozen in act), `act`
// its copy for products, which the optimiser renews. Or one in blocks, which has neither.
struct Weight {
  at::Tensor master;
  at::Tensor act;
  PackedPointer packed = {};

  at::ScalarType type() const { return packed ? packed->act() : act.scalar_type(); }  // act
  std::int64_t rows() const { return packed ? packed->rows() : act.size(0); }
};

// x W^T + bias: act [tokens, rows] of x act [tokens, in]; bias, act, may be undefined.
at::Tensor Multiply(const at::Tensor& x, const Weight& weight, const at::Tensor& bias = {});
// out = dy W: act [tokens, in] of dy act [tokens, rows].
void MultiplyBack(const at::Tensor& dy, const Weight& weight, at::Tensor& out);

// Some rows of a frozen weight, plain or in blocks.
struct WeightRows {
  at::Tensor plain;  // [rows, in]; or, in blocks:
  PackedPointer packed = {};
  std::int64_t first = 0;
  std::int64_t rows = 0;

  std::int64_t size() const { return packed ? rows : plain.size(0); }
  // [count, in], of the type that products have.
  at::Tensor Some(std::int64_t begin, std::int64_t count) const {
    return packed ? packed->Decode(first + begin, count, 0, packed->in())
                  : plain.narrow(0, begin, count);
  }
};

}  // namespace metier::train
