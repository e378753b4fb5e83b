// Plain loops in double.
#include "models/nn/attention_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "backend/ops/linear.h"
#include "backend/transfer.h"

namespace seqrank::nn {
namespace {

// weight_N = the mean over heads of softmax over each sequence of score(head, event, last event).
Tensor softmax_over_sequences(
    Context& ctx, const Batch& batch, std::int64_t heads,
    const std::function<double(std::int64_t, std::int64_t, std::int64_t)>& score) {
  const Tensor host_offset_B1 = to_host(ctx, batch.offset_B1);
  const auto offset_B1 = host_offset_B1.span<std::int32_t>();
  Tensor weight_N(ctx.host_arena(), DType::f32, {batch.events}, Tag::workspace);
  auto weight = weight_N.span<float>();
  std::ranges::fill(weight, 0.0f);
  std::vector<double> x;
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const std::int64_t begin = offset_B1[b], end = offset_B1[b + 1];
    for (std::int64_t h = 0; h < heads && begin < end; ++h) {
      x.clear();
      for (std::int64_t n = begin; n < end; ++n) x.push_back(score(h, n, end - 1));
      const double most = *std::ranges::max_element(x);
      double sum = 0;
      for (double& value : x) sum += value = std::exp(value - most);
      for (std::int64_t n = begin; n < end; ++n)
        weight[n] += static_cast<float>(x[n - begin] / sum / static_cast<double>(heads));
    }
  }
  return weight_N;
}

// What bias tables add to the score of an event that the last of its sequence sees.
class LastEventBias {
 public:
  LastEventBias(Context& ctx, const Tensor& position_HR, const Tensor& time_HT,
                const Batch& batch) {
    if (position_HR) position_HR_ = to_host(ctx, position_HR);
    if (!time_HT) return;
    time_HT_ = to_host(ctx, time_HT);
    time_N_ = to_host(ctx, batch.time_N);
  }
  double operator()(std::int64_t h, std::int64_t n, std::int64_t last) const {
    double sum = 0;
    if (position_HR_) {
      const std::int64_t distances = position_HR_.dim(1);
      sum += position_HR_.data<float>()[h * distances + std::min(last - n, distances - 1)];
    }
    if (time_HT_) {
      const auto time = time_N_.span<std::int64_t>();
      const auto apart = static_cast<std::uint64_t>(std::abs(time[last] - time[n]));
      const std::int64_t times = time_HT_.dim(1);
      const std::int64_t bucket = std::min<std::int64_t>(std::bit_width(1 + apart) - 1, times - 1);
      sum += time_HT_.data<float>()[h * times + bucket];
    }
    return sum;
  }

 private:
  Tensor position_HR_, time_HT_, time_N_;
};

double activated(Activation act, double x) {
  if (act == Activation::tanh) return std::tanh(x);
  SR_ASSERT(act == Activation::relu, "activation {}", static_cast<int>(act));
  return std::max(x, 0.0);
}

}  // namespace

Tensor weights_of_scores(Context& ctx, const Tensor& score_N1, const Batch& batch) {
  const Tensor host = to_host(ctx, score_N1);
  const float* score = host.data<float>();
  return softmax_over_sequences(ctx, batch, 1,
                                [&](auto, auto n, auto) { return double{score[n]}; });
}

Tensor weights_of_query(Context& ctx, Activation act, const Tensor& k_NA, const Tensor& q_NA,
                        const Tensor& w_A, const Batch& batch) {
  const Tensor host_k = to_host(ctx, k_NA), host_q = to_host(ctx, q_NA), host_w = to_host(ctx, w_A);
  const std::int64_t width = k_NA.dim(1);
  const float *k = host_k.data<float>(), *q = host_q.data<float>(), *w = host_w.data<float>();
  return softmax_over_sequences(ctx, batch, 1, [&](auto, std::int64_t n, std::int64_t last) {
    double sum = 0;
    for (std::int64_t a = 0; a < width; ++a)
      sum += w[a] * activated(act, double{k[n * width + a]} + q[last * width + a]);
    return sum;
  });
}

Tensor weights_of_choice(Context& ctx, Activation act, const Tensor& k_NA, const Tensor& q_NA,
                         const Tensor& w_A, const Batch& batch) {
  HardAttention options;
  options.act = act;
  options.noise = false;
  // What the chosen events hold is not asked for: their keys will do.
  Tensor c_NA = ctx.empty(DType::f32, k_NA.shape()), soft_NA = ctx.empty(DType::f32, k_NA.shape());
  Tensor choice_N = ctx.empty(DType::i32, {batch.events});
  Tensor lse_N = ctx.empty(DType::f32, {batch.events});
  seqrank::hard_attention(ctx, options, c_NA, choice_N, soft_NA, lse_N, k_NA, q_NA, w_A, k_NA,
                          batch.place_B, batch.offset_B1);
  const Tensor host_choice_N = to_host(ctx, choice_N);
  const Tensor host_offset_B1 = to_host(ctx, batch.offset_B1);
  const auto offset_B1 = host_offset_B1.span<std::int32_t>();
  Tensor weight_N(ctx.host_arena(), DType::f32, {batch.events}, Tag::workspace);
  std::ranges::fill(weight_N.span<float>(), 0.0f);
  for (std::int64_t b = 0; b < batch.sequences; ++b)
    if (offset_B1[b] < offset_B1[b + 1])
      weight_N.data<float>()[host_choice_N.data<std::int32_t>()[offset_B1[b + 1] - 1]] = 1;
  return weight_N;
}

