// LSTM and GRU of narrow layers, a block a sequence. Whatever can wait for all events is one matrix
// product over them: W x before the walk; dx and the gradients of the weights after the walk back.
// A step is one product of a vector by weights that stay in registers (and, of wide layers, in
// shared memory), its gates, and one barrier. Rows lie in the order of events throughout; nothing
// depends on which blocks run together.
// The operands of products are rounded to the precision; gates and states are fp32.
#include "backend/cuda/recurrence_steps.h"

#include "backend/cuda/product.h"
#include "backend/cuda/recurrence_gates.h"
#include "backend/cuda/recurrence_parts.h"
#include "backend/cuda/runtime.h"

namespace seqrank::cuda {
namespace {

// Steps that rows are read ahead of their use; even, so that the two buffers of a vector alternate.
constexpr int kAhead = 2;

// gates_NG: in, W x + b_x; out, the gates. state_NH: LSTM, c; GRU, U_n h + b_h_n. before_NH: h
// before each event.
template <Cell cell, class Share, class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(float* gates_NG, float* state_NH, float* before_NH, float* h_NH,
                   const float* w_h_GH, const float* b_h_G, const float* h0_BH,
                   const std::int32_t* offset_B1, int sequences, const std::int32_t* time_order_N,
                   int width) {
  constexpr int kGates = Share::gates, kBuffer = Share::columns;
  SHARED_ARRAY(float4, hidden4, 2 * kBuffer / 4);
  DYNAMIC_SHARED(float4, room);
  float* const hidden = reinterpret_cast<float*>(hidden4);
  const Place<Share> place(width);
  const int j = place.unit;
  const Weights<Share> weights(room, place, [&](int gate, int output, int column) {
    return output < width && column < width
               ? rounded<T>(w_h_GH[(gate * width + output) * width + column])
               : 0.f;
  });
  float bias[kGates] = {}, state = 0, h = 0;
  if (place.active) {
    for (int gate = 0; gate < kGates; ++gate) bias[gate] = b_h_G[gate * width + j];
    if (h0_BH != nullptr) h = h0_BH[static_cast<std::int64_t>(blockIdx.x) * width + j];
  }
  for (int c = threadIdx.x; c < 2 * kBuffer; c += blockDim.x) hidden[c] = 0;
  const SequenceEvents events = events_of_block(offset_B1, sequences, time_order_N);
  if (place.writes(0)) hidden[j] = rounded<T>(h);
  __syncthreads();

  float* const gates = gates_NG + events.first * kGates * width + j;
  const std::int64_t first = events.first * width + j;
  float ahead[kAhead][kGates] = {};
  const auto read = [&](float(&row)[kGates], int t) {
    if (!place.active || t >= events.length) return;
#pragma unroll
    for (int gate = 0; gate < kGates; ++gate) row[gate] = gates[(t * kGates + gate) * width];
  };
#pragma unroll
  for (int i = 0; i < kAhead; ++i) read(ahead[i], i);
  for (int begin = 0; begin < events.length; begin += kAhead) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int t = begin + i;
      if (t == events.length) break;
      float a[kGates], u[kGates];
#pragma unroll
      for (int gate = 0; gate < kGates; ++gate) a[gate] = ahead[i][gate], u[gate] = bias[gate];
      read(ahead[i], t + kAhead);
      multiply(u, weights, hidden4 + i % 2 * kBuffer / 4, place);
      const float before = h;
      Unit<cell>::forward(a, u, state, h);
      if (place.writes(0)) hidden[(1 - i % 2) * kBuffer + j] = rounded<T>(h);
      __syncthreads();  // others wait for h alone
#pragma unroll
      for (int gate = 0; gate < kGates; ++gate)
        if (place.writes(gate)) gates[(t * kGates + gate) * width] = a[gate];
      if (place.writes(1)) h_NH[first + t * width] = h;
      if (place.writes(2)) before_NH[first + t * width] = before;
      if (place.writes(3)) state_NH[first + t * width] = state;
    }
  }
}

// What backward reads of an event, of one unit.
template <int gates>
struct Kept {
  float gate[gates], state, before, dh;
};

