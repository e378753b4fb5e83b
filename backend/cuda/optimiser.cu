// AdamW on a CUDA device in one launch, and the norm that decides its scale. Bound by memory: 28
// bytes an element for adamw() (four read, three written), 4 for the norm. Four elements a thread,
// since a piece of the parameters begins anywhere, not at a float4. The norm is summed in double in
// two launches: blocks whose number depends on that of the elements alone, then their sums in
// order.
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

constexpr std::int64_t kNormBlocks = 1024;    // at most
constexpr std::int64_t kNormBlock = 1 << 12;  // elements that are worth a block

__global__ void square_kernel(double* sum_B, const float* x, std::int64_t n) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  double sum = 0;
#pragma unroll 4
  for (std::int64_t i = element_index(); i < n; i += stride)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) sum_B[blockIdx.x] = sum;
}

__global__ void add_sums_kernel(double* sum_1, const double* sum_B, std::int64_t blocks) {
  double sum = 0;
  for (std::int64_t block = threadIdx.x; block < blocks; block += kThreads) sum += sum_B[block];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *sum_1 += sum;
}

__global__ void clip_kernel(float* scale_1, const double* squared_norm_1, float clip) {
  const double squared = *squared_norm_1;
  float scale = 1;
  if (!isfinite(squared))
    scale = 0;
  else if (clip > 0)
    scale = static_cast<float>(fmin(1.0, clip / sqrt(squared)));
  *scale_1 = scale;
}

// The first part that ends behind element i.
__device__ int part_of(const std::int64_t* end_S, int parts, std::int64_t i) {
  int low = 0, high = parts - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (end_S[middle] > i)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

__global__ void adamw_kernel(float* w, float* m, float* v, const float* g, const float* scale_1,
                             AdamW options, float rate, float step, float root,
                             const float* decay_S, const float* rate_S, const std::int64_t* end_S,
                             int parts, std::int64_t n) {
  const FourElements at(n);
  const float scale = *scale_1;
  if (scale == 0 || !at.has(0)) return;
  float gradient[kPerThread], first[kPerThread], second[kPerThread], value[kPerThread];
  for (int i = 0; i < kPerThread; ++i) {
    if (!at.has(i)) continue;
    gradient[i] = g[at[i]] * scale;
    first[i] = m[at[i]];
    second[i] = v[at[i]];
    value[i] = w[at[i]];
  }
  int part = part_of(end_S, parts, at[0]);
  for (int i = 0; i < kPerThread; ++i) {
    if (!at.has(i)) continue;
    while (end_S[part] <= at[i]) ++part;
    const float factor = rate_S[part];
    const float keep = fmaf(-rate * factor, decay_S[part], 1.f);
    first[i] = options.beta1 * first[i] + (1 - options.beta1) * gradient[i];
    second[i] = options.beta2 * second[i] + (1 - options.beta2) * (gradient[i] * gradient[i]);
    m[at[i]] = first[i];
    v[at[i]] = second[i];
    w[at[i]] =
        value[i] * keep - step * factor * first[i] / (sqrtf(second[i]) * root + options.epsilon);
  }
}

}  // namespace

void add_squared_norm(Context& ctx, Tensor& sum_1, const Tensor& x) {
  const std::int64_t n = x.numel();
  const std::int64_t blocks = std::min(kNormBlocks, (n + kNormBlock - 1) / kNormBlock);
  Tensor sum_B = ctx.empty(DType::f64, {blocks}, Tag::workspace);
  launch<square_kernel>({static_cast<unsigned>(blocks), kThreads}, stream_of(ctx),
                        out<double>(sum_B), in<float>(x), n);
  launch<add_sums_kernel>({1, kThreads}, stream_of(ctx), update<double>(sum_1), in<double>(sum_B),
                          blocks);
}

void clip_scale(Context& ctx, Tensor& scale_1, const Tensor& squared_norm_1, float clip) {
  launch<clip_kernel>({1, 1}, stream_of(ctx), out<float>(scale_1), in<double>(squared_norm_1),
                      clip);
}

void adamw(Context& ctx, Tensor& w, Tensor& m, Tensor& v, const Tensor& g, const Tensor& scale_1,
           const AdamW& options, float rate, const UpdateParts& parts, std::int64_t updates) {
  // m and v start as zeros; dividing by what they have seen of the average removes that bias.
  const double steps = static_cast<double>(updates);
  const auto step = static_cast<float>(rate / (1 - std::pow(double{options.beta1}, steps)));
  const auto root = static_cast<float>(1 / std::sqrt(1 - std::pow(double{options.beta2}, steps)));
  launch<adamw_kernel>(per_four_elements(w.numel()), stream_of(ctx), update<float>(w),
                       update<float>(m), update<float>(v), in<float>(g), in<float>(scale_1),
                       options, rate, step, root, in<float>(parts.decay_S), in<float>(parts.rate_S),
                       in<std::int64_t>(parts.end_S), static_cast<int>(parts.end_S.numel()),
                       w.numel());
}

}  // namespace seqrank::cuda
