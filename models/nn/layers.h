// The layers a model is written with: each computes its forward now and records its backward.
// Sequences are packed; a layer that looks along time takes the batch for its offsets and order.
#pragma once

#include "backend/ops/activation.h"
#include "backend/ops/prefix_pool.h"
#include "backend/ops/recurrence.h"
#include "data/batch.h"
#include "models/nn/attention.h"
#include "models/nn/tape.h"

namespace seqrank::nn {

// rows: of id_N; not read in inference, where they may be absent.
Var embedding(Tape& tape, Parameter& table_VD, const Tensor& id_N, const UniqueRows& rows);
// y_ND[n] = the row of event n, of rows that were fetched once for all events.
Var rows_of_events(Tape& tape, Var row_UD, const UniqueRows& rows);
// Rows of a small table that every rank holds whole (positions, hours, ...). column: of the batch.
Var embedding(Tape& tape, Parameter& table_KD, const IdColumn& column);
// b_M may be null.
Var linear(Tape& tape, Var x_NK, Parameter& w_MK, Parameter* b_M);
Var activate(Tape& tape, Activation f, Var x);
Var dropout(Tape& tape, Var x_ND, float rate, const Batch& batch);
Var layer_norm(Tape& tape, Var x_ND, Parameter& gain_D, Parameter& bias_D, float epsilon = 1e-5f);
Var add(Tape& tape, Var a_ND, Var b_ND);
Var multiply(Tape& tape, Var a_ND, Var b_ND);  // element by element
Var concatenate(Tape& tape, Var a_NK, Var b_NM);
Var l2_normalise(Tape& tape, Var x_ND);       // rows of length one
Var row_dot(Tape& tape, Var a_ND, Var b_ND);  // [N]
// x_MD[m] = x_ND[row_M[m]]; no row is there twice. row_M is i32: the places that were masked, say.
Var select_rows(Tape& tape, Var x_ND, const Tensor& row_M);

struct RecurrenceParameters {
  Parameter *w_x_GK, *w_h_GH, *b_x_G, *b_h_G;
};
// Uniform in +-1/sqrt(width), biases zero but for b_x of the LSTM's forget gate: one.
RecurrenceParameters declare_recurrence(ParameterStore& store, const std::string& name, Cell cell,
                                        std::int64_t input_width, std::int64_t width);
// h0_BH: as in backend/ops/recurrence.h; it has no gradient.
Var recurrence(Tape& tape, Cell cell, Var x_NK, const RecurrenceParameters& p, const Batch& batch,
               const Tensor& h0_BH = {});

Var running_attention(Tape& tape, Var score_N1, Var v_ND, const Batch& batch);
Var query_attention(Tape& tape, Activation act, Var k_NA, Var q_NA, Parameter& w_A, Var v_ND,
                    const Batch& batch);
Var prefix_pool(Tape& tape, Pool kind, Var x_ND, const Batch& batch);

}  // namespace seqrank::nn
