// Contract of multi-head attention: shapes and ranges, then the device's implementation.
#include "backend/ops/attention.h"

#include "backend/cpu/attention.h"
#include "backend/dispatch.h"
#include "backend/ops/expect.h"

namespace seqrank {
namespace {

constexpr std::int64_t kLongest = 4096;  // events of a sequence
constexpr std::int64_t kTimes = 32;      // buckets: a power of two each, up to 2^31 s = 68 years
constexpr std::int64_t kHeads = 256;     // of the dropout counter's 8 bits

void expect_options(const char* op, const AttentionOptions& options, const Tensor& q_NHK,
                    const Tensor& place_B, const Tensor& offset_B1) {
  SR_ASSERT(options.max_length >= 0 && options.max_length <= kLongest,
            "{}: sequences of {} events, {} at most", op, options.max_length, kLongest);
  SR_ASSERT(options.scale > 0, "{}: scale {} is not positive", op, options.scale);
  expect_rank(op, "offset_B1", offset_B1, 1);
  expect(op, "offset_B1", offset_B1, DType::i32, offset_B1.shape());
  SR_ASSERT(offset_B1.numel() > 0, "{}: offset_B1 has no elements", op);
  const DropoutKey& key = options.dropout;
  SR_ASSERT(key.rate >= 0 && key.rate < 1, "{}: rate {} is not in [0, 1)", op, key.rate);
  if (key.rate == 0) return;
  SR_ASSERT(key.layer < 256 && q_NHK.dim(1) <= kHeads,
            "{}: layer {} or one of {} heads does not fit the counter's 8 bits", op, key.layer,
            q_NHK.dim(1));
  expect(op, "place_B", place_B, DType::i64, {offset_B1.numel() - 1});
}

void expect_bias(const char* op, AttentionMask mask, const AttentionBias& bias, std::int64_t events,
                 std::int64_t heads) {
  if (bias.position_HR) {
    expect_rank(op, "position_HR", bias.position_HR, 2);
    const std::int64_t buckets = bias.position_HR.dim(1);
    expect(op, "position_HR", bias.position_HR, DType::f32, {heads, buckets});
    SR_ASSERT(buckets > 0 && buckets < 2 * kLongest &&
                  (mask == AttentionMask::causal || buckets % 2 == 1),
              "{}: {} distances; at least 1, below {}, odd when bidirectional", op, buckets,
              2 * kLongest);
  }
  SR_ASSERT(static_cast<bool>(bias.time_HT) == static_cast<bool>(bias.time_N),
            "{}: time_HT and time_N come together", op);
  if (!bias.time_HT) return;
  expect_rank(op, "time_HT", bias.time_HT, 2);
  const std::int64_t buckets = bias.time_HT.dim(1);
  expect(op, "time_HT", bias.time_HT, DType::f32, {heads, buckets});
  SR_ASSERT(buckets > 0 && buckets <= kTimes, "{}: {} buckets of time, 1 to {} are known", op,
            buckets, kTimes);
  expect(op, "time_N", bias.time_N, DType::i64, {events});
}

void expect_values(const char* op, const Tensor& q_NHK, const Tensor& k_NHK, const Tensor& v_NHK,
                   const Tensor& o_NHK, const Tensor& lse_NH) {
  expect_rank(op, "q_NHK", q_NHK, 3);
  const DType type = q_NHK.dtype();
  SR_ASSERT(type == DType::f32 || type == DType::bf16 || type == DType::f16, "{}: q_NHK is {}", op,
            dtype_name(type));
  expect(op, "k_NHK", k_NHK, type, q_NHK.shape());
  expect(op, "v_NHK", v_NHK, type, q_NHK.shape());
  expect(op, "o_NHK", o_NHK, type, q_NHK.shape());
  expect(op, "lse_NH", lse_NH, DType::f32, {q_NHK.dim(0), q_NHK.dim(1)});
}

}  // namespace

void multi_head_attention(Context& ctx, const AttentionOptions& options, Tensor& o_NHK,
                          Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                          const Tensor& v_NHK, const AttentionBias& bias, const Tensor& place_B,
                          const Tensor& offset_B1) {
  constexpr const char* kOp = "multi_head_attention";
  expect_values(kOp, q_NHK, k_NHK, v_NHK, o_NHK, lse_NH);
  expect_options(kOp, options, q_NHK, place_B, offset_B1);
  expect_bias(kOp, options.mask, bias, q_NHK.dim(0), q_NHK.dim(1));
  SR_DISPATCH(ctx, multi_head_attention, options, o_NHK, lse_NH, q_NHK, k_NHK, v_NHK, bias, place_B,
              offset_B1);
}

void multi_head_attention_backward(Context& ctx, const AttentionOptions& options, Tensor& dq_NHK,
                                   Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR,
                                   Tensor& dtime_HT, const Tensor& do_NHK, const Tensor& o_NHK,
                                   const Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                                   const Tensor& v_NHK, const AttentionBias& bias,
                                   const Tensor& place_B, const Tensor& offset_B1) {
  constexpr const char* kOp = "multi_head_attention_backward";
  expect_values(kOp, q_NHK, k_NHK, v_NHK, o_NHK, lse_NH);
  expect_options(kOp, options, q_NHK, place_B, offset_B1);
  expect_bias(kOp, options.mask, bias, q_NHK.dim(0), q_NHK.dim(1));
  expect(kOp, "do_NHK", do_NHK, q_NHK.dtype(), q_NHK.shape());
  expect(kOp, "dq_NHK", dq_NHK, q_NHK.dtype(), q_NHK.shape());
  expect(kOp, "dk_NHK", dk_NHK, q_NHK.dtype(), q_NHK.shape());
  expect(kOp, "dv_NHK", dv_NHK, q_NHK.dtype(), q_NHK.shape());
  if (dposition_HR) expect(kOp, "dposition_HR", dposition_HR, DType::f32, bias.position_HR.shape());
  if (dtime_HT) expect(kOp, "dtime_HT", dtime_HT, DType::f32, bias.time_HT.shape());
  SR_DISPATCH(ctx, multi_head_attention_backward, options, dq_NHK, dk_NHK, dv_NHK, dposition_HR,
              dtime_HT, do_NHK, o_NHK, lse_NH, q_NHK, k_NHK, v_NHK, bias, place_B, offset_B1);
}

}  // namespace seqrank
