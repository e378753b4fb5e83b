// The running form: a softmax over a growing prefix, one pass each way. The query-dependent form is
// in query_attention.cc.
#include "backend/cpu/additive_attention.h"

#include <algorithm>
#include <cmath>

namespace seqrank::cpu {
namespace {

float dot(const float* x, const float* y, std::int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t d = 0; d < n; ++d) sum += x[d] * y[d];
  return sum;
}

}  // namespace

void running_attention(Context& ctx, Tensor& c_ND, Tensor& max_N, Tensor& sum_N,
                       const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1) {
  const std::int64_t width = v_ND.dim(1);
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const float *score = score_N.data<float>(), *value = v_ND.data<float>();
  float *context = c_ND.data<float>(), *max = max_N.data<float>(), *sum = sum_N.data<float>();
  for_each_sequence(ctx, offset_B1.numel() - 1, [=](std::int64_t, std::int64_t b) {
    for (std::int64_t t = offset[b]; t < offset[b + 1]; ++t) {
      float* c = context + t * width;
      const float* v = value + t * width;
      if (t == offset[b]) {
        max[t] = score[t];
        sum[t] = 1.0f;
        std::copy_n(v, width, c);
        continue;
      }
      // c_t is a mean of c_(t-1) and v_t, weighted with the old sum and the new term.
      max[t] = std::max(max[t - 1], score[t]);
      const float old_sum = sum[t - 1] * std::exp(max[t - 1] - max[t]);
      const float term = std::exp(score[t] - max[t]);
      sum[t] = old_sum + term;
      const float weight = term / sum[t];
#pragma omp simd
      for (std::int64_t d = 0; d < width; ++d) c[d] = c[d - width] + weight * (v[d] - c[d - width]);
    }
  });
}

// With a_tj = exp(s_j - max_t) / sum_t and dc_t given:
//   dv_j = sum_(t >= j) a_tj dc_t,   ds_j = sum_(t >= j) a_tj (dc_t . v_j - dc_t . c_t).
// Both are exp(s_j - max_j) times sums that a reverse pass carries, relative to max_j, so that no
// exponent is ever positive:
//   R_j = dc_j / sum_j + exp(max_j - max_(j+1)) R_(j+1), and E_j, the same of dc . c.
void running_attention_backward(Context& ctx, Tensor& dscore_N, Tensor& dv_ND, const Tensor& dc_ND,
                                const Tensor& c_ND, const Tensor& max_N, const Tensor& sum_N,
                                const Tensor& score_N, const Tensor& v_ND,
                                const Tensor& offset_B1) {
  const std::int64_t width = v_ND.dim(1);
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const float *score = score_N.data<float>(), *value = v_ND.data<float>();
  const float *dcontext = dc_ND.data<float>(), *context = c_ND.data<float>();
  const float *max = max_N.data<float>(), *sum = sum_N.data<float>();
  float *dscore = dscore_N.data<float>(), *dvalue = dv_ND.data<float>();
  Tensor carried = ctx.empty(DType::f32, {ctx.threads(), width}, Tag::workspace);
  float* carried_TD = carried.data<float>();
  for_each_sequence(ctx, offset_B1.numel() - 1, [=](std::int64_t worker, std::int64_t b) {
    float* r = carried_TD + worker * width;
    std::fill_n(r, width, 0.0f);
    float e = 0;
    for (std::int64_t j = offset[b + 1] - 1; j >= offset[b]; --j) {
      const float *v = value + j * width, *dc = dcontext + j * width;
      float* dv = dvalue + j * width;
      const float later = j + 1 == offset[b + 1] ? 0.0f : std::exp(max[j] - max[j + 1]);
      const float own = 1.0f / sum[j], term = std::exp(score[j] - max[j]);
      e = own * dot(dc, context + j * width, width) + later * e;
#pragma omp simd
      for (std::int64_t d = 0; d < width; ++d) {
        r[d] = own * dc[d] + later * r[d];
        dv[d] = term * r[d];
      }
      dscore[j] = term * (dot(r, v, width) - e);
    }
  });
}

void running_attention_weights(Context&, Tensor& a_J, const Tensor& max_N, const Tensor& sum_N,
                               const Tensor& score_N, std::int64_t first) {
  const std::int64_t n = first + a_J.numel() - 1;
  const float *score = score_N.data<float>() + first, max = max_N.data<float>()[n];
  const float sum = sum_N.data<float>()[n];
  float* a = a_J.data<float>();
  for (std::int64_t j = 0; j < a_J.numel(); ++j) a[j] = std::exp(score[j] - max) / sum;
}

}  // namespace seqrank::cpu
