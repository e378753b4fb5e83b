// Multi-head scaled dot-product attention (Vaswani et al. 2017) within each packed sequence, with
// two optional biases and dropout of the probabilities:
//   o_i = sum_j m_ij p_ij v_j,   p_ij = softmax_j(s_ij),
//   s_ij = scale q_i . k_j + position_HR[h, r(i - j)] + time_HT[h, t(|time_i - time_j|)].
// Backward recomputes the probabilities from lse: nothing of size L^2 is stored. Additive attention
// is in additive_attention.h. Counts no FLOPs, since the lengths are known to the device alone.
#pragma once

#include "backend/context.h"
#include "backend/ops/dropout.h"

namespace seqrank {

enum class AttentionMask {
  causal,         // event i sees the events j <= i of its sequence
  bidirectional,  // all events of its sequence
};

struct AttentionOptions {
  AttentionMask mask = AttentionMask::causal;
  float scale = 1;              // > 0; of the products q . k
  std::int64_t max_length = 0;  // no sequence is longer; <= 4096
  DropoutKey dropout;           // rate 0: none. layer: which attention of the model
};

// Absent tensors leave a bias out; time_HT and time_N (i64, seconds) come together.
// r: causal, min(i - j, R - 1); bidirectional, i - j held within [-C, C], plus C, where R = 2 C
// + 1. t: floor(log2(1 + |time_i - time_j|)), but no more than T - 1; T <= 32.
struct AttentionBias {
  Tensor position_HR, time_HT, time_N;
};

// The factor m_ij is 1 / (1 - rate) or 0: of the words of philox(seed, Purpose::attention_dropout,
// {low place, high place, position of query i, layer << 24 | head << 16 | position of key j / 4}),
// word j % 4 keeps the pair when uniform_float(word) >= rate. Positions are those in the sequence.
// layer, heads <= 256. place_B (i64) as for dropout(); it may be absent where rate is 0.
//
// q, k, v, o and their gradients are of one type: f32, or, on CUDA, bf16 or f16, which are then
// also what is multiplied. f32 is multiplied as ctx.precision() says on CUDA (tf32: as fp32), and
// as it is on the CPU. Sums and the softmax are fp32 always. On CUDA the head width K is a multiple
// of 8, at most 128; on the CPU any. Results do not depend on scheduling, and sequences do not
// depend on their neighbours.

// o_NHK and lse_NH (f32, log of the sum of exp of the scores) are written. offset_B1: i32. Empty
// sequences are fine.
void multi_head_attention(Context& ctx, const AttentionOptions& options, Tensor& o_NHK,
                          Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                          const Tensor& v_NHK, const AttentionBias& bias, const Tensor& place_B,
                          const Tensor& offset_B1);

// dq, dk, dv are written; dposition_HR and dtime_HT are added to, each absent where not wanted, and
// only where its table is given. dO and the rest are what forward read and wrote.
void multi_head_attention_backward(Context& ctx, const AttentionOptions& options, Tensor& dq_NHK,
                                   Tensor& dk_NHK, Tensor& dv_NHK, Tensor& dposition_HR,
                                   Tensor& dtime_HT, const Tensor& do_NHK, const Tensor& o_NHK,
                                   const Tensor& lse_NH, const Tensor& q_NHK, const Tensor& k_NHK,
                                   const Tensor& v_NHK, const AttentionBias& bias,
                                   const Tensor& place_B, const Tensor& offset_B1);

}  // namespace seqrank
