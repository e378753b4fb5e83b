// Contract of pointwise attention: shapes and ranges, then the device's implementation.
#include "backend/ops/silu_attention.h"

#include "backend/cpu/silu_attention.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

void expect_operands(const char* op, const SiluAttentionOptions& options, const Tensor& q_NHK,
                     const Tensor& k_NHK, const Tensor& v_NHK, const AttentionBias& bias,
                     const Tensor& offset_B1) {
  SR_ASSERT(options.normaliser > 0, "{}: normaliser {} is not positive", op, options.normaliser);
  SR_ASSERT(options.max_length >= 0 && options.max_length <= 4096, "{}: sequences of {} events", op,
            options.max_length);
  expect_rank(op, "q_NHK", q_NHK, 3);
  expect(op, "q_NHK", q_NHK, DType::f32, q_NHK.shape());
  expect(op, "k_NHK", k_NHK, DType::f32, q_NHK.shape());
  expect(op, "v_NHK", v_NHK, DType::f32, q_NHK.shape());
  expect_rank(op, "offset_B1", offset_B1, 1);
  expect(op, "offset_B1", offset_B1, DType::i32, offset_B1.shape());
  SR_ASSERT(offset_B1.numel() > 0, "{}: offset_B1 has no elements", op);
  const std::int64_t heads = q_NHK.dim(1);
  if (bias.position_HR) {
    expect_rank(op, "position_HR", bias.position_HR, 2);
    expect(op, "position_HR", bias.position_HR, DType::f32, {heads, bias.position_HR.dim(1)});
    SR_ASSERT(bias.position_HR.dim(1) > 0, "{}: no distances", op);
  }
  SR_ASSERT(static_cast<bool>(bias.time_HT) == static_cast<bool>(bias.time_N),
            "{}: time_HT and time_N come together", op);
  if (!bias.time_HT) return;
  expect_rank(op, "time_HT", bias.time_HT, 2);
  expect(op, "time_HT", bias.time_HT, DType::f32, {heads, bias.time_HT.dim(1)});
  SR_ASSERT(bias.time_HT.dim(1) > 0 && bias.time_HT.dim(1) <= 32, "{}: {} buckets of time", op,
            bias.time_HT.dim(1));
  expect(op, "time_N", bias.time_N, DType::i64, {q_NHK.dim(0)});
}

}  // namespace

void silu_attention(Context& ctx, const SiluAttentionOptions& options, Tensor& o_NHK,
                    const Tensor& q_NHK, const Tensor& k_NHK, const Tensor& v_NHK,
                    const AttentionBias& bias, const Tensor& offset_B1) {
  constexpr const char* kOp = "silu_attention";
  expect_operands(kOp, options, q_NHK, k_NHK, v_NHK, bias, offset_B1);
  expect(kOp, "o_NHK", o_NHK, DType::f32, q_NHK.shape());
  SR_DISPATCH(ctx, silu_attention, options, o_NHK, q_NHK, k_NHK, v_NHK, bias, offset_B1);
}

void silu_attention_backward(Context& ctx, const SiluAttentionOptions& options, Tensor& dq_NHK,
                             Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR, Tensor& dtime_HT,
                             const Tensor& do_NHK, const Tensor& q_NHK, const Tensor& k_NHK,
                             const Tensor& v_NHK, const AttentionBias& bias,
                             const Tensor& offset_B1) {
  constexpr const char* kOp = "silu_attention_backward";
  expect_operands(kOp, options, q_NHK, k_NHK, v_NHK, bias, offset_B1);
  expect(kOp, "do_NHK", do_NHK, DType::f32, q_NHK.shape());
  expect(kOp, "dq_NHK", dq_NHK, DType::f32, q_NHK.shape());
  expect(kOp, "dk_NHK", dk_NHK, DType::f32, q_NHK.shape());
  expect(kOp, "dv_NHK", dv_NHK, DType::f32, q_NHK.shape());
  if (bias.position_HR)
    expect(kOp, "dposition_HR", dposition_HR, DType::f32, bias.position_HR.shape());
  if (bias.time_HT) expect(kOp, "dtime_HT", dtime_HT, DType::f32, bias.time_HT.shape());
  SR_DISPATCH(ctx, silu_attention_backward, options, dq_NHK, dk_NHK, dv_NHK, dposition_HR, dtime_HT,
              do_NHK, q_NHK, k_NHK, v_NHK, bias, offset_B1);
}

}  // namespace seqrank