// dgates_x_NG: gradients of W x + b_x; dgates_h_NG: of U h + b_h, of a GRU, where they differ.
template <Cell cell, class Share, class T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(float* dgates_x_NG, float* dgates_h_NG, const float* dh_NH,
                    const float* gates_NG, const float* state_NH, const float* before_NH,
                    const float* w_h_GH, const std::int32_t* offset_B1, int sequences,
                    const std::int32_t* time_order_N, int width) {
  constexpr int kGates = Share::gates, kBuffer = Share::gates * Share::columns;
  SHARED_ARRAY(float4, d4, 2 * kBuffer / 4);  // dgates_h
  DYNAMIC_SHARED(float4, room);
  float* const d_shared = reinterpret_cast<float*>(d4);
  const Place<Share> place(width);
  const int j = place.unit;
  const Weights<Share> weights(room, place, [&](int gate, int output, int column) {
    return output < width && column < width
               ? rounded<T>(w_h_GH[(gate * width + column) * width + output])
               : 0.f;
  });
  for (int c = threadIdx.x; c < 2 * kBuffer; c += blockDim.x) d_shared[c] = 0;
  const SequenceEvents events = events_of_block(offset_B1, sequences, time_order_N);

  const std::int64_t first = events.first * width + j,
                     first_gate = first + events.first * (kGates - 1) * width;
  const auto read = [&](Kept<kGates>& kept, int t) {
    if (!place.active || t < 0) return;
    const std::int64_t n = first + t * width;
#pragma unroll
    for (int gate = 0; gate < kGates; ++gate)
      kept.gate[gate] = gates_NG[first_gate + (t * kGates + gate) * width];
    kept.state = state_NH[n];
    if constexpr (cell == Cell::gru)
      kept.before = before_NH[n];
    else
      kept.before = t == 0 ? 0.f : state_NH[n - width];
    kept.dh = dh_NH[n];
  };
  Kept<kGates> ahead[kAhead] = {};
#pragma unroll
  for (int i = 0; i < kAhead; ++i) read(ahead[i], events.length - 1 - i);
  float carry = 0, dh_after = 0;
  for (int end = events.length; end > 0; end -= kAhead) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int t = end - 1 - i;
      if (t < 0) break;
      const Kept<kGates> kept = ahead[i];
      read(ahead[i], t - kAhead);
      float d[kGates];
      const float last =
          Unit<cell>::backward(d, carry, kept.gate, kept.state, kept.before, kept.dh + dh_after);
#pragma unroll
      for (int gate = 0; gate < kGates; ++gate)
        if (place.writes(gate))
          d_shared[i % 2 * kBuffer + gate * Share::columns + j] =
              rounded<T>(gate == kGates - 1 ? last : d[gate]);
      __syncthreads();
#pragma unroll
      for (int gate = 0; gate < kGates; ++gate) {
        if (!place.writes(gate)) continue;
        const std::int64_t at = first_gate + (t * kGates + gate) * width;
        dgates_x_NG[at] = d[gate];
        if constexpr (cell == Cell::gru) dgates_h_NG[at] = gate == kGates - 1 ? last : d[gate];
      }
      if (t > 0) dh_after = multiply_transposed(weights, d4 + i % 2 * kBuffer / 4, place);
    }
  }
}

// What the kernels of a layer are compiled for. `size`: 0, 1, 2 for widths up to 32, 64, 128.
template <Cell cell_, int size, class T_>
struct Kind {
  static constexpr Cell cell = cell_;
  static constexpr int gates = Unit<cell_>::gates;
  using T = T_;
  using Forward = Share<gates, size == 2 ? 2 : 1, 4, 2 << size>;
  using Backward = Share<gates, size == 2 ? 4 : 2, 8, 1 << size>;
};

template <Cell cell, class T, class F>
void with_size(std::int64_t width, F&& f) {
  if (width <= 32) return f(Kind<cell, 0, T>());
  if (width <= 64) return f(Kind<cell, 1, T>());
  SR_ASSERT(width <= kWidestSteps, "own recurrence of width {}", width);
  f(Kind<cell, 2, T>());
}
template <Cell cell, class F>
void with_type(Precision precision, std::int64_t width, F&& f) {
  if (precision == Precision::bf16) return with_size<cell, __nv_bfloat16>(width, f);
  if (precision == Precision::fp16) return with_size<cell, __half>(width, f);
  with_size<cell, float>(width, f);
}
// f(Kind<...>()).
template <class F>
void with_kind(Context& ctx, Cell cell, std::int64_t width, F&& f) {
  if (cell == Cell::lstm) return with_type<Cell::lstm>(ctx.precision(), width, f);
  with_type<Cell::gru>(ctx.precision(), width, f);
}

}  // namespace

