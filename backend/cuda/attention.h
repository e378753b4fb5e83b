// What the kernels of multi-head attention (contract: backend/ops/attention.h) are told, and who
// runs them: attention.cu picks by type, the other files hold the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/context.h"
#include "backend/cuda/access.h"
#include "backend/ops/attention.h"

namespace seqrank::cuda {

// A kernel's argument: everything that is not memory.
struct AttentionNumbers {
  int heads, width;
  bool wide;  // memory holds f32; else bf16 or f16, whichever is multiplied
  bool causal;
  float scale;
  int distances, times;  // buckets of the biases; 0: no such bias
  std::uint64_t seed;    // of dropout
  std::uint32_t layer;
  std::uint32_t threshold;  // a word's upper 24 bits below it: dropped; 0: no dropout
  float kept;               // 1 / (1 - rate)
  bool extras() const { return distances > 0 || times > 0 || threshold > 0; }
};

// Operands of a call, as tensors.
struct AttentionOperands {
  AttentionNumbers numbers;
  std::int64_t max_length;
  const Tensor &q_NHK, &k_NHK, &v_NHK;
  const AttentionBias& bias;
  const Tensor &place_B, &offset_B1;
  std::int64_t sequences() const { return offset_B1.numel() - 1; }
  // So short on average that half a tile holds one.
  bool short_ones() const { return q_NHK.dim(0) <= 32 * sequences(); }
  std::int64_t tiles(int rows) const { return (max_length + rows - 1) / rows; }
};

// Backward reads o, dO and lse; the query's side writes delta_NH (dO . O) and dq, the key's side
// reads delta and writes dk and dv.
struct AttentionGradients {
  Tensor &dq_NHK, &dk_NHK, &dv_NHK, &delta_NH;
  const Tensor &do_NHK, &o_NHK, &lse_NH;
  // [heads, sequences * tiles(kTableRows), distances + times]: the tables' gradients of each block;
  // absent: not wanted.
  Tensor& tables;
};
inline constexpr float kLog2e = 1.44269504f, kLn2 = 0.693147181f;
inline constexpr int kTableRows = 64;  // queries of a block that adds up the tables' gradients

// fp32 products.
void attention_fp32(Context& ctx, const AttentionOperands& x, Tensor& o_NHK, Tensor& lse_NH);
void attention_fp32_query(Context& ctx, const AttentionOperands& x, AttentionGradients& g);
void attention_fp32_key(Context& ctx, const AttentionOperands& x, AttentionGradients& g);
// Tensor cores; type: bf16 or f16, what is multiplied.
void attention_16(Context& ctx, DType type, const AttentionOperands& x, Tensor& o_NHK,
                  Tensor& lse_NH);
void attention_16_query(Context& ctx, DType type, const AttentionOperands& x,
                        AttentionGradients& g);
void attention_16_key(Context& ctx, DType type, const AttentionOperands& x, AttentionGradients& g);

// Inputs are told apart by AttentionNumbers::wide, outputs by which of two pointers is not null.
inline Access<const std::byte> in_bytes(const Tensor& x) {
  return in(std::span(static_cast<const std::byte*>(x.raw()), x.bytes()));
}
inline Access<float> out_wide(Tensor& x) {
  return x.dtype() == DType::f32 ? out<float>(x) : Access<float>{};
}
inline Access<std::uint16_t> out_16(Tensor& x) {
  return x.dtype() == DType::f32 ? Access<std::uint16_t>{} : out<std::uint16_t>(x);
}

}  // namespace seqrank::cuda
