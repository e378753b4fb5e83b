// Exact softmax cross-entropy on the CPU. A block of rows meets the catalogue tile by tile;
// e^(logit - m), m being the row's largest logit up to that tile, replaces the logits and is never
// scaled: the factor scale e^(m - m_last) / sum that makes a gradient of it goes into the D-wide
// operands of the two products behind it. Everything linear (targets, smoothing) stays out of the
// V-wide loops and is added at the end. What is multiplied in bf16 is rounded right before.
// Does not know ranks, and keeps no logits: 6 N V D operations in three products.
#include "backend/ops/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "backend/cpu/exp_row.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/softmax_problem.h"

namespace seqrank::cpu {
namespace {

// The table's gradient is summed over this many groups of rows, each on its own, so that 1, 2 and
// 4 threads give the same bits.
constexpr std::int64_t kGroups = 4;
constexpr std::int64_t kGroupRows = 256;  // at least: each group costs an addition of V x D

struct Row {
  float largest = std::numeric_limits<float>::lowest();  // finite: -inf logits give e^-inf = 0
  double sum = 0;
  float target = 0;
};

template <class To, class Convert>
void transpose_tile(const Problem& p, std::int64_t tile, To* tiles, Convert convert) {
  const std::int64_t columns = p.tiling.columns(tile), stride = p.tiling.stride;
  const float* from = p.table_VD + p.tiling.begin(tile) * p.depth;
  To* const to = tiles + tile * p.depth * stride;
  for (std::int64_t begin = 0; begin < columns; begin += kLine) {
    const std::int64_t end = std::min(begin + kLine, columns);
    for (std::int64_t d = 0; d < p.depth; ++d)
      for (std::int64_t v = begin; v < end; ++v)
        to[d * stride + v] = convert(from[v * p.depth + d]);
  }
}

void transpose_tile(Problem& p, std::int64_t tile) {
  if (p.bf16())
    transpose_tile(p, tile, bf16_data(p.table_tiles), to_bf16);
  else
    transpose_tile(p, tile, p.table_tiles.data<float>(), [](float x) { return x; });
}

// Logits to e^(logit - row.largest), with row.largest and row.sum brought up to date.
void exponentiate(float* logits, std::int64_t n, Row& row) {
  const float largest = largest_of_row(logits, n, row.largest);
  if (largest > row.largest) row.sum *= std::exp(double{row.largest} - largest);
  row.largest = largest;
  row.sum += exponentiate_row(logits, n, largest);
}

// Logits of a tile for the rows from `first`, and what becomes of them.
void forward_tile(const Problem& p, Scratch& s, std::int64_t first, std::int64_t tile,
                  std::span<Row> rows) {
  const std::int64_t columns = p.tiling.columns(tile), stride = p.tiling.stride;
  const std::int64_t begin = p.tiling.begin(tile), whole = round_up(columns, kLine);
  const std::int64_t n = static_cast<std::int64_t>(rows.size());
  float* const logits = s.exp_tile(p, tile);
  if (p.bias_V != nullptr)
    for (std::int64_t r = 0; r < n; ++r)
      std::copy_n(p.bias_V + begin, columns, logits + r * stride);
  gemm(n, columns, p.depth, p.h_factor(), p.h_rows(first), p.table_tile(tile),
       p.bias_V != nullptr ? 1.0f : 0.0f, logits, stride);
  for (std::int64_t r = 0; r < n; ++r) {
    float* const row = logits + r * stride;
    const std::int64_t target = p.target_N[first + r] - begin;
    if (target >= 0 && target < columns) rows[r].target = row[target];
    std::fill(row + columns, row + whole, -std::numeric_limits<float>::infinity());
    exponentiate(row, whole, rows[r]);
    s.factor.data<float>()[tile * p.block + r] = rows[r].largest;
  }
}

// dh of the rows is written; the tile's part of the table's gradient is written (beta = 0) or added
// to (1).
void backward_tile(const Problem& p, Scratch& s, std::int64_t first, std::int64_t tile,
                   std::span<const Row> rows, float beta) {
  const std::int64_t columns = p.tiling.columns(tile), stride = p.tiling.stride;
  const std::int64_t n = static_cast<std::int64_t>(rows.size()), depth = p.depth;
  const MatrixView exp = s.exp_operand(p, tile, n);
  float* const gradient = s.gradient_tile(p, tile);
  float* const factor = s.factor.data<float>() + tile * p.block;
  float* const scaled_h = s.scaled_h.data<float>();
  float* const through = s.through.data<float>();
  gemm(n, depth, columns, 1, exp, p.table_rows(tile), 0, through, depth);
  for (std::int64_t r = 0; r < n; ++r) {
    factor[r] =
        static_cast<float>(p.scale / rows[r].sum * std::exp(double{factor[r]} - rows[r].largest));
    const float f = static_cast<float>(factor[r] / p.temperature);
    const float* const h = p.h_ND + (first + r) * depth;
    float* const dh = p.dh_ND + (first + r) * depth;
    for (std::int64_t d = 0; d < depth; ++d) scaled_h[r * depth + d] = f * h[d];
    if (tile == 0) std::fill_n(dh, depth, 0.0f);
    for (std::int64_t d = 0; d < depth; ++d) dh[d] += f * through[r * depth + d];
  }
  gemm(depth, columns, n, 1, s.scaled_h_operand(p, n), exp, beta, gradient, stride);
  if (p.bias_gradient)  // a sum, not a product of the model: fp32
    gemm(1, columns, n, 1, {factor, n}, {s.exp_tile(p, tile), stride}, beta,
         gradient + depth * stride, stride);
}

// The targets' and the smoothing's part of dh, and the loss of the rows, unscaled.
double finish_rows(const Problem& p, std::int64_t first, std::span<const Row> rows) {
  const double sharp = 1 - p.smoothing, even = p.smoothing / p.tiling.items;
  double loss = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::int64_t n = first + static_cast<std::int64_t>(r);
    const float* const h = p.h_ND + n * p.depth;
    const float* const table = p.table_VD + p.target_N[n] * p.depth;
    float* const dh = p.dh_ND + n * p.depth;
    loss += rows[r].largest + std::log(rows[r].sum) - sharp * rows[r].target;
    const float target_factor = static_cast<float>(p.scale / p.temperature * sharp);
    for (std::int64_t d = 0; d < p.depth; ++d) dh[d] -= target_factor * p.seen(table[d]);
    if (p.smoothing == 0) continue;
    double logit_sum = p.bias_sum;
    for (std::int64_t d = 0; d < p.depth; ++d) {
      logit_sum += h[d] * p.table_sum[d] / p.temperature;
      dh[d] -= static_cast<float>(p.scale / p.temperature * even * p.table_sum[d]);
    }
    loss -= even * logit_sum;
  }
  return loss;
}

// Rows [begin, end): dh written, the table's gradient left in s.gradient_tiles. Returns the loss.
double run_group(const Problem& p, Scratch& s, std::int64_t begin, std::int64_t end) {
  double loss = 0;
  for (std::int64_t first = begin; first < end; first += p.block) {
    std::array<Row, kMostRows> block{};
    const std::span rows(block.data(), std::min(p.block, end - first));
    for (std::int64_t t = 0; t < p.tiling.count; ++t) forward_tile(p, s, first, t, rows);
    for (std::int64_t t = 0; t < p.tiling.count; ++t)
      backward_tile(p, s, first, t, rows, first == begin ? 0.0f : 1.0f);
    loss += finish_rows(p, first, rows);
  }
  return loss;
}

// dtable and dbias (or null) of the items of a tile are added to.
void add_gradient_tile(const Problem& p, Scratch& s, std::int64_t tile, float* dtable_VD,
                       float* dbias_V) {
  const std::int64_t columns = p.tiling.columns(tile), stride = p.tiling.stride;
  const float* const from = s.gradient_tile(p, tile);
  float* const to = dtable_VD + p.tiling.begin(tile) * p.depth;
  for (std::int64_t begin = 0; begin < columns; begin += kLine) {
    const std::int64_t end = std::min(begin + kLine, columns);
    for (std::int64_t v = begin; v < end; ++v)
      for (std::int64_t d = 0; d < p.depth; ++d) to[v * p.depth + d] += from[d * stride + v];
  }
  if (dbias_V == nullptr) return;
  for (std::int64_t v = 0; v < columns; ++v)
    dbias_V[p.tiling.begin(tile) + v] += from[p.depth * stride + v];
}

// The targets' and the smoothing's part of the gradients of items [begin, end).
void finish_items(const Problem& p, std::span<const double> h_sum, std::int64_t begin,
                  std::int64_t end, float* dtable_VD, float* dbias_V) {
  const float target_bias = static_cast<float>(p.scale * (1 - p.smoothing));
  const float target_table = static_cast<float>(target_bias / p.temperature);
  for (std::int64_t n = 0; n < p.rows; ++n) {
    const std::int64_t item = p.target_N[n];
    if (item < begin || item >= end) continue;
    const float* const h = p.h_ND + n * p.depth;
    float* const dtable = dtable_VD + item * p.depth;
    for (std::int64_t d = 0; d < p.depth; ++d) dtable[d] -= target_table * h[d];
    if (dbias_V != nullptr) dbias_V[item] -= target_bias;
  }
  if (p.smoothing == 0) return;
  const double even = p.scale * p.smoothing / p.tiling.items;
  for (std::int64_t v = begin; v < end; ++v) {
    for (std::int64_t d = 0; d < p.depth; ++d)
      dtable_VD[v * p.depth + d] -= static_cast<float>(even / p.temperature * h_sum[d]);
    if (dbias_V != nullptr) dbias_V[v] -= static_cast<float>(even * p.rows);
  }
}

std::int64_t groups_of(const Context& ctx, std::int64_t rows) {
  return std::clamp<std::int64_t>(rows / kGroupRows, 1,
                                  std::max<std::int64_t>(kGroups, ctx.threads()));
}

// The whole table as a product takes it.
Tensor table_tiles(Context& ctx, const Tiling& tiling, std::int64_t depth) {
  return ctx.empty(ctx.precision() == Precision::bf16 ? DType::bf16 : DType::f32,
                   {tiling.count, depth, tiling.stride}, Tag::workspace);
}

std::vector<double> sum_of_rows(const float* x, std::int64_t rows, std::int64_t depth) {
  std::vector<double> sum(depth, 0.0);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t d = 0; d < depth; ++d) sum[d] += x[r * depth + d];
  return sum;
}

}  // namespace