void recurrence_steps(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                      const Tensor& x_NK, const RecurrenceWeights& weights,
                      const PackedOrder& order, const Tensor& h0_BH) {
  const std::int64_t events = h_NH.dim(0), width = h_NH.dim(1);
  reserve.gates_NG = ctx.empty(DType::f32, {events, cell_gates(cell) * width});
  reserve.state_NH = ctx.empty(DType::f32, {events, width});
  reserve.hidden_NH = ctx.empty(DType::f32, {events, width});
  const Matrix x = rounded_operand(ctx, x_NK), w_x = rounded_operand(ctx, weights.w_x_GK);
  layer_product(ctx, Matrix(reserve.gates_NG), {x}, {w_x, Transpose::yes}, 1, 0, weights.b_x_G);
  with_kind(ctx, cell, width, [&](auto kind) {
    using K = decltype(kind);
    launch<forward_kernel<K::cell, typename K::Forward, typename K::T>>(
        K::Forward::launch_shape(order.sequences_at_T[0], width), stream_of(ctx),
        update<float>(reserve.gates_NG), out<float>(reserve.state_NH),
        out<float>(reserve.hidden_NH), out<float>(h_NH), in<float>(weights.w_h_GH),
        in<float>(weights.b_h_G), in<float>(h0_BH), in<std::int32_t>(order.offset_B1),
        static_cast<int>(order.offset_B1.numel() - 1), in<std::int32_t>(order.time_order_N),
        static_cast<int>(width));
  });
}

void recurrence_steps_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                               const Tensor& dh_NH, const Tensor& x_NK,
                               const RecurrenceReserve& reserve, const RecurrenceWeights& weights,
                               const PackedOrder& order) {
  const std::int64_t width = dh_NH.dim(1);
  Tensor dgates_x_NG = ctx.empty(DType::f32, reserve.gates_NG.shape(), Tag::workspace), differing;
  if (cell == Cell::gru) differing = ctx.empty(DType::f32, dgates_x_NG.shape(), Tag::workspace);
  with_kind(ctx, cell, width, [&](auto kind) {
    using K = decltype(kind);
    launch<backward_kernel<K::cell, typename K::Backward, typename K::T>>(
        K::Backward::launch_shape(order.sequences_at_T[0], width), stream_of(ctx),
        out<float>(dgates_x_NG), out<float>(differing), in<float>(dh_NH),
        in<float>(reserve.gates_NG), in<float>(reserve.state_NH), in<float>(reserve.hidden_NH),
        in<float>(weights.w_h_GH), in<std::int32_t>(order.offset_B1),
        static_cast<int>(order.offset_B1.numel() - 1), in<std::int32_t>(order.time_order_N),
        static_cast<int>(width));
  });
  const Tensor& dgates_h_NG = differing ? differing : dgates_x_NG;
  add_column_sum(ctx, gradients.b_x_G, Matrix(dgates_x_NG));
  add_column_sum(ctx, gradients.b_h_G, Matrix(dgates_h_NG));
  const Matrix dx = rounded_operand(ctx, dgates_x_NG), x = rounded_operand(ctx, x_NK);
  layer_product(ctx, Matrix(gradients.w_x_GK), {dx, Transpose::yes}, {x}, 1, 1);
  const Matrix dh = differing ? rounded_operand(ctx, differing) : dx;
  const Matrix before = rounded_operand(ctx, reserve.hidden_NH);
  layer_product(ctx, Matrix(gradients.w_h_GH), {dh, Transpose::yes}, {before}, 1, 1);
  if (!dx_NK) return;
  const Matrix w_x = rounded_operand(ctx, weights.w_x_GK);
  layer_product(ctx, Matrix(dx_NK), {dx}, {w_x}, 1, 0);
}

}  // namespace seqrank::cuda
