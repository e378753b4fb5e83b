// Contract of the attention of candidates: shapes, then the device's implementation.
#include "backend/ops/candidate_attention.h"

#include "backend/cpu/additive_attention.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {

void candidate_attention(Context& ctx, Attend attend, Activation act, Tensor& z_MD,
                         const Tensor& k_NA, const Tensor& q_CA, const Tensor& w_A,
                         const Tensor& v_ND, const Tensor& offset_B1) {
  constexpr const char* kOp = "candidate_attention";
  SR_ASSERT(act == Activation::tanh || act == Activation::relu, "{}: activation {}", kOp,
            static_cast<int>(act));
  expect_rank(kOp, "v_ND", v_ND, 2);
  expect_rank(kOp, "q_CA", q_CA, 2);
  expect_rank(kOp, "w_A", w_A, 1);
  expect_rank(kOp, "offset_B1", offset_B1, 1);
  SR_ASSERT(offset_B1.dtype() == DType::i32 && offset_B1.numel() > 0, "{}: offset_B1 is {} {}", kOp,
            dtype_name(offset_B1.dtype()), offset_B1.shape().str());
  expect(kOp, "w_A", w_A, DType::f32, w_A.shape());
  expect(kOp, "v_ND", v_ND, DType::f32, v_ND.shape());
  expect(kOp, "k_NA", k_NA, DType::f32, {v_ND.dim(0), w_A.numel()});
  expect(kOp, "q_CA", q_CA, DType::f32, {q_CA.dim(0), w_A.numel()});
  expect(kOp, "z_MD", z_MD, DType::f32, {(offset_B1.numel() - 1) * q_CA.dim(0), v_ND.dim(1)});
  SR_DISPATCH(ctx, candidate_attention, attend, act, z_MD, k_NA, q_CA, w_A, v_ND, offset_B1);
}

}  // namespace seqrank
