// The running form: a softmax over a growing prefix. Its maxima and sums are a scan by one warp a
// sequence. Its contexts, and the sums that backward carries from the end, are linear recurrences
//   x_n = a_n x_(n -+ 1) + b_n
// a column each: a block cuts a sequence into parts, runs each from zero, and once more from what
// the parts before hand over, so that long sequences do not run event by event. The query-dependent
// form is in query_attention.cu.
#include "backend/cuda/additive_attention.h"

#include <cfloat>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

// A warp a sequence.
__global__ void running_sums_kernel(float* max_N, float* sum_N, const float* score_N,
                                    const std::int32_t* offset_B1, std::int64_t sequences) {
  const std::int64_t b = warp_index();
  const int lane = lane_index();
  if (b >= sequences) return;
  const std::int64_t end = offset_B1[b + 1];
  float before = -FLT_MAX, sum_before = 0;  // of all events before the 32 at hand
  for (std::int64_t first = offset_B1[b]; first < end; first += 32) {
    const std::int64_t n = first + lane;
    float largest = n < end ? score_N[n] : -FLT_MAX, sum = n < end ? 1.f : 0.f;
    for (int step = 1; step < 32; step *= 2) {
      const float other = __shfl_up_sync(kFullWarp, largest, step);
      const float other_sum = __shfl_up_sync(kFullWarp, sum, step);
      if (lane < step) continue;
      const float both = fmaxf(largest, other);
      sum = other_sum * expf(other - both) + sum * expf(largest - both);
      largest = both;
    }
    const float both = fmaxf(largest, before);
    sum = sum_before * expf(before - both) + sum * expf(largest - both);
    largest = both;
    if (n < end) {
      max_N[n] = largest;
      sum_N[n] = sum;
    }
    before = __shfl_sync(kFullWarp, largest, 31);
    sum_before = __shfl_sync(kFullWarp, sum, 31);
  }
}

constexpr int kColumns = 32, kParts = 8;  // of a block

// The events of this thread's part of its block's sequence.
struct Part {
  __device__ explicit Part(const std::int32_t* offset_B1) {
    const std::int64_t begin = offset_B1[blockIdx.x];
    sequence_end = offset_B1[blockIdx.x + 1];
    const std::int64_t length = (sequence_end - begin + kParts - 1) / kParts;
    first = min(begin + threadIdx.y * length, sequence_end);
    end = min(first + length, sequence_end);
  }
  std::int64_t first, end, sequence_end;
};

LaunchShape per_sequence_and_column(std::int64_t sequences, std::int64_t columns) {
  return {dim3(static_cast<unsigned>(sequences),
               static_cast<unsigned>((columns + kColumns - 1) / kColumns)),
          dim3(kColumns, kParts)};
}

// c_n is a mean of c_(n-1) and v_n, weighted with the old sum and the new term.
__global__ void running_context_kernel(float* __restrict__ c_ND, const float* __restrict__ v_ND,
                                       const float* __restrict__ score_N,
                                       const float* __restrict__ max_N,
                                       const float* __restrict__ sum_N,
                                       const std::int32_t* offset_B1, std::int64_t width) {
  SHARED_ARRAY(float, left, kParts* kColumns);  // by a part that began with zero
  SHARED_ARRAY(float, kept, kParts);            // of what a part began with
  const Part part(offset_B1);
  const std::int64_t d = static_cast<std::int64_t>(blockIdx.y) * kColumns + threadIdx.x;
  const bool inside = d < width;
  float c = 0, keep = 1;
#pragma unroll 4
  for (std::int64_t n = part.first; n < part.end; ++n) {
    const float weight = expf(score_N[n] - max_N[n]) / sum_N[n];
    const float v = inside ? v_ND[n * width + d] : 0.f;
    c += weight * (v - c);
    keep *= 1 - weight;
  }
  left[threadIdx.y * kColumns + threadIdx.x] = c;
  if (threadIdx.x == 0) kept[threadIdx.y] = keep;
  __syncthreads();
  c = 0;
  for (unsigned p = 0; p < threadIdx.y; ++p) c = left[p * kColumns + threadIdx.x] + kept[p] * c;
  if (!inside) return;
#pragma unroll 4
  for (std::int64_t n = part.first; n < part.end; ++n) {
    const float weight = expf(score_N[n] - max_N[n]) / sum_N[n];
    c += weight * (v_ND[n * width + d] - c);
    c_ND[n * width + d] = c;
  }
}