void softmax_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dh_ND, Tensor& dtable_VD,
                           Tensor& dbias_V, const Tensor& h_ND, const Tensor& table_VD,
                           const Tensor& bias_V, const Tensor& target_N, float scale,
                           const SoftmaxOptions& options) {
  const std::int64_t rows = h_ND.dim(0), depth = h_ND.dim(1), items = table_VD.dim(0);
  for (std::int32_t target : target_N.span<std::int32_t>())
    SR_CHECK(target >= 0 && target < items, ErrorKind::data,
             "softmax_cross_entropy: target {} of a catalogue of {} items", target, items);
  if (rows == 0) return;
  const Tiling tiling(items);
  const bool bf16 = ctx.precision() == Precision::bf16;
  Problem p{
      .h_ND = h_ND.data<float>(),
      .table_VD = table_VD.data<float>(),
      .bias_V = bias_V ? bias_V.data<float>() : nullptr,
      .target_N = target_N.data<std::int32_t>(),
      .dh_ND = dh_ND.data<float>(),
      .rows = rows,
      .depth = depth,
      .block = block_rows(items),
      .tiling = tiling,
      .scale = options.loss_scale_1 ? scale * double{options.loss_scale_1.data<float>()[0]} : scale,
      .temperature = options.temperature,
      .smoothing = options.label_smoothing,
      .bias_gradient = static_cast<bool>(dbias_V),
      .table_tiles = table_tiles(ctx, tiling, depth),
      .h16_ND = bf16 ? ctx.empty(DType::bf16, {rows, depth}, Tag::workspace) : Tensor(),
      .table_sum = {}};
  std::vector<double> h_sum;
  if (p.smoothing > 0) {
    h_sum = sum_of_rows(p.h_ND, rows, depth);
    p.table_sum = sum_of_rows(p.table_VD, items, depth);
    if (bias_V) p.bias_sum = sum_of_rows(p.bias_V, items, 1)[0];
  }
  float* const dtable = dtable_VD.data<float>();
  float* const dbias = dbias_V ? dbias_V.data<float>() : nullptr;
  const auto each_tile = [&](auto&& f) {
    parallel_for(ctx, tiling.count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) f(t);
    });
  };
  each_tile([&](std::int64_t t) { transpose_tile(p, t); });
  if (bf16) p.round_h();

  const std::int64_t groups = groups_of(ctx, rows);
  const std::int64_t at_once = std::min<std::int64_t>(groups, ctx.threads());
  std::vector<Scratch> scratch;
  for (std::int64_t i = 0; i < at_once; ++i) scratch.emplace_back(ctx, p);
  std::vector<double> loss(groups);
  for (std::int64_t first = 0; first < groups; first += at_once) {
    const std::int64_t n = std::min(at_once, groups - first);
    parallel_for(ctx, n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        loss[first + i] =
            run_group(p, scratch[i], rows * (first + i) / groups, rows * (first + i + 1) / groups);
    });
    each_tile([&](std::int64_t t) {
      for (std::int64_t i = 0; i < n; ++i) add_gradient_tile(p, scratch[i], t, dtable, dbias);
    });
  }
  parallel_for(ctx, items, 1024, [&](std::int64_t begin, std::int64_t end) {
    finish_items(p, h_sum, begin, end, dtable, dbias);
  });
  for (double part : loss) *loss_1.data<double>() += scale * part;
}

void plan_softmax_cross_entropy(Context& ctx, const Tensor& h_ND, const Tensor& table_VD,
                                bool bias_gradient) {
  const std::int64_t rows = h_ND.dim(0), depth = h_ND.dim(1), items = table_VD.dim(0);
  if (rows == 0) return;
  const Tiling tiling(items);
  const bool bf16 = ctx.precision() == Precision::bf16;
  const Problem p{
      .rows = rows,
      .depth = depth,
      .block = block_rows(items),
      .tiling = tiling,
      .bias_gradient = bias_gradient,
      .table_tiles = table_tiles(ctx, tiling, depth),
      .h16_ND = bf16 ? ctx.empty(DType::bf16, {rows, depth}, Tag::workspace) : Tensor()};
  std::vector<Scratch> scratch;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(groups_of(ctx, rows), ctx.threads()); ++i)
    scratch.emplace_back(ctx, p);
}

}  // namespace seqrank::cpu
