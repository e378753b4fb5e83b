// Exact softmax cross-entropy on a CUDA device. A block of rows is multiplied with the whole
// catalogue; its logits become their gradients, which two further products take at once, so that
// never more logits exist than those of a block. The gradients are rounded to the type of the
// products; everything else is fp32, the loss f64. Every sum has one order.
// A target outside of the catalogue makes the loss NaN: nothing here waits for the device.
#include "backend/ops/softmax_cross_entropy.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/loss_sum.h"
#include "backend/cuda/number.h"
#include "backend/cuda/product.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

// A block's logits stay in the L2 cache of an H100 where that leaves rows enough for products to be
// fast; else they take up to the most memory. With fewer rows than the least, the table would be
// read too often.
constexpr std::int64_t kCacheBytes = 32 << 20, kMostBytes = 256 << 20;
constexpr std::int64_t kLeastRows = 64, kFastRows = 512;
constexpr std::int64_t kMostRows = 32768;                    // a grid's second extent is 16 bits
constexpr int kWidth = 4;                                    // items that a thread reads at once
constexpr int kReads = 8;                                    // of a thread
constexpr std::int64_t kChunk = kThreads * kWidth * kReads;  // items of a row that a block takes

// Of a chunk of a row: largest logit, sum of e^(logit - largest), sum of logits.
constexpr int kParts = 3;

// Block (c, r): chunk c of row r, into part_RC3; the row's target's logit, by the chunk that has
// it.
__global__ void chunk_sums_kernel(float* part_RC3, float* target_logit_R, const float* logit_RV,
                                  const std::int32_t* target_R, std::int64_t items,
                                  std::int64_t stride) {
  const std::int64_t row = blockIdx.y, begin = blockIdx.x * kChunk;
  const float* logit = logit_RV + row * stride;
  float x[kReads * kWidth];
  float largest = -FLT_MAX;  // finite: logits of -inf give e^-inf = 0
  float total = 0;
#pragma unroll
  for (int i = 0; i < kReads; ++i) {
    const std::int64_t v = begin + (i * kThreads + threadIdx.x) * kWidth;
    float4 four = make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
    if (v < items) four = *reinterpret_cast<const float4*>(logit + v);  // rows end in padding
    x[i * kWidth] = four.x;
    x[i * kWidth + 1] = four.y;
    x[i * kWidth + 2] = four.z;
    x[i * kWidth + 3] = four.w;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      if (v + j >= items)
        x[i * kWidth + j] = -INFINITY;
      else
        total += x[i * kWidth + j];
      largest = fmaxf(largest, x[i * kWidth + j]);  // a NaN shows in the sum
    }
  }
  largest = block_max(largest);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kReads * kWidth; ++i) sum += __expf(x[i] - largest);
  sum = block_sum(sum);
  total = block_sum(total);
  if (threadIdx.x != 0) return;
  float* const part = part_RC3 + (row * gridDim.x + blockIdx.x) * kParts;
  part[0] = largest;
  part[1] = sum;
  part[2] = total;
  const std::int64_t target = target_R[row];
  const bool nowhere = target < 0 || target >= items;
  if (nowhere && blockIdx.x == 0) target_logit_R[row] = NAN;
  if (!nowhere && target / kChunk == blockIdx.x) target_logit_R[row] = logit[target];
}

struct Weights {  // of the gradient of a logit: scale (p - sharp [target] - even)
  float scale, sharp, even;
};

// A warp a row: largest logit, 1 / sum of e^(logit - largest), and the loss, unscaled.
__global__ void join_chunks_kernel(float* largest_R, float* inverse_R, double* loss_R,
                                   const float* part_RC3, const float* target_logit_R,
                                   std::int64_t chunks, std::int64_t rows, Weights weights) {
  const std::int64_t row = warp_index();
  const int lane = lane_index();
  if (row >= rows) return;
  const float* const part = part_RC3 + row * chunks * kParts;
  float largest = -FLT_MAX;
  for (std::int64_t c = lane; c < chunks; c += 32) largest = fmaxf(largest, part[c * kParts]);
  largest = warp_max(largest);
  double sum = 0, total = 0;
  for (std::int64_t c = lane; c < chunks; c += 32) {
    sum += part[c * kParts + 1] * exp(static_cast<double>(part[c * kParts]) - largest);
    total += part[c * kParts + 2];
  }
  sum = warp_sum(sum);
  total = warp_sum(total);
  if (lane != 0) return;
  largest_R[row] = largest;
  inverse_R[row] = static_cast<float>(1 / sum);
  const double even = weights.even == 0 ? 0 : weights.even * total;  // no item's -inf without it
  loss_R[row] =
      largest + log(sum) - static_cast<double>(weights.sharp) * target_logit_R[row] - even;
}

