// Candidates over whole histories: the keys of a sequence are transposed once, for all candidates.
#include <algorithm>

#include "backend/cpu/additive_attention.h"
#include "backend/cpu/query_scores.h"

namespace seqrank::cpu {
namespace {

template <class Act>
void meet(Context& ctx, Attend attend, Tensor& z_MD, const Tensor& k_NA, const Tensor& q_CA,
          const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  const std::int64_t keys = w_A.numel(), width = v_ND.dim(1), most = longest(offset_B1);
  const std::int64_t candidates = q_CA.dim(0);
  const std::int32_t* offset = offset_B1.data<std::int32_t>();
  const float *k = k_NA.data<float>(), *q = q_CA.data<float>(), *w = w_A.data<float>();
  const float* v = v_ND.data<float>();
  float* z_out = z_MD.data<float>();
  Tensor scratch = ctx.empty(DType::f32, {ctx.threads(), (keys + 1) * most}, Tag::workspace);
  float* scratch_TX = scratch.data<float>();
  for_each_sequence(ctx, offset_B1.numel() - 1, [=](std::int64_t worker, std::int64_t b) {
    const std::int64_t begin = offset[b], length = offset[b + 1] - begin;
    float* z_CD = z_out + b * candidates * width;
    std::fill_n(z_CD, candidates * width, 0.0f);
    if (length == 0) return;
    float* key_AL = scratch_TX + worker * (keys + 1) * most;
    float* weight_J = key_AL + keys * length;
    transpose(key_AL, k + begin * keys, length, keys);
    for (std::int64_t c = 0; c < candidates; ++c) {
      float* z = z_CD + c * width;
      scores<Act>(weight_J, nullptr, key_AL, q + c * keys, w, keys, length, length);
      if (attend == Attend::hard) {
        const std::int64_t best = std::max_element(weight_J, weight_J + length) - weight_J;
        std::copy_n(v + (begin + best) * width, width, z);
        continue;
      }
      softmax(weight_J, length);
      for (std::int64_t j = 0; j < length; ++j)
        add_scaled(z, weight_J[j], v + (begin + j) * width, width);
    }
  });
}

}  // namespace

void candidate_attention(Context& ctx, Attend attend, Activation act, Tensor& z_MD,
                         const Tensor& k_NA, const Tensor& q_CA, const Tensor& w_A,
                         const Tensor& v_ND, const Tensor& offset_B1) {
  const auto run = act == Activation::tanh ? meet<Tanh> : meet<Relu>;
  run(ctx, attend, z_MD, k_NA, q_CA, w_A, v_ND, offset_B1);
}

}  // namespace seqrank::cpu
