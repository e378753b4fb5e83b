// Layers of one event at a time: forward now, backward recorded. Backward steps hold the variables
// they read, nothing else. Those that look along time are in sequence_layers.cc.
#include "models/nn/layers.h"

#include "backend/ops/dropout.h"
#include "backend/ops/embedding.h"
#include "backend/ops/l2_normalise.h"
#include "backend/ops/layer_norm.h"
#include "backend/ops/linear.h"
#include "backend/ops/row_dot.h"

namespace seqrank::nn {
namespace {

Tensor like(Context& ctx, const Tensor& x) {
  return ctx.empty(x.dtype(), x.shape());
}

}  // namespace

Var embedding(Tape& tape, Parameter& table_VD, const Tensor& id_N, const UniqueRows& rows) {
  const bool elsewhere = table_VD.split.ranks > 1 || table_VD.made_late();
  SR_ASSERT(!elsewhere || static_cast<bool>(rows.id_U), "{}: rows of other ranks, without asking",
            table_VD.name);
  if (elsewhere || tape.mode() == TapeMode::training)
    return rows_of_events(tape, tape.fetch_rows(table_VD, rows.id_U), rows);
  Context& ctx = tape.ctx();
  Var y(ctx.empty(DType::f32, {id_N.dim(0), table_VD.shape[1]}));
  Tensor out = y.value();
  gather_rows(ctx, out, table_VD.value(), id_N);
  return y;
}

Var rows_of_events(Tape& tape, Var row_UD, const UniqueRows& rows) {
  Context& ctx = tape.ctx();
  Var y(ctx.empty(DType::f32, {rows.place_N.dim(0), row_UD.value().dim(1)}));
  Tensor out = y.value();
  gather_rows(ctx, out, row_UD.value(), rows.place_N);
  tape.record(y, {}, [&tape, rows, row_UD, y]() mutable {
    Tensor drow_UD = like(tape.ctx(), row_UD.value());
    sum_rows(tape.ctx(), drow_UD, y.gradient(), rows);
    tape.give_gradient(row_UD, drow_UD);
  });
  return y;
}

Var embedding(Tape& tape, Parameter& table_KD, const IdColumn& column) {
  Context& ctx = tape.ctx();
  SR_ASSERT(column.values <= table_KD.shape[0], "{}: {} rows for {} ids", table_KD.name,
            table_KD.shape[0], column.values);
  Var y(ctx.empty(DType::f32, {column.id_N.dim(0), table_KD.shape[1]}));
  Tensor out = y.value();
  gather_rows(ctx, out, table_KD.value(), column.id_N);
  tape.record(y, {&table_KD}, [&ctx, &table_KD, rows = column.rows, y] {
    Tensor drow_UD = ctx.empty(DType::f32, {rows.id_U.dim(0), y.value().dim(1)});
    sum_rows(ctx, drow_UD, y.gradient(), rows);
    scatter_add_rows(ctx, table_KD.gradient, rows.id_U, drow_UD);
  });
  return y;
}

Var linear(Tape& tape, Var x_NK, Parameter& w_MK, Parameter* b_M) {
  Context& ctx = tape.ctx();
  Var y(ctx.empty(DType::f32, {x_NK.value().dim(0), w_MK.shape[0]}));
  Tensor out = y.value();
  seqrank::linear(ctx, out, x_NK.value(), w_MK.value(), b_M ? b_M->value() : Tensor());
  std::vector<Parameter*> uses = {&w_MK};
  if (b_M) uses.push_back(b_M);
  tape.record(y, uses, [&tape, x_NK, &w_MK, b_M, y]() mutable {
    Tensor dx = like(tape.ctx(), x_NK.value());
    Tensor db = b_M ? b_M->gradient : Tensor();
    linear_backward(tape.ctx(), dx, w_MK.gradient, db, y.gradient(), x_NK.value(), w_MK.value());
    tape.give_gradient(x_NK, dx);
  });
  return y;
}

Var activate(Tape& tape, Activation f, Var x) {
  if (f == Activation::identity) return x;
  Var y(like(tape.ctx(), x.value()));
  Tensor out = y.value();
  seqrank::activate(tape.ctx(), f, out, x.value());
  tape.record(y, {}, [&tape, f, x, y]() mutable {
    Tensor dx = like(tape.ctx(), x.value());
    activate_backward(tape.ctx(), f, dx, y.gradient(),
                      backward_reads_argument(f) ? x.value() : y.value());
    tape.give_gradient(x, dx);
  });
  return y;
}

Var dropout(Tape& tape, Var x_ND, float rate, const Batch& batch) {
  const DropoutKey key{tape.seed(), tape.next_dropout_layer(), rate};
  if (rate == 0 || tape.mode() == TapeMode::inference) return x_ND;
  Var y(like(tape.ctx(), x_ND.value()));
  Tensor out = y.value();
  seqrank::dropout(tape.ctx(), out, x_ND.value(), key, batch.place_B, batch.offset_B1);
  tape.record(y, {}, [&tape, &batch, key, x_ND, y]() mutable {
    Tensor dx = like(tape.ctx(), x_ND.value());
    seqrank::dropout(tape.ctx(), dx, y.gradient(), key, batch.place_B, batch.offset_B1);
    tape.give_gradient(x_ND, dx);
  });
  return y;
}

Var layer_norm(Tape& tape, Var x_ND, Parameter& gain_D, Parameter& bias_D, float epsilon) {
  Context& ctx = tape.ctx();
  Var y(like(ctx, x_ND.value()));
  Tensor out = y.value();
  Tensor mean_N = ctx.empty(DType::f32, {x_ND.value().dim(0)});
  Tensor rstd_N = like(ctx, mean_N);
  seqrank::layer_norm(ctx, out, mean_N, rstd_N, x_ND.value(), gain_D.value(), bias_D.value(),
                      epsilon);
  tape.record(y, {&gain_D, &bias_D}, [&tape, x_ND, &gain_D, &bias_D, mean_N, rstd_N, y]() mutable {
    Tensor dx = like(tape.ctx(), x_ND.value());
    layer_norm_backward(tape.ctx(), dx, gain_D.gradient, bias_D.gradient, y.gradient(),
                        x_ND.value(), mean_N, rstd_N, gain_D.value());
    tape.give_gradient(x_ND, dx);
  });
  return y;
}

Var add(Tape& tape, Var a_ND, Var b_ND) {
  Context& ctx = tape.ctx();
  Var y(like(ctx, a_ND.value()));
  Tensor out = y.value();
  copy(ctx, out, a_ND.value());
  seqrank::add(ctx, out, b_ND.value());
  tape.record(y, {}, [&tape, a_ND, b_ND, y]() mutable {
    Tensor da = like(tape.ctx(), y.gradient());
    copy(tape.ctx(), da, y.gradient());
    tape.give_gradient(a_ND, da);
    tape.give_gradient(b_ND, y.gradient());
  });
  return y;
}

Var multiply(Tape& tape, Var a_ND, Var b_ND) {
  Context& ctx = tape.ctx();
  Var y(like(ctx, a_ND.value()));
  Tensor out = y.value();
  seqrank::multiply(ctx, out, a_ND.value(), b_ND.value());
  tape.record(y, {}, [&tape, a_ND, b_ND, y]() mutable {
    Tensor da = like(tape.ctx(), y.gradient()), db = like(tape.ctx(), y.gradient());
    seqrank::multiply(tape.ctx(), da, y.gradient(), b_ND.value());
    seqrank::multiply(tape.ctx(), db, y.gradient(), a_ND.value());
    tape.give_gradient(a_ND, da);
    tape.give_gradient(b_ND, db);
  });
  return y;
}

Var concatenate(Tape& tape, Var a_NK, Var b_NM) {
  Context& ctx = tape.ctx();
  const std::int64_t split = a_NK.value().dim(1);
  Var y(ctx.empty(DType::f32, {a_NK.value().dim(0), split + b_NM.value().dim(1)}));
  Tensor out = y.value();
  copy_into_columns(ctx, out, 0, a_NK.value());
  copy_into_columns(ctx, out, split, b_NM.value());
  tape.record(y, {}, [&tape, split, a_NK, b_NM, y]() mutable {
    Tensor da = like(tape.ctx(), a_NK.value());
    Tensor db = like(tape.ctx(), b_NM.value());
    copy_from_columns(tape.ctx(), da, y.gradient(), 0);
    copy_from_columns(tape.ctx(), db, y.gradient(), split);
    tape.give_gradient(a_NK, da);
    tape.give_gradient(b_NM, db);
  });
  return y;
}

Var l2_normalise(Tape& tape, Var x_ND) {
  Context& ctx = tape.ctx();
  Var y(like(ctx, x_ND.value()));
  Tensor out = y.value();
  Tensor norm_N = ctx.empty(DType::f32, {x_ND.value().dim(0)});
  seqrank::l2_normalise(ctx, out, norm_N, x_ND.value());
  Parameter* parameter = x_ND.parameter();
  std::vector<Parameter*> uses;
  if (parameter) uses.push_back(parameter);
  tape.record(y, uses, [&tape, x_ND, parameter, norm_N, y]() mutable {
    Tensor dx = like(tape.ctx(), x_ND.value());
    l2_normalise_backward(tape.ctx(), dx, y.gradient(), y.value(), norm_N);
    if (parameter) {
      Tensor dparameter = parameter->gradient.rows(0, dx.dim(0));
      seqrank::add(tape.ctx(), dparameter, dx);
    } else {
      tape.give_gradient(x_ND, dx);
    }
  });
  return y;
}

Var row_dot(Tape& tape, Var a_ND, Var b_ND) {
  Context& ctx = tape.ctx();
  Var y(ctx.empty(DType::f32, {a_ND.value().dim(0)}));
  Tensor out = y.value();
  seqrank::row_dot(ctx, out, a_ND.value(), b_ND.value());
  tape.record(y, {}, [&tape, a_ND, b_ND, y]() mutable {
    Tensor da = like(tape.ctx(), a_ND.value()), db = like(tape.ctx(), b_ND.value());
    row_dot_backward(tape.ctx(), da, db, y.gradient(), a_ND.value(), b_ND.value());
    tape.give_gradient(a_ND, da);
    tape.give_gradient(b_ND, db);
  });
  return y;
}

Var select_rows(Tape& tape, Var x_ND, const Tensor& row_M) {
  Context& ctx = tape.ctx();
  Var y(ctx.empty(DType::f32, {row_M.dim(0), x_ND.value().dim(1)}));
  Tensor out = y.value();
  gather_rows(ctx, out, x_ND.value(), row_M);
  tape.record(y, {}, [&tape, x_ND, row_M, y]() mutable {
    Tensor dx = like(tape.ctx(), x_ND.value());
    fill(tape.ctx(), dx, 0);
    scatter_add_rows(tape.ctx(), dx, row_M, y.gradient());
    tape.give_gradient(x_ND, dx);
  });
  return y;
}

}  // namespace seqrank::nn
