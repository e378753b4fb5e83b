// Forward now, backward recorded; the scores are computed again there.
#include "models/nn/attention.h"

#include <cmath>

#include "backend/ops/silu_attention.h"

namespace seqrank::nn {
namespace {

Tensor like(Context& ctx, const Tensor& x) {
  return ctx.empty(x.dtype(), x.shape());
}

AttentionBias bias_tables(const BiasParameters& bias, const Batch& batch) {
  AttentionBias tables;
  if (bias.position_HR) tables.position_HR = bias.position_HR->value();
  if (bias.time_HT) {
    SR_ASSERT(static_cast<bool>(batch.time_N),
              "a batch without times: the model's needs() leaves them out");
    tables.time_HT = bias.time_HT->value();
    tables.time_N = batch.time_N;
  }
  return tables;
}

Tensor gradient_of(const Parameter* table) {
  return table ? table->gradient : Tensor();
}

}  // namespace

std::vector<Parameter*> BiasParameters::uses() const {
  std::vector<Parameter*> result;
  if (position_HR) result.push_back(position_HR);
  if (time_HT) result.push_back(time_HT);
  return result;
}

Var multi_head_attention(Tape& tape, AttentionOptions options, float dropout, std::int64_t heads,
                         Var q, Var k, Var v, const Batch& batch, const BiasParameters& bias) {
  Context& ctx = tape.ctx();
  const std::int64_t n = q.value().dim(0), width = q.value().dim(1) / heads;
  const AttentionBias tables = bias_tables(bias, batch);
  const Shape nhk{n, heads, width};
  options.scale = 1 / std::sqrt(static_cast<float>(width));
  options.max_length = static_cast<std::int64_t>(batch.sequences_at_T.size());
  options.dropout = {tape.seed(), tape.next_dropout_layer(), dropout};
  if (tape.mode() == TapeMode::inference) options.dropout.rate = 0;
  Var o(like(ctx, q.value()));
  Tensor out = o.value().reshape(nhk);
  Tensor lse_NH = ctx.empty(DType::f32, {n, heads});
  seqrank::multi_head_attention(ctx, options, out, lse_NH, q.value().reshape(nhk),
                                k.value().reshape(nhk), v.value().reshape(nhk), tables,
                                batch.place_B, batch.offset_B1);
  tape.record(
      o, bias.uses(), [&tape, &batch, options, nhk, bias, tables, lse_NH, q, k, v, o]() mutable {
        Tensor dq = like(tape.ctx(), q.value()), dk = like(tape.ctx(), k.value()),
               dv = like(tape.ctx(), v.value());
        Tensor dq_NHK = dq.reshape(nhk), dk_NHK = dk.reshape(nhk), dv_NHK = dv.reshape(nhk);
        Tensor dposition = gradient_of(bias.position_HR), dtime = gradient_of(bias.time_HT);
        multi_head_attention_backward(
            tape.ctx(), options, dq_NHK, dk_NHK, dv_NHK, dposition, dtime,
            o.gradient().reshape(nhk), o.value().reshape(nhk), lse_NH, q.value().reshape(nhk),
            k.value().reshape(nhk), v.value().reshape(nhk), tables, batch.place_B, batch.offset_B1);
        tape.give_gradient(q, dq);
        tape.give_gradient(k, dk);
        tape.give_gradient(v, dv);
      });
  return o;
}

Var silu_attention(Tape& tape, float normaliser, std::int64_t heads, Var q, Var k, Var v,
                   const Batch& batch, const BiasParameters& bias) {
  Context& ctx = tape.ctx();
  const Shape nhk{q.value().dim(0), heads, q.value().dim(1) / heads};
  const SiluAttentionOptions options{normaliser,
                                     static_cast<std::int64_t>(batch.sequences_at_T.size())};
  const AttentionBias tables = bias_tables(bias, batch);
  Var o(like(ctx, q.value()));
  Tensor out = o.value().reshape(nhk);
  seqrank::silu_attention(ctx, options, out, q.value().reshape(nhk), k.value().reshape(nhk),
                          v.value().reshape(nhk), tables, batch.offset_B1);
  tape.record(o, bias.uses(), [&tape, &batch, options, nhk, bias, tables, q, k, v, o]() mutable {
    Tensor dq = like(tape.ctx(), q.value()), dk = like(tape.ctx(), k.value()),
           dv = like(tape.ctx(), v.value());
    Tensor dq_NHK = dq.reshape(nhk), dk_NHK = dk.reshape(nhk), dv_NHK = dv.reshape(nhk);
    Tensor dposition = gradient_of(bias.position_HR), dtime = gradient_of(bias.time_HT);
    silu_attention_backward(tape.ctx(), options, dq_NHK, dk_NHK, dv_NHK, dposition, dtime,
                            o.gradient().reshape(nhk), q.value().reshape(nhk),
                            k.value().reshape(nhk), v.value().reshape(nhk), tables,
                            batch.offset_B1);
    tape.give_gradient(q, dq);
    tape.give_gradient(k, dk);
    tape.give_gradient(v, dv);
  });
  return o;
}

}  // namespace seqrank::nn
