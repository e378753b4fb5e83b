// Losses that compare the score of the item that came next (the positive) with those of S drawn
// items (the negatives), the same for all events. With p the positive's score and s_j the
// negatives', each divided by the temperature; over those j alone that are not the target (a drawn
// target is a hit, and left out), k of them; s(x) the sigmoid, softplus(x) = log(1 + e^x):
//   softmax    -p + log(e^p + sum_j e^(s_j - log_q_j))
//              log_q: log of how often j is expected among the draws, so that the sum estimates
//              that over the catalogue without bias. The positive is there with certainty, and is
//              not corrected (Bengio and Senecal 2008; Khrylchenko et al. 2025, on the positive).
//   bce        [softplus(-p) + sum_j softplus(s_j)] / (k + 1)
//              Kang and McAuley, ICDM 2018; as a mean: Petrov and Macdonald, RecSys 2023
//   gbce       [beta softplus(-p) + sum_j softplus(s_j)] / (k + 1)
//              the same: -log s(p)^beta; beta = gbce_beta(...)
//   bpr        mean_j softplus(s_j - p)                                 Rendle et al., UAI 2009
//   bpr_max    -log sum_j w_j s(p - s_j) + regulariser sum_j w_j s_j^2,  w = softmax of the s_j
//              Hidasi and Karatzoglou, CIKM 2018
//   top1       mean_j [s(s_j - p) + s(s_j^2)]                           Hidasi et al., ICLR 2016
//   top1_max   sum_j w_j [s(s_j - p) + s(s_j^2)]                        as bpr_max
// A negative whose score is kHitScore is left out like a hit, whatever item it is.
// An event whose negatives are all hits keeps its positive's term in softmax (which is 0), bce and
// gbce, and has no loss elsewhere.
#pragma once

#include "backend/context.h"

namespace seqrank {

enum class SampledLoss { softmax, bce, gbce, bpr, bpr_max, top1, top1_max };

// alpha (t (1 - 1 / alpha) + 1 / alpha) with alpha = negatives / (items - 1), the share of wrong
// items that is drawn; t = 0 gives bce, t = 1 probabilities that are calibrated.
double gbce_beta(std::int64_t negatives, std::int64_t items, double t);

struct SampledLossOptions {
  SampledLoss kind = SampledLoss::softmax;
  float temperature = 1;
  float beta = 1;         // gbce
  float regulariser = 0;  // bpr_max
  // f32, may be absent: multiplies the gradients, not the loss; see ops/loss_scale.h.
  Tensor loss_scale_1 = {};
};

// loss_1 (f64) is added to: scale * the sum over events. dpositive_N and dnegative_NS are written,
// and may be positive_N and negative_NS, which are the scores before the temperature; all f32.
// target_N and negative_S: i32 items. log_q_S: f32; absent: zeros; read by softmax alone.
void sampled_loss(Context& ctx, Tensor& loss_1, Tensor& dpositive_N, Tensor& dnegative_NS,
                  const Tensor& positive_N, const Tensor& negative_NS, const Tensor& target_N,
                  const Tensor& negative_S, const Tensor& log_q_S, float scale,
                  const SampledLossOptions& options);

// In place of a hit's score. What follows from it is zero in every formula above but s(s_j^2),
// which is one.
inline constexpr float kHitScore = -1e18f;

// Leaves more negatives out: of event n those at place_K from offset_L1[list_N[n]] up to the next.
// Their score becomes kHitScore, all others stay. i32; places are within a row.
void leave_out_negatives(Context& ctx, Tensor& negative_NS, const Tensor& list_N,
                         const Tensor& offset_L1, const Tensor& place_K);

}  // namespace seqrank
