// Losses: value and gradients now; what is recorded only hands the gradients on.
#include "models/nn/losses.h"

#include "backend/ops/activation.h"
#include "backend/ops/binary_cross_entropy.h"

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
