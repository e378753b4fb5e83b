// Packed LSTM and GRU on a CPU. All that can wait for all events is one product over them (x W_x^T,
// both weight gradients, dx); a step holds only h U^T, by the packed kernel of skinny_product.h,
// and the gates. Threads share out sequences, not steps: one parallel region a direction.
#include "backend/ops/recurrence.h"

#include <algorithm>

#include "backend/cpu/column_sum.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/recurrence_gates.h"
#include "backend/cpu/skinny_product.h"
#include "backend/cpu/time_major.h"

namespace seqrank::cpu {
namespace {

Tensor zeros(Context& ctx, Shape shape) {
  Tensor tensor = ctx.empty(DType::f32, shape, Tag::workspace);
  std::ranges::fill(tensor.span<float>(), 0.0f);
  return tensor;
}

// The rows of every step's previous events, of one time-major matrix; before the first step those
// of `first_BH`, or zeros where that is absent.
class Before {
 public:
  Before(const Tensor& matrix_NH, const TimeMajor& time, const float* zeros_H,
         const Tensor& first_BH = {})
      : matrix_(matrix_NH.data<float>()),
        first_(first_BH ? first_BH.data<float>() : nullptr),
        width_(matrix_NH.dim(1)),
        time_(time),
        zeros_(zeros_H) {}
  const float* row(std::int64_t t, std::int64_t slot) const {
    if (t == 0) return first_ ? first_ + slot * width_ : zeros_;
    return matrix_ + (time_.start(t - 1) + slot) * width_;
  }
  bool zero_at(std::int64_t t) const { return t == 0 && !first_; }

