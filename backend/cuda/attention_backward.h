// What both sides of attention's backward on tensor cores share: from the scores and from dO v^T to
// the dropped probabilities and the gradients of the scores, in the registers of a warp.
#pragma once

#include "backend/cuda/attention_extras.h"
#include "backend/cuda/attention_parts.h"

namespace seqrank::cuda::attention {

// lse (in units of log2) and delta of the queries: a lane's two rows, or columns in shared memory.
struct OfRows {
  float lse[2], delta[2];
  __device__ __forceinline__ float lse_of(int, int e) const { return lse[e / 2]; }
  __device__ __forceinline__ float delta_of(int, int e) const { return delta[e / 2]; }
};
struct OfColumns {
  const float *lse, *delta;
  __device__ __forceinline__ int at(int n, int e) const {
    return 8 * n + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2;
  }
  __device__ __forceinline__ float lse_of(int n, int e) const { return lse[at(n, e)]; }
  __device__ __forceinline__ float delta_of(int n, int e) const { return delta[at(n, e)]; }
};

// Of a tile at (row, column): s becomes the dropped probabilities (without the factor `kept`), dp
// the gradients of the scores (without the factor `scale`). Masked: some pairs may be unseen.
enum class Masked { no, yes };
template <Side kSide, Extras kExtras, Masked kMasked, int kBlocks, class Some, class Queries>
__device__ __forceinline__ void score_gradients(float (&s)[kBlocks][4], float (&dp)[kBlocks][4],
                                                const AttentionNumbers& x, const Bias& bias,
                                                const Dropout& dropout, int length, int row,
                                                int column, Some groups, const Queries& queries) {
  const int lane = threadIdx.x % 32;
  const float unit = x.scale * kLog2e;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
    if (!groups.has(n / 2)) continue;
    unsigned kept = 0xf;
    if (kExtras == Extras::some && dropout.any())
      kept = dropout.kept_of_fragment<kSide>(row, column + 8 * n);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float score = s[n][e] * unit - queries.lse_of(n, e);
      const int r = row + lane / 4 + 8 * (e / 2), c = column + 8 * n + lane % 4 * 2 + e % 2;
      const int i = kSide == Side::query ? r : c, j = kSide == Side::query ? c : r;
      const bool seen = kMasked == Masked::no || (j < length && (!x.causal || j <= i));
      if constexpr (kExtras == Extras::some) {
        if (bias.any() && seen && i < length) score += bias.at(i, j) * kLog2e;
      }
      const float probability = seen ? exp2_fast(score) : 0.f;
      if constexpr (kExtras == Extras::some) {
        const bool keep = (kept >> e & 1u) != 0;
        dp[n][e] = probability * ((keep ? dp[n][e] * x.kept : 0.f) - queries.delta_of(n, e));
        s[n][e] = keep ? probability : 0.f;
      } else {
        dp[n][e] = probability * (dp[n][e] - queries.delta_of(n, e));
        s[n][e] = probability;
      }
    }
  }
}

// Shared memory of the tiles: two of a block's own rows, two of the others and their successors.
template <int kWidth, int kRows, int kColumns>
inline constexpr std::size_t kBackwardShared = (2 * kRows + 4 * kColumns) * kRow<kWidth> *
                                               sizeof(std::uint16_t);

// Calls f with the type and the padded head width.
template <class F>
void with_type_and_width(DType type, int width, F f) {
  const auto of_width = [&]<class T>(T t) {
    if (width <= 16)
      f(t, std::integral_constant<int, 16>());
    else if (width <= 32)
      f(t, std::integral_constant<int, 32>());
    else if (width <= 64)
      f(t, std::integral_constant<int, 64>());
    else
      f(t, std::integral_constant<int, 128>());
  };
  if (type == DType::bf16)
    of_width(__nv_bfloat16());
  else
    of_width(__half());
}

}  // namespace seqrank::cuda::attention
