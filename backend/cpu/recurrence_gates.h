// The gates of one event of an LSTM or GRU, forward and backward: everything of a step but its
// matrix products. Rows are floats of width H, gates rows of G = 3H or 4H in the order of
// ops/recurrence.h. Knows no sequences: the caller points at the previous event's rows, or at zeros
// before the first.
#pragma once

#include <cstdint>

namespace seqrank::cpu {

struct LstmForward {
  float* gates_G;         // in: W x; out: i, f, g, o
  const float* u_G;       // U h of the previous event
  const float* bias_G;    // b_x + b_h
  const float* before_H;  // previous c
  float* c_H;             // written
  float* h_H;             // written
};
void lstm_row(const LstmForward& row, std::int64_t width);

struct LstmBackward {
  const float* gates_G;
  const float* c_H;
  const float* before_H;    // previous c
  const float* dh_event_H;  // from outside the recurrence
  const float* dh_after_H;  // from the following event
  float* dc_H;              // in: from the following event; out: for the previous one
  float* dgates_G;          // written: with respect to the sums inside the gates
};
void lstm_row_backward(const LstmBackward& row, std::int64_t width);

struct GruForward {
  float* gates_G;         // in: W x; out: r, z, n
  const float* u_G;       // U h of the previous event
  const float* bias_G;    // b_x + b_h for r and z, b_x for n
  const float* bias_n_H;  // b_h for n
  const float* before_H;  // previous h
  float* u_n_H;           // written: U_n h + b_h_n
  float* h_H;             // written
};
void gru_row(const GruForward& row, std::int64_t width);

struct GruBackward {
  const float* gates_G;
  const float* u_n_H;
  const float* before_H;    // previous h
  const float* dh_event_H;  // from outside the recurrence
  const float* dh_after_H;  // from the following event, through U
  float* dh_H;              // from the following event past U; out: for the previous one
  float* dgates_x_G;        // written: with respect to W x + b_x
  float* dgates_h_G;        // written: with respect to U h + b_h
};
void gru_row_backward(const GruBackward& row, std::int64_t width);

}  // namespace seqrank::cpu
