// Rows of a table updated where they lie, on a CUDA device: a warp a row, whose lanes take
// neighbouring columns. Bound by memory: 12 bytes an element for Adagrad, whose gradient is read
// more than once (from a cache, after the first time), 28 for lazy Adam, 4 less of bf16, and rows
// lie apart.
#include <cmath>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/runtime.h"
#include "device_code.h"

namespace seqrank::cuda {
namespace {

// The same for all lanes.
__device__ bool all_zeros(const float* x, std::int64_t d) {
  float sum = 0;
  for (std::int64_t j = lane_index(); j < d; j += 32) sum += fabsf(x[j]);
  return warp_sum(sum) == 0.f;
}

// w[j] = value(j, w[j]) for the d columns of a row, which is `row` of those here.
template <class Value>
__device__ void renew(float* w, std::int64_t, std::int64_t d, const RowRounding&,
                      const Value& value) {
  for (std::int64_t j = lane_index(); j < d; j += 32) w[j] = value(j, w[j]);
}
// A lane calls once for two columns, 32 apart, which are two of the eight that share a call.
template <class Value>
__device__ void renew(std::uint16_t* w, std::int64_t row, std::int64_t d,
                      const RowRounding& rounding, const Value& value) {
  const int call = lane_index() % kCallsOfColumns, n = lane_index() / kCallsOfColumns;
  for (std::int64_t begin = 0; begin < d; begin += kColumnsOfCalls) {
    const Philox4 bits =
        rounding_bits(rounding, row, begin / kColumnsOfCalls * kCallsOfColumns + call);
    const auto renew_one = [&](std::int64_t j, std::uint32_t word) {
      if (j >= d) return;
      const float old = __uint_as_float(static_cast<std::uint32_t>(w[j]) << 16);
      w[j] = round_at_random(__float_as_uint(value(j, old)), sixteen_bits(word, n));
    };
    renew_one(begin + lane_index(), n < 2 ? bits[0] : bits[1]);
    renew_one(begin + 32 + lane_index(), n < 2 ? bits[2] : bits[3]);
  }
}

template <class T>
__global__ void rowwise_adagrad_kernel(T* w_KD, float* sum_K, const std::int32_t* id_U,
                                       const float* g_UD, const float* scale_1, RowRate rate,
                                       std::int64_t rows, std::int64_t d) {
  const std::int64_t u = warp_index();
  const float factor = *scale_1;
  if (u >= rows || factor == 0) return;
  const std::int64_t row = id_U[u];
  const float* const g = g_UD + u * d;
  if (all_zeros(g, d)) return;
  float squares = 0;
  for (std::int64_t j = lane_index(); j < d; j += 32) squares += (g[j] * factor) * (g[j] * factor);
  const float sum = sum_K[row] + warp_sum(squares) / static_cast<float>(d);
  __syncwarp();  // all lanes have read it: a shuffle orders no memory
  if (lane_index() == 0) sum_K[row] = sum;
  const float step = rate.rate * factor / (sqrtf(sum) + kAdagradEpsilon);
  const float keep = fmaf(-rate.rate, rate.decay, 1.f);
  renew(w_KD + row * d, row, d, rate.rounding,
        [=](std::int64_t j, float w) { return w * keep - step * g[j]; });
}

// log_beta: of both, since 1 - beta^count loses digits where beta^count is almost one.
template <class T>
__global__ void lazy_adam_kernel(T* w_KD, float* m_KD, float* v_KD, float* updates_K,
                                 const std::int32_t* id_U, const float* g_UD, const float* scale_1,
                                 AdamW options, RowRate rate, float log_beta1, float log_beta2,
                                 std::int64_t rows, std::int64_t d) {
  const std::int64_t u = warp_index();
  const float factor = *scale_1;
  if (u >= rows || factor == 0) return;
  const std::int64_t row = id_U[u];
  if (all_zeros(g_UD + u * d, d)) return;
  const float count = updates_K[row] + 1;
  __syncwarp();  // all lanes have read it
  if (lane_index() == 0) updates_K[row] = count;
  const float step = rate.rate / -expm1f(count * log_beta1);
  const float root = 1 / sqrtf(-expm1f(count * log_beta2));
  const float keep = fmaf(-rate.rate, rate.decay, 1.f);
  renew(w_KD + row * d, row, d, rate.rounding, [=](std::int64_t j, float w) {
    const std::int64_t at = row * d + j;
    const float gradient = g_UD[u * d + j] * factor;
    const float first = options.beta1 * m_KD[at] + (1 - options.beta1) * gradient;
    const float second = options.beta2 * v_KD[at] + (1 - options.beta2) * (gradient * gradient);
    m_KD[at] = first;
    v_KD[at] = second;
    return w * keep - step * first / (sqrtf(second) * root + options.epsilon);
  });
}

template <class T>
void launch_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                    const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate) {
  const std::int64_t rows = id_U.dim(0);
  launch<rowwise_adagrad_kernel<T>>(per_warp(rows), stream_of(ctx), update<T>(w_KD),
                                    update<float>(sum_K), in<std::int32_t>(id_U), in<float>(g_UD),
                                    in<float>(scale_1), rate, rows, w_KD.dim(1));
}

template <class T>
void launch_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
                 const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
                 const RowRate& rate) {
  const std::int64_t rows = id_U.dim(0);
  const auto log_beta1 = static_cast<float>(std::log(double{options.beta1}));
  const auto log_beta2 = static_cast<float>(std::log(double{options.beta2}));
  launch<lazy_adam_kernel<T>>(
      per_warp(rows), stream_of(ctx), update<T>(w_KD), update<float>(moments.m_KD),
      update<float>(moments.v_KD), update<float>(moments.updates_K), in<std::int32_t>(id_U),
      in<float>(g_UD), in<float>(scale_1), options, rate, log_beta1, log_beta2, rows, w_KD.dim(1));
}

}  // namespace

void rowwise_adagrad(Context& ctx, Tensor& w_KD, Tensor& sum_K, const Tensor& id_U,
                     const Tensor& g_UD, const Tensor& scale_1, const RowRate& rate) {
  if (w_KD.dtype() == DType::bf16)
    launch_adagrad<std::uint16_t>(ctx, w_KD, sum_K, id_U, g_UD, scale_1, rate);
  else
    launch_adagrad<float>(ctx, w_KD, sum_K, id_U, g_UD, scale_1, rate);
}

void lazy_adam(Context& ctx, Tensor& w_KD, LazyMoments& moments, const Tensor& id_U,
               const Tensor& g_UD, const Tensor& scale_1, const AdamW& options,
               const RowRate& rate) {
  if (w_KD.dtype() == DType::bf16)
    launch_adam<std::uint16_t>(ctx, w_KD, moments, id_U, g_UD, scale_1, options, rate);
  else
    launch_adam<float>(ctx, w_KD, moments, id_U, g_UD, scale_1, options, rate);
}

}  // namespace seqrank::cuda
