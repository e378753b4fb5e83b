// The softmax by tiles on a CUDA device: a block takes a row of a tile. Sums within a tile are
// fp32, over tiles and parts f64, each in one order. A target outside of the catalogue meets no
// column: who makes the batches sees to it.
#include "backend/ops/softmax_tiles.h"

#include <cfloat>
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/loss_sum.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

LaunchShape block_a_row(std::int64_t rows) {
  return {static_cast<unsigned>(rows), kThreads};
}

__device__ bool is_item(std::int64_t item, std::int64_t column, const TileItems& items) {
  return item == items.first + column * items.step;
}

__global__ void add_kernel(double* state_N4, const float* logit_NT, const std::int32_t* target_N,
                           std::int64_t columns, TileItems items) {
  const std::int64_t n = blockIdx.x, target = target_N[n];
  const float* const logit_T = logit_NT + n * columns;
  double* const state = state_N4 + n * kStateColumns;
  const double sum_before = state[kSum];
  const auto largest_before = static_cast<float>(state[kLargest]);
  __syncthreads();  // all have read what one of them writes
  float largest = sum_before == 0 ? -FLT_MAX : largest_before;
  float total = 0;
  for (std::int64_t t = threadIdx.x; t < columns; t += kThreads) {
    const float logit = logit_T[t];
    largest = fmaxf(largest, logit);  // a NaN shows in the sum
    total += logit;
    if (is_item(target, t, items)) state[kTarget] = logit;
  }
  largest = block_max(largest);
  float sum = 0;
  for (std::int64_t t = threadIdx.x; t < columns; t += kThreads)
    sum += __expf(logit_T[t] - largest);
  sum = block_sum(sum);
  total = block_sum(total);
  if (threadIdx.x != 0) return;
  const double before =
      sum_before == 0 ? 0 : sum_before * exp(static_cast<double>(largest_before) - largest);
  state[kLargest] = largest;
  state[kSum] = before + sum;
  state[kTotal] += total;
}

__global__ void join_kernel(double* state_N4, const double* state_RN4, std::int64_t rows,
                            std::int64_t parts) {
  const std::int64_t n = element_index();
  if (n >= rows) return;
  const std::int64_t stride = rows * kStateColumns;
  const double* const part = state_RN4 + n * kStateColumns;
  double largest = -FLT_MAX;
  for (std::int64_t r = 0; r < parts; ++r)
    if (part[r * stride + kSum] != 0) largest = fmax(largest, part[r * stride + kLargest]);
  double sum = 0, total = 0, target = 0;
  for (std::int64_t r = 0; r < parts; ++r) {
    const double* const p = part + r * stride;
    if (p[kSum] != 0) sum += p[kSum] * exp(p[kLargest] - largest);
    total += p[kTotal];
    target += p[kTarget];
  }
  double* const state = state_N4 + n * kStateColumns;
  state[kLargest] = largest;
  state[kSum] = sum;
  state[kTotal] = total;
  state[kTarget] = target;
}

__global__ void loss_kernel(double* loss_N, const double* state_N4, std::int64_t rows, double sharp,
                            double even) {
  const std::int64_t n = element_index();
  if (n >= rows) return;
  const double* const state = state_N4 + n * kStateColumns;
  const double smooth = even == 0 ? 0 : even * state[kTotal];  // no item's -inf without it
  loss_N[n] = state[kLargest] + log(state[kSum]) - sharp * state[kTarget] - smooth;
}

// loss_scale: null is 1.
__global__ void gradient_kernel(float* logit_NT, const double* state_N4,
                                const std::int32_t* target_N, const float* loss_scale,
                                std::int64_t columns, TileItems items, float scale, float sharp,
                                float even) {
  const std::int64_t n = blockIdx.x, target = target_N[n];
  float* const logit_T = logit_NT + n * columns;
  const double* const state = state_N4 + n * kStateColumns;
  if (loss_scale != nullptr) scale *= *loss_scale;
  const auto largest = static_cast<float>(state[kLargest]);
  const auto inverse = static_cast<float>(1 / state[kSum]);
  for (std::int64_t t = threadIdx.x; t < columns; t += kThreads) {
    const float wanted = is_item(target, t, items) ? sharp + even : even;
    const float difference = __expf(logit_T[t] - largest) * inverse - wanted;
    logit_T[t] = target < 0 ? 0.f : scale * difference;
  }
}

}  // namespace

void add_to_softmax(Context& ctx, Tensor& state_N4, Tensor& logit_NT, const Tensor& target_N,
                    const TileItems& items) {
  if (logit_NT.dim(1) == 0) return;
  launch<add_kernel>(block_a_row(logit_NT.dim(0)), stream_of(ctx), update<double>(state_N4),
                     in<float>(logit_NT), in<std::int32_t>(target_N), logit_NT.dim(1), items);
}

void join_softmax(Context& ctx, Tensor& state_N4, const Tensor& state_RN4) {
  const std::int64_t rows = state_N4.dim(0);
  launch<join_kernel>(per_element(rows), stream_of(ctx), out<double>(state_N4),
                      in<double>(state_RN4), rows, state_RN4.dim(0));
}

void add_softmax_loss(Context& ctx, Tensor& loss_1, const Tensor& state_N4,
                      const SoftmaxTarget& wanted) {
  const std::int64_t rows = state_N4.dim(0);
  if (rows == 0) return;
  Tensor loss_N = ctx.empty(DType::f64, {rows}, Tag::workspace);
  launch<loss_kernel>(per_element(rows), stream_of(ctx), out<double>(loss_N), in<double>(state_N4),
                      rows, 1 - double{wanted.smoothing},
                      double{wanted.smoothing} / static_cast<double>(wanted.items));
  add_loss(ctx, loss_1, loss_N, static_cast<double>(wanted.scale));
}

void softmax_gradient(Context& ctx, Tensor& logit_NT, const Tensor& state_N4,
                      const Tensor& target_N, const TileItems& items, const SoftmaxTarget& wanted) {
  launch<gradient_kernel>(
      block_a_row(logit_NT.dim(0)), stream_of(ctx), update<float>(logit_NT), in<double>(state_N4),
      in<std::int32_t>(target_N), in<float>(wanted.loss_scale_1), logit_NT.dim(1), items,
      wanted.scale, 1 - wanted.smoothing, wanted.smoothing / static_cast<float>(wanted.items));
}

}  // namespace seqrank::cuda
