// LSTM and GRU over packed sequences of any lengths, one layer a call, no dropout inside.
//   LSTM (gates i, f, g, o):  c' = s(f) c + s(i) tanh(g),  h' = s(o) tanh(c')
//   GRU  (gates r, z, n; the reset-after form of cuDNN and PyTorch):
//        n = tanh(x_n + r * (U_n h + b_h_n)),  h' = (1 - z) n + z h
// where a gate is W x + b_x + U h + b_h. The state before a sequence's first event is zero, or, of
// a GRU, what h0_BH says: a row a sequence that has events, in the order of step 0. No gradient
// goes to it.
//
// On a CUDA device a layer runs on own kernels up to the width that backend/cuda/recurrence.cu
// says, wider ones on the vendor's library; which of them, is told once a layer
// (take_device_notes()). Context::set_recurrence_kernels() asks for one of them.
#pragma once

#include <span>

#include "backend/context.h"

namespace seqrank {

enum class Cell { lstm, gru };
constexpr int cell_gates(Cell cell) {
  return cell == Cell::lstm ? 4 : 3;
}

// G = cell_gates * H. w_x [G, K], w_h [G, H], b_x [G], b_h [G].
struct RecurrenceWeights {
  Tensor w_x_GK, w_h_GH, b_x_G, b_h_G;
};

// How packed events follow one another in time. time_order_N (i32): place in time-major order ->
// event; sequences by falling length inside a step. sequences_at_T (host): how many sequences still
// have an event at step t, falling; empty sequences count nowhere. offset_B1: i32.
struct PackedOrder {
  const Tensor& offset_B1;
  const Tensor& time_order_N;
  std::span<const std::int32_t> sequences_at_T;
};

// What forward leaves for backward; made by forward, opaque to its caller. Rows in time-major
// order, those of a GPU's own kernels in the order of events.
struct RecurrenceReserve {
  // h, in the type that the device multiplies in; a GPU's own kernels: h before each event, in fp32
  Tensor hidden_NH;
  // On a CPU and of a GPU's own kernels:
  Tensor gates_NG;  // after their non-linearity
  Tensor state_NH;  // LSTM: c; GRU: U_n h + b_h_n
  // On a GPU, what the vendor's library keeps; backward spends it:
  Tensor library;
};

// h_NH is written, in event order.
void recurrence(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                const Tensor& x_NK, const RecurrenceWeights& weights, const PackedOrder& order,
                const Tensor& h0_BH = {});

// dx_NK is written (absent: not computed); the tensors of `gradients` are added to.
void recurrence_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                         const Tensor& dh_NH, const Tensor& x_NK, const RecurrenceReserve& reserve,
                         const RecurrenceWeights& weights, const PackedOrder& order,
                         const Tensor& h0_BH = {});

}  // namespace seqrank
