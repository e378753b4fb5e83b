// LSTM and GRU by the vendor's library, one layer a call: cuDNN on a GPU (rnn_cudnn.cc), a twin
// that calls the CPU's recurrence on the emulated device of the tests. One of the two is linked.
// Events are in time-major order here; recurrence.cu brings them there, and packs the weights.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/context.h"
#include "backend/cuda/access.h"
#include "backend/cuda/gemm.h"
#include "backend/ops/recurrence.h"

namespace seqrank::cuda {

struct RnnProblem {
  Cell cell;
  DType type;         // of events, weights and gradients: f32, bf16 or f16
  Multiply multiply;  // of f32
  std::int64_t inputs, width;
  // As in PackedOrder; read during the call.
  std::span<const std::int32_t> sequences_at_T;

  std::int64_t events() const {
    std::int64_t sum = 0;
    for (std::int32_t sequences : sequences_at_T) sum += sequences;
    return sum;
  }
  // Of each sequence, longest first.
  std::vector<int> lengths() const {
    std::vector<int> length(sequences_at_T.empty() ? 0 : sequences_at_T[0]);
    std::size_t known = length.size();  // the lengths of those from here on
    for (std::size_t t = 1; t <= sequences_at_T.size(); ++t) {
      const std::size_t alive = t < sequences_at_T.size() ? sequences_at_T[t] : 0;
      std::fill(length.begin() + alive, length.begin() + known, static_cast<int>(t));
      known = alive;
    }
    return length;
  }
};

// Where the library has the parts of each gate, in elements: w_x [H, K], w_h [H, H], b_x and b_h
// [H], gates in the order of ops/recurrence.h. All lie apart; between them there may be room.
struct GateOffsets {
  std::int64_t of_gate[4];
};
struct WeightSpace {
  std::int64_t elements = 0;
  GateOffsets w_x, w_h, b_x, b_h;
};

WeightSpace rnn_weight_space(Context& ctx, const RnnProblem& problem);

// There is an event. y_NH is written. Returns what backward needs, opaque. h0_BH: the states before
// step 0, of `type`; absent: zeros.
Tensor rnn_forward(Context& ctx, const RnnProblem& problem, Tensor& y_NH, const Tensor& x_NK,
                   const Tensor& weights, const Tensor& h0_BH);

// dx_NK is written, `dweights` is added to; `reserve` is as forward left it, and is spent.
void rnn_backward(Context& ctx, const RnnProblem& problem, Tensor& dx_NK, Tensor& dweights,
                  const Tensor& dy_NH, const Tensor& y_NH, const Tensor& x_NK,
                  const Tensor& weights, const Tensor& h0_BH, Tensor& reserve);

std::string rnn_library_version();  // "cuDNN 9.13.0"

}  // namespace seqrank::cuda