// Gradient of a logit, in fp32; zero in the padding. loss_scale: null is 1.
__device__ float gradient(float logit, std::int64_t v, std::int64_t items, float largest,
                          float inverse, std::int64_t target, const Weights& weights) {
  if (v >= items) return 0.f;
  const float wanted = v == target ? weights.sharp + weights.even : weights.even;
  return weights.scale * (__expf(logit - largest) * inverse - wanted);
}

// Block (c, r): chunk c of row r. Logits become gradients in place; rounded_RV gets them too.
template <class T>
__global__ void gradient_kernel(float* logit_RV, T* rounded_RV, const float* largest_R,
                                const float* inverse_R, const std::int32_t* target_R,
                                const float* loss_scale, std::int64_t items, std::int64_t stride,
                                Weights weights) {
  const std::int64_t row = blockIdx.y, begin = blockIdx.x * kChunk;
  const float largest = largest_R[row], inverse = inverse_R[row];
  const std::int64_t target = target_R[row];
  if (loss_scale != nullptr) weights.scale *= *loss_scale;
  for (int i = 0; i < kReads; ++i) {
    const std::int64_t v = begin + (i * kThreads + threadIdx.x) * kWidth;
    if (v >= stride) break;
    float4* const place = reinterpret_cast<float4*>(logit_RV + row * stride + v);
    float4 g = *place;
    g.x = gradient(g.x, v, items, largest, inverse, target, weights);
    g.y = gradient(g.y, v + 1, items, largest, inverse, target, weights);
    g.z = gradient(g.z, v + 2, items, largest, inverse, target, weights);
    g.w = gradient(g.w, v + 3, items, largest, inverse, target, weights);
    *place = g;
    if (rounded_RV == nullptr) continue;
    T* const to = rounded_RV + row * stride + v;
    to[0] = from_float<T>(g.x);
    to[1] = from_float<T>(g.y);
    to[2] = from_float<T>(g.z);
    to[3] = from_float<T>(g.w);
  }
}

std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

std::int64_t rows_of_block(std::int64_t rows_N, std::int64_t row_bytes) {
  const std::int64_t rows =
      std::max(kCacheBytes / row_bytes, std::min(kMostBytes / row_bytes, kFastRows));
  return std::min(rows_N, std::clamp(rows / 8 * 8, kLeastRows, kMostRows));
}

// Memory of a block of rows.
struct Block {
  Block(Context& ctx, std::int64_t rows_N, std::int64_t items)
      : stride(round_up(items, 8)),  // 16 bytes in every type
        chunks(round_up(items, kChunk) / kChunk),
        rows(rows_of_block(rows_N, stride * 4)),
        logits(ctx.empty(DType::f32, {rows, stride}, Tag::workspace)),
        part(ctx.empty(DType::f32, {rows, chunks, kParts}, Tag::workspace)),
        target_logit(ctx.empty(DType::f32, {rows}, Tag::workspace)),
        largest(ctx.empty(DType::f32, {rows}, Tag::workspace)),
        inverse(ctx.empty(DType::f32, {rows}, Tag::workspace)) {
    if (ctx.precision() == Precision::bf16 || ctx.precision() == Precision::fp16)
      rounded = ctx.empty(ctx.precision() == Precision::bf16 ? DType::bf16 : DType::f16,
                          {rows, stride}, Tag::workspace);
  }
  std::int64_t stride, chunks, rows;
  Tensor logits, part, target_logit, largest, inverse;
  Tensor rounded;  // the gradients, where products are of 16 bits
};

struct Problem {
  const Tensor &bias_V, &target_N;
  Tensor& dbias_V;
  const Matrix &h, &table;  // as products read them
  std::int64_t items;
  float temperature;
  Weights weights;
  const Tensor& loss_scale_1;
};

