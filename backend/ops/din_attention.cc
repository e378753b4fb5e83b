// Contract of DIN's activation unit: shapes, then the device's implementation.
#include "backend/ops/din_attention.h"

#include "backend/cpu/din_attention.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void expect_operands(const char* op, const DinAttention& options, std::int64_t queries,
                     const Tensor& h_ND, const Tensor& x_QD, const Tensor& k_NA, const Tensor& q_QA,
                     const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
                     const Tensor& offset_B1) {
  SR_ASSERT(options.act == Activation::tanh || options.act == Activation::relu, "{}: activation {}",
            op, static_cast<int>(options.act));
  expect_rank(op, "h_ND", h_ND, 2);
  expect_rank(op, "w_A", w_A, 1);
  expect_rank(op, "offset_B1", offset_B1, 1);
  SR_ASSERT(offset_B1.dtype() == DType::i32 && offset_B1.numel() > 0, "{}: offset_B1 is {} {}", op,
            dtype_name(offset_B1.dtype()), offset_B1.shape().str());
  const std::int64_t events = h_ND.dim(0), width = h_ND.dim(1), keys = w_A.numel();
  SR_ASSERT(events == 0 || options.max_length > 0, "{}: sequences of at most {} events", op,
            options.max_length);
  expect(op, "h_ND", h_ND, DType::f32, h_ND.shape());
  expect(op, "x", x_QD, DType::f32, {queries, width});
  expect(op, "k_NA", k_NA, DType::f32, {events, keys});
  expect(op, "q", q_QA, DType::f32, {queries, keys});
  expect(op, "p_AD", p_AD, DType::f32, {keys, width});
  expect(op, "w_A", w_A, DType::f32, {keys});
  expect(op, "b_1", b_1, DType::f32, {1});
}

}  // namespace

void din_attention(Context& ctx, const DinAttention& options, Tensor& z_ND, const Tensor& h_ND,
                   const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA, const Tensor& p_AD,
                   const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  constexpr const char* kOp = "din_attention";
  expect_operands(kOp, options, h_ND.dim(0), h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1);
  expect(kOp, "z_ND", z_ND, DType::f32, h_ND.shape());
  SR_DISPATCH(ctx, din_attention, options, z_ND, h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1);
}

void din_attention_backward(Context& ctx, const DinAttention& options,
                            const DinGradients& gradients, const Tensor& dz_ND, const Tensor& h_ND,
                            const Tensor& x_ND, const Tensor& k_NA, const Tensor& q_NA,
                            const Tensor& p_AD, const Tensor& w_A, const Tensor& b_1,
                            const Tensor& offset_B1) {
  constexpr const char* kOp = "din_attention_backward";
  expect_operands(kOp, options, h_ND.dim(0), h_ND, x_ND, k_NA, q_NA, p_AD, w_A, b_1, offset_B1);
  expect(kOp, "dz_ND", dz_ND, DType::f32, h_ND.shape());
  expect(kOp, "dh_ND", gradients.dh_ND, DType::f32, h_ND.shape());
  expect(kOp, "dx_ND", gradients.dx_ND, DType::f32, h_ND.shape());
  expect(kOp, "dk_NA", gradients.dk_NA, DType::f32, k_NA.shape());
  expect(kOp, "dq_NA", gradients.dq_NA, DType::f32, q_NA.shape());
  expect(kOp, "dp_AD", gradients.dp_AD, DType::f32, p_AD.shape());
  expect(kOp, "dw_A", gradients.dw_A, DType::f32, w_A.shape());
  expect(kOp, "db_1", gradients.db_1, DType::f32, {1});
  SR_DISPATCH(ctx, din_attention_backward, options, gradients, dz_ND, h_ND, x_ND, k_NA, q_NA, p_AD,
              w_A, b_1, offset_B1);
}

void din_candidates(Context& ctx, const DinAttention& options, Tensor& z_MD, const Tensor& h_ND,
                    const Tensor& x_CD, const Tensor& k_NA, const Tensor& q_CA, const Tensor& p_AD,
                    const Tensor& w_A, const Tensor& b_1, const Tensor& offset_B1) {
  constexpr const char* kOp = "din_candidates";
  expect_rank(kOp, "x_CD", x_CD, 2);
  expect_operands(kOp, options, x_CD.dim(0), h_ND, x_CD, k_NA, q_CA, p_AD, w_A, b_1, offset_B1);
  expect(kOp, "z_MD", z_MD, DType::f32, {(offset_B1.numel() - 1) * x_CD.dim(0), h_ND.dim(1)});
  SR_DISPATCH(ctx, din_candidates, options, z_MD, h_ND, x_CD, k_NA, q_CA, p_AD, w_A, b_1,
              offset_B1);
}

}  // namespace seqrank
