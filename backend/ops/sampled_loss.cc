// Contract of sampled_loss(): shapes, then the device's implementation.
#include "backend/ops/sampled_loss.h"

#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace cpu {

void sampled_loss(Context& ctx, Tensor& loss_1, Tensor& dpositive_N, Tensor& dnegative_NS,
                  const Tensor& positive_N, const Tensor& negative_NS, const Tensor& target_N,
                  const Tensor& negative_S, const Tensor& log_q_S, float scale,
                  const SampledLossOptions& options);

void leave_out_negatives(Context& ctx, Tensor& negative_NS, const Tensor& list_N,
                         const Tensor& offset_L1, const Tensor& place_K);

}  // namespace cpu

double gbce_beta(std::int64_t negatives, std::int64_t items, double t) {
  const double alpha = static_cast<double>(negatives) / static_cast<double>(items - 1);
  return alpha * (t * (1 - 1 / alpha) + 1 / alpha);
}

void sampled_loss(Context& ctx, Tensor& loss_1, Tensor& dpositive_N, Tensor& dnegative_NS,
                  const Tensor& positive_N, const Tensor& negative_NS, const Tensor& target_N,
                  const Tensor& negative_S, const Tensor& log_q_S, float scale,
                  const SampledLossOptions& options) {
  const char* const op = "sampled_loss";
  expect_rank(op, "negative_NS", negative_NS, 2);
  const std::int64_t n = negative_NS.dim(0), s = negative_NS.dim(1);
  expect(op, "loss_1", loss_1, DType::f64, {1});
  expect(op, "positive_N", positive_N, DType::f32, {n});
  expect(op, "dpositive_N", dpositive_N, DType::f32, {n});
  expect(op, "negative_NS", negative_NS, DType::f32, {n, s});
  expect(op, "dnegative_NS", dnegative_NS, DType::f32, {n, s});
  expect(op, "target_N", target_N, DType::i32, {n});
  expect(op, "negative_S", negative_S, DType::i32, {s});
  if (log_q_S) expect(op, "log_q_S", log_q_S, DType::f32, {s});
  if (options.loss_scale_1) expect(op, "loss_scale_1", options.loss_scale_1, DType::f32, {1});
  SR_ASSERT(options.temperature > 0, "{}: temperature is {}", op, options.temperature);
  if (n == 0) return;
  SR_DISPATCH(ctx, sampled_loss, loss_1, dpositive_N, dnegative_NS, positive_N, negative_NS,
              target_N, negative_S, log_q_S, scale, options);
}

void leave_out_negatives(Context& ctx, Tensor& negative_NS, const Tensor& list_N,
                         const Tensor& offset_L1, const Tensor& place_K) {
  const char* const op = "leave_out_negatives";
  expect_rank(op, "negative_NS", negative_NS, 2);
  expect_rank(op, "offset_L1", offset_L1, 1);
  expect_rank(op, "place_K", place_K, 1);
  expect(op, "negative_NS", negative_NS, DType::f32, negative_NS.shape());
  expect(op, "list_N", list_N, DType::i32, {negative_NS.dim(0)});
  expect(op, "offset_L1", offset_L1, DType::i32, offset_L1.shape());
  expect(op, "place_K", place_K, DType::i32, place_K.shape());
  if (negative_NS.dim(0) == 0 || place_K.dim(0) == 0) return;
  SR_DISPATCH(ctx, leave_out_negatives, negative_NS, list_N, offset_L1, place_K);
}

}  // namespace seqrank