Tensor weights_of_din(Context& ctx, Activation act, const Tensor& h_ND, const Tensor& x_ND,
                      const DinUnit& unit, const Batch& batch) {
  const std::int64_t width = h_ND.dim(1), hidden = unit.w_A->shape[0];
  Tensor k_NA = ctx.empty(DType::f32, {batch.events, hidden});
  Tensor q_NA = ctx.empty(DType::f32, {batch.events, hidden});
  linear(ctx, k_NA, h_ND, unit.k_AD->value(), Tensor());
  linear(ctx, q_NA, x_ND, unit.q_AD->value(), Tensor());
  const Tensor host_h = to_host(ctx, h_ND), host_x = to_host(ctx, x_ND),
               host_k = to_host(ctx, k_NA), host_q = to_host(ctx, q_NA),
               host_p = to_host(ctx, unit.p_AD->value()), host_w = to_host(ctx, unit.w_A->value()),
               host_b = to_host(ctx, unit.b_1->value()),
               host_offset_B1 = to_host(ctx, batch.offset_B1);
  const float *h = host_h.data<float>(), *x = host_x.data<float>(), *p = host_p.data<float>();
  const auto score = [&](std::int64_t n, std::int64_t last) {
    double sum = host_b.data<float>()[0];
    for (std::int64_t a = 0; a < hidden; ++a) {
      double inside =
          double{host_k.data<float>()[n * hidden + a]} + host_q.data<float>()[last * hidden + a];
      for (std::int64_t d = 0; d < width; ++d)
        inside += double{p[a * width + d]} * h[n * width + d] * x[last * width + d];
      sum += host_w.data<float>()[a] * activated(act, inside);
    }
    return static_cast<float>(sum);
  };
  const auto offset_B1 = host_offset_B1.span<std::int32_t>();
  Tensor weight_N(ctx.host_arena(), DType::f32, {batch.events}, Tag::workspace);
  for (std::int64_t b = 0; b < batch.sequences; ++b)
    for (std::int64_t n = offset_B1[b]; n < offset_B1[b + 1]; ++n)
      weight_N.data<float>()[n] = score(n, offset_B1[b + 1] - 1);
  return weight_N;
}

Tensor weights_of_heads(Context& ctx, std::int64_t heads, const Tensor& q_ND, const Tensor& k_ND,
                        const Batch& batch, const Tensor& time_HT) {
  const Tensor host_q = to_host(ctx, q_ND), host_k = to_host(ctx, k_ND);
  const LastEventBias bias(ctx, {}, time_HT, batch);
  const std::int64_t width = q_ND.dim(1), of_head = width / heads;
  const float *q = host_q.data<float>(), *k = host_k.data<float>();
  return softmax_over_sequences(
      ctx, batch, heads, [&](std::int64_t h, std::int64_t n, std::int64_t last) {
        double sum = 0;
        for (std::int64_t i = h * of_head; i < (h + 1) * of_head; ++i)
          sum += double{q[last * width + i]} * k[n * width + i];
        return sum / std::sqrt(static_cast<double>(of_head)) + bias(h, n, last);
      });
}

Tensor weights_of_silu(Context& ctx, float normaliser, std::int64_t heads, const Tensor& q_ND,
                       const Tensor& k_ND, const BiasParameters& bias, const Batch& batch) {
  const Tensor host_q = to_host(ctx, q_ND), host_k = to_host(ctx, k_ND),
               host_offset_B1 = to_host(ctx, batch.offset_B1);
  const LastEventBias added(ctx, bias.position_HR ? bias.position_HR->value() : Tensor(),
                            bias.time_HT ? bias.time_HT->value() : Tensor(), batch);
  const std::int64_t width = q_ND.dim(1), of_head = width / heads;
  const float *q = host_q.data<float>(), *k = host_k.data<float>();
  const auto offset_B1 = host_offset_B1.span<std::int32_t>();
  Tensor weight_N(ctx.host_arena(), DType::f32, {batch.events}, Tag::workspace);
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    const std::int64_t last = offset_B1[b + 1] - 1;
    for (std::int64_t n = offset_B1[b]; n <= last; ++n) {
      double sum = 0;
      for (std::int64_t h = 0; h < heads; ++h) {
        double score = added(h, n, last);
        for (std::int64_t i = h * of_head; i < (h + 1) * of_head; ++i)
          score += double{q[last * width + i]} * k[n * width + i];
        sum += score / (1 + std::exp(-score));
      }
      weight_N.data<float>()[n] = static_cast<float>(sum / normaliser / static_cast<double>(heads));
    }
  }
  return weight_N;
}

}  // namespace seqrank::nn
