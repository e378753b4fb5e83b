// Layers that look along time: forward now, backward recorded, as in layers.cc. Attention of
// several heads is in attention.cc.
#include "backend/ops/additive_attention.h"
#include "models/nn/layers.h"

namespace seqrank::nn {
namespace {

Tensor like(Context& ctx, const Tensor& x) {
  return ctx.empty(x.dtype(), x.shape());
}

PackedOrder packed_order(const Batch& batch) {
  return {batch.offset_B1, batch.time_order_N, batch.sequences_at_T};
}

}  // namespace

RecurrenceParameters declare_recurrence(ParameterStore& store, const std::string& name, Cell cell,
                                        std::int64_t input_width, std::int64_t width) {
  const std::int64_t gates = cell_gates(cell) * width;
  const Initialiser uniform = Initialiser::by_fan_in(width);
  // Gates lie in the order i, f, g, o: an LSTM that remembers from the start learns long spans.
  const Initialiser bias = cell == Cell::lstm
                               ? Initialiser{Initialiser::Kind::constant, 1, width, 2 * width}
                               : Initialiser{};
  return {&store.declare(name + ".w_x", {gates, input_width}, uniform),
          &store.declare(name + ".w_h", {gates, width}, uniform),
          &store.declare(name + ".b_x", {gates}, bias, Decay::no),
          &store.declare(name + ".b_h", {gates}, {}, Decay::no)};
}

Var recurrence(Tape& tape, Cell cell, Var x_NK, const RecurrenceParameters& p, const Batch& batch,
               const Tensor& h0_BH) {
  Context& ctx = tape.ctx();
  Var h(ctx.empty(DType::f32, {x_NK.value().dim(0), p.w_h_GH->shape[1]}));
  Tensor out = h.value();
  const RecurrenceWeights weights{p.w_x_GK->value(), p.w_h_GH->value(), p.b_x_G->value(),
                                  p.b_h_G->value()};
  auto reserve = std::make_shared<RecurrenceReserve>();
  seqrank::recurrence(ctx, cell, out, *reserve, x_NK.value(), weights, packed_order(batch), h0_BH);
  tape.record(h, {p.w_x_GK, p.w_h_GH, p.b_x_G, p.b_h_G},
              [&tape, &batch, cell, x_NK, p, reserve, weights, h0_BH, h]() mutable {
                RecurrenceWeights gradients{p.w_x_GK->gradient, p.w_h_GH->gradient,
                                            p.b_x_G->gradient, p.b_h_G->gradient};
                Tensor dx = like(tape.ctx(), x_NK.value());
                recurrence_backward(tape.ctx(), cell, dx, gradients, h.gradient(), x_NK.value(),
                                    *reserve, weights, packed_order(batch), h0_BH);
                tape.give_gradient(x_NK, dx);
              });
  return h;
}

Var running_attention(Tape& tape, Var score_N1, Var v_ND, const Batch& batch) {
  Context& ctx = tape.ctx();
  const std::int64_t n = v_ND.value().dim(0);
  Var c(like(ctx, v_ND.value()));
  Tensor out = c.value();
  Tensor max_N = ctx.empty(DType::f32, {n});
  Tensor sum_N = ctx.empty(DType::f32, {n});
  seqrank::running_attention(ctx, out, max_N, sum_N, score_N1.value().reshape({n}), v_ND.value(),
                             batch.offset_B1);
  tape.record(c, {}, [&tape, &batch, n, score_N1, v_ND, max_N, sum_N, c]() mutable {
    Tensor dscore = tape.ctx().empty(DType::f32, {n});
    Tensor dv = like(tape.ctx(), v_ND.value());
    running_attention_backward(tape.ctx(), dscore, dv, c.gradient(), c.value(), max_N, sum_N,
                               score_N1.value().reshape({n}), v_ND.value(), batch.offset_B1);
    tape.give_gradient(score_N1, dscore.reshape({n, 1}));
    tape.give_gradient(v_ND, dv);
  });
  return c;
}

Var query_attention(Tape& tape, Activation act, Var k_NA, Var q_NA, Parameter& w_A, Var v_ND,
                    const Batch& batch) {
  Context& ctx = tape.ctx();
  Var c(like(ctx, v_ND.value()));
  Tensor out = c.value();
  Tensor lse_N = ctx.empty(DType::f32, {v_ND.value().dim(0)});
  seqrank::query_attention(ctx, act, out, lse_N, k_NA.value(), q_NA.value(), w_A.value(),
                           v_ND.value(), batch.offset_B1);
  tape.record(c, {&w_A}, [&tape, &batch, act, k_NA, q_NA, &w_A, v_ND, lse_N, c]() mutable {
    Tensor dk = like(tape.ctx(), k_NA.value());
    Tensor dq = like(tape.ctx(), q_NA.value());
    Tensor dv = like(tape.ctx(), v_ND.value());
    query_attention_backward(tape.ctx(), act, dk, dq, w_A.gradient, dv, c.gradient(), c.value(),
                             lse_N, k_NA.value(), q_NA.value(), w_A.value(), v_ND.value(),
                             batch.offset_B1);
    tape.give_gradient(k_NA, dk);
    tape.give_gradient(q_NA, dq);
    tape.give_gradient(v_ND, dv);
  });
  return c;
}

Var prefix_pool(Tape& tape, Pool kind, Var x_ND, const Batch& batch) {
  if (kind == Pool::last) return x_ND;
  Context& ctx = tape.ctx();
  Var y(like(ctx, x_ND.value()));
  Tensor out = y.value();
  Tensor argmax_ND;
  if (kind == Pool::max) argmax_ND = ctx.empty(DType::i32, x_ND.value().shape());
  seqrank::prefix_pool(ctx, kind, out, argmax_ND, x_ND.value(), batch.offset_B1);
  tape.record(y, {}, [&tape, &batch, kind, x_ND, argmax_ND, y]() mutable {
    Tensor dx = like(tape.ctx(), x_ND.value());
    prefix_pool_backward(tape.ctx(), kind, dx, y.gradient(), argmax_ND, batch.offset_B1);
    tape.give_gradient(x_ND, dx);
  });
  return y;
}

}  // namespace seqrank::nn
