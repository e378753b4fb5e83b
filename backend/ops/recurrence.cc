// Shapes in words, then the device's implementation. No arithmetic.
#include "backend/ops/recurrence.h"

#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace cpu {

void recurrence(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                const Tensor& x_NK, const RecurrenceWeights& weights, const PackedOrder& order,
                const Tensor& h0_BH);
void recurrence_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                         const Tensor& dh_NH, const Tensor& x_NK, const RecurrenceReserve& reserve,
                         const RecurrenceWeights& weights, const PackedOrder& order,
                         const Tensor& h0_BH);

// The memory of the two above.
void plan_recurrence(Context& ctx, Cell cell, RecurrenceReserve& reserve, const Tensor& x_NK,
                     std::int64_t width);
void plan_recurrence_backward(Context& ctx, Cell cell, const RecurrenceReserve& reserve,
                              const Tensor& x_NK);

}  // namespace cpu

namespace {

void check_weights(Cell cell, const RecurrenceWeights& weights, const char* what,
                   std::int64_t inputs, std::int64_t width) {
  const std::int64_t gates = cell_gates(cell) * width;
  SR_ASSERT(width > 0 && inputs > 0, "recurrence: {} inputs, width {}", inputs, width);
  expect("recurrence", what, weights.w_x_GK, DType::f32, {gates, inputs});
  expect("recurrence", what, weights.w_h_GH, DType::f32, {gates, width});
  expect("recurrence", what, weights.b_x_G, DType::f32, {gates});
  expect("recurrence", what, weights.b_h_G, DType::f32, {gates});
}

void check_order(const PackedOrder& order, std::int64_t events) {
  expect("recurrence", "time_order_N", order.time_order_N, DType::i32, {events});
  std::int64_t sum = 0, before = order.offset_B1.numel() - 1;
  for (std::int32_t b : order.sequences_at_T) {
    SR_ASSERT(0 < b && b <= before, "recurrence: {} sequences after a step of {}", b, before);
    before = b;
    sum += b;
  }
  SR_ASSERT(sum == events, "recurrence: steps hold {} events, the input {}", sum, events);
}

std::int64_t sequences_of(const PackedOrder& order) {
  return order.sequences_at_T.empty() ? 0 : order.sequences_at_T[0];
}

void check_state(Cell cell, const PackedOrder& order, const Tensor& h0_BH, std::int64_t width) {
  if (!h0_BH) return;
  SR_ASSERT(cell == Cell::gru, "recurrence: an LSTM begins with zeros");
  expect("recurrence", "h0", h0_BH, DType::f32, {sequences_of(order), width});
}

// Multiply-adds twice, for x W_x^T and h U^T; before a sequence's first event h may be zero.
double product_flops(Cell cell, std::int64_t inputs, std::int64_t width, const PackedOrder& order,
                     std::int64_t events, const Tensor& h0_BH) {
  const std::int64_t starts = h0_BH ? 0 : sequences_of(order);
  const double rows = static_cast<double>(events) * inputs + (events - starts) * width;
  return 2.0 * cell_gates(cell) * width * rows;
}

}  // namespace

void recurrence(Context& ctx, Cell cell, Tensor& h_NH, RecurrenceReserve& reserve,
                const Tensor& x_NK, const RecurrenceWeights& weights, const PackedOrder& order,
                const Tensor& h0_BH) {
  const std::int64_t events = x_NK.dim(0), width = h_NH.dim(1);
  expect("recurrence", "h", h_NH, DType::f32, {events, width});
  check_weights(cell, weights, "a weight", x_NK.dim(1), width);
  check_order(order, events);
  check_state(cell, order, h0_BH, width);
  ctx.count_flops(product_flops(cell, x_NK.dim(1), width, order, events, h0_BH));
  if (ctx.plans_cpu()) cpu::plan_recurrence(ctx, cell, reserve, x_NK, width);
  SR_DISPATCH(ctx, recurrence, cell, h_NH, reserve, x_NK, weights, order, h0_BH);
}

void recurrence_backward(Context& ctx, Cell cell, Tensor& dx_NK, RecurrenceWeights& gradients,
                         const Tensor& dh_NH, const Tensor& x_NK, const RecurrenceReserve& reserve,
                         const RecurrenceWeights& weights, const PackedOrder& order,
                         const Tensor& h0_BH) {
  const std::int64_t events = x_NK.dim(0), width = dh_NH.dim(1);
  expect("recurrence", "dh", dh_NH, DType::f32, {events, width});
  if (dx_NK) expect("recurrence", "dx", dx_NK, DType::f32, x_NK.shape());
  check_weights(cell, weights, "a weight", x_NK.dim(1), width);
  check_weights(cell, gradients, "a gradient", x_NK.dim(1), width);
  check_order(order, events);
  check_state(cell, order, h0_BH, width);
  ctx.count_flops(2 * product_flops(cell, x_NK.dim(1), width, order, events, h0_BH));
  if (ctx.plans_cpu()) cpu::plan_recurrence_backward(ctx, cell, reserve, x_NK);
  SR_DISPATCH(ctx, recurrence_backward, cell, dx_NK, gradients, dh_NH, x_NK, reserve, weights,
              order, h0_BH);
}

}  // namespace seqrank
