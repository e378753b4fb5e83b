// Contract of additive attention: shapes, then the device's implementation.
#include "backend/ops/additive_attention.h"

#include "backend/cpu/additive_attention.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

// Returns N.
std::int64_t expect_values(const char* op, const Tensor& c_ND, const Tensor& v_ND,
                           const Tensor& offset_B1) {
  expect_rank(op, "v_ND", v_ND, 2);
  expect(op, "v_ND", v_ND, DType::f32, v_ND.shape());
  expect(op, "c_ND", c_ND, DType::f32, v_ND.shape());
  expect_rank(op, "offset_B1", offset_B1, 1);
  SR_ASSERT(offset_B1.dtype() == DType::i32 && offset_B1.numel() > 0, "{}: offset_B1 is {} {}", op,
            dtype_name(offset_B1.dtype()), offset_B1.shape().str());
  return v_ND.dim(0);
}

void expect_query(const char* op, Activation act, const Tensor& k_NA, const Tensor& q_NA,
                  const Tensor& w_A, std::int64_t events) {
  SR_ASSERT(act == Activation::tanh || act == Activation::relu, "{}: activation {}", op,
            static_cast<int>(act));
  expect_rank(op, "w_A", w_A, 1);
  expect(op, "w_A", w_A, DType::f32, w_A.shape());
  expect(op, "k_NA", k_NA, DType::f32, {events, w_A.numel()});
  expect(op, "q_NA", q_NA, DType::f32, {events, w_A.numel()});
}

void expect_weights(const char* op, const Tensor& a_J, std::int64_t first, std::int64_t events) {
  expect_rank(op, "a_J", a_J, 1);
  SR_ASSERT(first >= 0 && a_J.numel() > 0 && first + a_J.numel() <= events,
            "{}: events {}..{} of {}", op, first, first + a_J.numel(), events);
}

}  // namespace

void running_attention(Context& ctx, Tensor& c_ND, Tensor& max_N, Tensor& sum_N,
                       const Tensor& score_N, const Tensor& v_ND, const Tensor& offset_B1) {
  constexpr const char* kOp = "running_attention";
  const std::int64_t events = expect_values(kOp, c_ND, v_ND, offset_B1);
  expect(kOp, "max_N", max_N, DType::f32, {events});
  expect(kOp, "sum_N", sum_N, DType::f32, {events});
  expect(kOp, "score_N", score_N, DType::f32, {events});
  SR_DISPATCH(ctx, running_attention, c_ND, max_N, sum_N, score_N, v_ND, offset_B1);
}

void running_attention_backward(Context& ctx, Tensor& dscore_N, Tensor& dv_ND, const Tensor& dc_ND,
                                const Tensor& c_ND, const Tensor& max_N, const Tensor& sum_N,
                                const Tensor& score_N, const Tensor& v_ND,
                                const Tensor& offset_B1) {
  constexpr const char* kOp = "running_attention_backward";
  const std::int64_t events = expect_values(kOp, c_ND, v_ND, offset_B1);
  expect(kOp, "dscore_N", dscore_N, DType::f32, {events});
  expect(kOp, "dv_ND", dv_ND, DType::f32, v_ND.shape());
  expect(kOp, "dc_ND", dc_ND, DType::f32, v_ND.shape());
  expect(kOp, "max_N", max_N, DType::f32, {events});
  expect(kOp, "sum_N", sum_N, DType::f32, {events});
  expect(kOp, "score_N", score_N, DType::f32, {events});
  SR_DISPATCH(ctx, running_attention_backward, dscore_N, dv_ND, dc_ND, c_ND, max_N, sum_N, score_N,
              v_ND, offset_B1);
}

void query_attention(Context& ctx, Activation act, Tensor& c_ND, Tensor& lse_N, const Tensor& k_NA,
                     const Tensor& q_NA, const Tensor& w_A, const Tensor& v_ND,
                     const Tensor& offset_B1) {
  constexpr const char* kOp = "query_attention";
  const std::int64_t events = expect_values(kOp, c_ND, v_ND, offset_B1);
  expect(kOp, "lse_N", lse_N, DType::f32, {events});
  expect_query(kOp, act, k_NA, q_NA, w_A, events);
  SR_DISPATCH(ctx, query_attention, act, c_ND, lse_N, k_NA, q_NA, w_A, v_ND, offset_B1);
}

void query_attention_backward(Context& ctx, Activation act, Tensor& dk_NA, Tensor& dq_NA,
                              Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND, const Tensor& c_ND,
                              const Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                              const Tensor& w_A, const Tensor& v_ND, const Tensor& offset_B1) {
  constexpr const char* kOp = "query_attention_backward";
  const std::int64_t events = expect_values(kOp, c_ND, v_ND, offset_B1);
  expect_query(kOp, act, k_NA, q_NA, w_A, events);
  expect(kOp, "dk_NA", dk_NA, DType::f32, k_NA.shape());
  expect(kOp, "dq_NA", dq_NA, DType::f32, q_NA.shape());
  expect(kOp, "dw_A", dw_A, DType::f32, w_A.shape());
  expect(kOp, "dv_ND", dv_ND, DType::f32, v_ND.shape());
  expect(kOp, "dc_ND", dc_ND, DType::f32, v_ND.shape());
  expect(kOp, "lse_N", lse_N, DType::f32, {events});
  SR_DISPATCH(ctx, query_attention_backward, act, dk_NA, dq_NA, dw_A, dv_ND, dc_ND, c_ND, lse_N,
              k_NA, q_NA, w_A, v_ND, offset_B1);
}

void running_attention_weights(Context& ctx, Tensor& a_J, const Tensor& max_N, const Tensor& sum_N,
                               const Tensor& score_N, std::int64_t first) {
  constexpr const char* kOp = "running_attention_weights";
  expect_weights(kOp, a_J, first, score_N.numel());
  expect(kOp, "max_N", max_N, DType::f32, score_N.shape());
  expect(kOp, "sum_N", sum_N, DType::f32, score_N.shape());
  SR_DISPATCH(ctx, running_attention_weights, a_J, max_N, sum_N, score_N, first);
}

void query_attention_weights(Context& ctx, Activation act, Tensor& a_J, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             std::int64_t first) {
  constexpr const char* kOp = "query_attention_weights";
  expect_weights(kOp, a_J, first, lse_N.numel());
  expect_query(kOp, act, k_NA, q_NA, w_A, lse_N.numel());
  SR_DISPATCH(ctx, query_attention_weights, act, a_J, lse_N, k_NA, q_NA, w_A, first);
}

}  // namespace seqrank