 private:
  const float* matrix_;
  const float* first_;
  std::int64_t width_;
  const TimeMajor& time_;
  const float* zeros_;
};

// What both cells add to W x + U h: b_x + b_h, but for a GRU's n, where b_h stands inside r *
// (...).
Tensor gate_bias(Context& ctx, Cell cell, const RecurrenceWeights& weights) {
  Tensor bias_G = ctx.empty(DType::f32, weights.b_x_G.shape(), Tag::workspace);
  const std::int64_t gates = bias_G.numel(), width = gates / cell_gates(cell);
  const float* b_x = weights.b_x_G.data<float>();
  const float* b_h = weights.b_h_G.data<float>();
  float* bias = bias_G.data<float>();
  const std::int64_t both = cell == Cell::lstm ? gates : 2 * width;
  for (std::int64_t j = 0; j < both; ++j) bias[j] = b_x[j] + b_h[j];
  std::copy(b_x + both, b_x + gates, bias + both);
  return bias_G;
}

// All steps of the slots [begin, end). u_BS: scratch for U h, a row a slot.
template <class Row>
void forward_steps(const TimeMajor& time, const PackedMatrix& w_h, const Before& hidden,
                   std::int64_t begin, std::int64_t end, float* u_BS, const float* zero_u,
                   Row&& row) {
  for (std::int64_t t = 0; t < time.steps() && time.rows(t, begin, end) > 0; ++t) {
    const std::int64_t rows = time.rows(t, begin, end);
    float* u = u_BS + begin * w_h.stride();
    const bool zero = hidden.zero_at(t);
    if (!zero) w_h.multiply(u, hidden.row(t, begin), rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      row(t, begin + i, zero ? zero_u : u + i * w_h.stride());
    }
  }
}

// All steps of the slots [begin, end), last step first. dh_BS holds, a row a slot, what reaches h
// from the following event through U: zeros at first.
template <class Row>
void backward_steps(const TimeMajor& time, const PackedMatrix& w_h, const float* dgates_h,
                    std::int64_t begin, std::int64_t end, float* dh_BS, Row&& row) {
  for (std::int64_t t = time.steps() - 1; t >= 0; --t) {
    const std::int64_t rows = time.rows(t, begin, end);
    if (rows <= 0) continue;
    float* dh = dh_BS + begin * w_h.stride();
    for (std::int64_t i = 0; i < rows; ++i) row(t, begin + i, dh + i * w_h.stride());
    if (t > 0) w_h.multiply(dh, dgates_h + (time.start(t) + begin) * w_h.depth(), rows);
  }
}

// The hidden states before the events of all steps, in their order: [N, H]; where they are zeros
// before the first step, of the others: [N - b_0, H].
Tensor previous_hidden(Context& ctx, const TimeMajor& time, const Tensor& hidden_NH,
                       const Tensor& h0_BH) {
  const std::int64_t width = hidden_NH.dim(1);
  const std::int64_t left_out = h0_BH ? 0 : time.sequences();
  Tensor previous = ctx.empty(DType::f32, {hidden_NH.dim(0) - left_out, width}, Tag::workspace);
  const float* from = hidden_NH.data<float>();
  float* to = previous.data<float>();
  if (h0_BH) to = std::copy_n(h0_BH.data<float>(), h0_BH.numel(), to);
  for (std::int64_t t = 1; t < time.steps(); ++t) {
    to = std::copy_n(from + time.start(t - 1) * width, time.sequences_at(t) * width, to);
  }
  return previous;
}

void gru_gate_gradients(Context& ctx, Tensor& dgates_x_NG, Tensor& dgates_h_NG, const Tensor& dh_NH,
                        const RecurrenceReserve& reserve, const RecurrenceWeights& weights,
                        const PackedOrder& order, const TimeMajor& time, const Tensor& h0_BH) {
  const std::int64_t width = dh_NH.dim(1), gates = 3 * width;
  const PackedMatrix w_h(ctx, weights.w_h_GH, PackedMatrix::Layout::as_is);
  const Tensor zero_H = zeros(ctx, {width});
  const Before before(reserve.hidden_NH, time, zero_H.data<float>(), h0_BH);
  Tensor dh_u_BS = zeros(ctx, {time.sequences(), w_h.stride()});
  Tensor dh_BH = zeros(ctx, {time.sequences(), width});
  const std::int32_t* event = order.time_order_N.data<std::int32_t>();
  parallel_for(ctx, ctx.threads(), 1, [&](std::int64_t first, std::int64_t last) {
    backward_steps(time, w_h, dgates_h_NG.data<float>(), time.first_slot(first),
                   time.first_slot(last), dh_u_BS.data<float>(),
                   [&](std::int64_t t, std::int64_t slot, const float* dh_after) {
                     const std::int64_t n = time.start(t) + slot;
                     gru_row_backward({.gates_G = reserve.gates_NG.data<float>() + n * gates,
                                       .u_n_H = reserve.state_NH.data<float>() + n * width,
                                       .before_H = before.row(t, slot),
                                       .dh_event_H = dh_NH.data<float>() + event[n] * width,
                                       .dh_after_H = dh_after,
                                       .dh_H = dh_BH.data<float>() + slot * width,
                                       .dgates_x_G = dgates_x_NG.data<float>() + n * gates,
                                       .dgates_h_G = dgates_h_NG.data<float>() + n * gates},
                                      width);
                   });
  });
}

void lstm_gate_gradients(Context& ctx, Tensor& dgates_NG, const Tensor& dh_NH,
                         const RecurrenceReserve& reserve, const RecurrenceWeights& weights,
                         const PackedOrder& order, const TimeMajor& time) {
  const std::int64_t width = dh_NH.dim(1), gates = 4 * width;
  const PackedMatrix w_h(ctx, weights.w_h_GH, PackedMatrix::Layout::as_is);
  const Tensor zero_H = zeros(ctx, {width});
  const Before before(reserve.state_NH, time, zero_H.data<float>());
  Tensor dh_BS = zeros(ctx, {time.sequences(), w_h.stride()});
  Tensor dc_BH = zeros(ctx, {time.sequences(), width});
  const std::int32_t* event = order.time_order_N.data<std::int32_t>();
  parallel_for(ctx, ctx.threads(), 1, [&](std::int64_t first, std::int64_t last) {
    backward_steps(time, w_h, dgates_NG.data<float>(), time.first_slot(first),
                   time.first_slot(last), dh_BS.data<float>(),
                   [&](std::int64_t t, std::int64_t slot, const float* dh_after) {
                     const std::int64_t n = time.start(t) + slot;
                     lstm_row_backward({.gates_G = reserve.gates_NG.data<float>() + n * gates,
                                        .c_H = reserve.state_NH.data<float>() + n * width,
                                        .before_H = before.row(t, slot),
                                        .dh_event_H = dh_NH.data<float>() + event[n] * width,
                                        .dh_after_H = dh_after,
                                        .dc_H = dc_BH.data<float>() + slot * width,
                                        .dgates_G = dgates_NG.data<float>() + n * gates},
                                       width);
                   });
  });
}

RecurrenceReserve new_reserve(Context& ctx, Cell cell, std::int64_t events, std::int64_t width) {
  RecurrenceReserve reserve;
  reserve.gates_NG = ctx.empty(DType::f32, {events, cell_gates(cell) * width});
  reserve.state_NH = ctx.empty(DType::f32, {events, width});
  reserve.hidden_NH = ctx.empty(DType::f32, {events, width});
  return reserve;
}

}  // namespace

void recurrence(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                const Tensor& x_NK, const RecurrenceWeights& weights, const PackedOrder& order,
                const Tensor& h0_BH) {
  const std::int64_t width = h_NH.dim(1), gates = cell_gates(cell) * width;
  const std::int64_t events = x_NK.dim(0);
  reserve = new_reserve(ctx, cell, events, width);
  const TimeMajor time(order, ctx.threads());
  Tensor x_time_NK = ctx.empty(DType::f32, x_NK.shape(), Tag::workspace);
  to_time_major(ctx, x_time_NK, x_NK, order.time_order_N);
  layer_product(ctx, reserve.gates_NG, x_time_NK, Transpose::no, weights.w_x_GK, Transpose::yes, 0);

  const PackedMatrix w_h(ctx, weights.w_h_GH, PackedMatrix::Layout::transposed);
  const Tensor bias_G = gate_bias(ctx, cell, weights);
  const Tensor zero_G = zeros(ctx, {gates});
  Tensor u_BS = ctx.empty(DType::f32, {time.sequences(), w_h.stride()}, Tag::workspace);
  const float* zero = zero_G.data<float>();
  const float* bias = bias_G.data<float>();
  float* gate = reserve.gates_NG.data<float>();
  float* state = reserve.state_NH.data<float>();
  float* hidden = reserve.hidden_NH.data<float>();
  const Before cell_before(reserve.state_NH, time, zero);
  const Before hidden_before(reserve.hidden_NH, time, zero, h0_BH);
  const auto lstm = [&](std::int64_t t, std::int64_t slot, const float* u) {
    const std::int64_t n = time.start(t) + slot;
    lstm_row({gate + n * gates, u, bias, cell_before.row(t, slot), state + n * width,
              hidden + n * width},
             width);
  };
  const auto gru = [&](std::int64_t t, std::int64_t slot, const float* u) {
    const std::int64_t n = time.start(t) + slot;
    gru_row({gate + n * gates, u, bias, weights.b_h_G.data<float>() + 2 * width,
             hidden_before.row(t, slot), state + n * width, hidden + n * width},
            width);
  };
  parallel_for(ctx, ctx.threads(), 1, [&](std::int64_t first, std::int64_t last) {
    const std::int64_t begin = time.first_slot(first), end = time.first_slot(last);
    if (cell == Cell::lstm) {
      forward_steps(time, w_h, hidden_before, begin, end, u_BS.data<float>(), zero, lstm);
    } else {
      forward_steps(time, w_h, hidden_before, begin, end, u_BS.data<float>(), zero, gru);
    }
  });
  to_event_order(ctx, h_NH, reserve.hidden_NH, order.time_order_N);
}

void recurrence_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                         const Tensor& dh_NH, const Tensor& x_NK, const RecurrenceReserve& reserve,
                         const RecurrenceWeights& weights, const PackedOrder& order,
                         const Tensor& h0_BH) {
  const TimeMajor time(order, ctx.threads());
  const std::int64_t events = x_NK.dim(0);
  const Shape shape_NG = reserve.gates_NG.shape();
  Tensor dgates_x_NG = ctx.empty(DType::f32, shape_NG, Tag::workspace);
  Tensor dgates_h_NG = dgates_x_NG;  // an LSTM's gates see W x and U h alike
  if (cell == Cell::lstm) {
    lstm_gate_gradients(ctx, dgates_x_NG, dh_NH, reserve, weights, order, time);
  } else {
    dgates_h_NG = ctx.empty(DType::f32, shape_NG, Tag::workspace);
    gru_gate_gradients(ctx, dgates_x_NG, dgates_h_NG, dh_NH, reserve, weights, order, time, h0_BH);
  }
  add_column_sum(ctx, gradients.b_x_G, dgates_x_NG);
  add_column_sum(ctx, gradients.b_h_G, dgates_h_NG);
  const Tensor previous = previous_hidden(ctx, time, reserve.hidden_NH, h0_BH);
  layer_product(ctx, gradients.w_h_GH, dgates_h_NG.rows(events - previous.dim(0), events),
                Transpose::yes, previous, Transpose::no, 1);

  Tensor time_NK = ctx.empty(DType::f32, x_NK.shape(), Tag::workspace);
  to_time_major(ctx, time_NK, x_NK, order.time_order_N);
  layer_product(ctx, gradients.w_x_GK, dgates_x_NG, Transpose::yes, time_NK, Transpose::no, 1);
  if (!dx_NK) return;
  layer_product(ctx, time_NK, dgates_x_NG, Transpose::no, weights.w_x_GK, Transpose::no, 0);
  to_event_order(ctx, dx_NK, time_NK, order.time_order_N);
}

void plan_recurrence(Context& ctx, Cell cell, RecurrenceReserve& reserve, const Tensor& x_NK,
                     std::int64_t width) {
  reserve = new_reserve(ctx, cell, x_NK.dim(0), width);
  const Tensor x_time_NK = ctx.empty(DType::f32, x_NK.shape(), Tag::workspace);
}

void plan_recurrence_backward(Context& ctx, Cell cell, const RecurrenceReserve& reserve,
                              const Tensor& x_NK) {
  const Shape shape_NG = reserve.gates_NG.shape();
  const Tensor dgates_x_NG = ctx.empty(DType::f32, shape_NG, Tag::workspace),
               dgates_h_NG = cell == Cell::lstm ? dgates_x_NG
                                                : ctx.empty(DType::f32, shape_NG, Tag::workspace);
  const Tensor previous = ctx.empty(DType::f32, reserve.hidden_NH.shape(), Tag::workspace);
  const Tensor time_NK = ctx.empty(DType::f32, x_NK.shape(), Tag::workspace);
}

}  // namespace seqrank::cpu
