// How softmax_cross_entropy.cc cuts its work and where it keeps what: the catalogue in tiles, the
// operands in the type that they are multiplied in, a thread's memory. Computes nothing else.
#pragma once

#include <algorithm>
#include <vector>

#include "backend/bf16.h"
#include "backend/context.h"
#include "backend/cpu/gemm.h"

namespace seqrank::cpu {

// Rows of a block: many, so that the table is read from far away seldom; fewer where the catalogue
// is large, since a block's logits are all held until their sums are known.
constexpr std::int64_t kMostRows = 128;
constexpr std::int64_t kLeastRows = 32;
constexpr std::int64_t kLogitBytes = 16 << 20;
constexpr std::int64_t kTileItems = 2048;  // a tile's logits, table and gradient fit 2 MiB of L2
constexpr std::int64_t kLine = 16;         // floats in a cache line

inline std::int64_t block_rows(std::int64_t items) {
  const std::int64_t fit = kLogitBytes / (items * sizeof(float)) / kLine * kLine;
  return std::clamp(fit, kLeastRows, kMostRows);
}

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

// The catalogue in equal tiles. What belongs to a tile is stored together, item by item along rows
// of `stride`.
struct Tiling {
  explicit Tiling(std::int64_t items) : items(items) {
    const std::int64_t least = (items + kTileItems - 1) / kTileItems;
    step = round_up((items + least - 1) / least, kLine);
    stride = step % 256 == 0 ? step + kLine : step;  // rows 4 KiB apart would share cache sets
    count = (items + step - 1) / step;
  }
  std::int64_t begin(std::int64_t tile) const { return tile * step; }
  std::int64_t columns(std::int64_t tile) const { return std::min(step, items - begin(tile)); }

  std::int64_t items, step, stride, count;
};

// The operands, and what every block needs of them.
struct Problem {
  const float* h_ND = nullptr;
  const float* table_VD = nullptr;
  const float* bias_V = nullptr;  // may stay so
  const std::int32_t* target_N = nullptr;
  float* dh_ND = nullptr;
  std::int64_t rows, depth, block;
  Tiling tiling;
  double scale = 1;  // of gradients
  double temperature = 1, smoothing = 0;
  bool bias_gradient;
  Tensor table_tiles;                  // [count, depth, stride]: the table transposed, f32 or bf16
  Tensor h16_ND;                       // bf16: h / temperature, rounded; absent in fp32
  std::vector<double> table_sum = {};  // [depth], over the items; with smoothing alone
  double bias_sum = 0;

  std::int64_t tile_rows() const { return depth + 1; }  // of a tile's gradient: depth, bias
  bool bf16() const { return static_cast<bool>(h16_ND); }
  // As the products see it, so that what is left out of them meets its counterpart exactly.
  float seen(float x) const { return bf16() ? from_bf16(to_bf16(x)) : x; }

  // Operands of the products. h_factor: what the first is still to be multiplied with.
  float h_factor() const { return bf16() ? 1.0f : static_cast<float>(1 / temperature); }
  MatrixView h_rows(std::int64_t first) const {
    if (bf16()) return {bf16_data(h16_ND) + first * depth, depth};
    return {h_ND + first * depth, depth};
  }
  MatrixView table_tile(std::int64_t tile) const {  // [depth, columns]
    const std::int64_t at = tile * depth * tiling.stride;
    if (bf16()) return {bf16_data(table_tiles) + at, tiling.stride};
    return {table_tiles.data<float>() + at, tiling.stride};
  }
  MatrixView table_rows(std::int64_t tile) const {  // [columns, depth]
    if (bf16())
      return {bf16_data(table_tiles) + tile * depth * tiling.stride, tiling.stride, Transpose::yes};
    return {table_VD + tiling.begin(tile) * depth, depth};
  }
  void round_h() {
    const auto factor = static_cast<float>(1 / temperature);
    std::uint16_t* const to = bf16_data(h16_ND);
    for (std::int64_t i = 0; i < rows * depth; ++i) to[i] = to_bf16(factor * h_ND[i]);
  }
};

// What one thread works in.
struct Scratch {
  Scratch(Context& ctx, const Problem& p)
      : exp_tiles(
            ctx.empty(DType::f32, {p.tiling.count, p.block, p.tiling.stride}, Tag::workspace)),
        gradient_tiles(ctx.empty(DType::f32, {p.tiling.count, p.tile_rows(), p.tiling.stride},
                                 Tag::workspace)),
        factor(ctx.empty(DType::f32, {p.tiling.count, p.block}, Tag::workspace)),
        scaled_h(ctx.empty(DType::f32, {p.block, p.depth}, Tag::workspace)),
        through(ctx.empty(DType::f32, {p.block, p.depth}, Tag::workspace)) {
    if (!p.bf16()) return;
    exp16 = ctx.empty(DType::bf16, {p.block, p.tiling.stride}, Tag::workspace);
    scaled_h16 = ctx.empty(DType::bf16, {p.block, p.depth}, Tag::workspace);
  }

  float* exp_tile(const Problem& p, std::int64_t tile) {
    return exp_tiles.data<float>() + tile * p.block * p.tiling.stride;
  }
  float* gradient_tile(const Problem& p, std::int64_t tile) {
    return gradient_tiles.data<float>() + tile * p.tile_rows() * p.tiling.stride;
  }

  // [rows, stride], of which a product takes the tile's columns.
  MatrixView exp_operand(const Problem& p, std::int64_t tile, std::int64_t rows) {
    const std::int64_t stride = p.tiling.stride;
    if (!p.bf16()) return {exp_tile(p, tile), stride};
    round_to_bf16(bf16_data(exp16), exp_tile(p, tile), rows * stride);
    return {bf16_data(exp16), stride};
  }
  MatrixView scaled_h_operand(const Problem& p, std::int64_t rows) {  // transposed
    if (!p.bf16()) return {scaled_h.data<float>(), p.depth, Transpose::yes};
    round_to_bf16(bf16_data(scaled_h16), scaled_h.data<float>(), rows * p.depth);
    return {bf16_data(scaled_h16), p.depth, Transpose::yes};
  }

  Tensor exp_tiles, gradient_tiles;
  Tensor factor;  // of a row in a tile: first the m it was taken with, then as said above
  Tensor scaled_h, through;
  Tensor exp16, scaled_h16;  // bf16: rounded, of the tile at hand; absent in fp32
};

}  // namespace seqrank::cpu