template <class T>
void make_gradients(cudaStream_t stream, const LaunchShape& shape, Block& block, Tensor& logits,
                    Tensor& rounded, const Tensor& target, const Problem& p) {
  launch<gradient_kernel<T>>(shape, stream, update<float>(logits), out<T>(rounded),
                             in<float>(block.largest), in<float>(block.inverse),
                             in<std::int32_t>(target), in<float>(p.loss_scale_1), p.items,
                             block.stride, p.weights);
}

// Rows [first, first + rows): dh is written, loss_N too, the other gradients are added to.
void run_block(Context& ctx, const Problem& p, Block& block, std::int64_t first, std::int64_t rows,
               Tensor& loss_N, Tensor& dh_ND, Tensor& dtable_VD) {
  const cudaStream_t stream = stream_of(ctx);
  const std::int64_t end = first + rows, depth = p.table.columns;
  Tensor logits = block.logits.rows(0, rows);
  const Tensor target = p.target_N.rows(first, end);
  Tensor loss = loss_N.rows(first, end);
  const Matrix h(p.h.memory.rows(first, end), rows, depth, p.h.stride);
  const Matrix scores(logits, rows, p.items, block.stride);
  layer_product(ctx, scores, {h}, {p.table, Transpose::yes}, 1 / p.temperature, 0, p.bias_V);

  const LaunchShape shape{{static_cast<unsigned>(block.chunks), static_cast<unsigned>(rows)},
                          kThreads};
  launch<chunk_sums_kernel>(shape, stream, update<float>(block.part),
                            update<float>(block.target_logit), in<float>(logits),
                            in<std::int32_t>(target), p.items, block.stride);
  launch<join_chunks_kernel>(per_warp(rows), stream, update<float>(block.largest),
                             update<float>(block.inverse), out<double>(loss), in<float>(block.part),
                             in<float>(block.target_logit), block.chunks, rows, p.weights);
  Tensor rounded = block.rounded ? block.rounded.rows(0, rows) : Tensor();
  if (ctx.precision() == Precision::bf16)
    make_gradients<__nv_bfloat16>(stream, shape, block, logits, rounded, target, p);
  else if (ctx.precision() == Precision::fp16)
    make_gradients<__half>(stream, shape, block, logits, rounded, target, p);
  else
    make_gradients<float>(stream, shape, block, logits, rounded, target, p);

  const Matrix g = rounded ? Matrix(rounded, rows, p.items, block.stride) : scores;
  layer_product(ctx, Matrix(dh_ND.rows(first, end)), {g}, {p.table}, 1 / p.temperature, 0);
  layer_product(ctx, Matrix(dtable_VD), {g, Transpose::yes}, {h}, 1 / p.temperature, 1);
  if (p.dbias_V) add_column_sum(ctx, p.dbias_V, scores);
}

}  // namespace

void softmax_cross_entropy(Context& ctx, Tensor& loss_1, Tensor& dh_ND, Tensor& dtable_VD,
                           Tensor& dbias_V, const Tensor& h_ND, const Tensor& table_VD,
                           const Tensor& bias_V, const Tensor& target_N, float scale,
                           const SoftmaxOptions& options) {
  const std::int64_t rows = h_ND.dim(0), items = table_VD.dim(0);
  if (rows == 0) return;
  const Matrix h = rounded_operand(ctx, h_ND), table = rounded_operand(ctx, table_VD);
  const float smoothing = options.label_smoothing;
  const Problem problem{.bias_V = bias_V,
                        .target_N = target_N,
                        .dbias_V = dbias_V,
                        .h = h,
                        .table = table,
                        .items = items,
                        .temperature = options.temperature,
                        .weights = {.scale = scale,
                                    .sharp = 1 - smoothing,
                                    .even = smoothing / static_cast<float>(items)},
                        .loss_scale_1 = options.loss_scale_1};
  Block block(ctx, rows, items);
  Tensor loss_N = ctx.empty(DType::f64, {rows}, Tag::workspace);
  for (std::int64_t first = 0; first < rows; first += block.rows)
    run_block(ctx, problem, block, first, std::min(block.rows, rows - first), loss_N, dh_ND,
              dtable_VD);
  add_loss(ctx, loss_1, loss_N, static_cast<double>(scale));
}

}  // namespace seqrank::cuda
