// Hard attention over the past of each packed sequence: one event is chosen, not a mean taken.
//   y_tj = (w . act(k_j + q_t) + g_tj) / tau,   c_t = v_j of the largest y_tj, j <= t,
// with Gumbel noise g, so that j is chosen with probability softmax_j(w . act(k_j + q_t)). Backward
// is straight-through: the gradient of c reaches v at the chosen event, and the scores as if c were
// sum_j softmax_j(y_tj) v_j (Jang, Gu, Poole; Maddison, Mnih, Teh: ICLR 2017). The temperature tau
// changes gradients alone; it falls in a line over the first `places` samples of a run.
#pragma once

#include "backend/context.h"
#include "backend/ops/activation.h"
#include "backend/philox.h"

namespace seqrank {

struct HardAttention {
  Activation act = Activation::tanh;  // or relu; any other aborts
  bool noise = true;                  // no: the largest score, as when a model is used; tau is 1
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;  // < 256
  float first_temperature = 1, last_temperature = 1;
  std::int64_t places = 1;
};

// Of the sample at `place`: epoch * samples + place in the epoch's order, as in Batch.
constexpr float temperature_at(const HardAttention& options, std::int64_t place) {
  if (!options.noise) return 1.0f;
  if (place >= options.places) return options.last_temperature;
  const float share = static_cast<float>(place) / static_cast<float>(options.places);
  return options.first_temperature + share * (options.last_temperature - options.first_temperature);
}

// The numbers behind g of event t (counted in its sequence) and its events 4 group .. 4 group + 3;
// g = -log(-log(u)) with u = inner_uniform(word). The words are the same on every device;
// logarithms may differ in the last bit.
constexpr Philox4 gumbel_words(const HardAttention& options, std::int64_t place, std::int64_t t,
                               std::int64_t group) {
  const auto at = static_cast<std::uint64_t>(place);
  return philox(
      options.seed, Purpose::gumbel,
      {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32),
       static_cast<std::uint32_t>(t), options.layer << 24 | static_cast<std::uint32_t>(group)});
}
// (0, 1), 23 bits and a half: exact in fp32, and never 0 or 1.
constexpr float inner_uniform(std::uint32_t bits) {
  return (static_cast<float>(bits >> 9) + 0.5f) * 0x1p-23f;
}

// Written: c_ND; choice_N (i32), the chosen event of the batch, the first of equal ones; and for
// backward soft_ND, sum_j softmax_j(y_tj) v_j, and lse_N, the log of the sum of exp(y). place_B
// (i64), offset_B1 (i32): as in dropout.h.
void hard_attention(Context& ctx, const HardAttention& options, Tensor& c_ND, Tensor& choice_N,
                    Tensor& soft_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                    const Tensor& w_A, const Tensor& v_ND, const Tensor& place_B,
                    const Tensor& offset_B1);
// dk, dq, dv are written; dw_A is added to.
void hard_attention_backward(Context& ctx, const HardAttention& options, Tensor& dk_NA,
                             Tensor& dq_NA, Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND,
                             const Tensor& choice_N, const Tensor& soft_ND, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             const Tensor& v_ND, const Tensor& place_B, const Tensor& offset_B1);

}  // namespace seqrank