// With a_tj = exp(s_j - max_t) / sum_t and dc_t given:
//   dv_j = sum_(t >= j) a_tj dc_t,   ds_j = sum_(t >= j) a_tj (dc_t . v_j - dc_t . c_t).
// Both are exp(s_j - max_j) times sums that come from the end, relative to max_j, so that no
// exponent is ever positive: R_j = dc_j / sum_j + exp(max_j - max_(j+1)) R_(j+1). e_N is to dc . c
// what dv is to dc: column `width`.
__global__ void running_backward_kernel(float* __restrict__ dv_ND, float* __restrict__ e_N,
                                        const float* __restrict__ dc_ND,
                                        const float* __restrict__ dot_N,
                                        const float* __restrict__ score_N,
                                        const float* __restrict__ max_N,
                                        const float* __restrict__ sum_N,
                                        const std::int32_t* offset_B1, std::int64_t width) {
  SHARED_ARRAY(float, left, kParts* kColumns);
  SHARED_ARRAY(float, kept, kParts);
  const Part part(offset_B1);
  const std::int64_t d = static_cast<std::int64_t>(blockIdx.y) * kColumns + threadIdx.x;
  const float* const from = d < width ? dc_ND + d : dot_N;
  float* const to = d < width ? dv_ND + d : e_N;
  const std::int64_t stride = d < width ? width : 1;
  const auto later = [&](std::int64_t n) {
    return n + 1 < part.sequence_end ? expf(max_N[n] - max_N[n + 1]) : 0.f;
  };
  float r = 0, keep = 1;
#pragma unroll 4
  for (std::int64_t n = part.end - 1; n >= part.first; --n) {
    const float factor = later(n);
    r = from[n * stride] / sum_N[n] + factor * r;
    keep *= factor;
  }
  left[threadIdx.y * kColumns + threadIdx.x] = r;
  if (threadIdx.x == 0) kept[threadIdx.y] = keep;
  __syncthreads();
  r = 0;
  for (unsigned p = kParts - 1; p > threadIdx.y; --p)
    r = left[p * kColumns + threadIdx.x] + kept[p] * r;
  if (d > width) return;
#pragma unroll 4
  for (std::int64_t n = part.end - 1; n >= part.first; --n) {
    r = from[n * stride] / sum_N[n] + later(n) * r;
    to[n * stride] = expf(score_N[n] - max_N[n]) * r;
  }
}

// A warp a row.
__global__ void row_dots_kernel(float* dot_N, const float* x_ND, const float* y_ND,
                                const float* minus_N, std::int64_t rows, std::int64_t width) {
  const std::int64_t n = warp_index();
  if (n >= rows) return;
  float dot = 0;
  for (std::int64_t d = lane_index(); d < width; d += 32)
    dot += x_ND[n * width + d] * y_ND[n * width + d];
  dot = warp_sum(dot);
  if (lane_index() == 0) dot_N[n] = minus_N == nullptr ? dot : dot - minus_N[n];
}

__global__ void running_weights_kernel(float* a_J, const float* max_N, const float* sum_N,
                                       const float* score_N, std::int64_t first,
                                       std::int64_t count) {
  const std::int64_t j = element_index(), n = first + count - 1;
  if (j < count) a_J[j] = expf(score_N[first + j] - max_N[n]) / sum_N[n];
}

}  // namespace

void row_dots(Context& ctx, Tensor& dot_N, const Tensor& x_ND, const Tensor& y_ND,
              const Tensor& minus_N) {
  launch<row_dots_kernel>(per_warp(x_ND.dim(0)), stream_of(ctx), out<float>(dot_N), in<float>(x_ND),
                          in<float>(y_ND), in<float>(minus_N), x_ND.dim(0), x_ND.dim(1));
}

void running_attention(Context& ctx, Tensor& c_ND, Tensor& max_N, Tensor& sum_N,
                       const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1) {
  const std::int64_t sequences = offset_B1.numel() - 1, width = v_ND.dim(1);
  launch<running_sums_kernel>(per_warp(sequences), stream_of(ctx), out<float>(max_N),
                              out<float>(sum_N), in<float>(score_N), in<std::int32_t>(offset_B1),
                              sequences);
  launch<running_context_kernel>(
      per_sequence_and_column(sequences, width), stream_of(ctx), out<float>(c_ND), in<float>(v_ND),
      in<float>(score_N), in<float>(max_N), in<float>(sum_N), in<std::int32_t>(offset_B1), width);
}

void running_attention_backward(Context& ctx, Tensor& dscore_N, Tensor& dv_ND, const Tensor& dc_ND,
                                const Tensor& c_ND, const Tensor& max_N, const Tensor& sum_N,
                                const Tensor& score_N, const Tensor& v_ND,
                                const Tensor& offset_B1) {
  const std::int64_t sequences = offset_B1.numel() - 1, width = v_ND.dim(1);
  Tensor dot_N = ctx.empty(DType::f32, score_N.shape(), Tag::workspace);
  Tensor e_N = ctx.empty(DType::f32, score_N.shape(), Tag::workspace);
  row_dots(ctx, dot_N, dc_ND, c_ND);
  launch<running_backward_kernel>(per_sequence_and_column(sequences, width + 1), stream_of(ctx),
                                  out<float>(dv_ND), out<float>(e_N), in<float>(dc_ND),
                                  in<float>(dot_N), in<float>(score_N), in<float>(max_N),
                                  in<float>(sum_N), in<std::int32_t>(offset_B1), width);
  row_dots(ctx, dscore_N, dv_ND, v_ND, e_N);
}

void running_attention_weights(Context& ctx, Tensor& a_J, const Tensor& max_N, const Tensor& sum_N,
                               const Tensor& score_N, std::int64_t first) {
  launch<running_weights_kernel>(per_element(a_J.numel()), stream_of(ctx), out<float>(a_J),
                                 in<float>(max_N), in<float>(sum_N), in<float>(score_N), first,
                                 a_J.numel());
}

}  // namespace seqrank::cuda
