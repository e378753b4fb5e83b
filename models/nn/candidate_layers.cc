// Forward now, backward recorded, as in layers.cc.
#include "models/nn/candidate_layers.h"

namespace seqrank::nn {
namespace {

Tensor like(Context& ctx, const Tensor& x) {
  return ctx.empty(x.dtype(), x.shape());
}

}  // namespace

Var hard_attention(Tape& tape, HardAttention options, Var k_NA, Var q_NA, Parameter& w_A, Var v_ND,
                   const Batch& batch) {
  Context& ctx = tape.ctx();
  options.noise = tape.mode() == TapeMode::training;
  options.seed = tape.seed();
  options.layer = tape.next_dropout_layer();
  const std::int64_t n = v_ND.value().dim(0);
  Var c(like(ctx, v_ND.value()));
  Tensor out = c.value(), soft_ND = like(ctx, v_ND.value());
  Tensor choice_N = ctx.empty(DType::i32, {n}), lse_N = ctx.empty(DType::f32, {n});
  seqrank::hard_attention(ctx, options, out, choice_N, soft_ND, lse_N, k_NA.value(), q_NA.value(),
                          w_A.value(), v_ND.value(), batch.place_B, batch.offset_B1);
  tape.record(
      c, {&w_A},
      [&tape, &batch, options, k_NA, q_NA, &w_A, v_ND, choice_N, soft_ND, lse_N, c]() mutable {
        Tensor dk = like(tape.ctx(), k_NA.value());
        Tensor dq = like(tape.ctx(), q_NA.value());
        Tensor dv = like(tape.ctx(), v_ND.value());
        hard_attention_backward(tape.ctx(), options, dk, dq, w_A.gradient, dv, c.gradient(),
                                choice_N, soft_ND, lse_N, k_NA.value(), q_NA.value(), w_A.value(),
                                v_ND.value(), batch.place_B, batch.offset_B1);
        tape.give_gradient(k_NA, dk);
        tape.give_gradient(q_NA, dq);
        tape.give_gradient(v_ND, dv);
      });
  return c;
}

DinUnit declare_din_unit(ParameterStore& store, const std::string& name, std::int64_t width,
                         std::int64_t hidden) {
  return {&store.declare(name + ".k", {hidden, width}, Initialiser::by_fan_in(width)),
          &store.declare(name + ".q", {hidden, width}, Initialiser::by_fan_in(width)),
          &store.declare(name + ".p", {hidden, width}, Initialiser::by_fan_in(width)),
          &store.declare(name + ".w", {hidden}, Initialiser::by_fan_in(hidden)),
          &store.declare(name + ".b", {1}, {}, Decay::no)};
}

Var din_attention(Tape& tape, Activation act, Var h_ND, Var x_ND, const DinUnit& unit,
                  const Batch& batch) {
  Context& ctx = tape.ctx();
  const DinAttention options{act, static_cast<std::int64_t>(batch.sequences_at_T.size())};
  Var k_NA = linear(tape, h_ND, *unit.k_AD, nullptr),
      q_NA = linear(tape, x_ND, *unit.q_AD, nullptr);
  Var z(like(ctx, h_ND.value()));
  Tensor out = z.value();
  seqrank::din_attention(ctx, options, out, h_ND.value(), x_ND.value(), k_NA.value(), q_NA.value(),
                         unit.p_AD->value(), unit.w_A->value(), unit.b_1->value(), batch.offset_B1);
  tape.record(z, {unit.p_AD, unit.w_A, unit.b_1},
              [&tape, &batch, options, h_ND, x_ND, k_NA, q_NA, unit, z]() mutable {
                Tensor dh = like(tape.ctx(), h_ND.value()), dx = like(tape.ctx(), x_ND.value());
                Tensor dk = like(tape.ctx(), k_NA.value()), dq = like(tape.ctx(), q_NA.value());
                din_attention_backward(
                    tape.ctx(), options,
                    {dh, dx, dk, dq, unit.p_AD->gradient, unit.w_A->gradient, unit.b_1->gradient},
                    z.gradient(), h_ND.value(), x_ND.value(), k_NA.value(), q_NA.value(),
                    unit.p_AD->value(), unit.w_A->value(), unit.b_1->value(), batch.offset_B1);
                tape.give_gradient(h_ND, dh);
                tape.give_gradient(x_ND, dx);
                tape.give_gradient(k_NA, dk);
                tape.give_gradient(q_NA, dq);
              });
  return z;
}

}  // namespace seqrank::nn
