// Prefix pooling on a CUDA device: a thread a column of a sequence, which it walks through once, so
// that sums have the order of the CPU's. Bound by memory: 8 bytes an element, 12 for the maximum.
// Sequences x columns threads are few for small batches; pooling is a small part of the models that
// use it, so that no sequence is cut into pieces.
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

__global__ void pool_kernel(Pool kind, float* __restrict__ y_ND, std::int32_t* __restrict__ argmax,
                            const float* __restrict__ x_ND, const std::int32_t* offset_B1,
                            std::int64_t sequences, std::int64_t d) {
  const std::int64_t b = row_index(), column = column_index();
  if (b >= sequences || column >= d) return;
  const std::int32_t begin = offset_B1[b], end = offset_B1[b + 1];
  float pooled = 0;
  std::int32_t best = begin;
  for (std::int32_t t = begin; t < end; ++t) {
    const std::int64_t i = t * d + column;
    const float x = x_ND[i];
    if (kind == Pool::max) {
      const bool keep = t > begin && pooled >= x;
      pooled = keep ? pooled : x;
      best = keep ? best : t;
      argmax[i] = best;
    } else if (kind == Pool::last || t == begin) {
      pooled = x;
    } else if (kind == Pool::sum) {
      pooled += x;
    } else {  // mean: moved towards x, which does not lose small values in a large sum
      pooled += (x - pooled) / static_cast<float>(t - begin + 1);
    }
    y_ND[i] = pooled;
  }
}

// What event t holds the maximum of are neighbours, t the first of them.
__global__ void pool_backward_kernel(Pool kind, float* __restrict__ dx_ND,
                                     const float* __restrict__ dy_ND,
                                     const std::int32_t* __restrict__ argmax,
                                     const std::int32_t* offset_B1, std::int64_t sequences,
                                     std::int64_t d) {
  const std::int64_t b = row_index(), column = column_index();
  if (b >= sequences || column >= d) return;
  const std::int32_t begin = offset_B1[b], end = offset_B1[b + 1];
  float sum = 0;
  for (std::int32_t t = end - 1; t >= begin; --t) {
    const std::int64_t i = t * d + column;
    const float dy = dy_ND[i];
    sum += kind == Pool::mean ? dy / static_cast<float>(t - begin + 1) : dy;
    const bool holds = kind != Pool::max || argmax[i] == t;
    dx_ND[i] = holds ? sum : 0.f;
    if (kind == Pool::last || (kind == Pool::max && holds)) sum = 0;
  }
}

}  // namespace

void prefix_pool(Context& ctx, Pool kind, Tensor& y_ND, Tensor& argmax_ND, const Tensor& x_ND,
                 const Tensor& offset_B1) {
  const std::int64_t sequences = offset_B1.dim(0) - 1, d = x_ND.dim(1);
  launch<pool_kernel>(per_row_and_column(sequences, d), stream_of(ctx), kind, out<float>(y_ND),
                      update<std::int32_t>(argmax_ND), in<float>(x_ND), in<std::int32_t>(offset_B1),
                      sequences, d);
}

void prefix_pool_backward(Context& ctx, Pool kind, Tensor& dx_ND, const Tensor& dy_ND,
                          const Tensor& argmax_ND, const Tensor& offset_B1) {
  const std::int64_t sequences = offset_B1.dim(0) - 1, d = dy_ND.dim(1);
  launch<pool_backward_kernel>(per_row_and_column(sequences, d), stream_of(ctx), kind,
                               out<float>(dx_ND), in<float>(dy_ND), in<std::int32_t>(argmax_ND),
                               in<std::int32_t>(offset_B1), sequences, d);
}

}  // namespace seqrank::cuda
