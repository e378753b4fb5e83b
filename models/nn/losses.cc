// Losses: value and gradients now; what is recorded only hands the gradients on.
#include "models/nn/losses.h"

#include <algorithm>

#include "backend/ops/activation.h"
#include "backend/ops/binary_cross_entropy.h"
#include "backend/ops/linear.h"

namespace seqrank::nn {
namespace {

Tensor like(Context& ctx, const Tensor& x) {
  return ctx.empty(x.dtype(), x.shape());
}

Var zero_loss(Context& ctx) {
  Var loss(ctx.empty(DType::f64, {1}));
  Tensor loss_1 = loss.value();
  fill(ctx, loss_1, 0);
  return loss;
}

float share(std::int64_t global_count) {
  return global_count > 0 ? 1.0f / static_cast<float>(global_count) : 0.0f;
}

// Of a block of events whose scores against s negatives are held at once.
std::int64_t rows_of_scores(std::int64_t s) {
  constexpr std::int64_t kScoreBytes = 32 << 20, kLeast = 8;
  return std::max(kLeast, kScoreBytes / (4 * std::max<std::int64_t>(s, 1)));
}

}  // namespace

Var add_losses(Tape& tape, Var a, Var b) {
  Context& ctx = tape.ctx();
  Var sum = zero_loss(ctx);
  Tensor sum_1 = sum.value();
  add(ctx, sum_1, a.value());
  add(ctx, sum_1, b.value());
  tape.record(sum, {}, [&tape, a, b]() mutable {  // that they have gradients is what counts
    tape.give_gradient(a, like(tape.ctx(), a.value()));
    tape.give_gradient(b, like(tape.ctx(), b.value()));
  });
  return sum;
}

Var softmax_loss(Tape& tape, Var h_ND, Var table_VD, const Tensor& target_N,
                 std::int64_t global_targets, const SoftmaxOptions& options, float weight) {
  Context& ctx = tape.ctx();
  Var loss = zero_loss(ctx);
  Tensor loss_1 = loss.value(), no_bias;
  Parameter* parameter = table_VD.parameter();
  Tensor dh = like(ctx, h_ND.value());
  Tensor dtable = parameter ? parameter->gradient.rows(0, table_VD.value().dim(0))
                            : like(ctx, table_VD.value());
  if (!parameter) fill(ctx, dtable, 0);
  SoftmaxOptions scaled = options;
  scaled.loss_scale_1 = tape.loss_scale_1();
  softmax_cross_entropy(ctx, loss_1, dh, dtable, no_bias, h_ND.value(), table_VD.value(), Tensor(),
                        target_N, weight * share(global_targets), scaled);
  std::vector<Parameter*> uses;
  if (parameter) uses.push_back(parameter);
  tape.record(loss, uses, [&tape, h_ND, table_VD, parameter, dh, dtable]() mutable {
    tape.give_gradient(h_ND, dh);
    if (!parameter) tape.give_gradient(table_VD, dtable);
  });
  return loss;
}

Var sampled_loss(Tape& tape, Var h_ND, Var positive_N, Var negative_SD, const Batch& batch,
                 const Tensor& log_q_S, const SampledLossOptions& options) {
  Context& ctx = tape.ctx();
  Var loss = zero_loss(ctx);
  const Tensor &h = h_ND.value(), &negative = negative_SD.value();
  Tensor loss_1 = loss.value(), no_bias;
  Tensor dh = like(ctx, h), dnegative = like(ctx, negative);
  Tensor dpositive = like(ctx, positive_N.value());
  fill(ctx, dnegative, 0);
  SampledLossOptions scaled = options;
  scaled.loss_scale_1 = tape.loss_scale_1();
  const std::int64_t n = h.dim(0), s = negative.dim(0), block = std::min(n, rows_of_scores(s));
  Tensor score_block = ctx.empty(DType::f32, {block, s}, Tag::workspace);
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = std::min(begin + block, n);
    const Tensor h_block = h.rows(begin, end);
    Tensor score = score_block.rows(0, end - begin), dh_block = dh.rows(begin, end);
    Tensor dpositive_block = dpositive.rows(begin, end);
    linear(ctx, score, h_block, negative, no_bias);
    if (const OwnNegatives& own = batch.own_negatives; own.offset_B1)
      leave_out_negatives(ctx, score, own.sequence_N.rows(begin, end), own.offset_B1, own.place_K);
    seqrank::sampled_loss(ctx, loss_1, dpositive_block, score, positive_N.value().rows(begin, end),
                          score, batch.target_N.rows(begin, end), batch.negative_S, log_q_S,
                          share(batch.global_targets), scaled);
    linear_backward(ctx, dh_block, dnegative, no_bias, score, h_block, negative);
  }
  tape.record(loss, {}, [&tape, h_ND, positive_N, negative_SD, dh, dpositive, dnegative]() mutable {
    tape.give_gradient(h_ND, dh);
    tape.give_gradient(positive_N, dpositive);
    tape.give_gradient(negative_SD, dnegative);
  });
  return loss;
}

Var binary_cross_entropy(Tape& tape, Var logit, const Tensor& label, std::int64_t global_elements,
                         float weight) {
  Context& ctx = tape.ctx();
  Var loss = zero_loss(ctx);
  Tensor loss_1 = loss.value(), dlogit = like(ctx, logit.value());
  seqrank::binary_cross_entropy(ctx, loss_1, dlogit, logit.value(), label,
                                weight * share(global_elements), tape.loss_scale_1());
  tape.record(loss, {}, [&tape, logit, dlogit]() mutable { tape.give_gradient(logit, dlogit); });
  return loss;
}

}  // namespace seqrank::nn
