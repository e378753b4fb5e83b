// Contract of hard attention: shapes, then the device's implementation.
#include "backend/ops/hard_attention.h"

#include "backend/cpu/additive_attention.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void expect_operands(const char* op, const HardAttention& options, const Tensor& choice_N,
                     const Tensor& soft_ND, const Tensor& lse_N, const Tensor& k_NA,
                     const Tensor& q_NA, const Tensor& w_A, const Tensor& v_ND,
                     const Tensor& place_B, const Tensor& offset_B1) {
  SR_ASSERT(options.act == Activation::tanh || options.act == Activation::relu, "{}: activation {}",
            op, static_cast<int>(options.act));
  SR_ASSERT(options.layer < 256 && options.places > 0 && options.first_temperature > 0 &&
                options.last_temperature > 0,
            "{}: layer {}, temperature {} to {} over {} places", op, options.layer,
            options.first_temperature, options.last_temperature, options.places);
  expect_rank(op, "v_ND", v_ND, 2);
  expect_rank(op, "w_A", w_A, 1);
  expect_rank(op, "place_B", place_B, 1);
  const std::int64_t events = v_ND.dim(0);
  expect(op, "v_ND", v_ND, DType::f32, v_ND.shape());
  expect(op, "soft_ND", soft_ND, DType::f32, v_ND.shape());
  expect(op, "choice_N", choice_N, DType::i32, {events});
  expect(op, "lse_N", lse_N, DType::f32, {events});
  expect(op, "w_A", w_A, DType::f32, w_A.shape());
  expect(op, "k_NA", k_NA, DType::f32, {events, w_A.numel()});
  expect(op, "q_NA", q_NA, DType::f32, {events, w_A.numel()});
  expect(op, "place_B", place_B, DType::i64, place_B.shape());
  expect(op, "offset_B1", offset_B1, DType::i32, {place_B.dim(0) + 1});
}

}  // namespace

void hard_attention(Context& ctx, const HardAttention& options, Tensor& c_ND, Tensor& choice_N,
                    Tensor& soft_ND, Tensor& lse_N, const Tensor& k_NA, const Tensor& q_NA,
                    const Tensor& w_A, const Tensor& v_ND, const Tensor& place_B,
                    const Tensor& offset_B1) {
  constexpr const char* kOp = "hard_attention";
  expect_operands(kOp, options, choice_N, soft_ND, lse_N, k_NA, q_NA, w_A, v_ND, place_B,
                  offset_B1);
  expect(kOp, "c_ND", c_ND, DType::f32, v_ND.shape());
  SR_DISPATCH(ctx, hard_attention, options, c_ND, choice_N, soft_ND, lse_N, k_NA, q_NA, w_A, v_ND,
              place_B, offset_B1);
}

void hard_attention_backward(Context& ctx, const HardAttention& options, Tensor& dk_NA,
                             Tensor& dq_NA, Tensor& dw_A, Tensor& dv_ND, const Tensor& dc_ND,
                             const Tensor& choice_N, const Tensor& soft_ND, const Tensor& lse_N,
                             const Tensor& k_NA, const Tensor& q_NA, const Tensor& w_A,
                             const Tensor& v_ND, const Tensor& place_B, const Tensor& offset_B1) {
  constexpr const char* kOp = "hard_attention_backward";
  expect_operands(kOp, options, choice_N, soft_ND, lse_N, k_NA, q_NA, w_A, v_ND, place_B,
                  offset_B1);
  expect(kOp, "dk_NA", dk_NA, DType::f32, k_NA.shape());
  expect(kOp, "dq_NA", dq_NA, DType::f32, q_NA.shape());
  expect(kOp, "dw_A", dw_A, DType::f32, w_A.shape());
  expect(kOp, "dv_ND", dv_ND, DType::f32, v_ND.shape());
  expect(kOp, "dc_ND", dc_ND, DType::f32, v_ND.shape());
  SR_DISPATCH(ctx, hard_attention_backward, options, dk_NA, dq_NA, dw_A, dv_ND, dc_ND, choice_N,
              soft_ND, lse_N, k_NA, q_NA, w_A, v_ND, place_B, offset_B1);
}

}  // namespace seqrank
